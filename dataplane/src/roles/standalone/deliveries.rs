//! Delivery streams of this process: what holds the records of their producers is made and removed, and
//! those that are in service are at work.
//!
//! ```text
//!  delivery-streams/NAME.json    what was asked for
//!  delivery-sources/NAME.json    for DirectPut, the stream that holds what was put: a stream like any
//!                                other, in a catalog that the API of streams does not see
//! ```

use std::sync::Arc;
use std::time::Duration;

use auth::Caller;
use aws_protocol::{ApiError, Encoding};
use catalog::{Catalog, ChangeError, Entries, LocalCatalog, Phase, Settings, Stream};
use delivery::{Context, Sharing, Source, consumer_names};
use delivery_catalog::{DeliveryPhase, DeliveryStream, LocalDeliveryCatalog};
use model::{Boundaries, limits};
use operator_api::delivery_stream::DirectPut;
use serde_json::json;
use streams_api::{Api, Shards};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::roles::groups::{Groups, Work, find_shard};
use crate::roles::intake::Refused;

/// How often what failed is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// What deliveries are made of.
pub(super) struct Parts {
    pub(super) catalog: Arc<LocalDeliveryCatalog>,
    /// The streams that hold what producers put.
    pub(super) sources: Arc<LocalCatalog>,
    /// Puts into those.
    pub(super) sources_api: Api,
    /// The streams of users.
    pub(super) streams: Arc<LocalCatalog>,
    pub(super) shards: Shards,
    pub(super) context: Arc<Context>,
    pub(super) caller: Caller,
    /// Is told of what cannot be carried out.
    pub(super) refused: Refused,
}

impl Parts {
    fn source_of(&self, stream: &DeliveryStream, sharing: &Sharing) -> Source {
        let sharing = sharing.clone();
        let find_shard = find_shard(&self.shards);
        match stream.source() {
            Some(name) => {
                let catalog = Arc::clone(&self.streams) as Arc<dyn Catalog>;
                Source { catalog, stream: name, find_shard, sharing }
            }
            None => {
                let catalog = Arc::clone(&self.sources) as Arc<dyn Catalog>;
                Source { catalog, stream: stream.name.clone(), find_shard, sharing }
            }
        }
    }
}

/// Deliveries at work.
pub(super) struct Delivering {
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Delivering {
    /// Lets them deliver what they have gathered, for a bounded time.
    pub(super) async fn stop(self) {
        // Both fail only when it has ended already.
        let _ = self.stop.send(());
        let _ = self.running.await;
    }
}

pub(super) struct Deliveries {
    parts: Parts,
    groups: Groups,
    sharing: Sharing,
}

/// Why a step could not be carried out. It is tried again.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Change(#[from] ChangeError),
    #[error("encryption of what producers put")]
    Encryption(#[source] ApiError),
    #[error("a shard did not forget the delivery stream")]
    Forget(#[source] shard::AppendError),
}

impl Deliveries {
    pub(super) fn new(parts: Parts) -> Deliveries {
        let sharing = Sharing::alone(rand::random());
        Deliveries { parts, groups: Groups::default(), sharing }
    }

    /// Keeps up with the catalog in the background.
    pub(super) fn start(mut self) -> Delivering {
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(async move {
            tokio::select! {
                () = self.run() => {}
                _ = stopped => self.groups.stop().await,
            }
        });
        Delivering { stop, running }
    }

    async fn run(&mut self) {
        let mut changes = self.parts.catalog.changes();
        let mut sources = self.parts.sources.changes();
        loop {
            changes.mark_unchanged();
            sources.mark_unchanged();
            let failed = self.reconcile_all().await;
            let retry = tokio::time::sleep(RETRY_PAUSE);
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                changed = sources.changed() => if changed.is_err() { return },
                () = retry, if failed => {}
            }
        }
    }

    async fn reconcile_all(&mut self) -> bool {
        let mut failed = false;
        self.remove_orphans().await;
        for stream in self.parts.catalog.list(None, usize::MAX) {
            match self.reconcile(&stream).await {
                Ok(is_done) => failed |= !is_done,
                // Somebody changed it meanwhile, which wakes us.
                Err(StepError::Change(ChangeError::Conflict(_))) => failed = true,
                Err(error) => {
                    failed = true;
                    let error = anyhow::Error::from(error);
                    tracing::warn!(delivery_stream = %stream.name, "will try again: {error:#}");
                }
            }
        }
        failed
    }

    /// One step; whether it is done. What is changed in a catalog wakes us.
    async fn reconcile(&mut self, stream: &Arc<DeliveryStream>) -> Result<bool, StepError> {
        if stream.phase == DeliveryPhase::Deleting {
            return self.delete(stream).await;
        }
        if stream.is_direct_put() && !self.has_source(stream).await? {
            return Ok(true);
        }
        if stream.phase == DeliveryPhase::Creating {
            let active = DeliveryStream { phase: DeliveryPhase::Active, ..(**stream).clone() };
            self.parts.catalog.replace(active).await?;
            return Ok(true);
        }
        let is_working = self.work(stream);
        // What is put is delivered, however it is kept meanwhile.
        if stream.is_direct_put() {
            self.encrypt(stream).await?;
        }
        Ok(is_working)
    }

    /// Starts delivering, or starts again with what was changed; whether it is done with that.
    fn work(&mut self, stream: &Arc<DeliveryStream>) -> bool {
        let source = || self.parts.source_of(stream, &self.sharing);
        let why = match self.groups.work(&self.parts.context, stream, source) {
            Work::Same => return true,
            Work::Ending => return false,
            Work::Begun => None,
            Work::Refused(error) => {
                let why = format!("{:#}", anyhow::Error::from(error));
                tracing::warn!(delivery_stream = %stream.name, "delivers nothing until it is changed: {why}");
                Some(why)
            }
        };
        self.parts.refused.set(stream.uid, why);
        true
    }

    /// Removes what holds the records of delivery streams that are no more.
    async fn remove_orphans(&self) {
        for source in self.parts.sources.list(None, usize::MAX) {
            let owner = self.parts.catalog.get(&source.name);
            let is_owned = owner.is_some_and(|owner| owner.uid == source.uid);
            if !is_owned && source.phase != Phase::Deleting {
                let deleting = Stream { phase: Phase::Deleting, ..(*source).clone() };
                if let Err(error) = self.parts.sources.replace(deleting).await {
                    tracing::warn!(delivery_stream = %source.name, "will try again to remove what it held: {error}");
                }
            }
        }
    }

    /// Makes what holds the records of producers as it should be; whether it is in service.
    async fn has_source(&self, stream: &DeliveryStream) -> Result<bool, StepError> {
        let direct = stream.spec.source.as_ref().and_then(|source| source.direct_put.clone());
        let DirectPut { shard_count, retention_period_hours, .. } = direct.unwrap_or_default();
        let desired = Boundaries::uniform(shard_count.unwrap_or(1))
            .expect("the spec is valid: at least one shard");
        let retention_hours = retention_period_hours.unwrap_or(limits::RETENTION_HOURS_MIN);
        let Some(current) = self.parts.sources.get(&stream.name) else {
            let settings = Settings { retention_hours, ..Settings::default() };
            let (name, now) = (stream.name.clone(), self.parts.context.clock.now());
            let made = Stream::new(name, stream.uid, now, desired, settings);
            self.parts.sources.create(made).await?;
            return Ok(false);
        };
        if current.uid != stream.uid {
            // What an earlier one of this name held is being removed.
            return Ok(false);
        }
        if current.phase == Phase::Active {
            let mut changed = (*current).clone();
            changed.settings.retention_hours = retention_hours;
            if changed.desired != desired {
                (changed.desired, changed.phase) = (desired, Phase::Updating);
            }
            if changed != *current {
                self.parts.sources.replace(changed).await?;
            }
        }
        Ok(matches!(current.phase, Phase::Active | Phase::Updating))
    }

    /// Starts or stops encrypting what producers put.
    async fn encrypt(&self, stream: &DeliveryStream) -> Result<(), StepError> {
        let Some(source) = self.parts.sources.get(&stream.name) else { return Ok(()) };
        let current = source.settings.encryption;
        let current = source.data_keys.iter().find(|key| Some(key.number) == current);
        let wanted = stream.spec.encryption.as_ref();
        let wanted = wanted.map(|it| it.key_id.as_str());
        let (operation, key) = match (current, wanted) {
            (Some(current), Some(wanted)) if current.key_id == wanted => return Ok(()),
            (None, None) => return Ok(()),
            (_, Some(wanted)) => ("StartStreamEncryption", wanted),
            (Some(current), None) => ("StopStreamEncryption", current.key_id.as_str()),
        };
        let body =
            json!({"StreamName": stream.name.as_str(), "EncryptionType": "KMS", "KeyId": key});
        let (body, caller) = (body.to_string(), self.parts.caller.clone());
        let called =
            self.parts.sources_api.call(operation, Encoding::Json, caller, body.as_bytes());
        called.await.map(drop).map_err(StepError::Encryption)
    }

    async fn delete(&mut self, stream: &DeliveryStream) -> Result<bool, StepError> {
        if !self.groups.end(stream.uid).await {
            return Ok(false);
        }
        if stream.is_direct_put() {
            match self.parts.sources.get(&stream.name) {
                Some(source) if source.uid == stream.uid => {
                    if source.phase != Phase::Deleting {
                        let deleting = Stream { phase: Phase::Deleting, ..(*source).clone() };
                        self.parts.sources.replace(deleting).await?;
                    }
                    return Ok(true);
                }
                _ => {}
            }
        } else {
            self.forget(stream).await?;
        }
        self.parts.catalog.remove(stream.name.clone(), stream.version).await?;
        self.parts.context.statuses.forget(&stream.name);
        self.parts.refused.set(stream.uid, None);
        tracing::info!(delivery_stream = %stream.name, "deleted");
        Ok(true)
    }

    async fn forget(&self, stream: &DeliveryStream) -> Result<(), StepError> {
        let source = self.parts.source_of(stream, &self.sharing);
        let Some(read) = source.catalog.get(&source.stream) else { return Ok(()) };
        let names = consumer_names(stream);
        for shard in read.shards.shards() {
            if let Some(handle) = (source.find_shard)(read.uid, shard.id) {
                names.forget(&handle).await.map_err(StepError::Forget)?;
            }
        }
        Ok(())
    }
}
