//! What all resources say in the same words: the pods that carry them out, their volumes, and
//! where their secrets and certificates are.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ResourceRequirements, Toleration};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// How the pods of a resource run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodSettings {
    /// The container image. That of the operator's own release when not set.
    #[schemars(length(min = 1, max = 512))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,

    /// Processor and memory of each pod: requests and limits, as in a container.
    // With a schema of its own, only a default tells schemars that it may be left out.
    #[schemars(schema_with = "resources_schema")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,

    /// Labels a node must have. Any node when not set.
    #[schemars(extend("maxProperties" = 64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<BTreeMap<String, String>>,

    /// Taints of nodes that the pods tolerate.
    #[schemars(length(max = 64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerations: Option<Vec<Toleration>>,

    /// RuntimeDefault, Unconfined, or Localhost/ and the path of a profile under the kubelet's
    /// seccomp directory, as in Localhost/profiles/leat.json. RuntimeDefault when not set.
    #[schemars(
        length(max = 512),
        extend("pattern" = "^(RuntimeDefault|Unconfined|Localhost/[^/].*)$")
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seccomp_profile: Option<String>,
}

/// Kubernetes' own schema checks no quantities, and says of each what a quantity is, at length.
fn resources_schema(_: &mut SchemaGenerator) -> Schema {
    let quantities = |description: &str| {
        json_schema!({
            "description": description,
            "type": "object",
            "maxProperties": 16,
            "nullable": true,
            "additionalProperties": {
                "x-kubernetes-int-or-string": true,
                "maxLength": 32,
                "pattern": r"^[0-9]+(\.[0-9]+)?([KMGTPE]i|[numkMGTPE]|[eE][0-9]+)?$",
            },
        })
    };
    json_schema!({
        "type": "object",
        "nullable": true,
        "properties": {
            "requests": quantities("What each pod is sure to get, as in cpu: 500m, memory: 1Gi."),
            "limits": quantities("What each pod may take at most, as in memory: 2Gi."),
        },
    })
}

/// The persistent volume of each pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VolumeSettings {
    /// The StorageClass. The cluster's default when not set.
    #[schemars(length(min = 1, max = 253))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_name: Option<String>,

    /// The size, as in 20Gi. 10Gi when not set.
    #[schemars(length(max = 32), extend("pattern" = "^[1-9][0-9]*(Mi|Gi|Ti|Pi|M|G|T|P)$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
}

/// One entry of a Secret in the resource's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretRef {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// The entry in its data.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A user's name and password.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UserCredentials {
    /// The name, in a Secret.
    pub username_ref: SecretRef,

    /// The password, in a Secret.
    pub password_ref: SecretRef,
}

/// An AWS access key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AwsCredentials {
    /// The access key id, in a Secret.
    pub access_key_id_ref: SecretRef,

    /// The secret access key, in a Secret.
    pub secret_access_key_ref: SecretRef,

    /// The session token, in a Secret, for temporary keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_token_ref: Option<SecretRef>,
}

/// How the certificate of a server is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientTls {
    /// The authorities to trust, PEM, in a Secret. The usual public ones when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_ref: Option<SecretRef>,

    /// Trust any certificate: for tests only. false when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insecure_skip_verify: Option<bool>,
}

/// A Stream of the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamRef {
    /// The Stream's name.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
}
