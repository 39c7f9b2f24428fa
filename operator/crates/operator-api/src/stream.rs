//! `Stream`: a Kinesis data stream.

use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Kinesis data stream: records, in order within each shard, kept for a time.
#[derive(CustomResource, JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "leat.dev",
    version = "v1alpha1",
    kind = "Stream",
    namespaced,
    category = "leat",
    status = "StreamStatus",
    scale(
        spec_replicas_path = ".spec.shardCount",
        status_replicas_path = ".status.openShardCount"
    ),
    printcolumn(name = "Shards", json_path = ".status.openShardCount", type_ = "integer"),
    printcolumn(name = "Phase", json_path = ".status.phase", type_ = "string"),
    printcolumn(name = "Age", json_path = ".metadata.creationTimestamp", type_ = "date"),
    crates(kube_core = "::kube_core")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!(has(self.shardCount) && has(self.shardBoundaries))",
    "message": "set shardCount or shardBoundaries, not both"
}]))]
pub struct StreamSpec {
    /// How many shards share the ring evenly. 1 when neither this nor shardBoundaries is set.
    #[schemars(range(min = 1, max = 10000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard_count: Option<u32>,

    /// The starting hash key of each shard, decimal, increasing, the first "0": for shards of chosen
    /// widths. This is what SplitShard and MergeShards edit.
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

    /// Whether each shard imposes the throughput of an AWS shard. Unlimited when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,

    /// How records are stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
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

/// How records are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Storage {
    /// The oldest records of a shard are removed, before their retention period ends, while the
    /// shard takes more bytes than this. Unlimited when not set.
    #[schemars(range(min = 1048576))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_bytes_per_shard: Option<u64>,
}

/// What has become of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// All shards whose records can be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shards: Vec<StreamShard>,
}

/// One shard of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamShard {
    /// As in the AWS API.
    pub shard_id: String,
    /// Its first hash key, decimal.
    pub starting_hash_key: String,
    /// Its last hash key, decimal.
    pub ending_hash_key: String,
    /// Whether it takes records.
    pub open: bool,
}
