use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use delivery_core::objects::{ObjectId, PartitionKeys};
use model::UnixMillis;
use object_store::memory::InMemory;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use operator_api::delivery_stream::Objects;

use super::*;
use crate::sinks::testing::NOW;
use crate::store::Putting;

const UID: u64 = 7;

/// The time at which everything was written, and after.
struct Later;

impl Clock for Later {
    fn now(&self) -> UnixMillis {
        UnixMillis(u64::MAX)
    }
}

struct TestStore(Arc<dyn ObjectStore>);

impl Store for TestStore {
    fn put<'a>(&'a self, key: &'a str, bytes: Bytes, mark: Option<&'a str>) -> Putting<'a> {
        Box::pin(async move {
            self.0.put_opts(&path(key), bytes.into(), marked(mark)).await.unwrap();
            Ok(())
        })
    }

    fn objects(&self) -> Result<Arc<dyn ObjectStore>, StoreError> {
        Ok(Arc::clone(&self.0))
    }
}

fn naming() -> Arc<Naming> {
    let objects = Objects {
        prefix: Some("clicks/!{partitionKeyFromQuery:day}/"),
        error_output_prefix: Some("errors/"),
        custom_time_zone: None,
        file_extension: Some(".jsonl"),
        compression: None,
    };
    Arc::new(Naming::new("clicks", 1, &objects, None).unwrap())
}

/// One whose windows before offset 1,000 are done.
fn compactor(store: Arc<dyn ObjectStore>, age_min: Duration) -> Compactor {
    Compactor {
        compaction: Compaction {
            store: Arc::new(TestStore(store)),
            naming: naming(),
            form: Form::Joined,
            uid: UID,
            name: "clicks".into(),
            bytes_max: 16 << 20,
            interval: Duration::from_secs(60),
            age_min,
        },
        clock: Arc::new(Later),
        memory: Memory::new(1 << 20),
        is_done: Arc::new(|_, offset| Box::pin(async move { offset < Offset(1_000) })),
        share: watch::channel(Share::ALL).1,
        compacted: Counter::default(),
    }
}

async fn put(store: &Arc<dyn ObjectStore>, mark: Option<Mark>, day: &str, start: u64, line: &str) {
    let from_query = [("day".to_owned(), day.to_owned())].into();
    let keys = PartitionKeys { from_query, from_lambda: BTreeMap::new() };
    let (shard, first_offset) = (ShardId(0), Offset(start));
    let (recipe, version) = (1, 1);
    let id =
        ObjectId { stream_uid: UID, recipe, version, shard, first_offset, part: 0, keys: &keys };
    let key = naming().key(&id, NOW).unwrap();
    let mark = mark.map(|mark| mark.to_string());
    let bytes = Bytes::from(format!("{line}\n"));
    TestStore(Arc::clone(store)).put(&key, bytes, mark.as_deref()).await.unwrap();
}

fn window(uid: u64, start: u64) -> Option<Mark> {
    Some(Mark::Window { uid, shard: ShardId(0), start: Offset(start) })
}

/// Ten objects on two days.
async fn site() -> Arc<dyn ObjectStore> {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    for start in 0..10 {
        let day = if start % 2 == 0 { "even" } else { "odd" };
        put(&store, window(UID, start), day, start, &format!("line {start}")).await;
    }
    store
}

async fn round(store: &Arc<dyn ObjectStore>) -> Result<usize, CompactionError> {
    let (_stop, stopped) = watch::channel(Stop::No);
    compactor(Arc::clone(store), Duration::ZERO).round(&stopped).await
}

/// How many objects there are, and the lines that a reader finds in them who heeds the journal.
async fn read(store: &Arc<dyn ObjectStore>) -> (usize, Vec<String>) {
    let journal = compactor(Arc::clone(store), Duration::ZERO).journal();
    let under_way = match store.get(&journal).await {
        Ok(found) => Merge::from_journal(&found.bytes().await.unwrap()),
        Err(_) => None,
    };
    let listed: Vec<_> = store.list(Some(&path("clicks"))).try_collect().await.unwrap();
    let keys = || listed.iter().map(|object| object.location.to_string());
    let left_out = under_way.filter(|it| keys().any(|key| key == it.output));
    let left_out = left_out.map(|merge| merge.inputs).unwrap_or_default();
    let mut lines = Vec::new();
    let mut count = 0;
    for key in keys().filter(|key| *key != journal.to_string() && !left_out.contains(key)) {
        let bytes = store.get(&path(&key)).await.unwrap().bytes().await.unwrap();
        lines.extend(str::from_utf8(&bytes).unwrap().lines().map(str::to_owned));
        count += 1;
    }
    lines.sort();
    (count, lines)
}

fn lines() -> Vec<String> {
    (0..10).map(|start| format!("line {start}")).collect()
}

#[tokio::test]
async fn small_objects_become_one_in_each_folder() {
    let store = site().await;
    assert_eq!(read(&store).await, (10, lines()));
    assert_eq!(round(&store).await.unwrap(), 10);
    assert_eq!(read(&store).await, (2, lines()));
    assert_eq!(round(&store).await.unwrap(), 0);
    // What is merged is merged again, once there is half as much beside it.
    for start in 10..15 {
        put(&store, window(UID, start), "odd", start, "a line").await;
    }
    assert_eq!(round(&store).await.unwrap(), 6);
    assert_eq!(read(&store).await.0, 2);
}

#[tokio::test]
async fn what_is_not_ours_or_may_be_written_again_is_left_alone() {
    let store = site().await;
    let others = [
        (None, "no mark"),
        (window(8, 1), "of another delivery stream of this name"),
        (window(UID, 1_000), "of a window that is not done"),
        (Some(Mark::Merged { uid: 8 }), "merged by another"),
    ];
    for ((mark, line), start) in others.into_iter().zip(100..) {
        put(&store, mark, "odd", start, line).await;
    }
    let other = path("clicks/odd/somebody's.jsonl");
    store.put(&other, "somebody's\n".into()).await.unwrap();
    assert_eq!(round(&store).await.unwrap(), 10);
    let (count, left) = read(&store).await;
    assert_eq!((count, left.len()), (2 + 5, 10 + 5));
    let mut all = lines();
    all.extend(others.map(|(_, line)| line.to_owned()));
    all.push("somebody's".to_owned());
    all.sort();
    assert_eq!(left, all);
}

#[tokio::test]
async fn young_objects_are_left_alone() {
    let store = site().await;
    let (_stop, stopped) = watch::channel(Stop::No);
    let mut young = compactor(Arc::clone(&store), Duration::from_secs(900));
    young.clock = Arc::new(crate::sinks::testing::StoppedClock);
    assert_eq!(young.round(&stopped).await.unwrap(), 0);
    young.clock = Arc::new(Later);
    assert_eq!(young.round(&stopped).await.unwrap(), 10);
}

#[tokio::test(start_paused = true)]
async fn wherever_it_is_stopped_readers_find_each_line_once_and_the_next_round_ends_it() {
    let call = Duration::from_millis(10);
    let slow = ThrottleConfig {
        wait_delete_per_call: call,
        wait_get_per_call: call,
        wait_list_per_call: call,
        wait_put_per_call: call,
        ..ThrottleConfig::default()
    };
    let mut stopped_count = 0;
    for stop_after in 0.. {
        let store = site().await;
        let throttled: Arc<dyn ObjectStore> =
            Arc::new(ThrottledStore::new(Arc::clone(&store), slow));
        let time = call * stop_after + call / 2;
        let is_done = tokio::time::timeout(time, round(&throttled)).await.is_ok();
        assert_eq!(read(&store).await.1, lines(), "stopped after {stop_after} calls");
        round(&store).await.unwrap();
        assert_eq!(read(&store).await, (2, lines()), "stopped after {stop_after} calls");
        if is_done {
            break;
        }
        stopped_count += 1;
    }
    assert!(10 < stopped_count, "only {stopped_count} places to stop at");
}

#[tokio::test(start_paused = true)]
async fn a_merge_is_ended_before_the_shards_have_started() {
    let store = site().await;
    // Stopped when the large object is there, and no small one has gone.
    let mut begun = compactor(Arc::clone(&store), Duration::ZERO);
    let slow = ThrottleConfig {
        wait_delete_per_call: Duration::from_secs(1),
        ..ThrottleConfig::default()
    };
    let throttled = ThrottledStore::new(Arc::clone(&store), slow);
    begun.compaction.store = Arc::new(TestStore(Arc::new(throttled)));
    let (_stop, stopped) = watch::channel(Stop::No);
    let round = tokio::time::timeout(Duration::from_millis(1), begun.round(&stopped));
    assert!(round.await.is_err());
    assert_eq!(store.list(Some(&path("clicks"))).count().await, 10 + 2);
    let mut next = compactor(Arc::clone(&store), Duration::ZERO);
    next.is_done = Arc::new(|_, _| Box::pin(async { false }));
    assert_eq!(next.round(&stopped).await.unwrap(), 5);
    assert_eq!(read(&store).await, (6, lines()));
    assert_eq!(store.list(Some(&path("clicks"))).count().await, 6 + 1);
}

#[tokio::test]
async fn a_merge_of_another_version_is_ended_but_not_done_again() {
    let store = site().await;
    let old = compactor(Arc::clone(&store), Duration::ZERO);
    let listed: Vec<_> = store.list(Some(&path("clicks/odd"))).try_collect().await.unwrap();
    let listed = listed.into_iter();
    let listed =
        listed.map(|object| Listed { key: object.location.into(), bytes: object.size }).collect();
    let (merge, _) = Merge::of(&naming(), 3, listed).unwrap();
    store.put(&old.journal(), merge.journal().into()).await.unwrap();
    let mut changed = compactor(Arc::clone(&store), Duration::ZERO);
    let objects = Objects {
        prefix: Some("clicks/!{timestamp:yyyy}/"),
        error_output_prefix: Some("errors/"),
        custom_time_zone: None,
        file_extension: Some(".jsonl"),
        compression: None,
    };
    changed.compaction.naming = Arc::new(Naming::new("clicks", 2, &objects, None).unwrap());
    let (_stop, stopped) = watch::channel(Stop::No);
    assert_eq!(changed.round(&stopped).await.unwrap(), 0);
    assert_eq!(store.list(Some(&path("clicks"))).count().await, 10 + 1);
    // Where the large one is there, the small ones go.
    let mark = Mark::Merged { uid: UID }.to_string();
    let bytes = Bytes::from_static(b"line 1\nline 3\nline 5\nline 7\nline 9\n");
    TestStore(Arc::clone(&store)).put(&merge.output, bytes, Some(&mark)).await.unwrap();
    store.put(&old.journal(), merge.journal().into()).await.unwrap();
    assert_eq!(changed.round(&stopped).await.unwrap(), 5);
    assert_eq!(read(&store).await, (6, lines()));
}

#[tokio::test]
async fn merges_are_numbered() {
    let store = site().await;
    // Two merges in the first round, one in each of the others.
    for (day, want) in [("odd", 1), ("even", 2), ("odd", 3)] {
        round(&store).await.unwrap();
        let journal = compactor(Arc::clone(&store), Duration::ZERO).journal();
        let bytes = store.get(&journal).await.unwrap().bytes().await.unwrap();
        assert_eq!(Merge::from_journal(&bytes).unwrap().number, want);
        for start in 100..200 {
            put(&store, window(UID, start), day, start, "more").await;
        }
    }
}

#[tokio::test]
async fn a_journal_that_names_what_is_not_ours_stops_compaction() {
    for journal in [
        r#"{"number": 0, "output": "clicks/other", "inputs": []}"#.to_owned(),
        "no journal".to_owned(),
        "x".repeat(JOURNAL_BYTES_MAX + 1),
    ] {
        let store = site().await;
        let key = compactor(Arc::clone(&store), Duration::ZERO).journal();
        store.put(&key, journal.into()).await.unwrap();
        store.put(&path("clicks/other"), "another's".into()).await.unwrap();
        assert!(matches!(round(&store).await, Err(CompactionError::Journal { .. })));
        assert_eq!(store.list(Some(&path("clicks"))).count().await, 12);
    }
}

#[tokio::test]
async fn large_objects_are_written_in_parts() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    for start in 0..3 {
        let line = char::from(b'a' + u8::try_from(start).unwrap()).to_string().repeat(4 << 20);
        put(&store, window(UID, start), "odd", start, &line).await;
    }
    let before = read(&store).await.1;
    assert_eq!(round(&store).await.unwrap(), 3);
    assert_eq!(read(&store).await, (1, before));
}

#[tokio::test]
async fn parquet_files_are_merged_as_parquet() {
    let store = site().await;
    let mut compactor = compactor(Arc::clone(&store), Duration::ZERO);
    compactor.compaction.form = Form::Parquet;
    let (_stop, stopped) = watch::channel(Stop::No);
    // These are none: they stay.
    assert_eq!(compactor.round(&stopped).await.unwrap(), 0);
    assert_eq!(read(&store).await, (10, lines()));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_merged_while_another_process_may() {
    let store = site().await;
    let (stop, stopped) = watch::channel(Stop::No);
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let claim = move || {
        count.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Ok(None) }) as Claiming
    };
    let compacting = compactor(Arc::clone(&store), Duration::ZERO).run(Box::new(claim), stopped);
    let compacting = tokio::spawn(compacting);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(read(&store).await, (10, lines()));
    assert!(9 < asked.load(Ordering::Relaxed));
    stop.send_replace(Stop::Soon);
    compacting.await.unwrap();
}
