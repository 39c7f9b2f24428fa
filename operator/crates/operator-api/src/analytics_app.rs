//! `AnalyticsApp`: a Kinesis Data Analytics application, or one of Managed Service for Apache
//! Flink.

mod flink;
mod sql;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use flink::*;
pub use sql::*;

use crate::pods::{AwsCredentials, PodSettings, VolumeSettings};

/// An analytics application: SQL over streams in one pod of ours, or any program on Apache Flink.
#[derive(CustomResource, JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "leat.dev",
    version = "v1alpha1",
    kind = "AnalyticsApp",
    namespaced,
    category = "leat",
    shortname = "aapp",
    doc = "A Kinesis Data Analytics application.",
    status = "AnalyticsAppStatus",
    printcolumn = r#"{"name": "Runtime", "type": "string",
        "jsonPath": ".spec.runtime"}"#,
    printcolumn = r#"{"name": "Ready", "type": "string",
        "jsonPath": ".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string",
        "jsonPath": ".status.conditions[?(@.type=='Ready')].reason"}"#,
    printcolumn = r#"{"name": "Snapshot", "type": "date",
        "jsonPath": ".status.lastSnapshotTime"}"#,
    printcolumn = r#"{"name": "Age", "type": "date",
        "jsonPath": ".metadata.creationTimestamp"}"#,
    crates(kube_core = "::kube_core")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "self.runtime == oldSelf.runtime",
        "message": "runtime cannot be changed: create another AnalyticsApp"
    },
    {
        "rule": "(self.runtime == 'SQL') == has(self.sql) && \
            (self.runtime == 'Flink') == has(self.flink)",
        "message": "set sql with runtime SQL, or flink with runtime Flink, and not the other"
    },
    {
        "rule": "has(self.storage) == has(oldSelf.storage) && \
            (!has(self.storage) || self.storage == oldSelf.storage)",
        "message": "storage cannot be changed: create another AnalyticsApp"
    },
    {
        "rule": "has(self.pool) == has(oldSelf.pool) && \
            (!has(self.pool) || self.pool == oldSelf.pool)",
        "message": "pool cannot be changed, for what is stored would stay behind: \
            create another AnalyticsApp"
    },
    {
        "rule": "self.runtime == 'SQL' || !has(self.pool)",
        "message": "pool is for runtime SQL: remove it"
    },
    {
        "rule": "self.runtime == 'SQL' || !has(self.storage)",
        "message": "storage is for runtime SQL: set checkpointing.s3 instead"
    }
]))]
pub struct AnalyticsAppSpec {
    /// What runs it. It cannot be changed.
    pub runtime: Runtime,

    /// Whether it should run. Running when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<AppState>,

    /// The application, for runtime SQL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sql: Option<SqlApp>,

    /// The application, for runtime Flink.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flink: Option<FlinkApp>,

    /// What is kept so that a restart goes on where it stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpointing: Option<Checkpointing>,

    /// What is kept so that a new version of the application can go on from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshots: Option<Snapshots>,

    /// The shared StatefulSet to run on, for runtime SQL. One of its own when not set. It cannot be
    /// changed.
    #[schemars(
        length(min = 1, max = 40),
        extend("pattern" = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,

    /// How the pods run. With runtime Flink, resources are those of one KPU, 1 processor and 4 GiB
    /// when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods: Option<PodSettings>,

    /// The persistent volume, for runtime SQL. It cannot be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<VolumeSettings>,
}

/// What runs an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Runtime {
    /// Our SQL engine: one pod, SQL-1_0 or Flink SQL.
    #[serde(rename = "SQL")]
    Sql,
    /// Apache Flink: as many pods as it takes.
    Flink,
}

/// Whether an application should run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AppState {
    /// It runs.
    Running,
    /// It does not; its checkpoints and snapshots stay.
    Stopped,
}

/// What is kept so that a restart goes on where it stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.enabled) || self.enabled || \
        !(has(self.intervalSeconds) || has(self.minPauseSeconds))",
    "message": "enabled is false: remove intervalSeconds and minPauseSeconds"
}]))]
pub struct Checkpointing {
    /// Whether checkpoints are taken. true when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,

    /// The time from the start of one to the start of the next, in seconds. 60 when not set.
    #[schemars(range(min = 1, max = 86400))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<u32>,

    /// The time from the end of one to the start of the next, at least, in seconds. 5 when not set.
    #[schemars(range(min = 0, max = 86400))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_pause_seconds: Option<u32>,

    /// Where they are kept. On the pod's volume when not set, which runtime Flink has none of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Location>,
}

/// What is kept so that a new version of the application can go on from it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Snapshots {
    /// Whether one is taken before each change and stop. true when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,

    /// How often one is taken besides, in seconds. Never when not set.
    #[schemars(range(min = 60, max = 2592000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<u32>,

    /// How many are kept; the oldest goes first. 10 when not set.
    #[schemars(range(min = 1, max = 1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count_max: Option<u32>,

    /// What a start begins from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore: Option<Restore>,
}

/// What a start begins from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "(has(self.type) && self.type == 'RESTORE_FROM_CUSTOM_SNAPSHOT') == \
        has(self.snapshotName)",
    "message": "set snapshotName with type RESTORE_FROM_CUSTOM_SNAPSHOT, and only with it"
}]))]
pub struct Restore {
    /// Which snapshot. RESTORE_FROM_LATEST_SNAPSHOT when not set.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<RestoreType>,

    /// Its name, with RESTORE_FROM_CUSTOM_SNAPSHOT.
    #[schemars(length(min = 1, max = 256))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_name: Option<String>,

    /// Whether state that the application no longer has is left out instead of refused. false when
    /// not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_non_restored_state: Option<bool>,
}

/// Which snapshot a start begins from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RestoreType {
    /// None: with empty state.
    SkipRestoreFromSnapshot,
    /// The newest, or none where there is none.
    RestoreFromLatestSnapshot,
    /// The one named.
    RestoreFromCustomSnapshot,
}

/// A place in Amazon S3 or what speaks its API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct S3Location {
    /// The bucket.
    #[schemars(length(min = 3, max = 63))]
    pub bucket: String,

    /// What keys start with. Empty when not set.
    #[schemars(length(max = 1024))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,

    /// The region that requests are signed for. us-east-1 when not set.
    #[schemars(length(min = 1, max = 64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,

    /// The server's address, for one that is not AWS's, as in http://minio:9000. AWS's when not
    /// set.
    #[schemars(length(max = 1000), extend("pattern" = "^https?://"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,

    /// The access key. The pod's own identity when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<AwsCredentials>,
}

/// What has become of an application.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalyticsAppStatus {
    /// The generation of the spec that this status reflects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// STARTING, RUNNING, STOPPING, READY (stopped), UPDATING, AUTOSCALING or DELETING, as AWS's
    /// ApplicationStatus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,

    /// The newest snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_snapshot_name: Option<String>,

    /// When it was taken, RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_snapshot_time: Option<String>,

    /// What holds: Accepted, Ready, Progressing, Degraded.
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
