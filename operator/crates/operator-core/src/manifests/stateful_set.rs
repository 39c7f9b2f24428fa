//! The StatefulSet of a set's pods.
//!
//! Its selector, service name, pod management and volume claims cannot be changed once it exists, so
//! nothing that a user can edit goes into them.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{
    RollingUpdateStatefulSetStrategy, StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy,
    StatefulSetSpec, StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource,
    EnvVar, EnvVarSource, HTTPGetAction, ObjectFieldSelector, PersistentVolumeClaim,
    PersistentVolumeClaimSpec, PodAffinityTerm, PodAntiAffinity, PodSecurityContext, PodSpec,
    PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile, SecretVolumeSource,
    SecurityContext, TopologySpreadConstraint, Volume, VolumeMount, VolumeResourceRequirements,
    WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use node_config::{ADMIN_PORT, FILE};

use super::{NodeSet, Settings, metadata, secret_name};
use crate::names::{self, PodRole};

pub(super) const DATA_DIR: &str = "/data";
pub(super) const SECRET_DIR: &str = "/etc/leat/node-secret";
const CONFIG_DIR: &str = "/etc/leat/node";
/// The user that images run as.
const USER: i64 = 65532;
/// Longer than the process takes to answer what is under way.
const GRACE_SECONDS: i64 = 30;
const HOSTNAME: &str = "kubernetes.io/hostname";

pub(super) fn stateful_set(set: &NodeSet, settings: &Settings) -> StatefulSet {
    let when_scaled = if set.retains_volumes { "Retain" } else { "Delete" };
    StatefulSet {
        metadata: metadata(set),
        spec: Some(StatefulSetSpec {
            replicas: Some(i32::try_from(set.pods).unwrap_or(i32::MAX)),
            service_name: Some(set.name.clone()),
            pod_management_policy: Some("Parallel".to_owned()),
            selector: selector(set),
            persistent_volume_claim_retention_policy: (set.role == PodRole::Stream).then(|| {
                StatefulSetPersistentVolumeClaimRetentionPolicy {
                    // Whoever deletes a set by mistake loses nothing: it is made again. Volumes go
                    // when their stream does.
                    when_deleted: Some("Retain".to_owned()),
                    // A pod goes only when it holds nothing.
                    when_scaled: Some(when_scaled.to_owned()),
                }
            }),
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateStatefulSetStrategy::default()),
            }),
            volume_claim_templates: (set.role == PodRole::Stream).then(|| vec![volume_claim(set)]),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(names::labels(set.role, &set.name)),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(set, settings)),
            },
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    }
}

fn selector(set: &NodeSet) -> LabelSelector {
    let match_labels = Some(names::selector(set.role, &set.name));
    LabelSelector { match_labels, ..LabelSelector::default() }
}

fn volume_claim(set: &NodeSet) -> PersistentVolumeClaim {
    let size = Quantity(set.volume_size.clone());
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some("data".to_owned()),
            labels: Some(names::selector(set.role, &set.name)),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            storage_class_name: set.class_name.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), size)].into()),
                ..VolumeResourceRequirements::default()
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    }
}

fn pod(set: &NodeSet, settings: &Settings) -> PodSpec {
    PodSpec {
        service_account_name: Some(set.name.clone()),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            // A volume of many segments need not be walked at every start.
            fs_group_change_policy: Some("OnRootMismatch".to_owned()),
            seccomp_profile: Some(seccomp(set)),
            ..PodSecurityContext::default()
        }),
        node_selector: set.settings.node_selector.clone(),
        tolerations: set.settings.tolerations.clone(),
        affinity: Some(apart(set)),
        topology_spread_constraints: Some(vec![TopologySpreadConstraint {
            max_skew: 1,
            topology_key: "topology.kubernetes.io/zone".to_owned(),
            when_unsatisfiable: "ScheduleAnyway".to_owned(),
            label_selector: Some(selector(set)),
            ..TopologySpreadConstraint::default()
        }]),
        containers: vec![container(set, settings)],
        volumes: Some(volumes(set)),
        ..PodSpec::default()
    }
}

fn volumes(set: &NodeSet) -> Vec<Volume> {
    let mut volumes = vec![
        Volume {
            name: "config".to_owned(),
            config_map: Some(ConfigMapVolumeSource {
                name: set.name.clone(),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        },
        Volume {
            name: "secret".to_owned(),
            secret: Some(SecretVolumeSource {
                secret_name: Some(secret_name(&set.name)),
                default_mode: Some(0o440),
                ..SecretVolumeSource::default()
            }),
            ..Volume::default()
        },
    ];
    if set.role == PodRole::Delivery {
        // A copy of the catalog, for a start without the API server; nothing else is kept.
        volumes.push(Volume {
            name: "data".to_owned(),
            empty_dir: Some(EmptyDirVolumeSource::default()),
            ..Volume::default()
        });
    }
    volumes
}

/// As the user says; else as the runtime does, which may refuse io_uring: then the pod says so.
fn seccomp(set: &NodeSet) -> SeccompProfile {
    let profile = |type_: &str, file: Option<&str>| SeccompProfile {
        type_: type_.to_owned(),
        localhost_profile: file.map(str::to_owned),
    };
    match set.settings.seccomp_profile.as_deref() {
        None | Some("RuntimeDefault") => profile("RuntimeDefault", None),
        Some("Unconfined") => profile("Unconfined", None),
        Some(file) => profile("Localhost", Some(file.trim_start_matches("Localhost/"))),
    }
}

/// On different nodes where there are enough of them.
fn apart(set: &NodeSet) -> Affinity {
    let term = PodAffinityTerm {
        label_selector: Some(selector(set)),
        topology_key: HOSTNAME.to_owned(),
        ..PodAffinityTerm::default()
    };
    let preferred = WeightedPodAffinityTerm { weight: 100, pod_affinity_term: term };
    Affinity {
        pod_anti_affinity: Some(PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![preferred]),
            ..PodAntiAffinity::default()
        }),
        ..Affinity::default()
    }
}

fn container(set: &NodeSet, settings: &Settings) -> Container {
    let mount = |name: &str, path: &str, read_only: bool| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        // The API server leaves `false` out, which would look like a difference for ever.
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    };
    let port = |name: &str, port: u16| ContainerPort {
        name: Some(name.to_owned()),
        container_port: i32::from(port),
        ..ContainerPort::default()
    };
    Container {
        name: "leat".to_owned(),
        image: Some(set.settings.image.clone().unwrap_or_else(|| settings.image.clone())),
        image_pull_policy: Some(settings.image_pull_policy.clone()),
        args: Some(args(set, settings)),
        env: Some(vec![
            of_pod("POD_NAME", "metadata.name"),
            of_pod("POD_NAMESPACE", "metadata.namespace"),
        ]),
        ports: Some(super::ports(set.role).map(|(name, number)| port(name, number)).collect()),
        resources: Some(set.settings.resources.clone().unwrap_or_else(resources)),
        volume_mounts: Some(vec![
            mount("data", DATA_DIR, false),
            mount("config", CONFIG_DIR, true),
            mount("secret", SECRET_DIR, true),
        ]),
        startup_probe: Some(probe("/livez", 2, 60)),
        liveness_probe: Some(probe("/livez", 10, 6)),
        readiness_probe: Some(probe("/readyz", 2, 2)),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                ..Capabilities::default()
            }),
            ..SecurityContext::default()
        }),
        ..Container::default()
    }
}

fn args(set: &NodeSet, settings: &Settings) -> Vec<String> {
    let config = format!("{CONFIG_DIR}/{FILE}");
    let mut args = vec![set.role.name().to_owned(), "--config".to_owned(), config];
    if set.role == PodRole::Delivery {
        args.push(format!("--region={}", settings.region));
    }
    args
}

/// What an idle pod needs. No limit on processors: a throttled log thread is a slow acknowledgement.
fn resources() -> ResourceRequirements {
    let quantities = |pairs: &[(&str, &str)]| {
        let quantity =
            |(name, value): &(&str, &str)| ((*name).to_owned(), Quantity((*value).to_owned()));
        pairs.iter().map(quantity).collect::<BTreeMap<_, _>>()
    };
    ResourceRequirements {
        requests: Some(quantities(&[("cpu", "50m"), ("memory", "128Mi")])),
        limits: Some(quantities(&[("memory", "1Gi")])),
        ..ResourceRequirements::default()
    }
}

fn of_pod(name: &str, field_path: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                field_path: field_path.to_owned(),
                ..ObjectFieldSelector::default()
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}

fn probe(path: &str, period_seconds: i32, failure_threshold: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::Int(i32::from(ADMIN_PORT)),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        failure_threshold: Some(failure_threshold),
        timeout_seconds: Some(2),
        ..Probe::default()
    }
}
