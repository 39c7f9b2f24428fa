//! A consumer goes on where it left off, on a real shard.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::time::Duration;

use consumer::{Held, Names, ReaderError, Reading, ShardReader, Start};
use model::{Offset, UnixMillis};
use prometheus_client::registry::Registry;
use shard::{
    AppendError, Engine, EngineOptions, Lease, Metrics, Retention, ShardHandle, ShardOptions,
    SystemClock, Throughput,
};
use shard_log::{LogId, OpenMode, RecordBuffer};
use storage::Backend;

const RECORDS_MAX: usize = 100;

struct OneShard {
    engine: Engine,
    directory: tempfile::TempDir,
}

impl OneShard {
    fn new() -> OneShard {
        let options = EngineOptions {
            backend: Backend::Blocking,
            threads: 1,
            tail_bytes_max: 1 << 20,
            read_bytes_max: 16 << 20,
            log: shard_log::Options::standard(),
        };
        let metrics = Metrics::register(&mut Registry::default());
        let engine = Engine::start(&options, &(Arc::new(SystemClock) as _), &metrics).unwrap();
        OneShard { engine, directory: tempfile::tempdir().unwrap() }
    }

    async fn open(&self, mode: OpenMode) -> ShardHandle {
        let options = ShardOptions {
            throughput: Throughput::Unlimited,
            retention: Retention { age: Duration::from_secs(3600), bytes_max: None },
            keyring: Arc::default(),
        };
        self.engine.open(self.directory.path().join("shard"), mode, options).await.unwrap()
    }
}

async fn put(shard: &ShardHandle, texts: &[&str]) -> UnixMillis {
    let mut records = RecordBuffer::with_capacity(1024);
    texts.iter().for_each(|text| records.push("key", text.as_bytes()));
    shard.append(records).await.unwrap().timestamp
}

async fn open(shard: &ShardHandle, holder: u64, start: Start) -> Result<ShardReader, ReaderError> {
    open_version(shard, holder, start, 1).await
}

async fn open_version(
    shard: &ShardHandle,
    holder: u64,
    start: Start,
    version: u64,
) -> Result<ShardReader, ReaderError> {
    let reading = Reading { names: Names::of("delivery"), holder, start, version };
    ShardReader::open(shard.clone(), reading, Duration::ZERO).await
}

async fn read(reader: &mut ShardReader) -> Vec<String> {
    let reply = reader.read(1 << 20, RECORDS_MAX, Duration::ZERO).await.unwrap();
    let text = |record: shard::OwnedRecord| String::from_utf8(record.data.to_vec()).unwrap();
    reply.owned_records().map(text).collect()
}

#[tokio::test]
async fn a_consumer_goes_on_where_it_left_off_and_knows_what_it_had_set_out_to_do() {
    let home = OneShard::new();
    let shard = home.open(OpenMode::Create(LogId(1))).await;
    put(&shard, &["a", "b", "c"]).await;
    let names = Names::of("delivery");
    let mut reader = open(&shard, 1, Start::Oldest).await.unwrap();
    assert_eq!(
        (reader.intent(), read(&mut reader).await),
        (None, vec!["a".into(), "b".into(), "c".into()])
    );
    reader.done(Offset(1)).await.unwrap();
    reader.intend(Offset(3), 1).await.unwrap();

    home.engine.shutdown().await;
    let home = OneShard { engine: OneShard::new().engine, ..home };
    let shard = home.open(OpenMode::Existing).await;
    let mut reader = open(&shard, 2, Start::Oldest).await.unwrap();
    assert_eq!(reader.intent(), Some(Offset(3)));
    assert_eq!((reader.behind(), read(&mut reader).await), (2, vec!["b".into(), "c".into()]));
    reader.done(Offset(3)).await.unwrap();
    assert_eq!(reader.intent(), None);
    assert!(!reader.is_at_end());
    assert_eq!(names.has_finished(&shard, Offset(4)).await, Ok(false));

    shard.close(UnixMillis(5)).await.unwrap();
    assert!(reader.is_at_end());
    assert_eq!(names.has_finished(&shard, Offset(3)).await, Ok(true));
    let forgotten = names.forget(&shard).await;
    assert_eq!(forgotten, Err(AppendError::NotHeld), "it would come back");
    drop(reader);
    names.forget(&shard).await.unwrap();
    assert_eq!(names.has_finished(&shard, Offset(3)).await, Ok(false));
}

#[tokio::test]
async fn a_piece_that_was_begun_is_of_the_version_that_began_it_and_the_next_one_is_not() {
    let home = OneShard::new();
    let shard = home.open(OpenMode::Create(LogId(1))).await;
    put(&shard, &["a", "b", "c"]).await;
    let mut reader = open_version(&shard, 1, Start::Oldest, 1).await.unwrap();
    assert_eq!(reader.version(), 1);
    reader.intend(Offset(2), 1).await.unwrap();
    for later in 2..4 {
        drop(reader);
        reader = open_version(&shard, 1, Start::Oldest, later).await.unwrap();
        assert_eq!((reader.intent(), reader.version()), (Some(Offset(2)), 1));
    }
    read(&mut reader).await;
    reader.done(Offset(3)).await.unwrap();
    assert_eq!((reader.intent(), reader.version()), (None, 3));
    put(&shard, &["d"]).await;
    reader.intend(Offset(4), 3).await.unwrap();
    drop(reader);
    let reader = open_version(&shard, 1, Start::Oldest, 4).await.unwrap();
    assert_eq!((reader.intent(), reader.version()), (Some(Offset(4)), 3));
}

#[tokio::test]
async fn a_shard_is_read_by_one_process_at_a_time() {
    let home = OneShard::new();
    let shard = home.open(OpenMode::Create(LogId(1))).await;
    put(&shard, &["a", "b", "c"]).await;
    let mut first = open(&shard, 1, Start::Oldest).await.unwrap();
    assert_eq!(open(&shard, 2, Start::Oldest).await.unwrap_err(), ReaderError::Held);
    first.done(Offset(1)).await.unwrap();
    drop(first);
    let mut second = open(&shard, 2, Start::Oldest).await.unwrap();
    assert_eq!(second.next(), Offset(1));
    second.intend(Offset(2), 1).await.unwrap();
}

#[tokio::test]
async fn a_lease_that_must_have_been_vacant_is_waited_for_also_after_the_shard_was_started_again() {
    const LONG: Duration = Duration::from_secs(600);
    let home = OneShard::new();
    let shard = home.open(OpenMode::Create(LogId(1))).await;
    let claim = async |holder, vacant_for| {
        let lease = Lease { consumer: "delivery/compaction".to_owned(), holder };
        Held::claim(shard.clone(), lease, vacant_for).await.unwrap()
    };
    assert!(claim(1, LONG).await.is_none(), "who had it before the start is not known");
    let held = claim(1, Duration::ZERO).await.unwrap();
    assert!(claim(2, Duration::ZERO).await.is_none());
    drop(held);
    assert!(claim(2, LONG).await.is_none());
    assert!(claim(2, Duration::ZERO).await.is_some());
}

#[tokio::test]
async fn who_was_given_up_for_dead_cannot_set_back_what_its_successor_remembers() {
    let home = OneShard::new();
    let shard = home.open(OpenMode::Create(LogId(1))).await;
    put(&shard, &["a", "b", "c"]).await;
    let mut first = open(&shard, 1, Start::Oldest).await.unwrap();
    first.done(Offset(1)).await.unwrap();

    // As if its lease had run out.
    shard.release(&Lease { consumer: "delivery".to_owned(), holder: 1 });
    let mut second = open(&shard, 2, Start::Oldest).await.unwrap();
    assert_eq!(first.done(Offset(2)).await, Err(ReaderError::Held));
    second.done(Offset(3)).await.unwrap();
    drop(second);
    // The lease can be had again, but what it stood for is not as it was.
    assert_eq!(first.intend(Offset(2), 1).await, Err(ReaderError::Held));
    assert_eq!(open(&shard, 3, Start::Oldest).await.unwrap_err(), ReaderError::Held);
    drop(first);
    assert_eq!(open(&shard, 3, Start::Oldest).await.unwrap().next(), Offset(3));
}

#[tokio::test]
async fn a_consumer_starts_at_the_time_it_was_made() {
    let home = OneShard::new();
    let shard = home.open(OpenMode::Create(LogId(1))).await;
    let first = put(&shard, &["old"]).await;
    tokio::time::sleep(Duration::from_millis(3)).await;
    put(&shard, &["new"]).await;
    let start = Start::At(UnixMillis(first.0 + 1));
    let mut reader = open(&shard, 1, start).await.unwrap();
    assert_eq!(read(&mut reader).await, ["new"]);
}
