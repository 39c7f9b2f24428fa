//! Delivery streams of this process: what holds the records of their producers is made and removed, and
//! those that are in service are at work.
//!
//! ```text
//!  delivery-streams/NAME.json    what was asked for
//!  delivery-sources/NAME.json    for DirectPut, the stream that holds what was put: a stream like any
//!                                other, in a catalog that the API of streams does not see
//! ```

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use auth::Caller;
use aws_protocol::{ApiError, Encoding};
use catalog::delivery::{DeliveryCatalog, DeliveryPhase, DeliveryStream};
use catalog::{
    Catalog, ChangeError, LocalCatalog, LocalDeliveryCatalog, Phase, Settings, Stream, StreamUid,
};
use delivery::{Context, FindShard, Group, Source, consumer_names};
use model::{Boundaries, StreamName, limits};
use operator_api::delivery_stream::DirectPut;
use serde_json::json;
use streams_api::{Api, ShardKey, Shards};
use tokio::task::JoinHandle;

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
}

pub(super) struct Deliveries {
    parts: Parts,
    running: HashMap<StreamUid, Running>,
}

struct Running {
    /// Of the delivery stream it was started with.
    destination_version: u64,
    group: Group,
}

/// Why a step could not be carried out. It is tried again.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Change(#[from] ChangeError),
    #[error(transparent)]
    Setup(#[from] delivery::SetupError),
    #[error("encryption of what producers put")]
    Encryption(#[source] ApiError),
    #[error("a shard did not forget the delivery stream")]
    Forget(#[source] shard::AppendError),
}

impl Deliveries {
    pub(super) fn new(parts: Parts) -> Deliveries {
        Deliveries { parts, running: HashMap::new() }
    }

    /// Keeps up with the catalog in the background.
    pub(super) fn start(mut self) -> JoinHandle<()> {
        tokio::spawn(async move { self.run().await })
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
        for stream in self.parts.catalog.list(None, usize::MAX) {
            match self.reconcile(&stream).await {
                Ok(()) => {}
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

    async fn reconcile(&mut self, stream: &Arc<DeliveryStream>) -> Result<(), StepError> {
        if stream.phase == DeliveryPhase::Deleting {
            return self.delete(stream).await;
        }
        if stream.is_direct_put() && !self.has_source(stream).await? {
            // The change that makes it active wakes us.
            return Ok(());
        }
        if stream.phase == DeliveryPhase::Creating {
            let active = DeliveryStream { phase: DeliveryPhase::Active, ..(**stream).clone() };
            self.parts.catalog.replace(active).await?;
            return Ok(());
        }
        self.work(stream).await
    }

    /// Starts delivering, or starts again with what was changed.
    async fn work(&mut self, stream: &Arc<DeliveryStream>) -> Result<(), StepError> {
        let version = stream.destination_version;
        let running = self.running.get(&stream.uid);
        if running.is_some_and(|running| running.destination_version == version) {
            return Ok(());
        }
        if let Some(running) = self.running.remove(&stream.uid) {
            running.group.stop().await;
        }
        let context = Arc::clone(&self.parts.context);
        let group = Group::start(context, Arc::clone(stream), self.source_of(stream))?;
        self.running.insert(stream.uid, Running { destination_version: version, group });
        Ok(())
    }

    fn source_of(&self, stream: &DeliveryStream) -> Source {
        let shards = self.parts.shards.clone();
        let find_shard: FindShard =
            Arc::new(move |stream, shard| shards.get(ShardKey { stream, shard }));
        let from = stream.spec.source.as_ref().and_then(|source| source.stream.as_ref());
        let named = from.and_then(|from| from.name.parse::<StreamName>().ok());
        match named {
            Some(name) => {
                let catalog = Arc::clone(&self.parts.streams) as Arc<dyn Catalog>;
                Source { catalog, stream: name, find_shard }
            }
            None => {
                let catalog = Arc::clone(&self.parts.sources) as Arc<dyn Catalog>;
                Source { catalog, stream: stream.name.clone(), find_shard }
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
        if current.phase == Phase::Active {
            let mut changed = (*current).clone();
            changed.settings.retention_hours = retention_hours;
            if changed.desired != desired {
                (changed.desired, changed.phase) = (desired, Phase::Updating);
            }
            if changed != *current {
                self.parts.sources.replace(changed).await?;
            } else {
                self.encrypt(stream, &current).await?;
            }
        }
        Ok(matches!(current.phase, Phase::Active | Phase::Updating))
    }

    /// Starts or stops encrypting what producers put.
    async fn encrypt(&self, stream: &DeliveryStream, source: &Stream) -> Result<(), StepError> {
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

    async fn delete(&mut self, stream: &DeliveryStream) -> Result<(), StepError> {
        if let Some(running) = self.running.remove(&stream.uid) {
            // What was not delivered is given up with its delivery stream.
            drop(running);
        }
        if stream.is_direct_put() {
            match self.parts.sources.get(&stream.name) {
                Some(source) if source.phase == Phase::Deleting => return Ok(()),
                Some(source) => {
                    let deleting = Stream { phase: Phase::Deleting, ..(*source).clone() };
                    self.parts.sources.replace(deleting).await?;
                    return Ok(());
                }
                None => {}
            }
        } else {
            self.forget(stream).await?;
        }
        self.parts.catalog.remove(stream.name.clone(), stream.version).await?;
        tracing::info!(delivery_stream = %stream.name, "deleted");
        Ok(())
    }

    async fn forget(&self, stream: &DeliveryStream) -> Result<(), StepError> {
        let source = self.source_of(stream);
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
