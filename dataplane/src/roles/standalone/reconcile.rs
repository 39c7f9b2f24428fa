//! Makes the shards that run what the catalog says they should be.
//!
//! One step at a time, each stored before the next, so that a crash anywhere is continued at the
//! next start: announce children, open their logs, close the parents' logs, open the children to
//! records. What cannot be done now (a full disk) is tried again.

use std::sync::Arc;
use std::time::Duration;

use catalog::{ChangeError, Entries, LocalCatalog, Phase, Stream};
use futures_util::future::join_all;
use model::{Clock, Offset, ShardId, ShardState, UnixMillis};
use shard::Unavailable;
use shard_log::{LogId, OpenMode};
use streams_api::ShardKey;
use tokio::task::JoinHandle;

use crate::roles::keeper::Keeper;

/// How often what failed is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How often shards are looked through for those whose records have all expired.
const EXPIRY_PAUSE: Duration = Duration::from_secs(60);

pub(super) struct Reconciler {
    catalog: Arc<LocalCatalog>,
    keeper: Keeper,
    clock: Arc<dyn Clock>,
}

/// Why a step could not be carried out. It is tried again.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error("shard {0} is not open: {1}")]
    Shard(ShardId, Unavailable),
    #[error(transparent)]
    Change(#[from] ChangeError),
    #[error("remove the records of a shard")]
    Remove(#[source] std::io::Error),
}

/// Whether a stream needs another step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Done,
    Again,
}

impl Reconciler {
    pub(super) fn new(
        catalog: Arc<LocalCatalog>,
        keeper: Keeper,
        clock: Arc<dyn Clock>,
    ) -> Reconciler {
        Reconciler { catalog, keeper, clock }
    }

    /// Opens the shards there are, then keeps up with the catalog in the background.
    pub(super) async fn start(mut self) -> JoinHandle<()> {
        for stream in self.catalog.list(None, usize::MAX) {
            self.open_existing(&stream).await;
        }
        tokio::spawn(async move { self.run().await })
    }

    async fn open_existing(&mut self, stream: &Stream) {
        let existing = stream.shards.shards().iter();
        let existing = existing.filter(|shard| shard.state != ShardState::Pending);
        let opened = existing.map(|shard| self.keeper.open(stream, shard, OpenMode::Existing));
        for (shard, handle) in join_all(opened).await {
            if let Some(why) = handle.progress().unavailable {
                tracing::error!(stream = %stream.name, %shard, %why, "a shard did not open");
            }
        }
        self.keeper.is_configured(stream);
    }

    async fn run(&mut self) {
        let mut changes = self.catalog.changes();
        let mut expiry = tokio::time::interval(EXPIRY_PAUSE);
        loop {
            changes.mark_unchanged();
            let failed = self.reconcile_all().await;
            let retry = tokio::time::sleep(RETRY_PAUSE);
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                _ = expiry.tick() => self.forget_expired().await,
                () = retry, if failed => {}
            }
        }
    }

    /// Brings every stream as far as it goes; whether something has to be tried again.
    async fn reconcile_all(&mut self) -> bool {
        let mut failed = false;
        for stream in self.catalog.list(None, usize::MAX) {
            let mut stream = Some(stream);
            while let Some(current) = stream.take() {
                match self.step(&current).await {
                    Ok(Step::Done) => {}
                    Ok(Step::Again) => stream = self.catalog.get(&current.name),
                    // Somebody changed it meanwhile: look again.
                    Err(StepError::Change(ChangeError::Conflict(_))) => {
                        stream = self.catalog.get(&current.name);
                    }
                    Err(error) => {
                        failed = true;
                        let error = anyhow::Error::from(error);
                        tracing::warn!(stream = %current.name, "will try again: {error:#}");
                    }
                }
            }
        }
        failed
    }

    async fn step(&mut self, stream: &Stream) -> Result<Step, StepError> {
        match stream.phase {
            Phase::Deleting => {
                self.delete(stream).await?;
                return Ok(Step::Done);
            }
            Phase::Creating | Phase::Updating => {}
            Phase::Active => {
                self.keeper.configure(stream).await;
                return Ok(Step::Done);
            }
        }
        self.keeper.configure(stream).await;
        let mut changed = stream.clone();
        if stream.shards.is_changing() {
            let closed = self.carry_out(stream).await?;
            changed.shards.finish(&closed);
        } else {
            let wave = model::plan(&stream.shards, &stream.desired);
            let now = self.clock.now();
            wave.iter().for_each(|reshard| changed.shards.begin(reshard, now));
            if wave.is_empty() {
                changed.phase = Phase::Active;
            }
        }
        self.catalog.replace(changed).await?;
        Ok(Step::Again)
    }

    /// Opens the logs of pending shards, then closes those of closing ones: in this order, because
    /// from then on records wait.
    async fn carry_out(
        &self,
        stream: &Stream,
    ) -> Result<Vec<(ShardId, Offset, UnixMillis)>, StepError> {
        let in_state = |state| stream.shards.shards().iter().filter(move |s| s.state == state);
        let opened = in_state(ShardState::Pending)
            .map(|shard| self.keeper.open(stream, shard, OpenMode::Create(LogId(rand::random()))));
        for (shard, handle) in join_all(opened).await {
            if let Some(why) = handle.progress().unavailable {
                return Err(StepError::Shard(shard, why));
            }
        }
        let now = self.clock.now();
        let closed = in_state(ShardState::Closing).map(|shard| async move {
            let key = ShardKey { stream: stream.uid, shard: shard.id };
            let stopped = || StepError::Shard(shard.id, Unavailable::Stopped);
            let handle = self.keeper.get(key).ok_or_else(stopped)?;
            let closed = handle.close(now).await;
            let (end, at) = closed.map_err(|why| StepError::Shard(shard.id, why))?;
            Ok((shard.id, end, at))
        });
        join_all(closed).await.into_iter().collect()
    }

    async fn delete(&mut self, stream: &Stream) -> Result<(), StepError> {
        self.keeper.remove_stream(stream).await.map_err(StepError::Remove)?;
        self.catalog.remove(stream.name.clone(), stream.version).await?;
        tracing::info!(stream = %stream.name, "deleted");
        Ok(())
    }

    /// Removes closed shards whose records have all expired: first their records, so that a crash
    /// between leaves none behind.
    async fn forget_expired(&self) {
        for stream in self.catalog.list(None, usize::MAX) {
            let hours = u64::from(stream.settings.retention_hours);
            let horizon = self.clock.now().saturating_sub(Duration::from_secs(hours * 3600));
            let mut changed = (*stream).clone();
            let expired = changed.shards.forget_closed_before(horizon);
            if expired.is_empty() || stream.phase == Phase::Deleting {
                continue;
            }
            let forgotten = async {
                self.keeper.remove(stream.uid, &expired).await.map_err(StepError::Remove)?;
                self.catalog.replace(changed).await?;
                Ok::<(), StepError>(())
            };
            if let Err(error) = forgotten.await {
                let error = anyhow::Error::from(error);
                tracing::warn!(stream = %stream.name, "will try again to expire shards: {error:#}");
            }
        }
    }
}
