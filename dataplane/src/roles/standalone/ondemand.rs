//! Shards of on-demand streams follow their load: looked at now and then, decided in `model::scale`,
//! carried out by the reconciler like any other reshard.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use catalog::{ChangeError, Entries, LocalCatalog, Mode, Phase, Stream};
use model::{Clock, ScaleLimits, ShardId, ShardLoad};
use shard::SystemClock;
use streams_api::{Heat, ShardKey};
use tokio::task::JoinHandle;

/// How often, and how patiently.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Between two looks.
    pub(super) every: Duration,
    /// How long neighbours must have been quiet before they are merged.
    pub(super) quiet_for: Duration,
}

/// Looks after all on-demand streams in the background.
pub(super) fn start(catalog: Arc<LocalCatalog>, heat: Heat, pace: Pace) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut interval = tokio::time::interval(pace.every);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let mut streams = catalog.list(None, usize::MAX);
            streams.retain(|stream| stream.settings.mode == Mode::OnDemand);
            let open: HashSet<ShardKey> = streams.iter().flat_map(|one| open(one)).collect();
            heat.retain(|key| open.contains(key));
            for stream in streams {
                if let Err(error) = look_at(&catalog, &heat, &stream, pace).await {
                    let error = anyhow::Error::from(error);
                    tracing::warn!(stream = %stream.name, "will look again: {error:#}");
                }
            }
        }
    })
}

fn open(stream: &Stream) -> impl Iterator<Item = ShardKey> {
    stream.shards.owners().map(|shard| ShardKey { stream: stream.uid, shard: shard.id })
}

async fn look_at(
    catalog: &LocalCatalog,
    heat: &Heat,
    stream: &Stream,
    pace: Pace,
) -> Result<(), ChangeError> {
    let now = SystemClock.now();
    let load = |key: ShardKey| Some((key.shard, heat.take(key, now, pace.quiet_for)?));
    let loads: BTreeMap<ShardId, ShardLoad> = open(stream).filter_map(load).collect();
    if stream.phase != Phase::Active {
        return Ok(());
    }
    let min = stream.settings.warm_mib_per_second.unwrap_or_default();
    let limits = ScaleLimits { min, ..ScaleLimits::default() };
    let load = |shard| loads.get(&shard).copied().unwrap_or_default();
    let Some(desired) = model::scale(&stream.shards, load, limits) else {
        return Ok(());
    };
    tracing::info!(
        stream = %stream.name,
        from = stream.shards.owners().len(),
        to = desired.starting().len(),
        "resharding by load"
    );
    match catalog.replace(Stream { desired, phase: Phase::Updating, ..stream.clone() }).await {
        // Somebody else changed it first: looked at again soon.
        Err(ChangeError::Conflict(_) | ChangeError::Missing(_)) | Ok(_) => Ok(()),
        Err(error) => Err(error),
    }
}
