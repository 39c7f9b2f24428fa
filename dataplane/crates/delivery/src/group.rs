//! A delivery stream at work: a worker for each shard of its source that can be read now.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use catalog::{Catalog, Stream, StreamUid};
use consumer::{Held, Hold, Names, Reading, ShardReader, Share, Start, readable};
use delivery_catalog::DeliveryStream;
use futures_util::future::join_all;
use model::{Shard, ShardId, ShardState, StreamName};
use operator_api::delivery_stream::StartingPosition;
use shard::{LEASE, Lease, ShardHandle};
use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::Instant;

use crate::compaction::{Asked, Claim, Compactor};
use crate::pipeline::{Context, Pipeline, SetupError};
use crate::worker::{self, Ended};

/// How long to wait before a shard that could not be read is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// The same for a shard that another process reads.
const HELD_PAUSE: Duration = Duration::from_secs(2);
/// The same for one that is another process' to read.
const OTHERS_PAUSE: Duration = Duration::from_secs(10);
/// How long nobody must have read another process' shard before this one stands in for it: longer than
/// that one takes to be started again.
const STAND_IN_AFTER: Duration = Duration::from_secs(30);
/// How long shards may take to say whether they are finished.
const ASK_MAX: Duration = Duration::from_secs(5);
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
    /// Which of them this process reads.
    pub sharing: Sharing,
}

/// How processes share what they read.
#[derive(Clone)]
pub struct Sharing {
    /// This process: a number that no other has.
    pub holder: u64,
    /// Its share, now.
    pub share: watch::Receiver<Share>,
}

impl Sharing {
    /// Of a process that is alone.
    #[must_use]
    pub fn alone(holder: u64) -> Sharing {
        Sharing { holder, share: watch::channel(Share::ALL).1 }
    }
}

/// The name by which a delivery stream is known to the shards it reads.
#[must_use]
pub fn consumer_names(stream: &DeliveryStream) -> Names {
    Names::of(&stream.consumer_name())
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
            holder: source.sharing.holder,
            start: start_of(&stream),
            version: stream.destination_version,
        };
        let workers = Workers {
            reading,
            pipeline,
            source,
            stopped,
            tasks: JoinSet::new(),
            compacting: JoinSet::new(),
            running: HashMap::new(),
            paused: HashMap::new(),
            finished: HashSet::new(),
            of: None,
        };
        Ok(Group { stop, running: tokio::spawn(workers.run()) })
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

struct Workers {
    reading: Reading,
    pipeline: Arc<Pipeline>,
    source: Source,
    stopped: watch::Receiver<Stop>,
    tasks: JoinSet<(ShardId, Ended)>,
    compacting: JoinSet<()>,
    running: HashMap<ShardId, AbortHandle>,
    /// Until when shards are left alone.
    paused: HashMap<ShardId, Instant>,
    /// Shards that were read to their end, by whomever.
    finished: HashSet<ShardId>,
    /// Of which stream all this is: another may come to have its name.
    of: Option<StreamUid>,
}

impl Workers {
    async fn run(mut self) {
        let mut changes = self.source.catalog.changes();
        let mut stopped = self.stopped.clone();
        self.start_compaction();
        while *stopped.borrow_and_update() == Stop::No {
            changes.mark_unchanged();
            self.pipeline.show_freshness();
            if let Some(stream) = self.source.catalog.get(&self.source.stream) {
                self.is_of(stream.uid);
                self.look_for_finished(&stream).await;
                self.start(&stream);
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                _ = stopped.changed() => {}
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended),
                Some(Err(error)) = self.compacting.join_next() => {
                    let stream = self.pipeline.name();
                    tracing::error!(delivery_stream = %stream, "compaction ended unexpectedly: {error}");
                }
                () = tokio::time::sleep(LOOK_PAUSE) => {}
            }
        }
        let now = stopped.wait_for(|stop| *stop == Stop::Now);
        let all = async {
            while self.tasks.join_next().await.is_some() {}
            while self.compacting.join_next().await.is_some() {}
        };
        tokio::select! {
            () = all => return,
            _ = now => {}
        }
        self.tasks.shutdown().await;
        self.compacting.shutdown().await;
    }

    fn start_compaction(&mut self) {
        let Some(compaction) = self.pipeline.compaction.clone() else { return };
        let (source, names) = (self.source.clone(), self.reading.names.clone());
        let is_done = move |shard, start| {
            let (source, names) = (source.clone(), names.clone());
            let asked = async move {
                let Some(stream) = source.catalog.get(&source.stream) else { return false };
                match (source.find_shard)(stream.uid, shard) {
                    // One that does not say is asked again the next time.
                    Some(handle) => names.has_done(&handle, start).await.unwrap_or(false),
                    // Its records have expired: nobody will read them again.
                    None => stream.shards.get(shard).is_none(),
                }
            };
            Box::pin(asked) as Asked
        };
        let compactor = Compactor {
            compaction,
            clock: Arc::clone(&self.pipeline.context().clock),
            memory: Arc::clone(&self.pipeline.context().memory),
            is_done: Arc::new(is_done),
            share: self.source.sharing.share.clone(),
            compacted: self.pipeline.metrics.compacted.clone(),
        };
        let claim = claim_to_compact(self.source.clone(), &self.reading);
        self.compacting.spawn(compactor.run(claim, self.stopped.clone()));
    }

    /// Forgets what is known of a stream of the same name that is no more.
    fn is_of(&mut self, stream: StreamUid) {
        if self.of.replace(stream).is_some_and(|before| before != stream) {
            self.running.values().for_each(AbortHandle::abort);
            self.paused.clear();
            self.finished.clear();
        }
    }

    /// Asks closed shards that nobody reads here whether all of them was delivered.
    async fn look_for_finished(&mut self, stream: &Stream) {
        self.finished.retain(|shard| stream.shards.get(*shard).is_some());
        let shards = stream.shards.shards().iter();
        let unknown = shards.filter(|shard| {
            !self.finished.contains(&shard.id) && !self.running.contains_key(&shard.id)
        });
        let asked = unknown.filter_map(|shard| {
            let ShardState::Closed { end, .. } = shard.state else { return None };
            let handle = (self.source.find_shard)(stream.uid, shard.id)?;
            let names = &self.reading.names;
            Some(async move {
                let asked = tokio::time::timeout(ASK_MAX, names.has_finished(&handle, end));
                matches!(asked.await, Ok(Ok(true))).then_some(shard.id)
            })
        });
        let finished = join_all(asked).await;
        self.finished.extend(finished.into_iter().flatten());
    }

    fn start(&mut self, stream: &Stream) {
        let now = Instant::now();
        self.paused.retain(|_, until| now < *until);
        let idle = readable(&stream.shards, |shard| self.finished.contains(&shard))
            .filter(|shard| !self.running.contains_key(&shard.id))
            .filter(|shard| !self.paused.contains_key(&shard.id))
            .filter_map(|shard| {
                Some((shard.clone(), (self.source.find_shard)(stream.uid, shard.id)?))
            })
            .collect::<Vec<_>>();
        for (shard, handle) in idle {
            let id = shard.id;
            let work = work(
                Arc::clone(&self.pipeline),
                (shard, handle),
                self.reading.clone(),
                self.source.sharing.share.clone(),
                self.stopped.clone(),
            );
            let worker = self.tasks.spawn(async move { (id, work.await) });
            self.running.insert(id, worker);
        }
    }

    fn ended(&mut self, ended: Result<(Id, (ShardId, Ended)), JoinError>) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let shard = self.running.iter().find(|(_, worker)| worker.id() == id);
        let Some(shard) = shard.map(|(shard, _)| *shard) else { return };
        self.running.remove(&shard);
        let stream = self.pipeline.name();
        let pause = match ended {
            Ok((_, (_, Ended::Finished))) => {
                self.finished.insert(shard);
                return;
            }
            Ok((_, (_, Ended::Stopped))) => Duration::ZERO,
            Ok((_, (_, Ended::Held))) if self.source.sharing.share.borrow().has(shard) => {
                HELD_PAUSE
            }
            Ok((_, (_, Ended::Held))) => OTHERS_PAUSE,
            Ok((_, (_, Ended::Failed(what)))) => {
                tracing::warn!(delivery_stream = %stream, %shard, "will read on in a second: {what}");
                RETRY_PAUSE
            }
            Err(error) if error.is_cancelled() => Duration::ZERO,
            Err(error) => {
                tracing::error!(delivery_stream = %stream, %shard, "a worker ended unexpectedly: {error}");
                RETRY_PAUSE
            }
        };
        self.paused.insert(shard, Instant::now() + pause);
    }
}

/// By a lease of the stream's first shard.
fn claim_to_compact(source: Source, reading: &Reading) -> Claim {
    let consumer = format!("{}/compaction", reading.names.consumer());
    let lease = Lease { consumer, holder: reading.holder };
    Box::new(move || {
        let (source, lease) = (source.clone(), lease.clone());
        Box::pin(async move {
            let stream = source.catalog.get(&source.stream).ok_or("there is no such Stream")?;
            let first = stream.shards.shards().iter().map(|shard| shard.id).min();
            let handle = first.and_then(|shard| (source.find_shard)(stream.uid, shard));
            let handle = handle.ok_or("the first shard is not there")?;
            // A shard that was started again has forgotten who had it.
            let claimed = Held::claim(handle, lease, LEASE).await;
            claimed.map_err(|_| "the first shard does not answer")
        })
    })
}

/// Reads and delivers a shard while no other process should.
async fn work(
    pipeline: Arc<Pipeline>,
    (shard, handle): (Shard, ShardHandle),
    reading: Reading,
    share: watch::Receiver<Share>,
    mut stopped: watch::Receiver<Stop>,
) -> Ended {
    let id = shard.id;
    let vacant_for = if share.borrow().has(id) { Duration::ZERO } else { STAND_IN_AFTER };
    let reader = match ShardReader::open(handle, reading, vacant_for).await {
        Ok(reader) => reader,
        Err(error) => return error.into(),
    };
    let mut hold = reader.hold();
    let (stop, told) = watch::channel(Stop::No);
    let mut worker = pin!(worker::run(pipeline, shard, reader, told));
    loop {
        tokio::select! {
            ended = &mut worker => return ended,
            Ok(()) = hold.changed() => match *hold.borrow_and_update() {
                Hold::Ours => {}
                Hold::Wanted if share.borrow().has(id) => {}
                Hold::Wanted => { stop.send_replace(Stop::Soon); }
                Hold::Lost => return Ended::Held,
            },
            Ok(()) = stopped.changed() => { stop.send_replace(*stopped.borrow_and_update()); }
        }
    }
}
