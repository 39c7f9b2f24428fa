//! The engine on the simulated disk, in simulated time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use encryption::{DataKey, Keyring};
use model::{Offset, UnixMillis};
use prometheus_client::registry::Registry;
use shard_log::{LogId, RecordBuffer};
use storage::sim::{Faults, Sim};

use super::*;
use crate::error::{AppendError, ReadError};
use crate::handle::{ReadReply, ReadRequest, Retention, Throughput};
use crate::leases::Lease;

const HOUR: Duration = Duration::from_secs(3600);

#[derive(Default)]
struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(1_700_000_000_000 + self.0.load(Ordering::Relaxed))
    }
}

impl TestClock {
    fn advance(&self, duration: Duration) {
        self.0.fetch_add(duration.as_millis() as u64, Ordering::Relaxed);
    }
}

/// An engine of one thread, which is the test's own.
struct Fixture {
    sim: Sim,
    clock: Arc<TestClock>,
    registry: Registry,
    jobs: mpsc::Sender<Job>,
}

fn options() -> ShardOptions {
    ShardOptions {
        throughput: Throughput::Unlimited,
        retention: Retention { age: HOUR, bytes_max: None },
        keyring: Arc::default(),
    }
}

impl Fixture {
    fn new() -> Fixture {
        let sim = Sim::new(3);
        let clock = Arc::new(TestClock::default());
        let mut registry = Registry::default();
        let jobs = start(&sim, &clock, &mut registry);
        Fixture { sim, clock, registry, jobs }
    }

    async fn open(&self, name: &str) -> ShardHandle {
        self.open_with(name, options()).await
    }

    async fn open_with(&self, name: &str, options: ShardOptions) -> ShardHandle {
        let (reply, opened) = oneshot::channel();
        let mode = OpenMode::Create(LogId(9));
        let directory = PathBuf::from("/shards").join(name);
        self.jobs.send(Job::Open { directory, mode, options, reply }).await.unwrap();
        opened.await.unwrap()
    }

    /// The power fails, and everything starts again.
    fn restart(&mut self) {
        self.sim.restart();
        self.registry = Registry::default();
        self.jobs = start(&self.sim, &self.clock, &mut self.registry);
    }

    fn metric(&self, line: &str) -> bool {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text.lines().any(|found| found == line)
    }
}

fn start(sim: &Sim, clock: &Arc<TestClock>, registry: &mut Registry) -> mpsc::Sender<Job> {
    let (jobs, incoming) = mpsc::channel(8);
    let context = Context {
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        metrics: Metrics::register(registry),
        log: shard_log::Options {
            segment_bytes_min: 64 << 10,
            segment_bytes_max: 64 << 10,
            tail_bytes_max: 0,
        },
        tail_bytes_max: 64 << 10,
        read_memory: Arc::new(Semaphore::new(64 << 10)),
    };
    tokio::task::spawn_local(serve(sim.storage(), context, incoming));
    jobs
}

/// Runs a test as a log thread would, but with time that passes when everybody waits.
fn test(body: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        tokio::time::pause();
        tokio::task::LocalSet::new().run_until(body).await;
    });
}

fn records(texts: &[&str]) -> RecordBuffer {
    let mut buffer = RecordBuffer::default();
    texts.iter().for_each(|text| buffer.push("key", text.as_bytes()));
    buffer
}

fn big() -> RecordBuffer {
    let mut buffer = RecordBuffer::default();
    buffer.push("key", &[7; 20_000]);
    buffer
}

async fn read(handle: &ShardHandle, from: u64) -> Result<ReadReply, ReadError> {
    let request = ReadRequest {
        from: Offset(from),
        bytes_max: 1 << 20,
        records_max: 10_000,
        wait: Duration::ZERO,
        charged: true,
    };
    handle.read(request).await
}

async fn texts(handle: &ShardHandle) -> String {
    let reply = read(handle, 0).await.unwrap();
    let texts = reply.records().map(|(record, _)| str::from_utf8(record.data).unwrap().to_owned());
    texts.collect::<Vec<_>>().join(" ")
}

/// Tries until it works: the shard comes back by itself.
async fn append_until_taken(handle: &ShardHandle, text: &str) -> u32 {
    let mut refused = 0;
    while handle.append(records(&[text])).await.is_err() {
        refused += 1;
        assert!(refused < 1_000, "the shard never comes back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    refused
}

#[test]
fn what_was_acknowledged_is_read_in_order_after_a_restart() {
    test(async {
        let mut fixture = Fixture::new();
        let handle = fixture.open("a").await;
        let appends = ["a", "b", "c"].map(|text| handle.append(records(&[text, text])));
        let appended = futures_join(appends).await;
        let firsts: Vec<_> = appended.into_iter().map(|done| done.unwrap().first.0).collect();
        assert_eq!(firsts, [0, 2, 4], "one commit, in the order of the mailbox");
        assert!(fixture.metric("leat_shard_commits_total 1"));
        assert_eq!(texts(&handle).await, "a a b b c c");
        fixture.restart();
        assert_eq!(texts(&fixture.open("a").await).await, "a a b b c c");
    });
}

/// Polls all at once, so that they are in the mailbox together.
async fn futures_join<T, F: Future<Output = T>>(futures: [F; 3]) -> Vec<T> {
    let [a, b, c] = futures;
    let (a, b, c) = tokio::join!(a, b, c);
    vec![a, b, c]
}

#[test]
fn a_closed_shard_rejects_appends_and_keeps_checkpoints() {
    test(async {
        let mut fixture = Fixture::new();
        let handle = fixture.open("a").await;
        handle.append(records(&["a"])).await.unwrap();
        let (end, at) = handle.close(UnixMillis(5)).await.unwrap();
        assert_eq!((end, at), (Offset(1), UnixMillis(5)));
        assert_eq!(handle.close(UnixMillis(6)).await.unwrap(), (end, at), "closing again");
        assert_eq!(handle.append(records(&["b"])).await, Err(AppendError::Closed));
        let lease = Lease { consumer: "reader".to_owned(), holder: 1 };
        handle.claim(&lease, Duration::ZERO).await.unwrap();
        handle.set_checkpoint(&lease, "reader", Offset(1)).await.unwrap();
        fixture.restart();
        let handle = fixture.open("a").await;
        assert_eq!(handle.append(records(&["b"])).await, Err(AppendError::Closed));
        assert_eq!(handle.checkpoint("reader").await, Ok(Some(Offset(1))));
        // Who has it now is not known any more.
        let set = handle.set_checkpoint(&lease, "reader", Offset(1)).await;
        assert_eq!(set, Err(AppendError::NotHeld));
        assert_eq!(texts(&handle).await, "a");
    });
}

#[test]
fn a_reader_at_the_tip_waits_for_what_comes() {
    test(async {
        let fixture = Fixture::new();
        let handle = fixture.open("a").await;
        let request = ReadRequest {
            from: Offset(0),
            bytes_max: 1,
            records_max: 1,
            wait: Duration::from_secs(60),
            charged: false,
        };
        let started = tokio::time::Instant::now();
        let put = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            handle.append(records(&["late"])).await.unwrap();
        };
        let (read, ()) = tokio::join!(handle.read(request), put);
        assert_eq!(read.unwrap().records().count(), 1);
        assert_eq!(started.elapsed().as_secs(), 3);
    });
}

#[test]
fn a_full_disk_stops_one_shard_until_there_is_space() {
    test(async {
        let fixture = Fixture::new();
        let (full, other) = (fixture.open("a").await, fixture.open("b").await);
        other.append(records(&["b"])).await.unwrap();
        fixture.sim.set_space(0);
        let mut taken = 0;
        let refused = loop {
            match full.append(big()).await {
                Ok(_) => taken += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(refused, AppendError::Unavailable(Unavailable::DiskFull));
        assert!(fixture.metric(r#"leat_shard_unwritable{cause="DiskFull"} 1"#));
        assert_eq!(read(&full, 0).await.unwrap().records().count(), taken, "it can be read");
        other.append(records(&["c"])).await.unwrap();
        fixture.sim.set_space(u64::MAX);
        assert!(append_until_taken(&full, "again").await < 12);
        assert!(fixture.metric(r#"leat_shard_unwritable{cause="DiskFull"} 0"#));
        assert_eq!(full.progress().unavailable, None);
    });
}

#[test]
fn after_a_failed_sync_the_log_is_reopened_and_nothing_acknowledged_is_lost() {
    test(async {
        let fixture = Fixture::new();
        let handle = fixture.open("a").await;
        handle.append(records(&["kept"])).await.unwrap();
        fixture.sim.set_faults(Faults { sync_errors_per_mille: 1_000, ..Faults::default() });
        let failed = handle.append(records(&["unknown"])).await.unwrap_err();
        assert!(failed.to_string().contains("sync failed"), "{failed}");
        assert!(fixture.metric(r#"leat_shard_unwritable{cause="LogFailed"} 1"#));
        assert_eq!(texts(&handle).await, "kept", "it can be read");
        fixture.sim.set_faults(Faults::default());
        assert!(0 < append_until_taken(&handle, "after").await);
        assert_eq!(texts(&handle).await, "kept after", "what was not acknowledged is gone");
        assert!(fixture.metric("leat_shard_reopened_total 1"));
    });
}

#[test]
fn after_a_read_error_writes_stop_until_it_can_be_read_again() {
    test(async {
        let fixture = Fixture::new();
        let handle = fixture.open("a").await;
        for _ in 0..8 {
            handle.append(big()).await.unwrap();
        }
        fixture.sim.set_faults(Faults { read_errors_per_mille: 1_000, ..Faults::default() });
        assert!(matches!(read(&handle, 0).await, Err(ReadError::Unavailable(_))));
        tokio::time::sleep(Duration::from_millis(1)).await;
        let refused = handle.append(records(&["x"])).await.unwrap_err();
        assert!(refused.to_string().contains("read failed"), "{refused}");
        assert!(fixture.metric(r#"leat_shard_unwritable{cause="ReadFailed"} 1"#));
        fixture.sim.set_faults(Faults::default());
        assert!(0 < append_until_taken(&handle, "again").await);
        assert_eq!(read(&handle, 0).await.unwrap().records().count(), 9);
    });
}

#[test]
fn a_log_that_does_not_open_is_reported_and_opens_once_mended() {
    test(async {
        let mut fixture = Fixture::new();
        let handle = fixture.open("a").await;
        for text in ["a", "b"] {
            handle.append(records(&[text])).await.unwrap();
        }
        fixture.sim.restart();
        let segment = PathBuf::from("/shards/a/00000000000000000001.segment");
        fixture.sim.flip_bit(&segment, 4_180);
        fixture.restart();
        let handle = fixture.open("a").await;
        let refused = handle.append(records(&["c"])).await.unwrap_err().to_string();
        assert!(refused.contains("corrupt at byte 4096"), "{refused}");
        assert!(read(&handle, 0).await.is_err());
        fixture.sim.flip_bit(&segment, 4_180);
        assert!(0 < append_until_taken(&handle, "c").await);
        assert_eq!(texts(&handle).await, "a b c");
    });
}

#[test]
fn expired_records_are_hidden_at_once_and_removed_in_time() {
    test(async {
        let fixture = Fixture::new();
        let handle = fixture.open("a").await;
        for _ in 0..8 {
            handle.append(big()).await.unwrap();
        }
        fixture.clock.advance(HOUR / 2);
        handle.append(records(&["young"])).await.unwrap();
        fixture.clock.advance(HOUR / 2 + Duration::from_secs(1));
        assert_eq!(handle.start_offset().await.unwrap(), Offset(8));
        let reply = read(&handle, 0).await.unwrap();
        assert_eq!(reply.from(), Offset(8));
        assert_eq!(reply.records().count(), 1);
        drop(reply);
        tokio::time::sleep(2 * HOUR).await;
        handle.append(records(&["wake"])).await.unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
        let files = fixture.sim.storage().list(Path::new("/shards/a")).await.unwrap();
        assert!(files.iter().all(|file| file.name != "00000000000000000001.segment"), "{files:?}");
    });
}

#[test]
fn a_log_above_its_size_loses_its_oldest_records_under_load() {
    test(async {
        let fixture = Fixture::new();
        let handle = fixture.open("a").await;
        let retention = Retention { age: HOUR, bytes_max: Some(200_000) };
        let options = ShardOptions { retention, ..options() };
        handle.configure(options).await.unwrap();
        // Never idle for as long as a durable mark takes.
        for _ in 0..60 {
            handle.append(big()).await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let reply = read(&handle, 0).await.unwrap();
        assert!(Offset(45) < reply.from(), "{:?}", reply.from());
        assert_eq!(reply.records().count() as u64, 60 - reply.from().0);
    });
}

#[test]
fn aws_limits_throttle_bytes_and_records_and_reads() {
    test(async {
        let fixture = Fixture::new();
        let handle =
            fixture.open_with("a", ShardOptions { throughput: Throughput::Aws, ..options() }).await;
        let mut thousand = RecordBuffer::default();
        (0..1_000).for_each(|_| thousand.push("key", b"x"));
        handle.append(thousand.clone()).await.unwrap();
        let throttled = handle.append(records(&["one more"])).await;
        assert_eq!(throttled, Err(AppendError::Throttled(Duration::from_millis(1))));
        fixture.clock.advance(Duration::from_secs(1));
        handle.append(records(&["later"])).await.unwrap();
        for _ in 0..5 {
            read(&handle, 0).await.unwrap();
        }
        let sixth = read(&handle, 0).await.unwrap_err();
        assert_eq!(sixth, ReadError::Throttled(Duration::from_millis(200)));
    });
}

#[test]
fn a_deleted_shard_leaves_nothing() {
    test(async {
        let fixture = Fixture::new();
        let handle = fixture.open("a").await;
        handle.append(records(&["a"])).await.unwrap();
        let (reply, deleted) = oneshot::channel();
        let directory = PathBuf::from("/shards/a");
        fixture.jobs.send(Job::Delete { directory, reply }).await.unwrap();
        deleted.await.unwrap().unwrap();
        let stopped = handle.append(records(&["b"])).await;
        assert_eq!(stopped, Err(AppendError::Unavailable(Unavailable::Stopped)));
        let listed = fixture.sim.storage().list(Path::new("/shards/a")).await;
        assert_eq!(listed.unwrap_err().kind(), io::ErrorKind::NotFound);
    });
}

#[test]
fn encrypted_records_are_read_with_their_key_only() {
    test(async {
        let mut fixture = Fixture::new();
        let keys: BTreeMap<u32, DataKey> = [1, 2].map(|n| (n, DataKey::generate())).into();
        let with = |numbers: &[u32], current: Option<u32>| {
            let keys = numbers.iter().map(|number| (*number, keys[number].clone())).collect();
            ShardOptions { keyring: Arc::new(Keyring { keys, current }), ..options() }
        };
        let handle = fixture.open("a").await;
        handle.append(records(&["plain"])).await.unwrap();
        handle.configure(with(&[1], Some(1))).await.unwrap();
        handle.append(records(&["secret", "one"])).await.unwrap();
        handle.configure(with(&[1, 2], Some(2))).await.unwrap();
        handle.append(records(&["two"])).await.unwrap();
        handle.configure(with(&[1, 2], None)).await.unwrap();
        handle.append(records(&["open"])).await.unwrap();
        let encrypted = |reply: ReadReply| -> Vec<bool> {
            reply.records().map(|(record, _)| record.is_encrypted).collect()
        };
        assert_eq!(texts(&handle).await, "plain secret one two open");
        let want = [false, true, true, true, false];
        assert_eq!(encrypted(read(&handle, 0).await.unwrap()), want);

        fixture.restart();
        let handle = fixture.open_with("a", with(&[1, 2], Some(1))).await;
        assert_eq!(texts(&handle).await, "plain secret one two open");
        handle.append(records(&["again"])).await.unwrap();
        assert_eq!(encrypted(read(&handle, 4).await.unwrap()), [false, true]);

        fixture.restart();
        let handle = fixture.open_with("a", with(&[2], Some(1))).await;
        assert_eq!(read(&handle, 0).await.unwrap_err(), ReadError::NoKey(1));
        assert_eq!(handle.append(records(&["x"])).await, Err(AppendError::NoKey(1)));
        handle.configure(with(&[1, 2], Some(2))).await.unwrap();
        assert_eq!(texts(&handle).await, "plain secret one two open again");
        handle.append(records(&["back"])).await.unwrap();
    });
}
