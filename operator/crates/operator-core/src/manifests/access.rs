//! Who a set's pods are, what they may do, and what they are told.

use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use node_config::{FILE, FORMAT, Memory, NodeConfig};

use super::stateful_set::{DATA_DIR, SECRET_DIR};
use super::{NodeSet, metadata};
use crate::names;

pub(super) fn service_account(set: &NodeSet) -> ServiceAccount {
    ServiceAccount { metadata: metadata(set), ..ServiceAccount::default() }
}

/// Pods look at streams, and change nothing. Those that deliver look at delivery streams and at the
/// Secrets that these name, and tell how they are doing.
pub(super) fn role(set: &NodeSet) -> Role {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let rule = |resources: &[&str], verbs: &[&str]| PolicyRule {
        api_groups: Some(words(&["leat.dev"])),
        resources: Some(words(resources)),
        verbs: words(verbs),
        ..PolicyRule::default()
    };
    let look = ["get", "list", "watch"];
    let mut rules = Vec::new();
    match set.role {
        names::PodRole::Stream => rules.push(rule(&["streams"], &look)),
        names::PodRole::Delivery => {
            rules.push(rule(&["streams", "deliverystreams"], &look));
            rules.push(rule(&["deliverystreams/status"], &["patch"]));
        }
    }
    if !set.secrets.is_empty() {
        rules.push(PolicyRule {
            api_groups: Some(words(&[""])),
            resources: Some(words(&["secrets"])),
            resource_names: Some(set.secrets.iter().cloned().collect()),
            verbs: words(&["get"]),
            ..PolicyRule::default()
        });
    }
    Role { metadata: metadata(set), rules: Some(rules) }
}

pub(super) fn role_binding(set: &NodeSet) -> RoleBinding {
    RoleBinding {
        metadata: metadata(set),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".to_owned(),
            kind: "Role".to_owned(),
            name: set.name.clone(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name: set.name.clone(),
            namespace: Some(set.namespace.clone()),
            ..Subject::default()
        }]),
    }
}

pub(super) fn config_map(set: &NodeSet) -> ConfigMap {
    let config = NodeConfig {
        format: FORMAT,
        stateful_set: set.name.clone(),
        data_dir: DATA_DIR.to_owned(),
        tls_dir: SECRET_DIR.to_owned(),
        encryption_key_file: format!("{SECRET_DIR}/encryption.keys"),
        memory: Memory { tail: 64, reads: 64 },
    };
    ConfigMap {
        metadata: metadata(set),
        data: Some([(FILE.to_owned(), config.render())].into()),
        ..ConfigMap::default()
    }
}
