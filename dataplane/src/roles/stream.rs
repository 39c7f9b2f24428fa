//! A pod that holds shards: those that the catalog places on it, for gateways and the operator.
//!
//! ```text
//!  data-dir/lock               one process at a time
//!  data-dir/catalog.json       a copy of the catalog, for a start without the API server
//!  data-dir/shards/...         records
//! ```

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use catalog::{Stream, StreamUid};
use catalog_kube::{Placed, Streams};
use encryption::MasterKeys;
use futures_util::future::join_all;
use model::{Clock, Passed, ShardLoad, ShardState};
use node_config::{ADMIN_PORT, CONTROL_HOST, NodeConfig, WIRE_PORT, delivery_host};
use prometheus_client::registry::Registry;
use shard::peers::{Host, Pending, ServeOptions, serve, set_up_socket};
use shard::{ShardHandle, SystemClock};
use shard_log::{LogId, OpenMode};
use streams_api::{Heat, ShardKey, Shards};
use telemetry::Readiness;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use wire::{Refusal, ShardRef};

use crate::admin;
use crate::args::StreamArgs;
use crate::host;
use crate::roles::engine::{self, EngineSettings};
use crate::roles::keeper::Keeper;
use crate::tls::{NodeTls, is_named};

/// How long somebody who asks for a shard waits for the catalog to know it.
const CATALOG_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long calls under way may take once the process was told to stop.
const DRAIN: Duration = Duration::from_millis(500);
/// For calls under way, and for replies that have not been written.
const CALL_BYTES_MAX: usize = 128 << 20;
/// How long a TLS handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Serves until told to stop.
pub(crate) async fn run(args: StreamArgs) -> anyhow::Result<()> {
    let started = Instant::now();
    telemetry::start_logging(args.log_format);
    let text = std::fs::read_to_string(&args.pod.config);
    let text = text.with_context(|| format!("read {}", args.pod.config.display()))?;
    let config = NodeConfig::parse(&text)?;
    let data_dir = Path::new(&config.data_dir);
    host::raise_open_files_limit();
    let _lock = host::lock(data_dir)?;
    let tls = Arc::new(NodeTls::open(Path::new(&config.tls_dir))?);
    let keys = read_keys(Path::new(&config.encryption_key_file))?;

    let mut registry = Registry::default();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let settings = EngineSettings {
        backend: args.backend,
        log_threads: args.log_threads,
        tail_mib: config.memory.tail,
        reads_mib: config.memory.reads,
    };
    let (engine, is_io_uring_refused) = engine::start(&settings, &clock, &mut registry)?;
    let readiness = Readiness::default();
    let admin = TcpListener::bind((args.pod.listen, ADMIN_PORT)).await;
    let admin = admin.with_context(|| format!("listen on port {ADMIN_PORT}"))?;
    tokio::spawn(admin::serve(admin, Arc::new(registry), readiness.clone()));

    let client = kube::Client::try_default().await.context("find the API server")?;
    let copy = Some(data_dir.join("catalog.json"));
    let (streams, _watching) =
        Streams::start(client, Some(args.pod.namespace.clone()), copy).await?;
    let keeper = Keeper::new(engine.clone(), Shards::default(), data_dir.join("shards"), keys);
    let node = Arc::new(Node {
        streams,
        keeper,
        stateful_set: config.stateful_set,
        pod: args.pod.pod,
        is_io_uring_refused,
        opening: Mutex::default(),
        seen: Mutex::default(),
        heat: Heat::default(),
    });
    let mut changes = node.streams.changes();
    changes.mark_unchanged();
    node.reconcile().await;
    let reconciling = Arc::clone(&node);
    tokio::spawn(async move {
        while changes.changed().await.is_ok() {
            reconciling.reconcile().await;
        }
    });
    let listener = TcpListener::bind((args.pod.listen, WIRE_PORT)).await;
    let listener = listener.with_context(|| format!("listen on port {WIRE_PORT}"))?;
    let stopped = host::stop_signal()?;
    readiness.set(true);
    tracing::info!("serving shards of {} after {} ms", node.pod, started.elapsed().as_millis());
    let options = ServeOptions::new(Arc::new(NodeHost(node)), CALL_BYTES_MAX);
    let delivering = delivery_host(&args.pod.namespace);
    tokio::select! {
        () = accept(listener, tls, options, delivering) => {}
        () = stopped => {}
    }
    tracing::info!("stopping");
    readiness.set(false);
    // What is under way is answered; what comes now is told to come again.
    tokio::time::sleep(DRAIN).await;
    engine.shutdown().await;
    tracing::info!("stopped");
    Ok(())
}

pub(super) fn read_keys(file: &Path) -> anyhow::Result<Arc<MasterKeys>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let keys = MasterKeys::parse(&text).with_context(|| format!("read {}", file.display()))?;
    Ok(Arc::new(keys))
}

async fn accept(
    listener: TcpListener,
    tls: Arc<NodeTls>,
    options: ServeOptions,
    delivering: String,
) {
    loop {
        let socket = match listener.accept().await {
            Ok((socket, _)) => socket,
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (tls, options, delivering) = (Arc::clone(&tls), options.clone(), delivering.clone());
        tokio::spawn(async move {
            let ended = async {
                let handshake = tls.acceptor().accept(set_up_socket(socket)?);
                let connection = tokio::time::timeout(HANDSHAKE_MAX, handshake).await??;
                let options = match connection.get_ref().1.peer_certificates() {
                    Some([caller, ..]) if is_named(caller, CONTROL_HOST) => options,
                    Some([caller, ..]) if is_named(caller, &delivering) => options.for_readers(),
                    _ => anyhow::bail!("its certificate is for somewhere else"),
                };
                serve(options, Box::new(connection)).await?;
                anyhow::Ok(())
            };
            if let Err(error) = ended.await {
                tracing::debug!("a connection ended: {error:#}");
            }
        });
    }
}

/// This pod.
struct Node {
    streams: Arc<Streams>,
    keeper: Keeper,
    stateful_set: String,
    pod: String,
    is_io_uring_refused: bool,
    /// Held while shards are opened: none is opened twice.
    opening: Mutex<()>,
    /// Streams whose left-over logs have been looked for.
    seen: Mutex<std::collections::HashSet<StreamUid>>,
    /// What the shards here are asked to take, as gateways tell.
    heat: Heat,
}

impl Node {
    /// The streams that have shards here, with these.
    fn mine(&self) -> Vec<(Arc<Stream>, Vec<Placed>)> {
        let is_mine =
            |placed: &Placed| placed.stateful_set == self.stateful_set && placed.pod == self.pod;
        let mut streams = self.streams.placed();
        for (_, placed) in &mut streams {
            placed.retain(is_mine);
        }
        streams.retain(|(_, placed)| !placed.is_empty());
        streams
    }

    /// Runs what the catalog places here, with its settings; removes what has expired.
    async fn reconcile(&self) {
        for (stream, placed) in self.mine() {
            let guard = self.opening.lock().await;
            let missing = placed.iter().filter_map(|placed| stream.shards.get(placed.shard));
            let missing = missing.filter(|shard| {
                let key = ShardKey { stream: stream.uid, shard: shard.id };
                // A pending one is made when the operator asks for it.
                shard.state != ShardState::Pending && self.keeper.get(key).is_none()
            });
            let opened = missing.map(|shard| self.keeper.open(&stream, shard, OpenMode::Existing));
            for (shard, handle) in join_all(opened).await {
                if let Some(why) = handle.progress().unavailable {
                    tracing::error!(stream = %stream.name, %shard, %why, "a shard did not open");
                }
            }
            drop(guard);
            self.keeper.configure(&stream).await;
            self.forget_expired(&stream).await;
        }
        self.heat.retain(|key| self.keeper.get(*key).is_some());
    }

    /// Shards that are in the catalog no more had expired.
    async fn forget_expired(&self, stream: &Stream) {
        let is_first = self.seen.lock().await.insert(stream.uid);
        let ids = (0..stream.shards.next_id()).map(model::ShardId);
        let gone = ids.filter(|id| stream.shards.get(*id).is_none());
        let gone = gone.filter(|shard| {
            let key = ShardKey { stream: stream.uid, shard: *shard };
            is_first || self.keeper.get(key).is_some()
        });
        let gone: Vec<_> = gone.collect();
        if let Err(error) = self.keeper.remove(stream.uid, &gone).await {
            tracing::warn!(stream = %stream.name, %error, "expired shards are still on disk");
        }
    }

    /// The shard, when the catalog places it here.
    fn placed_here(&self, shard: ShardRef) -> Option<Arc<Stream>> {
        let mine = self.mine().into_iter();
        let mut found = mine.filter(|(stream, placed)| {
            stream.uid.0 == shard.stream && placed.iter().any(|placed| placed.shard == shard.shard)
        });
        found.next().map(|(stream, _)| stream)
    }

    async fn open_placed(&self, shard: ShardRef) -> Result<(), Refusal> {
        let mut changes = self.streams.changes();
        let known = async {
            loop {
                changes.mark_unchanged();
                if let Some(stream) = self.placed_here(shard) {
                    return Some(stream);
                }
                changes.changed().await.ok()?;
            }
        };
        let known = tokio::time::timeout(CATALOG_WAIT_MAX, known).await;
        let stream = known.ok().flatten().ok_or(Refusal::NotHere)?;
        let _guard = self.opening.lock().await;
        let key = ShardKey { stream: stream.uid, shard: shard.shard };
        let handle = match self.keeper.get(key) {
            Some(handle) => handle,
            None => {
                let known = stream.shards.get(shard.shard).ok_or(Refusal::NotHere)?;
                let mode = OpenMode::Create(LogId(rand::random()));
                self.keeper.open(&stream, known, mode).await.1
            }
        };
        match handle.progress().unavailable {
            None => Ok(()),
            Some(why) => Err(Refusal::Failed(why.to_string())),
        }
    }
}

/// What others can ask of this pod.
struct NodeHost(Arc<Node>);

fn key_of(shard: ShardRef) -> ShardKey {
    ShardKey { stream: StreamUid(shard.stream), shard: shard.shard }
}

impl NodeHost {
    /// The shard, when it runs here: of no other is anything remembered.
    fn running(&self, shard: ShardRef) -> Option<ShardKey> {
        Some(key_of(shard)).filter(|key| self.0.keeper.get(*key).is_some())
    }

    /// Carries something out to its end, also when whoever asked for it is gone meanwhile: a log that
    /// is half opened is in nobody's hands.
    fn to_its_end(
        &self,
        work: impl Future<Output = Result<(), Refusal>> + Send + 'static,
    ) -> Pending<'_, Result<(), Refusal>> {
        let working = tokio::spawn(work);
        Box::pin(async move {
            let failed = |error: tokio::task::JoinError| Err(Refusal::Failed(error.to_string()));
            working.await.unwrap_or_else(failed)
        })
    }
}

impl Host for NodeHost {
    fn shard(&self, shard: ShardRef) -> Option<ShardHandle> {
        self.0.keeper.get(key_of(shard))
    }

    fn is_io_uring_refused(&self) -> bool {
        self.0.is_io_uring_refused
    }

    fn passed(&self, shard: ShardRef, passed: Passed) {
        if let Some(key) = self.running(shard) {
            self.0.heat.merge(key, passed);
        }
    }

    fn load(&self, shard: ShardRef, quiet_for: Duration) -> Option<ShardLoad> {
        self.0.heat.take(self.running(shard)?, SystemClock.now(), quiet_for)
    }

    fn open(&self, shard: ShardRef) -> Pending<'_, Result<(), Refusal>> {
        let node = Arc::clone(&self.0);
        self.to_its_end(async move { node.open_placed(shard).await })
    }

    fn remove(&self, shard: ShardRef) -> Pending<'_, Result<(), Refusal>> {
        let node = Arc::clone(&self.0);
        self.to_its_end(async move {
            let (stream, shards) = (StreamUid(shard.stream), [shard.shard]);
            let removed = node.keeper.remove(stream, &shards).await;
            removed.map_err(|error| Refusal::Failed(error.to_string()))
        })
    }
}
