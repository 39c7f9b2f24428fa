//! What runs for a StatefulSet of data-plane pods, as Kubernetes objects. Total: whatever could be
//! wrong was refused by `validate`.

mod access;
mod network;
mod stateful_set;

use std::collections::BTreeSet;

use k8s_openapi::Resource;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use node_config::{ADMIN_PORT, WIRE_PORT};
use operator_api::pods::PodSettings;
use serde::Serialize;
use serde_json::Value;

use crate::names::{self, PodRole};

/// What holds for everything this operator makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The image of data-plane pods.
    pub image: String,
    /// As Kubernetes' imagePullPolicy.
    pub image_pull_policy: String,
    /// The namespace of operator and gateway.
    pub namespace: String,
    /// Open shards on each pod of a pool.
    pub pool_shards_per_pod: u32,
    /// The size of the volumes of a pool's pods, as in "10Gi".
    pub pool_volume_size: String,
    /// The region in ARNs.
    pub region: String,
}

/// Pods of one role: for one resource, or for those of a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSet {
    /// What they do.
    pub role: PodRole,
    /// Its name and that of everything made for it.
    pub name: String,
    /// Where.
    pub namespace: String,
    /// Those that it goes with.
    pub owners: Vec<OwnerReference>,
    /// How many pods.
    pub pods: u32,
    /// The storage class of the volumes; the cluster's default when there is none.
    pub class_name: Option<String>,
    /// The size of each volume.
    pub volume_size: String,
    /// Whether volumes outlive the set.
    pub retains_volumes: bool,
    /// Secrets that the pods look up.
    pub secrets: BTreeSet<String>,
    /// What its owner set about pods.
    pub settings: PodSettings,
}

/// Everything that is made for a [`NodeSet`], in the order in which it is applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifests {
    /// Whom pods are to the API server.
    pub service_account: ServiceAccount,
    /// What they may do there.
    pub role: Role,
    /// Gives the role to the account.
    pub role_binding: RoleBinding,
    /// The node configuration.
    pub config_map: ConfigMap,
    /// Gives pods their names in DNS.
    pub service: Service,
    /// Who may reach them.
    pub network_policy: NetworkPolicy,
    /// How many of them may be evicted at a time.
    pub disruption_budget: PodDisruptionBudget,
    /// The pods. Last, so that they find the rest.
    pub stateful_set: StatefulSet,
}

/// Renders them.
#[must_use]
pub fn manifests(set: &NodeSet, settings: &Settings) -> Manifests {
    Manifests {
        service_account: access::service_account(set),
        role: access::role(set),
        role_binding: access::role_binding(set),
        config_map: access::config_map(set),
        service: network::service(set),
        network_policy: network::network_policy(set, settings),
        disruption_budget: network::disruption_budget(set),
        stateful_set: stateful_set::stateful_set(set, settings),
    }
}

/// The Secret with a set's certificate and master keys.
#[must_use]
pub fn secret_name(stateful_set: &str) -> String {
    format!("{stateful_set}-node")
}

impl Manifests {
    /// The objects by their kinds, in the order in which they are applied.
    #[must_use]
    pub fn objects(&self) -> Vec<(&'static str, Value)> {
        vec![
            object(&self.service_account),
            object(&self.role),
            object(&self.role_binding),
            object(&self.config_map),
            object(&self.service),
            object(&self.network_policy),
            object(&self.disruption_budget),
            object(&self.stateful_set),
        ]
    }
}

fn object<K: Resource + Serialize>(object: &K) -> (&'static str, Value) {
    (K::KIND, serde_json::to_value(object).expect("an object has a JSON form"))
}

/// The ports that pods listen on.
fn ports(role: PodRole) -> impl Iterator<Item = (&'static str, u16)> {
    let wire = (role == PodRole::Stream).then_some(("wire", WIRE_PORT));
    wire.into_iter().chain([("admin", ADMIN_PORT)])
}

fn metadata(set: &NodeSet) -> ObjectMeta {
    ObjectMeta {
        name: Some(set.name.clone()),
        namespace: Some(set.namespace.clone()),
        labels: Some(names::labels(set.role, &set.name)),
        owner_references: Some(set.owners.clone()),
        ..ObjectMeta::default()
    }
}
