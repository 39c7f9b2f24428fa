//! How a set's pods are found, who may reach them, and how many may be away.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use node_config::{ADMIN_PORT, WIRE_PORT};

use super::{NodeSet, Settings, metadata};
use crate::names::{self, PodRole};

/// Headless: every pod has a name of its own, also while it is not ready, for a shard is asked for
/// where it is or not at all.
pub(super) fn service(set: &NodeSet) -> Service {
    let port = |name: &str, port: u16| ServicePort {
        name: Some(name.to_owned()),
        port: i32::from(port),
        ..ServicePort::default()
    };
    Service {
        metadata: metadata(set),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            selector: Some(names::selector(set.role, &set.name)),
            ports: Some(super::ports(set.role).map(|(name, number)| port(name, number)).collect()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// Records only for operator, gateway and the pods beside them that deliver, who come with a certificate;
/// metrics for anybody. Who delivers holds no records.
pub(super) fn network_policy(set: &NodeSet, settings: &Settings) -> NetworkPolicy {
    let port = |port: u16| {
        Some(vec![NetworkPolicyPort {
            port: Some(IntOrString::Int(i32::from(port))),
            ..NetworkPolicyPort::default()
        }])
    };
    let ours = NetworkPolicyPeer {
        namespace_selector: Some(matching("kubernetes.io/metadata.name", &settings.namespace)),
        pod_selector: Some(matching("app.kubernetes.io/name", "leat")),
        ..NetworkPolicyPeer::default()
    };
    let mut delivering = matching("app.kubernetes.io/component", PodRole::Delivery.name());
    let leat = ("app.kubernetes.io/name".to_owned(), "leat".to_owned());
    delivering.match_labels.get_or_insert_default().extend([leat]);
    let beside =
        NetworkPolicyPeer { pod_selector: Some(delivering), ..NetworkPolicyPeer::default() };
    let from = Some(vec![ours, beside]);
    let records = NetworkPolicyIngressRule { from, ports: port(WIRE_PORT) };
    let metrics = NetworkPolicyIngressRule { from: None, ports: port(ADMIN_PORT) };
    let ingress = match set.role {
        PodRole::Stream => vec![records, metrics],
        PodRole::Delivery => vec![metrics],
    };
    NetworkPolicy {
        metadata: metadata(set),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(pods(set)),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(ingress),
            ..NetworkPolicySpec::default()
        }),
    }
}

/// One at a time: with one replica of each record, every pod that is away takes shards with it.
pub(super) fn disruption_budget(set: &NodeSet) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: metadata(set),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(pods(set)),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}

fn pods(set: &NodeSet) -> LabelSelector {
    let match_labels = Some(names::selector(set.role, &set.name));
    LabelSelector { match_labels, ..LabelSelector::default() }
}

fn matching(label: &str, value: &str) -> LabelSelector {
    let match_labels = Some([(label.to_owned(), value.to_owned())].into());
    LabelSelector { match_labels, ..LabelSelector::default() }
}
