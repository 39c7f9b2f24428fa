//! A delivery stream at work: a worker for each shard of its source that can be read now.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use catalog::{Catalog, Stream, StreamUid};
use consumer::{Names, ShardReader, Start, readable};
use delivery_catalog::DeliveryStream;
use model::{ShardId, StreamName};
use operator_api::delivery_stream::StartingPosition;
use shard::ShardHandle;
use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use crate::compaction::Compactor;
use crate::pipeline::{Context, Pipeline, SetupError};
use crate::worker::{self, Ended};

/// How long to wait before a shard that could not be read is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How often to look for shards to read, though the catalog has not changed: closed ones end by
/// themselves. So often it is shown how long records have waited.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// Finds a shard of a stream.
pub type FindShard = Arc<dyn Fn(StreamUid, ShardId) -> Option<ShardHandle> + Send + Sync>;

/// What is read.
#[derive(Clone)]
pub struct Source {
    /// Where the stream is known.
    pub catalog: Arc<dyn Catalog>,
    /// Its name there.
    pub stream: StreamName,
    /// How its shards are found.
    pub find_shard: FindShard,
}

/// The name by which a delivery stream is known to the shards it reads.
#[must_use]
pub fn consumer_names(stream: &DeliveryStream) -> Names {
    Names::of(&format!("delivery/{:016x}", stream.uid.0))
}

/// A delivery stream at work, until it is stopped or dropped.
pub struct Group {
    stop: watch::Sender<Stop>,
    running: tokio::task::JoinHandle<()>,
}

/// Whether a delivery stream is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stop {
    No,
    /// When what was gathered is delivered.
    Soon,
    /// As it is.
    Now,
}

impl Group {
    /// Sets to work.
    ///
    /// # Errors
    /// See [`SetupError`]; nothing was begun.
    pub fn start(
        context: Arc<Context>,
        stream: Arc<DeliveryStream>,
        source: Source,
    ) -> Result<Group, SetupError> {
        let pipeline = Arc::new(Pipeline::new(context, &stream)?);
        let (stop, stopped) = watch::channel(Stop::No);
        let reading = Reading {
            names: consumer_names(&stream),
            start: start_of(&stream),
            pipeline,
            source,
            stopped,
            workers: JoinSet::new(),
            compacting: JoinSet::new(),
            running: HashMap::new(),
        };
        Ok(Group { stop, running: tokio::spawn(reading.run()) })
    }

    /// Delivers what was gathered, for this time at the most, and stops. No worker is left when it returns.
    pub async fn stop(mut self, within: Duration) {
        self.stop.send_replace(Stop::Soon);
        if tokio::time::timeout(within, &mut self.running).await.is_err() {
            self.stop.send_replace(Stop::Now);
            // It only waits for workers that were aborted.
            let _ = (&mut self.running).await;
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// Where shards are read from that were never read: of the latest records, those since the delivery
/// stream was created.
fn start_of(stream: &DeliveryStream) -> Start {
    let from = stream.spec.source.as_ref().and_then(|source| source.stream.as_ref());
    let Some(from) = from else { return Start::Oldest };
    match from.starting_position {
        None | Some(StartingPosition::Latest) => Start::At(stream.created),
        Some(StartingPosition::TrimHorizon) => Start::Oldest,
        Some(StartingPosition::AtTimestamp) => {
            let text = from.starting_timestamp.as_deref().unwrap_or_default();
            delivery_core::timestamp(text).map_or(Start::At(stream.created), Start::At)
        }
    }
}

struct Reading {
    names: Names,
    start: Start,
    pipeline: Arc<Pipeline>,
    source: Source,
    stopped: watch::Receiver<Stop>,
    workers: JoinSet<(ShardId, Ended)>,
    compacting: JoinSet<()>,
    running: HashMap<ShardId, AbortHandle>,
}

impl Reading {
    async fn run(mut self) {
        let mut changes = self.source.catalog.changes();
        let mut stopped = self.stopped.clone();
        self.start_compaction();
        while *stopped.borrow_and_update() == Stop::No {
            changes.mark_unchanged();
            self.pipeline.show_freshness();
            if let Some(stream) = self.source.catalog.get(&self.source.stream) {
                self.start_workers(&stream);
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                _ = stopped.changed() => {}
                Some(ended) = self.workers.join_next_with_id() => self.ended(ended).await,
                Some(Err(error)) = self.compacting.join_next() => {
                    let stream = self.pipeline.name();
                    tracing::error!(delivery_stream = %stream, "compaction ended unexpectedly: {error}");
                }
                () = tokio::time::sleep(LOOK_PAUSE) => {}
            }
        }
        let now = stopped.wait_for(|stop| *stop == Stop::Now);
        let all = async {
            while self.workers.join_next().await.is_some() {}
            while self.compacting.join_next().await.is_some() {}
        };
        tokio::select! {
            () = all => return,
            _ = now => {}
        }
        self.workers.shutdown().await;
        self.compacting.shutdown().await;
    }

    fn start_compaction(&mut self) {
        let Some(compaction) = self.pipeline.compaction.clone() else { return };
        let (source, names) = (self.source.clone(), self.names.clone());
        let is_done = move |shard, start| {
            let Some(stream) = source.catalog.get(&source.stream) else { return false };
            match (source.find_shard)(stream.uid, shard) {
                Some(handle) => names.has_done(&handle, start),
                // Its records have expired: nobody will read them again.
                None => stream.shards.get(shard).is_none(),
            }
        };
        let compactor = Compactor {
            compaction,
            clock: Arc::clone(&self.pipeline.context().clock),
            memory: Arc::clone(&self.pipeline.context().memory),
            is_done: Arc::new(is_done),
            compacted: self.pipeline.metrics.compacted.clone(),
        };
        self.compacting.spawn(compactor.run(self.stopped.clone()));
    }

    fn start_workers(&mut self, stream: &Stream) {
        let find = |shard| (self.source.find_shard)(stream.uid, shard);
        let is_finished =
            |shard| find(shard).is_some_and(|handle| self.names.has_finished(&handle));
        let idle = readable(&stream.shards, is_finished)
            .filter(|shard| !self.running.contains_key(&shard.id))
            .filter_map(|shard| Some((shard.clone(), find(shard.id)?)))
            .collect::<Vec<_>>();
        for (shard, handle) in idle {
            let (pipeline, stopped) = (Arc::clone(&self.pipeline), self.stopped.clone());
            let (names, start, id) = (self.names.clone(), self.start, shard.id);
            let worker = self.workers.spawn(async move {
                let ended = match ShardReader::open(handle, names, start).await {
                    Ok(reader) => worker::run(pipeline, shard, reader, stopped).await,
                    Err(error) => Ended::Failed(error.to_string()),
                };
                (id, ended)
            });
            self.running.insert(id, worker);
        }
    }

    async fn ended(&mut self, ended: Result<(Id, (ShardId, Ended)), JoinError>) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        self.running.retain(|_, worker| worker.id() != id);
        match ended {
            Ok((_, (shard, ended))) => {
                if let Ended::Failed(what) = ended {
                    let stream = self.pipeline.name();
                    tracing::warn!(delivery_stream = %stream, %shard, "will read on in a second: {what}");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
            Err(error) => {
                let stream = self.pipeline.name();
                tracing::error!(delivery_stream = %stream, "a worker ended unexpectedly: {error}");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}
