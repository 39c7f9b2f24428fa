//! `Stream`: a Kinesis data stream.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::pods::PodSettings;

/// A Kinesis data stream: records, in order within each shard, kept for a time.
#[derive(CustomResource, JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(clippy::duplicated_attributes, reason = "several columns are of the same type")]
#[kube(
    group = "leat.dev",
    version = "v1alpha1",
    kind = "Stream",
    namespaced,
    category = "leat",
    shortname = "kds",
    status = "StreamStatus",
    derive = "PartialEq",
    scale(
        spec_replicas_path = ".spec.shardCount",
        status_replicas_path = ".status.openShardCount",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Shards", json_path = ".status.openShardCount", type_ = "integer"),
    printcolumn(name = "Phase", json_path = ".status.phase", type_ = "string"),
    printcolumn(
        name = "Ready",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        type_ = "string"
    ),
    printcolumn(
        name = "Reason",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        type_ = "string",
        priority = 1
    ),
    printcolumn(name = "Pool", json_path = ".spec.pool", type_ = "string", priority = 1),
    printcolumn(name = "Age", json_path = ".metadata.creationTimestamp", type_ = "date"),
    crates(kube_core = "::kube_core")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "!has(self.minShards) || !has(self.maxShards) || self.minShards <= self.maxShards",
        "message": "minShards is more than maxShards: lower one or raise the other"
    },
    {
        "rule": "!has(self.minShards) && !has(self.maxShards) || has(self.mode) && self.mode == 'OnDemand'",
        "message": "minShards and maxShards are for mode OnDemand: set it, or set shardCount instead"
    },
    {
        "rule": "!has(self.shardBoundaries) || self.shardBoundaries[0] == '0'",
        "message": "shardBoundaries must begin with \"0\", where the ring does"
    },
    {
        "rule": "!has(self.shardBoundaries) || self.shardBoundaries.all(key, '000000000000000000000000000000000000000'.substring(size(key)) + key <= '340282366920938463463374607431768211455')",
        "message": "shardBoundaries must lie in the ring: below 2^128"
    },
    {
        "rule": "has(self.streamName) == has(oldSelf.streamName) && (!has(self.streamName) || self.streamName == oldSelf.streamName)",
        "message": "streamName cannot be changed: create another Stream"
    },
    {
        "rule": "has(self.pool) == has(oldSelf.pool) && (!has(self.pool) || self.pool == oldSelf.pool)",
        "message": "a stream cannot be moved into or out of a pool, because its records would stay behind: create another Stream"
    },
    {
        "rule": "(has(self.storage) && has(self.storage.className)) == (has(oldSelf.storage) && has(oldSelf.storage.className)) && (!has(self.storage) || !has(self.storage.className) || self.storage.className == oldSelf.storage.className)",
        "message": "storage.className cannot be changed, because volumes cannot: create another Stream"
    },
    {
        "rule": "(has(self.storage) && has(self.storage.size)) == (has(oldSelf.storage) && has(oldSelf.storage.size)) && (!has(self.storage) || !has(self.storage.size) || self.storage.size == oldSelf.storage.size)",
        "message": "storage.size cannot be changed, because volume claims of a StatefulSet cannot: create another Stream"
    },
    {
        "rule": "!has(self.pool) || (!has(self.pods) && !has(self.shardsPerPod))",
        "message": "pods and shardsPerPod belong to the pool: remove them, or remove pool"
    },
    {
        "rule": "!has(self.pool) || !has(self.storage) || (!has(self.storage.className) && !has(self.storage.size) && !has(self.storage.deletionPolicy))",
        "message": "storage.className, size and deletionPolicy belong to the pool: remove them, or remove pool"
    }
]))]
pub struct StreamSpec {
    /// The stream's name in the AWS API: 1 to 128 of a-z, A-Z, 0-9, '_', '.' and '-'. The name of this
    /// resource when not set. Cannot be changed.
    #[schemars(length(min = 1, max = 128))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_name: Option<String>,

    /// Who decides how many shards there are: Provisioned, by shardCount or shardBoundaries, or
    /// OnDemand, by the load. Provisioned when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,

    /// The fewest shards of a stream in mode OnDemand. 1 when not set.
    #[schemars(range(min = 1, max = 2500))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_shards: Option<u32>,

    /// The most shards of a stream in mode OnDemand. 2500 when not set.
    #[schemars(range(min = 1, max = 2500))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_shards: Option<u32>,

    /// How many shards share the ring evenly, unless shardBoundaries has as many entries. 1 when
    /// neither is set. `kubectl scale` and autoscalers change this; for them the operator writes it
    /// when nobody did (as field manager leat-operator-shards), and shardBoundaries if the shards are
    /// not even. What it wrote gives way to shardBoundaries and to mode OnDemand.
    #[schemars(range(min = 1, max = 2500))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard_count: Option<u32>,

    /// The starting hash key of each shard, decimal, increasing, the first "0": for shards of chosen
    /// widths. SplitShard and MergeShards change this. Not heeded while shardCount is another number.
    #[schemars(
        length(min = 1, max = 2500),
        inner(length(max = 39), regex(pattern = "^(0|[1-9][0-9]{0,38})$"))
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard_boundaries: Option<Vec<String>>,

    /// How long records can be read, in hours. 24 when not set.
    #[schemars(range(min = 24, max = 8760))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_period_hours: Option<u32>,

    /// The largest record, data and partition key, in KiB. 1024 when not set.
    #[schemars(range(min = 1024, max = 10240))]
    #[serde(rename = "maxRecordSizeKiB", skip_serializing_if = "Option::is_none")]
    pub max_record_size_kib: Option<u32>,

    /// How many pods keep each record: 1, 3 or 5. 1 when not set; more are refused by this version.
    #[schemars(range(min = 1, max = 5))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,

    /// Whether each shard imposes the throughput of an AWS shard. Unlimited when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,

    /// The throughput that shards of a stream in mode OnDemand are kept ready for, in MiB/s.
    #[schemars(range(min = 1, max = 10000))]
    #[serde(rename = "warmThroughputMiBps", skip_serializing_if = "Option::is_none")]
    pub warm_throughput_mibps: Option<u32>,

    /// Who decides which shard a record goes to: UserPartitionKey, its producer, or Auto, the stream.
    /// UserPartitionKey when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_distribution_strategy: Option<DistributionStrategy>,

    /// Encrypts new records on disk. They are not encrypted when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,

    /// What is measured shard by shard, by its CloudWatch name.
    #[schemars(length(max = 7))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shard_level_metrics: Vec<ShardLevelMetric>,

    /// The stream's tags in the AWS API.
    #[schemars(extend("maxProperties" = 50))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,

    /// The stream's resource policy in the AWS API, as JSON: who may do what beside those whom
    /// Kubernetes lets.
    #[schemars(length(max = 20480))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_policy: Option<String>,

    /// The name of the pool whose pods hold the shards, together with those of other streams. Pods of
    /// its own when not set. Cannot be changed.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,

    /// How many open shards one pod holds before another pod is added. 16 when not set.
    #[schemars(range(min = 1, max = 1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shards_per_pod: Option<u32>,

    /// How records are stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,

    /// The stream's pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods: Option<PodSettings>,
}

/// Who decides how many shards there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// shardCount or shardBoundaries.
    Provisioned,
    /// The load, between minShards and maxShards.
    OnDemand,
}

/// The throughput a shard imposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Limits {
    /// As fast as disk and processor allow.
    Unlimited,
    /// 1 MiB/s or 1,000 records/s in, 2 MiB/s and 5 calls/s out, as one AWS shard.
    #[serde(rename = "AWS")]
    Aws,
}

/// Who decides which shard a record goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DistributionStrategy {
    /// Its producer, by the partition key.
    UserPartitionKey,
    /// The stream, so that all shards get as much.
    Auto,
}

/// How records are encrypted on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Encryption {
    /// The master key, as StartStreamEncryption names it: an id in the Secret of master keys.
    #[schemars(length(min = 1, max = 2048))]
    pub key_id: String,
}

/// A metric of each shard, by its CloudWatch name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the names are CloudWatch's and documented there")]
pub enum ShardLevelMetric {
    IncomingBytes,
    IncomingRecords,
    OutgoingBytes,
    OutgoingRecords,
    WriteProvisionedThroughputExceeded,
    ReadProvisionedThroughputExceeded,
    IteratorAgeMilliseconds,
}

/// How records are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Storage {
    /// The oldest records of a shard are removed, before their retention period ends, while the
    /// shard takes more bytes than this. Unlimited when not set.
    #[schemars(range(min = 1048576))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_bytes_per_shard: Option<u64>,

    /// The storage class of the pods' volumes. The cluster's default when not set. Cannot be changed.
    #[schemars(length(min = 1, max = 253))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_name: Option<String>,

    /// The size of each pod's volume, as in "100Gi". "10Gi" when not set. Cannot be changed.
    #[schemars(length(min = 1, max = 20), regex(pattern = "^[1-9][0-9]*(Mi|Gi|Ti|M|G|T)$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,

    /// What becomes of the volumes when the stream is deleted. Delete when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
}

/// What becomes of volumes when their stream is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// They are deleted with it.
    Delete,
    /// They stay, with all records, until somebody deletes the volume claims.
    Retain,
}

/// What has become of a stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamStatus {
    /// The generation of the spec that this status reflects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// CREATING, ACTIVE, UPDATING or DELETING, as AWS's StreamStatus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Shards that take records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_shard_count: Option<u32>,
    /// The label selector of the pods, for autoscalers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// The StatefulSet whose pods hold the shards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stateful_set: Option<String>,
    /// Where shards should start: what the shards are on their way to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub desired_boundaries: Vec<String>,
    /// The number of the next new shard.
    #[serde(default)]
    pub next_shard: u32,
    /// All shards whose records can be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shards: Vec<StreamShard>,
    /// Those who are registered to be sent records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consumers: Vec<StreamConsumer>,
    /// The keys that records have been encrypted with, themselves encrypted under master keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data_keys: Vec<StreamDataKey>,
    /// What is so, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// One shard of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamShard {
    /// As in the AWS API.
    pub shard_id: String,
    /// Its first hash key, decimal.
    pub starting_hash_key: String,
    /// Its last hash key, decimal.
    pub ending_hash_key: String,
    /// How far it is in its life.
    pub state: StreamShardState,
    /// The pod that holds it.
    pub pod: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// The shard it was split off, or the lower of the two it was merged from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_shard_id: Option<String>,
    /// The upper of the two it was merged from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adjacent_parent_shard_id: Option<String>,
    /// When it was closed, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_ms: Option<u64>,
    /// How many records it ever took, once it is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_offset: Option<u64>,
}

/// A shard's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StreamShardState {
    /// Announced; its pod may not have made it yet.
    Pending,
    /// Takes records.
    Open,
    /// Takes records until its children are made.
    Closing,
    /// Can be read until its records expire.
    Closed,
}

/// A registered consumer of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamConsumer {
    /// As in the AWS API.
    pub name: String,
    /// When it was registered, in milliseconds since 1970.
    pub created_ms: u64,
    /// Its tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Its resource policy, as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_policy: Option<String>,
}

/// A key that records have been encrypted with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamDataKey {
    /// Its number in the stream, from 1.
    pub number: u32,
    /// The master key it is encrypted under.
    pub key_id: String,
    /// The key, encrypted, in base64.
    pub wrapped: String,
}

impl Stream {
    /// Its name in the AWS API.
    #[must_use]
    pub fn stream_name(&self) -> &str {
        let name = self.spec.stream_name.as_deref().or(self.metadata.name.as_deref());
        name.unwrap_or_default()
    }

    /// When the API server says that it was created.
    #[must_use]
    pub fn created(&self) -> Option<&Time> {
        self.metadata.creation_timestamp.as_ref()
    }
}
