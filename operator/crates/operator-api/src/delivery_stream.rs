//! `DeliveryStream`: a Firehose delivery stream.

mod conversion;
mod destination;
mod endpoints;
mod objects;
mod processing;
mod tables;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use conversion::*;
pub use destination::*;
pub use endpoints::*;
pub use objects::*;
pub use processing::*;
pub use tables::*;

use crate::Encryption;
use crate::pods::{PodSettings, VolumeSettings};

/// A Firehose delivery stream: records from producers or a Stream, brought to one destination.
#[derive(CustomResource, JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "leat.dev",
    version = "v1alpha1",
    kind = "DeliveryStream",
    namespaced,
    category = "leat",
    shortname = "dstream",
    doc = "A Firehose delivery stream.",
    status = "DeliveryStreamStatus",
    printcolumn = r#"{"name": "Ready", "type": "string",
        "jsonPath": ".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string",
        "jsonPath": ".status.conditions[?(@.type=='Ready')].reason"}"#,
    printcolumn = r#"{"name": "Stream", "type": "string",
        "jsonPath": ".spec.source.stream.name"}"#,
    printcolumn = r#"{"name": "Destination", "type": "string",
        "jsonPath": ".status.destination"}"#,
    printcolumn = r#"{"name": "Age", "type": "date",
        "jsonPath": ".metadata.creationTimestamp"}"#,
    crates(kube_core = "::kube_core")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "(has(self.source) && has(self.source.stream)) == \
            (has(oldSelf.source) && has(oldSelf.source.stream))",
        "message": "the kind of source cannot be changed: create another DeliveryStream"
    },
    {
        "rule": "has(self.storage) == has(oldSelf.storage) && \
            (!has(self.storage) || self.storage == oldSelf.storage)",
        "message": "storage cannot be changed: create another DeliveryStream"
    },
    {
        "rule": "has(self.pool) == has(oldSelf.pool) && \
            (!has(self.pool) || self.pool == oldSelf.pool)",
        "message": "pool cannot be changed, for what is stored would stay behind: \
            create another DeliveryStream"
    },
    {
        "rule": "has(self.deliveryStreamName) == has(oldSelf.deliveryStreamName) && \
            (!has(self.deliveryStreamName) || \
            self.deliveryStreamName == oldSelf.deliveryStreamName)",
        "message": "deliveryStreamName cannot be changed: create another DeliveryStream"
    },
    {
        "rule": "!has(self.encryption) || !has(self.source) || !has(self.source.stream)",
        "message": "encryption is for directPut: set it on the source Stream instead"
    },
    {
        "rule": "!has(self.dynamicPartitioning) || !has(self.dynamicPartitioning.enabled) || \
            !self.dynamicPartitioning.enabled || has(self.destination.s3) || \
            has(self.destination.gcs) || has(self.destination.azureBlob)",
        "message": "dynamicPartitioning needs destination s3, gcs or azureBlob: remove it"
    },
    {
        "rule": "!has(self.formatConversion) || has(self.destination.s3) || \
            has(self.destination.gcs) || has(self.destination.azureBlob)",
        "message": "formatConversion needs destination s3, gcs or azureBlob: remove it"
    },
    {
        "rule": "!has(self.compaction) || has(self.destination.s3) || \
            has(self.destination.gcs) || has(self.destination.azureBlob) || \
            has(self.destination.iceberg)",
        "message": "compaction needs destination s3, gcs, azureBlob or iceberg: remove it"
    },
    {
        "rule": "(has(self.backup) && has(self.backup.s3)) || has(self.destination.s3) || \
            has(self.destination.gcs) || has(self.destination.azureBlob) || \
            has(self.destination.stream) || has(self.destination.kafka)",
        "message": "this destination can refuse records for good: set backup.s3 to keep them"
    }
]))]
pub struct DeliveryStreamSpec {
    /// The name in the AWS API: 1 to 64 of a-z, A-Z, 0-9, '_', '.' and '-'. The name of this resource
    /// when not set. It cannot be changed.
    #[schemars(length(min = 1, max = 64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_stream_name: Option<String>,

    /// Where records come from. Producers (directPut) when not set. Its kind cannot be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,

    /// What happens to records on the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processing: Option<Processing>,

    /// Where records are brought: exactly one.
    pub destination: Destination,

    /// When a batch is delivered: when one of the two is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buffering: Option<Buffering>,

    /// How long delivery of a batch is retried before it counts as refused, in seconds. 300 when
    /// not set, 3600 for redshift. Object stores, stream and kafka are retried until they answer.
    #[schemars(range(min = 0, max = 7200))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_duration_seconds: Option<u32>,

    /// Where records go that were refused, or all records beside. Required for destinations other
    /// than s3, gcs, azureBlob, stream and kafka.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,

    /// Objects by what is in the records. Only for s3, gcs and azureBlob.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dynamic_partitioning: Option<DynamicPartitioning>,

    /// Objects in a column format instead of JSON. Only for s3, gcs and azureBlob.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format_conversion: Option<FormatConversion>,

    /// Few large objects made of many small ones, afterwards. Off when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compaction: Option<Compaction>,

    /// Encrypts records of directPut on disk. They are not encrypted when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,

    /// The tags in the AWS API.
    #[schemars(extend("maxProperties" = 50))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,

    /// The shared StatefulSet to run on. One of its own when not set. It cannot be
    /// changed.
    #[schemars(
        length(min = 1, max = 40),
        extend("pattern" = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,

    /// How many pods deliver. 1 when not set.
    #[schemars(range(min = 1, max = 256))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,

    /// How the pods run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods: Option<PodSettings>,

    /// The persistent volume of each pod. It cannot be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<VolumeSettings>,
}

/// Where records come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!(has(self.directPut) && has(self.stream))",
    "message": "set directPut or stream, not both"
}]))]
pub struct Source {
    /// Producers, which call PutRecord and PutRecordBatch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direct_put: Option<DirectPut>,

    /// A Stream of the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamSource>,
}

/// What holds records of producers until they are delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DirectPut {
    /// How many shards take records side by side. 1 when not set.
    #[schemars(range(min = 1, max = 1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard_count: Option<u32>,

    /// How long records wait while the destination is down, in hours. 24 when not set.
    #[schemars(range(min = 24, max = 8760))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_period_hours: Option<u32>,

    /// What producers are expected to send, in MiB/s. Only told to who asks.
    #[schemars(range(min = 1, max = 100))]
    #[serde(rename = "throughputHintMiB", skip_serializing_if = "Option::is_none")]
    pub throughput_hint_mib: Option<u32>,
}

/// A Stream whose records are delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "self.name == oldSelf.name",
        "message": "the source stream cannot be changed: create another DeliveryStream"
    },
    {
        "rule": "(has(self.startingPosition) && self.startingPosition == 'AT_TIMESTAMP') == \
            has(self.startingTimestamp)",
        "message": "set startingTimestamp with startingPosition AT_TIMESTAMP, and only with it"
    }
]))]
pub struct StreamSource {
    /// The Stream's name. It cannot be changed.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,

    /// Where to start in shards never read before. LATEST when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starting_position: Option<StartingPosition>,

    /// The time to start at, RFC 3339, as in 2026-11-24T08:00:00Z. For AT_TIMESTAMP.
    #[schemars(length(max = 64), extend("format" = "date-time"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starting_timestamp: Option<String>,
}

/// Where to start in a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StartingPosition {
    /// Records that come from now on.
    Latest,
    /// The oldest record there is.
    TrimHorizon,
    /// The first record at or after a time.
    AtTimestamp,
}

/// When a batch is delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Buffering {
    /// The size of a batch, before compression, in MiB. 5 when not set; 128 for snowflake and with
    /// formatConversion. At most 100 for elasticsearch and opensearch, 64 for httpEndpoint, 5 for
    /// splunk.
    #[schemars(range(min = 1, max = 128))]
    #[serde(rename = "sizeMiB", skip_serializing_if = "Option::is_none")]
    pub size_mib: Option<u32>,

    /// How long a batch waits for more records, in seconds; 0 delivers at once. 300 when not set;
    /// 60 for splunk, which allows no more; 0 for snowflake.
    #[schemars(range(min = 0, max = 900))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<u32>,
}

/// Where records go that were refused, or all records beside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.s3) || (has(self.mode) && self.mode == 'Disabled')",
    "message": "set s3, or mode Disabled"
}]))]
pub struct Backup {
    /// Which records. FailedOnly when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<BackupMode>,

    /// The bucket. Its errorOutputPrefix takes what was refused, its prefix the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Destination>,
}

/// Which records are backed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BackupMode {
    /// None.
    Disabled,
    /// Those that could not be processed or that the destination refused.
    FailedOnly,
    /// All, as they came, before processing.
    AllRecords,
}

/// Objects by what is in the records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DynamicPartitioning {
    /// Whether records are partitioned. false when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,

    /// Accepted and told again, as on AWS. An object is put until its bucket takes it, however long that
    /// is.
    #[schemars(range(min = 0, max = 7200))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_duration_seconds: Option<u32>,

    /// How many partitions may be open at once; records of more go to errorOutputPrefix. 500 when
    /// not set.
    #[schemars(range(min = 1, max = 5000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_partitions_max: Option<u32>,
}

/// Few large objects made of many small ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Compaction {
    /// Whether objects are compacted. true when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,

    /// How large an object to aim at, in MiB. 512 when not set.
    #[schemars(range(min = 16, max = 4096))]
    #[serde(rename = "targetSizeMiB", skip_serializing_if = "Option::is_none")]
    pub target_size_mib: Option<u32>,

    /// How often to look for small objects, in seconds. 3600 when not set.
    #[schemars(range(min = 60, max = 86400))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<u32>,

    /// How old an object must be, in seconds, so that a prefix still being written is left alone.
    /// 900 when not set.
    #[schemars(range(min = 0, max = 604800))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_seconds_min: Option<u32>,
}

/// What has become of a delivery stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryStreamStatus {
    /// The generation of the spec that this status reflects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// CREATING, CREATING_FAILED, ACTIVE, DELETING or DELETING_FAILED, as AWS's
    /// DeliveryStreamStatus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,

    /// The destination in use, as in s3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,

    /// AWS's VersionId: 1, and one more with each change of what is delivered where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_version: Option<u64>,

    /// What that version is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_digest: Option<String>,

    /// Since when it is that version; not set while it is the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_changed: Option<Time>,

    /// The StatefulSet whose pods deliver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stateful_set: Option<String>,

    /// What the pods tell, each for the shards that it reads.
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["pod"]
    ))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pods: Vec<DeliveryPod>,

    /// What holds: Accepted, Ready, Progressing, Degraded.
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// What a pod tells of the shards that it reads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryPod {
    /// Its name.
    pub pod: String,

    /// How many shards it reads.
    #[serde(default)]
    pub shards: u32,

    /// How many records it has yet to read.
    #[serde(default)]
    pub backlog: u64,

    /// How long the oldest record that it has read waits to be delivered, in seconds, as of the last time that
    /// it told; 0 when none waits.
    #[serde(default)]
    pub freshness_seconds: u64,

    /// What the destination, or the backup, said last. Not set while it takes what it is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

impl DeliveryStream {
    /// Its name in the AWS API.
    #[must_use]
    pub fn delivery_stream_name(&self) -> &str {
        let name = self.spec.delivery_stream_name.as_deref().or(self.metadata.name.as_deref());
        name.unwrap_or_default()
    }
}
