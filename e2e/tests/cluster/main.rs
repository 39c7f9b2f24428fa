//! What the tests on Kubernetes stand on, each part by itself: nodes, pods, DNS, volumes, rights
//! and faults. Wants a cluster of two nodes: `e2e/cluster.sh up`, then `cargo test -p e2e --test
//! cluster`.
//!
//! Here is deliberately nothing of Leat's: when these fail, the cluster is at fault.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod chart;
mod operator;

use std::io::Read;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use e2e::cluster::{Cluster, Namespace, image, wait};

const READY_MAX: Duration = Duration::from_secs(90);
const SEEN_MAX: Duration = Duration::from_secs(30);
/// The grace period after which a node is taken for dead, and then some.
const NODE_LOST_MAX: Duration = Duration::from_secs(60);
const PROBE: &str = include_str!("probe.yaml");

/// Faults hit all tests alike: so one test at a time.
fn cluster() -> (Cluster, MutexGuard<'static, ()>) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let cluster = Cluster::current().unwrap();
    static LOADED: OnceLock<()> = OnceLock::new();
    LOADED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("probe.tar");
        let program = Path::new(env!("CARGO_BIN_EXE_probe"));
        let config = image::Config::new("leat.dev/probe:test", "/bin/probe");
        let entries = image::with_libraries(program, "/bin/probe").unwrap();
        image::build(&archive, &config, &entries).unwrap();
        cluster.load(&archive).unwrap();
    });
    (cluster, guard)
}

/// A StatefulSet of two probes, one on each node, each with a volume; ready.
fn probes(cluster: &Cluster) -> Namespace {
    let namespace = cluster.namespace("smoke").unwrap();
    let label = "pod-security.kubernetes.io/enforce=restricted";
    cluster.kubectl(&["label", "namespace", namespace.name(), label]).unwrap();
    namespace.apply(PROBE).unwrap();
    wait_ready(&namespace);
    namespace
}

/// Their folder.
fn apply_crds(cluster: &Cluster) -> String {
    let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds");
    let crds = crds.to_string_lossy().into_owned();
    // A test of newer definitions has changed them.
    cluster.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &crds]).unwrap();
    let established = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"];
    cluster.kubectl(&established).unwrap();
    crds
}

fn wait_ready(namespace: &Namespace) {
    let timeout = format!("--timeout={}s", READY_MAX.as_secs());
    namespace.kubectl(&["rollout", "status", "statefulset/probe", &timeout]).unwrap();
}

fn exec(namespace: &Namespace, pod: &str, words: &[&str]) -> anyhow::Result<String> {
    namespace.kubectl(&[&["exec", pod, "--", "/bin/probe"], words].concat())
}

/// DNS and kube-proxy hear of a pod a moment after it is ready.
fn soon(namespace: &Namespace, pod: &str, words: &[&str]) -> String {
    wait(&words.join(" "), SEEN_MAX, || exec(namespace, pod, words).map(Some)).unwrap()
}

fn node_of(namespace: &Namespace, pod: &str) -> String {
    namespace.kubectl(&["get", "pod", pod, "-o", "jsonpath={.spec.nodeName}"]).unwrap()
}

fn node_ready(cluster: &Cluster, node: &str) -> String {
    let path = "jsonpath={.status.conditions[?(@.type=='Ready')].status}";
    cluster.kubectl(&["get", "node", node, "-o", path]).unwrap()
}

#[test]
fn two_nodes_are_ready() {
    let (cluster, _guard) = cluster();
    let nodes = cluster.kubectl(&["get", "nodes", "-o", "name"]).unwrap();
    let nodes: Vec<&str> = nodes.lines().filter_map(|node| node.split('/').nth(1)).collect();
    assert!(2 <= nodes.len(), "{nodes:?}");
    assert!(nodes.iter().all(|node| node_ready(&cluster, node) == "True"));
}

#[test]
fn pods_run_on_each_node_and_find_each_other_by_name() {
    let (cluster, _guard) = cluster();
    let namespace = probes(&cluster);
    assert_ne!(node_of(&namespace, "probe-0"), node_of(&namespace, "probe-1"));
    for (from, to) in [("probe-0", "probe-1"), ("probe-1", "probe-0")] {
        assert_eq!(soon(&namespace, from, &["ask", &format!("{to}.probe")]), to);
        // By the Service's own address, the answer comes from either of them.
        let whole = format!("probe-any.{}.svc.cluster.local", namespace.name());
        assert!(soon(&namespace, from, &["ask", &whole]).starts_with("probe-"));
        assert!(soon(&namespace, from, &["resolve", &whole]).starts_with("10.96."));
        let log = namespace.kubectl(&["logs", from]).unwrap();
        assert_eq!(log.trim(), format!("{from} serves on port 8080"));
    }
    assert!(exec(&namespace, "probe-0", &["resolve", "no-such-name"]).is_err());
}

#[test]
fn a_port_is_forwarded_to_this_machine() {
    let (cluster, _guard) = cluster();
    let namespace = probes(&cluster);
    let forward = cluster.port_forward(namespace.name(), "pod/probe-1", 8080).unwrap();
    let mut answer = String::new();
    TcpStream::connect(forward.address()).unwrap().read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "probe-1");
}

#[test]
fn what_a_pod_stored_survives_the_pod_and_goes_with_the_claim() {
    let (cluster, _guard) = cluster();
    let namespace = probes(&cluster);
    exec(&namespace, "probe-1", &["write", "/data/kept", "still here"]).unwrap();
    let node = node_of(&namespace, "probe-1");
    namespace.kubectl(&["delete", "pod", "probe-1"]).unwrap();
    wait_ready(&namespace);
    assert_eq!(node_of(&namespace, "probe-1"), node);
    assert_eq!(exec(&namespace, "probe-1", &["read", "/data/kept"]).unwrap(), "still here");

    let path = "jsonpath={.spec.volumeName}";
    let volume = namespace.kubectl(&["get", "pvc", "data-probe-1", "-o", path]).unwrap();
    let path = "jsonpath={.spec.local.path}";
    let folder = PathBuf::from(cluster.kubectl(&["get", "pv", &volume, "-o", path]).unwrap());
    drop(namespace);
    wait("the volume to go", READY_MAX, || Ok((!folder.exists()).then_some(()))).unwrap();
    let gone = ["wait", "--for=delete", &format!("pv/{volume}"), "--timeout=60s"];
    cluster.kubectl(&gone).unwrap();
}

#[test]
fn an_account_without_rights_is_denied() {
    let (cluster, _guard) = cluster();
    let namespace = cluster.namespace("smoke").unwrap();
    let account = format!("--as=system:serviceaccount:{}:default", namespace.name());
    // "no" is also its exit status.
    let denied = namespace.kubectl(&["auth", "can-i", "list", "secrets", &account]);
    assert!(format!("{:#}", denied.unwrap_err()).contains("no"));
    let denied = namespace.kubectl(&["get", "pods", &account]).unwrap_err();
    assert!(format!("{denied:#}").contains("Forbidden"));
    namespace.kubectl(&["create", "role", "reader", "--verb=list", "--resource=pods"]).unwrap();
    let subject = format!("--serviceaccount={}:default", namespace.name());
    namespace.kubectl(&["create", "rolebinding", "reader", "--role=reader", &subject]).unwrap();
    wait("the new right", READY_MAX, || namespace.kubectl(&["get", "pods", &account]).map(Some))
        .unwrap();
}

#[test]
fn a_privileged_pod_is_refused_where_the_namespace_says_restricted() {
    let (cluster, _guard) = cluster();
    let namespace = cluster.namespace("smoke").unwrap();
    let label = "pod-security.kubernetes.io/enforce=restricted";
    cluster.kubectl(&["label", "namespace", namespace.name(), label]).unwrap();
    let image = "--image=leat.dev/probe:test";
    let refused = namespace.kubectl(&["run", "root", image, "--privileged"]).unwrap_err();
    assert!(format!("{refused:#}").contains("violates PodSecurity"), "{refused:#}");
}

#[test]
fn our_custom_resources_are_accepted() {
    let (cluster, _guard) = cluster();
    let crds = apply_crds(&cluster);
    let namespace = cluster.namespace("smoke").unwrap();
    let examples = format!("{crds}/examples");
    let look = || namespace.kubectl(&["apply", "-f", &examples]).map(Some);
    wait("the API of the new kinds", READY_MAX, look).unwrap();
}

#[test]
fn a_seccomp_profile_of_ours_is_found_on_each_node() {
    let (cluster, _guard) = cluster();
    // A profile that is not found keeps a container from starting.
    let profile = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls":
        [{"names": ["sethostname"], "action": "SCMP_ACT_ERRNO"}]}"#;
    cluster.install_seccomp("smoke.json", profile).unwrap();
    let namespace = cluster.namespace("smoke").unwrap();
    let ours = "seccompProfile: {type: Localhost, localhostProfile: smoke.json}";
    namespace.apply(&PROBE.replace("seccompProfile: {type: RuntimeDefault}", ours)).unwrap();
    wait_ready(&namespace);
}

#[test]
fn what_a_pod_uses_is_measured() {
    let (cluster, _guard) = cluster();
    cluster.start_metrics().unwrap();
    let namespace = probes(&cluster);
    let look = || namespace.kubectl(&["top", "pod", "probe-1", "--no-headers"]).map(Some);
    let used = wait("metrics of a pod", READY_MAX, look).unwrap();
    // "probe-1   1m   1Mi"
    assert!(used.starts_with("probe-1") && used.trim_end().ends_with("Mi"), "{used}");
}

#[test]
fn a_killed_node_is_noticed_and_comes_back_with_its_data() {
    let (cluster, _guard) = cluster();
    let namespace = probes(&cluster);
    let pods = ["probe-0", "probe-1"];
    let victim = pods.into_iter().find(|pod| node_of(&namespace, pod) == "node-2").unwrap();
    let other = pods.into_iter().find(|pod| *pod != victim).unwrap();
    exec(&namespace, victim, &["write", "/data/kept", "still here"]).unwrap();
    cluster.kill_node("node-2").unwrap();
    assert!(exec(&namespace, other, &["ask", &format!("{victim}.probe")]).is_err());
    wait("the dead node to be noticed", NODE_LOST_MAX, || {
        Ok((node_ready(&cluster, "node-2") == "Unknown").then_some(()))
    })
    .unwrap();
    cluster.start_node("node-2").unwrap();
    wait("the pod to be back", READY_MAX, || {
        exec(&namespace, victim, &["read", "/data/kept"]).map(Some)
    })
    .unwrap();
    wait("the pod to be reached", READY_MAX, || {
        exec(&namespace, other, &["ask", &format!("{victim}.probe")]).map(Some)
    })
    .unwrap();
}

#[test]
fn a_cut_node_cannot_be_reached_until_it_is_healed() {
    let (cluster, _guard) = cluster();
    let namespace = probes(&cluster);
    let pods = ["probe-0", "probe-1"];
    let victim = pods.into_iter().find(|pod| node_of(&namespace, pod) == "node-2").unwrap();
    let other = pods.into_iter().find(|pod| *pod != victim).unwrap();
    // The name may be forgotten while the node is away: the address stays.
    let address = soon(&namespace, other, &["resolve", &format!("{victim}.probe")]);
    let address = address.trim().to_owned();
    cluster.cut_node("node-2").unwrap();
    let cut = exec(&namespace, other, &["ask", &address]);
    cluster.heal_node("node-2").unwrap();
    assert!(cut.is_err());
    wait("the pod to be reached", READY_MAX, || {
        Ok(exec(&namespace, other, &["ask", &address]).ok())
    })
    .unwrap();
}

#[test]
fn pods_go_on_without_an_api_server() {
    let (cluster, _guard) = cluster();
    let namespace = probes(&cluster);
    let path = "jsonpath={.status.podIP}";
    let address = namespace.kubectl(&["get", "pod", "probe-1", "-o", path]).unwrap();
    cluster.stop_api_server().unwrap();
    let stopped = cluster.kubectl(&["get", "nodes"]);
    let mut answer = String::new();
    let read = TcpStream::connect((address.as_str(), 8080))
        .and_then(|mut socket| socket.read_to_string(&mut answer));
    cluster.start_api_server().unwrap();
    assert!(stopped.is_err());
    read.unwrap();
    assert_eq!(answer, "probe-1");
    assert!(namespace.kubectl(&["get", "pods"]).unwrap().contains("probe-1"));
}
