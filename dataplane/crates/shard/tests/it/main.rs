//! A shard through a connection is a shard: the same handle, the same answers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::{HashKey, Offset, Passed, ShardId, ShardLoad, UnixMillis};
use prometheus_client::registry::Registry;
use shard::peers::{
    Connect, Connection, Host, Peer, PeerError, Pending, ServeOptions, remote, serve,
};
use shard::{
    AppendError, Claim, Engine, EngineOptions, LEASE, Lease, Metrics, ReadRequest, Retention,
    ShardHandle, ShardOptions, SystemClock, Throughput, Unavailable,
};
use shard_log::{LogId, OpenMode, RecordBuffer};
use storage::Backend;
use tokio::task::JoinHandle;
use wire::{Call, Refusal, Reply, ShardRef};

const SHARD: ShardRef = ShardRef { stream: 7, shard: ShardId(3) };
const OTHER: ShardRef = ShardRef { stream: 7, shard: ShardId(4) };

/// A node with one shard, and the way to it.
struct Node {
    engine: Engine,
    local: ShardHandle,
    connections: Arc<Connections>,
    _directory: tempfile::TempDir,
}

/// Connections in memory, each served until it is cut.
struct Connections {
    options: ServeOptions,
    served: Mutex<Vec<JoinHandle<io::Result<()>>>>,
    /// How many times connecting fails before it succeeds.
    refusals: AtomicUsize,
}

struct Way(Arc<Connections>);

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("node-0")
    }
}

impl Connect for Way {
    fn connect(&self) -> Pending<'_, io::Result<Box<dyn Connection>>> {
        Box::pin(async move {
            let left = |left: usize| left.checked_sub(1);
            let refusals = &self.0.refusals;
            if refusals.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok() {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            // Small, so that large calls and replies wait for each other's readers.
            let (near, far) = tokio::io::duplex(4096);
            let serving = tokio::spawn(serve(self.0.options.clone(), Box::new(far)));
            self.0.served.lock().unwrap().push(serving);
            Ok(Box::new(near) as Box<dyn Connection>)
        })
    }
}

impl Connections {
    fn cut(&self) {
        self.served.lock().unwrap().drain(..).for_each(|serving| serving.abort());
    }
}

struct OneShard(ShardHandle, Mutex<u64>);

impl Host for OneShard {
    fn shard(&self, shard: ShardRef) -> Option<ShardHandle> {
        (shard == SHARD).then(|| self.0.clone())
    }

    fn open(&self, shard: ShardRef) -> Pending<'_, Result<(), Refusal>> {
        Box::pin(async move { if shard == SHARD { Ok(()) } else { Err(Refusal::DiskFull) } })
    }

    fn is_io_uring_refused(&self) -> bool {
        true
    }

    fn passed(&self, _: ShardRef, passed: Passed) {
        *self.1.lock().unwrap() += passed.records;
    }

    fn load(&self, shard: ShardRef, _: Duration) -> Option<ShardLoad> {
        let records_per_second = *self.1.lock().unwrap();
        let load = ShardLoad { records_per_second, ..ShardLoad::default() };
        (shard == SHARD).then_some(load)
    }

    fn remove(&self, _: ShardRef) -> Pending<'_, Result<(), Refusal>> {
        Box::pin(async { Ok(()) })
    }
}

impl Node {
    async fn new() -> Node {
        let directory = tempfile::tempdir().unwrap();
        let options = EngineOptions {
            backend: Backend::Blocking,
            threads: 1,
            tail_bytes_max: 1 << 20,
            read_bytes_max: 16 << 20,
            log: shard_log::Options::standard(),
        };
        let metrics = Metrics::register(&mut Registry::default());
        let engine = Engine::start(&options, &(Arc::new(SystemClock) as _), &metrics).unwrap();
        let shard = ShardOptions {
            throughput: Throughput::Unlimited,
            retention: Retention { age: Duration::from_secs(3600), bytes_max: None },
            keyring: Arc::default(),
        };
        let mode = OpenMode::Create(LogId(1));
        let local = engine.open(directory.path().join("shard"), mode, shard).await.unwrap();
        let options = ServeOptions::new(Arc::new(OneShard(local.clone(), Mutex::default())), 0);
        let connections =
            Arc::new(Connections { options, served: Mutex::default(), refusals: 0.into() });
        Node { engine, local, connections, _directory: directory }
    }

    fn peer(&self) -> Peer {
        Peer::new(Way(Arc::clone(&self.connections)))
    }
}

fn records(data: &[&[u8]]) -> RecordBuffer {
    let mut buffer = RecordBuffer::default();
    data.iter().for_each(|data| buffer.push("key", data));
    buffer
}

fn from(from: u64) -> ReadRequest {
    ReadRequest {
        from: Offset(from),
        bytes_max: 16 << 20,
        records_max: 100,
        wait: Duration::from_secs(10),
        charged: false,
    }
}

async fn read(handle: &ShardHandle, at: u64) -> Vec<Vec<u8>> {
    let reply = handle.read(from(at)).await.unwrap();
    reply.records().map(|(record, _)| record.data.to_vec()).collect()
}

#[tokio::test]
async fn a_shard_through_a_connection_is_a_shard() {
    let node = Node::new().await;
    let handle = remote(node.peer(), SHARD);
    let appended = handle.append(records(&[b"one", b"two"])).await.unwrap();
    assert_eq!(appended.first, Offset(0));
    assert_eq!(read(&handle, 0).await, [b"one", b"two"]);
    assert_eq!(read(&node.local, 1).await, [b"two"]);
    assert_eq!(handle.start_offset().await, Ok(Offset(0)));
    assert_eq!(handle.offset_at(UnixMillis(u64::MAX / 2)).await, Ok(Offset(2)));
    let lease = |holder| Lease { consumer: "worker".to_owned(), holder };
    let (granted, now) = (Ok(Claim::Granted { is_wanted: false }), Duration::ZERO);
    assert_eq!(handle.claim(&lease(1), now).await, granted);
    assert_eq!(node.local.claim(&lease(2), LEASE).await, Ok(Claim::Held));
    handle.set_checkpoint(&lease(1), "worker/intent", Offset(1)).await.unwrap();
    assert_eq!(node.local.checkpoint("worker/intent").await, Ok(Some(Offset(1))));
    assert_eq!(handle.checkpoint("worker/intent").await, Ok(Some(Offset(1))));
    assert_eq!(handle.checkpoint("worker").await, Ok(None));
    assert_eq!(handle.forget_consumer("worker").await, Err(AppendError::NotHeld));
    handle.release(&lease(1));
    // It is on its way.
    while node.local.claim(&lease(2), now).await != granted {
        tokio::task::yield_now().await;
    }
    let late = handle.set_checkpoint(&lease(1), "worker", Offset(2)).await;
    assert_eq!(late, Err(AppendError::NotHeld));

    // A reader at the tip is woken by what others append.
    let waiting = tokio::spawn({
        let handle = handle.clone();
        async move { read(&handle, 2).await }
    });
    node.local.append(records(&[b"three"])).await.unwrap();
    assert_eq!(waiting.await.unwrap(), [b"three"]);

    let (end, at) = handle.close(UnixMillis(5)).await.unwrap();
    assert_eq!((end, at), (Offset(3), UnixMillis(5)));
    assert_eq!(handle.append(records(&[b"late"])).await.unwrap_err(), AppendError::Closed);
    node.engine.shutdown().await;
}

#[tokio::test]
async fn a_shard_is_followed_from_when_somebody_looks_how_far_it_has_come() {
    let node = Node::new().await;
    let handle = remote(node.peer(), SHARD);
    for _ in 0..10 {
        handle.append(records(&[b"one"])).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(handle.progress().commit_end, Offset(0), "nothing was told");
    handle.wait_beyond(Offset(9), Duration::from_secs(10)).await;
    assert_eq!(handle.progress().commit_end, Offset(10));
    node.engine.shutdown().await;
}

#[tokio::test]
async fn large_calls_and_replies_do_not_wait_for_each_other() {
    let node = Node::new().await;
    let handle = remote(node.peer(), SHARD);
    let megabyte = vec![7; 1 << 20];
    let each = (0..32).map(|_| {
        let (handle, megabyte) = (handle.clone(), megabyte.clone());
        tokio::spawn(async move {
            handle.append(records(&[&megabyte])).await.unwrap();
            read(&handle, 0).await.len()
        })
    });
    for task in each.collect::<Vec<_>>() {
        assert!(0 < task.await.unwrap());
    }
    assert_eq!(node.local.progress().commit_end, Offset(32));
    node.engine.shutdown().await;
}

#[tokio::test]
async fn a_connection_that_is_lost_is_made_again() {
    let node = Node::new().await;
    node.connections.refusals.store(2, Ordering::Relaxed);
    let handle = remote(node.peer(), SHARD);
    handle.append(records(&[b"one"])).await.unwrap();
    assert_eq!(read(&handle, 0).await, [b"one"]);
    node.connections.cut();
    // What was under way would fail; what comes later finds a new connection.
    let again = async {
        while handle.append(records(&[b"two"])).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), again).await.unwrap();
    // And whoever waits at the tip is told again.
    let waiting = tokio::spawn({
        let handle = handle.clone();
        async move { handle.wait_beyond(Offset(2), Duration::from_secs(10)).await }
    });
    node.local.append(records(&[b"three"])).await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap();
    assert!(Offset(3) <= handle.progress().commit_end);
    node.engine.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_gone_is_given_up_in_time() {
    let node = Node::new().await;
    node.connections.refusals.store(usize::MAX, Ordering::Relaxed);
    let peer = node.peer();
    let unreachable = PeerError::Unreachable("node-0".into());
    assert_eq!(peer.call(Call::StartOffset(SHARD)).await, Err(unreachable));
    let failed = remote(peer, SHARD).append(records(&[b"x"])).await.unwrap_err();
    let why = Unavailable::Failed("node-0 cannot be reached".into());
    assert_eq!(failed, AppendError::Unavailable(why));
}

#[tokio::test(start_paused = true)]
async fn reads_do_not_wait_for_a_node_that_could_not_be_reached() {
    let node = Node::new().await;
    node.connections.refusals.store(usize::MAX, Ordering::Relaxed);
    let peer = node.peer();
    let read = || {
        let (bytes_max, records_max) = (1 << 20, 10);
        let from = Offset(0);
        let read = wire::Read { shard: OTHER, from, bytes_max, records_max, is_charged: false };
        peer.call(Call::Read(read))
    };
    let unreachable = Err(PeerError::Unreachable("node-0".into()));
    assert_eq!(read().await, unreachable, "the first finds out");
    let started = tokio::time::Instant::now();
    for _ in 0..1_000 {
        assert_eq!(read().await, unreachable);
    }
    assert_eq!(started.elapsed(), Duration::ZERO);
    // They alone have it tried again.
    node.connections.refusals.store(0, Ordering::Relaxed);
    let again = async {
        while read().await == unreachable {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), again).await.unwrap();
    assert_eq!(read().await, Ok(Reply::Refused(Refusal::NotHere)));
}

#[tokio::test]
async fn the_load_that_gateways_tell_is_told_to_whoever_asks() {
    let node = Node::new().await;
    let (gateway, operator) = (node.peer(), node.peer());
    let passed = Passed { bytes: 9, records: 3, samples: vec![HashKey(1)] };
    let call = Call::Passed { shard: SHARD, passed };
    for _ in 0..2 {
        assert_eq!(gateway.call(call.clone()).await, Ok(Reply::Done));
    }
    let ask = |shard| operator.call(Call::Load { shard, quiet_for: 1_000 });
    let load = ShardLoad { records_per_second: 6, ..ShardLoad::default() };
    assert_eq!(ask(SHARD).await, Ok(Reply::Load(Some(load))));
    assert_eq!(ask(OTHER).await, Ok(Reply::Load(None)));
    node.engine.shutdown().await;
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_the_reason() {
    let node = Node::new().await;
    let peer = node.peer();
    assert_eq!(peer.call(Call::Open(SHARD)).await, Ok(Reply::Done));
    assert_eq!(peer.call(Call::Look).await, Ok(Reply::Node { is_io_uring_refused: true }));
    assert_eq!(peer.call(Call::Open(OTHER)).await, Ok(Reply::Refused(Refusal::DiskFull)));
    assert_eq!(peer.call(Call::StartOffset(OTHER)).await, Ok(Reply::Refused(Refusal::NotHere)));
    let junk = Call::Append { shard: SHARD, record_count: 2, records: vec![1; 9].into() };
    let refused = Refusal::Failed("the records do not parse".into());
    assert_eq!(peer.call(junk).await, Ok(Reply::Refused(refused)));
    assert_eq!(node.local.progress().commit_end, Offset(0));
    node.engine.shutdown().await;
}

#[tokio::test]
async fn who_only_reads_and_puts_can_neither_close_nor_remove_a_shard() {
    let node = Node::new().await;
    let connections = Connections {
        options: node.connections.options.clone().for_readers(),
        served: Mutex::default(),
        refusals: AtomicUsize::new(0),
    };
    let peer = Peer::new(Way(Arc::new(connections)));
    let handle = remote(peer.clone(), SHARD);
    handle.append(records(&[b"one"])).await.unwrap();
    assert_eq!(read(&handle, 0).await, [b"one"]);
    let at = UnixMillis(5);
    for call in [Call::Close { shard: SHARD, at }, Call::Remove(SHARD), Call::Open(SHARD)] {
        let answer = peer.call(call.clone()).await.unwrap();
        assert!(matches!(answer, Reply::Refused(Refusal::Failed(_))), "{call:?}: {answer:?}");
    }
    handle.append(records(&[b"two"])).await.unwrap();
    node.engine.shutdown().await;
}
