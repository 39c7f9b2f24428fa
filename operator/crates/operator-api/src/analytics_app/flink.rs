//! Applications of Apache Flink.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::pods::{ClientTls, SecretRef};

/// A program on Apache Flink.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "has(self.jar) != has(self.sql)",
        "message": "set jar or sql, one of the two"
    },
    {
        "rule": "has(self.jar) || !(has(self.entryClass) || has(self.args))",
        "message": "entryClass and args are for a jar: remove them"
    },
    {
        "rule": "!has(self.autoscaling) || !has(self.autoscaling.parallelismMax) || \
            (has(self.parallelism) ? self.parallelism : 1) <= self.autoscaling.parallelismMax",
        "message": "autoscaling.parallelismMax is less than parallelism: raise it"
    }
]))]
pub struct FlinkApp {
    /// The version of Flink: the tag's start of the image. 1.20 when not set.
    #[schemars(length(max = 16), extend("pattern" = "^[12]\\.[0-9]+(\\.[0-9]+)?$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,

    /// The program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jar: Option<FlinkJar>,

    /// Statements of Flink SQL, instead of a program.
    #[schemars(length(min = 1, max = 102400))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sql: Option<String>,

    /// The class to run. What the jar's manifest says when not set.
    #[schemars(length(min = 1, max = 512), extend("pattern" = "^[A-Za-z_$][A-Za-z0-9_$.]*$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry_class: Option<String>,

    /// The program's arguments.
    #[schemars(length(max = 100), inner(length(max = 4096)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<String>>,

    /// Properties for the program, by group, as it reads them at run time.
    #[schemars(extend("maxProperties" = 50))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub property_groups: Option<BTreeMap<String, BTreeMap<String, String>>>,

    /// Settings of Flink itself, as in its configuration file.
    #[schemars(extend("maxProperties" = 200))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<BTreeMap<String, String>>,

    /// How many tasks of an operator run side by side. 1 when not set.
    #[schemars(range(min = 1, max = 4096))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<u32>,

    /// How many of them share a pod. 1 when not set.
    #[schemars(range(min = 1, max = 8))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallelism_per_kpu: Option<u32>,

    /// Parallelism that follows the load. Off when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,

    /// What is logged. INFO when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_level: Option<LogLevel>,

    /// How fine metrics are. APPLICATION when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_level: Option<MetricsLevel>,
}

/// Where the program is: exactly one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.url), has(self.persistentVolumeClaim)].exists_one(set, set)",
    "message": "set exactly one place of the jar: url or persistentVolumeClaim"
}]))]
pub struct FlinkJar {
    /// Its address, http, https or s3, fetched when a pod starts.
    #[schemars(length(max = 2048), extend("pattern" = "^(https?|s3)://"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,

    /// The bearer token to fetch it with, in a Secret. None when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_ref: Option<SecretRef>,

    /// How the server's certificate is checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ClientTls>,

    /// A file on a volume that many pods can mount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<ClaimFile>,

    /// Its SHA-256, hexadecimal: another file is refused. Not checked when not set.
    #[schemars(length(max = 64), extend("pattern" = "^[0-9a-f]{64}$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// A file on a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimFile {
    /// The PersistentVolumeClaim's name, in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub claim_name: String,

    /// The file's path on the volume, as in jobs/clicks.jar.
    #[schemars(length(min = 1, max = 1024), extend("pattern" = "^[^/]"))]
    pub path: String,
}

/// Parallelism that follows the load.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Autoscaling {
    /// Whether it does. false when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,

    /// The most it rises to. 32 when not set.
    #[schemars(range(min = 1, max = 4096))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallelism_max: Option<u32>,
}

/// What is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum LogLevel {
    /// What a human must look at.
    Error,
    /// What is surprising, too.
    Warn,
    /// What happens, too.
    Info,
    /// Everything.
    Debug,
}

/// How fine metrics are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum MetricsLevel {
    /// For the application.
    Application,
    /// For each task.
    Task,
    /// For each operator.
    Operator,
    /// For each parallel instance of an operator.
    Parallelism,
}
