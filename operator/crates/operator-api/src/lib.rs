//! The custom resources `leat.dev/v1alpha1`, as users write them. Pure: types and their schemas.
//!
//! A field's documentation here is what `kubectl explain` shows. What a value means beyond its
//! schema is checked in `operator-core`.

pub mod analytics_app;
pub mod conditions;
pub mod delivery_stream;
pub mod pods;
mod stream;
pub mod video_stream;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube_core::CustomResourceExt;

pub use analytics_app::{AnalyticsApp, AnalyticsAppSpec, AnalyticsAppStatus};
pub use delivery_stream::{DeliveryStream, DeliveryStreamSpec, DeliveryStreamStatus};
pub use stream::{
    DeletionPolicy, DistributionStrategy, Encryption, Limits, Mode, ShardLevelMetric, Storage,
    Stream, StreamConsumer, StreamDataKey, StreamShard, StreamShardState, StreamSpec, StreamStatus,
};
pub use video_stream::{VideoStream, VideoStreamSpec, VideoStreamStatus};

/// The API group and version of all resources.
pub const API_VERSION: &str = "leat.dev/v1alpha1";

/// All custom resource definitions.
#[must_use]
pub fn definitions() -> Vec<CustomResourceDefinition> {
    vec![Stream::crd(), DeliveryStream::crd(), AnalyticsApp::crd(), VideoStream::crd()]
}

/// Each custom resource definition, by the name of its file in `crds/`.
#[must_use]
pub fn crds() -> Vec<(String, String)> {
    let file = |definition: &CustomResourceDefinition| {
        let yaml = serde_yaml::to_string(definition).expect("a definition has a YAML form");
        let name = definition.metadata.name.as_deref().expect("a definition has a name");
        (format!("{name}.yaml"), yaml)
    };
    definitions().iter().map(file).collect()
}

#[cfg(test)]
mod tests;
