//! What a pod tells of its delivery streams, in their status: its own entry, which nobody else writes.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use delivery::Status;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use model::UnixMillis;
use operator_api::DeliveryStream;
use operator_api::delivery_stream::DeliveryPod;
use serde_json::json;

/// Between two words about what has changed. What waits changes all the time, so it is told more rarely.
const NEWS_PAUSE: Duration = Duration::from_secs(5);
const WAITING_PAUSE: Duration = Duration::from_secs(30);
/// How long the API server may take.
const TELL_MAX: Duration = Duration::from_secs(5);
/// What of an error is told.
const ERROR_CHARS_MAX: usize = 500;

/// How a delivery stream is doing here. The pod has yet to be named.
pub(super) fn told(status: &Status, refused: Option<String>, now: UnixMillis) -> DeliveryPod {
    let failing = status.failing().map(|failing| failing.what);
    let error = refused.or(failing);
    let oldest = status.oldest();
    DeliveryPod {
        pod: String::new(),
        shards: u32::try_from(status.shards()).unwrap_or(u32::MAX),
        backlog: status.behind(),
        freshness_seconds: oldest.map_or(0, |oldest| now.since(oldest).as_secs()),
        last_error: error.map(|error| error.chars().take(ERROR_CHARS_MAX).collect()),
    }
}

/// Tells it.
pub(super) struct Teller {
    api: Api<DeliveryStream>,
    pod: String,
    told: HashMap<String, (Instant, DeliveryPod)>,
}

impl Teller {
    pub(super) fn new(client: Client, namespace: &str, pod: &str) -> Teller {
        let api = Api::namespaced(client, namespace);
        Teller { api, pod: pod.to_owned(), told: HashMap::new() }
    }

    /// Forgets what was told of others.
    pub(super) fn retain(&mut self, stays: impl Fn(&str) -> bool) {
        self.told.retain(|resource, _| stays(resource));
    }

    /// Tells how a delivery stream is doing, if that is news. What is not told now is told later.
    pub(super) async fn tell(&mut self, resource: &str, told: DeliveryPod) {
        let told = DeliveryPod { pod: self.pod.clone(), ..told };
        if let Some((at, before)) = self.told.get(resource) {
            let is_news = (told.shards, &told.last_error) != (before.shards, &before.last_error);
            let pause = if is_news { NEWS_PAUSE } else { WAITING_PAUSE };
            if told == *before || at.elapsed() < pause {
                return;
            }
        }
        let patch = json!({
            "apiVersion": operator_api::API_VERSION,
            "kind": "DeliveryStream",
            "metadata": {"name": resource},
            "status": {"pods": [told]},
        });
        let params = PatchParams::apply(&self.pod).force();
        let patch = Patch::Apply(&patch);
        let patched = self.api.patch_status(resource, &params, &patch);
        match tokio::time::timeout(TELL_MAX, patched).await {
            Ok(Ok(_)) => {}
            // One that was deleted meanwhile is told nothing.
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => {}
            Ok(Err(error)) => tracing::warn!(resource, %error, "not told how it goes"),
            Err(_) => {
                tracing::warn!(resource, "not told how it goes: the API server takes too long")
            }
        }
        self.told.insert(resource.to_owned(), (Instant::now(), told));
    }
}
