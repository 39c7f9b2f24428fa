//! The load of on-demand streams, told to the pods that hold their shards: each gateway has seen a part
//! of it, and the operator asks the pods.

use std::time::Duration;

use futures_util::future::join_all;
use model::Passed;
use streams_api::{Heat, ShardKey};
use wire::{Call, ShardRef};

use super::route::Routes;

/// How far a pod is behind.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// What a pod has not heard by then it does not hear.
const TELL_MAX: Duration = Duration::from_secs(5);

/// Tells it in the background.
pub(super) fn start(heat: Heat, routes: Routes) {
    tokio::spawn(async move {
        let mut interval = tokio::time::interval(TELL_EVERY);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            join_all(heat.drain().into_iter().map(|(key, passed)| tell(&routes, key, passed)))
                .await;
        }
    });
}

async fn tell(routes: &Routes, key: ShardKey, passed: Passed) {
    // The shard may have moved or gone: then its load says nothing any more.
    let Some(peer) = routes.get(key) else { return };
    let shard = ShardRef { stream: key.stream.0, shard: key.shard };
    match tokio::time::timeout(TELL_MAX, peer.call(Call::Passed { shard, passed })).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a load was not told"),
        Err(_) => tracing::debug!("a load was not told in time"),
    }
}
