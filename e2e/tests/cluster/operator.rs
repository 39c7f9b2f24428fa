//! The operator against a real API server: a process on this machine, so it reaches no pods, and
//! there is no image for them to run. What becomes of resources is tested, not of records.
//!
//! Wants the program: `cargo build -p operator`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::MutexGuard;
use std::time::Duration;

use e2e::cluster::{Cluster, Namespace, wait};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(30);
/// A Lease lasts 15 s.
const TAKEN_OVER_MAX: Duration = Duration::from_secs(40);
const CHILDREN: [&str; 8] = [
    "serviceaccount",
    "role",
    "rolebinding",
    "configmap",
    "service",
    "networkpolicy",
    "poddisruptionbudget",
    "statefulset",
];
const CLICKS: &str = "apiVersion: leat.dev/v1alpha1\nkind: Stream\nmetadata: {name: clicks}\n";

/// A process of `leat-operator run`, killed on drop.
struct Operator {
    child: Child,
    listen: String,
}

impl Operator {
    fn start(setup: &Setup, identity: &str) -> Operator {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let program = root.join("target/debug/leat-operator");
        assert!(program.exists(), "{} is missing: cargo build -p operator", program.display());
        // Free a moment ago, and nobody else is told of it.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listen = format!("127.0.0.1:{port}");
        let log = root.join(format!("target/cluster/operator-{identity}.log"));
        let arguments = ["run", "--namespace", setup.namespace.name(), "--identity", identity];
        let images = ["--image", "leat.dev/leat:none", "--image-pull-policy", "Never"];
        let child = Command::new(program)
            .args(arguments)
            .args(images)
            .args(["--listen", &listen, "--log-format", "text"])
            .env("KUBECONFIG", setup.cluster.kubeconfig())
            .stderr(File::create(log).unwrap())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Operator { child, listen }
    }

    /// The number of one metric, over all its labels.
    fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let mut socket = TcpStream::connect(&self.listen)?;
        socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        socket.read_to_string(&mut text)?;
        let lines = text.lines().filter(|line| line.starts_with(name));
        Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    fn wait_until_it_leads(&self) {
        let look = || Ok((self.metric("leat_operator_is_leader")? == 1.0).then_some(()));
        wait("an operator to lead", TAKEN_OVER_MAX, look).unwrap();
    }

    fn signal(&mut self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A namespace in which operators and streams are.
struct Setup {
    namespace: Namespace,
    cluster: Cluster,
    _guard: MutexGuard<'static, ()>,
}

impl Setup {
    fn new() -> Setup {
        let (cluster, _guard) = super::cluster();
        super::apply_crds(&cluster);
        let namespace = cluster.namespace("operator").unwrap();
        Setup { namespace, cluster, _guard }
    }

    fn operator(&self, identity: &str) -> Operator {
        let operator = Operator::start(self, identity);
        operator.wait_until_it_leads();
        operator
    }

    fn get(&self, what: &str, name: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.namespace.kubectl(&["get", what, name, "-o", "json"])?)?)
    }

    fn wait_for(&self, what: &str, name: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let look = || Ok(Some(self.get(what, name)?).filter(|object| is_so(object)));
        wait(&format!("{what} {name}"), SOON, look).unwrap()
    }

    /// As `STATUS REASON: MESSAGE`.
    fn condition(&self, what: &str, name: &str, condition: &str, reason: &str) -> String {
        let find = |object: &Value| {
            let conditions = object["status"]["conditions"].as_array()?;
            let found = conditions.iter().find(|c| c["type"] == condition)?;
            let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
            Some((text("status"), text("reason"), text("message")))
        };
        let is_so = |object: &Value| find(object).is_some_and(|(_, is, _)| is == reason);
        let (status, reason, message) = find(&self.wait_for(what, name, is_so)).unwrap();
        format!("{status} {reason}: {message}")
    }

    fn patch(&self, what: &str, patch: &str) {
        self.namespace.kubectl(&["patch", what, "--type=merge", "-p", patch]).unwrap();
    }

    fn wait_until_gone(&self, what: &str) {
        let look = || {
            let left =
                self.namespace.kubectl(&["get", what, "--ignore-not-found", "-o", "name"])?;
            Ok(left.trim().is_empty().then_some(()))
        };
        wait(&format!("{what} to go"), SOON, look).unwrap();
    }

    /// Says of shards that they are open, as pods would.
    fn open_shards(&self, name: &str, count: usize) {
        let is_planned = |stream: &Value| {
            stream["status"]["shards"].as_array().is_some_and(|s| s.len() == count)
        };
        let look = || {
            let mut stream = self.wait_for("stream", name, is_planned);
            for shard in stream["status"]["shards"].as_array_mut().unwrap() {
                shard["state"] = "Open".into();
            }
            let shards = &stream["status"]["shards"];
            let version = &stream["metadata"]["resourceVersion"];
            let patch = serde_json::json!({
                "metadata": {"resourceVersion": version}, "status": {"shards": shards},
            });
            let patch = patch.to_string();
            let what = ["patch", "stream", name, "--subresource=status", "--type=merge", "-p"];
            self.namespace.kubectl(&[&what[..], &[&patch]].concat()).map(Some)
        };
        wait("the shards to be opened", SOON, look).unwrap();
        self.wait_for("stream", name, |stream| stream["status"]["phase"] == "ACTIVE");
    }

    fn clicks(&self, spec: &str) {
        self.namespace.apply(&format!("{CLICKS}spec: {spec}\n")).unwrap();
    }

    /// A stream whose pods only are missing.
    fn active_clicks(&self) {
        self.clicks("{shardCount: 2, pods: {resources: {requests: {cpu: 1000m}}}}");
        self.open_shards("clicks", 2);
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        // So that the namespace can go while no operator runs any more.
        let streams = self.namespace.kubectl(&["get", "streams", "-o", "name"]);
        for stream in streams.unwrap_or_default().lines() {
            let patch = r#"{"metadata": {"finalizers": null}}"#;
            let _ = self.namespace.kubectl(&["delete", stream, "--wait=false"]);
            let _ = self.namespace.kubectl(&["patch", stream, "--type=merge", "-p", patch]);
        }
    }
}

#[test]
fn a_stream_gets_all_it_needs_and_a_second_look_writes_nothing() {
    let setup = Setup::new();
    let operator = setup.operator("one");
    setup.active_clicks();
    for kind in CHILDREN {
        setup.get(kind, "clicks-stream").unwrap();
    }
    let secret = setup.get("secret", "clicks-stream-node").unwrap();
    let entries: Vec<&String> = secret["data"].as_object().unwrap().keys().collect();
    assert_eq!(entries, ["ca.crt", "encryption.keys", "tls.crt", "tls.key"]);
    for ours in ["leat-ca", "leat-encryption-keys", "leat-gateway-tls"] {
        setup.get("secret", ours).unwrap();
    }
    assert_eq!(setup.condition("stream", "clicks", "Accepted", "Valid"), "True Valid: ");
    let ready = setup.condition("stream", "clicks", "Ready", "PodsNotReady");
    assert_eq!(ready, "False PodsNotReady: 0 of 1 pods are ready");

    let counts = || -> (f64, f64) {
        let count = |name: &str| operator.metric(name).unwrap();
        (count("leat_operator_reconciles_total"), count("leat_operator_writes_total"))
    };
    // What pods and their set do meanwhile leads to looks, too.
    let (looks, writes) = counts();
    for round in 0..3 {
        setup
            .namespace
            .kubectl(&["annotate", "stream/clicks", &format!("touched-{round}=yes")])
            .unwrap();
        wait("another look", SOON, || Ok((looks + f64::from(round) < counts().0).then_some(())))
            .unwrap();
    }
    assert_eq!(counts().1, writes);
    drop(operator);

    let again = setup.operator("two");
    let look = || Ok((1.0 <= again.metric("leat_operator_reconciles_total")?).then_some(()));
    wait("a look", SOON, look).unwrap();
    assert_eq!(again.metric("leat_operator_writes_total").unwrap(), 0.0);
}

#[test]
fn every_child_that_is_deleted_comes_back() {
    let setup = Setup::new();
    let _operator = setup.operator("one");
    setup.active_clicks();
    let children = CHILDREN.map(|kind| (kind, "clicks-stream"));
    for (kind, name) in children.into_iter().chain([("secret", "clicks-stream-node")]) {
        let before = setup.get(kind, name).unwrap()["metadata"]["uid"].clone();
        setup.namespace.kubectl(&["delete", kind, name, "--wait=false"]).unwrap();
        setup.wait_for(kind, name, |object| object["metadata"]["uid"] != before);
    }
}

#[test]
fn what_somebody_changed_is_changed_back() {
    let setup = Setup::new();
    let _operator = setup.operator("one");
    setup.active_clicks();
    let set = "statefulset/clicks-stream";
    setup.patch(set, r#"{"spec": {"replicas": 3}}"#);
    setup.wait_for("statefulset", "clicks-stream", |set| set["spec"]["replicas"] == 1);
    setup.patch("configmap/clicks-stream", r#"{"data": {"node.json": "{}"}}"#);
    let is_back = |map: &Value| map["data"]["node.json"].as_str().is_some_and(|j| 2 < j.len());
    setup.wait_for("configmap", "clicks-stream", is_back);
    let label = "app.kubernetes.io~1managed-by".replace("~1", "/");
    setup.patch(
        "service/clicks-stream",
        &format!(r#"{{"metadata": {{"labels": {{"{label}": "me"}}}}}}"#),
    );
    let is_back = |service: &Value| service["metadata"]["labels"][&label] == "leat-operator";
    setup.wait_for("service", "clicks-stream", is_back);
    setup.patch("secret/clicks-stream-node", r#"{"data": {"tls.crt": "anVuaw=="}}"#);
    let is_back = |secret: &Value| secret["data"]["tls.crt"] != "anVuaw==";
    setup.wait_for("secret", "clicks-stream-node", is_back);
}

#[test]
fn a_wrong_spec_says_everything_that_is_wrong_and_recovers() {
    let setup = Setup::new();
    let operator = setup.operator("one");
    setup.clicks("{replicas: 3, shardBoundaries: ['0', '20', '10']}");
    assert_eq!(
        setup.condition("stream", "clicks", "Accepted", "Invalid"),
        "False Invalid: spec.shardBoundaries: boundaries increase, but 10 does not; \
         spec.replicas: 3; this version keeps each record in one pod: set 1"
    );
    assert!(setup.get("statefulset", "clicks-stream").is_err());
    let looks = operator.metric("leat_operator_reconciles_total").unwrap();
    let events = || setup.namespace.kubectl(&["get", "events", "--field-selector=reason=Invalid"]);
    wait("an event", SOON, || Ok(events()?.contains("stream/clicks").then_some(()))).unwrap();
    let more = operator.metric("leat_operator_reconciles_total").unwrap() - looks;
    assert!(more <= 1.0, "a spec that is wrong is looked at again and again: {more}");
    setup.patch("stream/clicks", r#"{"spec": {"replicas": 1, "shardBoundaries": null}}"#);
    setup.condition("stream", "clicks", "Accepted", "Valid");
    setup.wait_for("statefulset", "clicks-stream", |_| true);
}

/// A field that this version of the operator does not know, in the definitions.
struct Newer<'a> {
    setup: &'a Setup,
    kinds: [&'static str; 2],
}

impl<'a> Newer<'a> {
    fn new(setup: &'a Setup) -> Newer<'a> {
        let newer = Newer { setup, kinds: ["streams", "videostreams"] };
        newer.patch(r#"{"op": "add", "value": {"type": "string"}, "#).unwrap();
        newer
    }

    fn patch(&self, start: &str) -> anyhow::Result<()> {
        let path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/newer";
        let patch = format!(r#"[{start} "path": "{path}"}}]"#);
        for kind in self.kinds {
            let crd = format!("crd/{kind}.leat.dev");
            self.setup.cluster.kubectl(&["patch", &crd, "--type=json", "-p", &patch])?;
        }
        Ok(())
    }
}

impl Drop for Newer<'_> {
    fn drop(&mut self) {
        let _ = self.patch(r#"{"op": "remove", "#);
    }
}

#[test]
fn a_resource_of_a_newer_version_says_that_it_is_not_read() {
    let setup = Setup::new();
    let older = setup.operator("one");
    setup.active_clicks();
    setup.condition("stream", "clicks", "Ready", "PodsNotReady");
    {
        let _newer = Newer::new(&setup);
        // The API server takes a definition a moment later.
        let edit = ["patch", "stream/clicks", "--type=merge", "-p", r#"{"spec": {"newer": "x"}}"#];
        wait("the newer field", SOON, || {
            setup.namespace.kubectl(&edit)?;
            Ok((setup.get("stream", "clicks")?["spec"]["newer"] == "x").then_some(()))
        })
        .unwrap();
        // A watch from before is told of streams as they were defined then.
        drop(older);
        let _operator = setup.operator("two");
        let accepted = setup.condition("stream", "clicks", "Accepted", "Unreadable");
        assert!(accepted.starts_with("False Unreadable: "), "{accepted}");
        assert!(accepted.contains("nknown field newer"), "{accepted}");
        let stream = setup.get("stream", "clicks").unwrap();
        assert_eq!(stream["status"]["phase"], "ACTIVE", "what it says else stays");
        assert_eq!(stream["status"]["shards"].as_array().unwrap().len(), 2);
        let ready = setup.condition("stream", "clicks", "Ready", "PodsNotReady");
        assert!(ready.starts_with("False"), "{ready}");
        let video = "apiVersion: leat.dev/v1alpha1\nkind: VideoStream\nmetadata: {name: door}\n";
        setup.namespace.apply(&format!("{video}spec: {{newer: x}}\n")).unwrap();
        let accepted = setup.condition("videostream", "door", "Accepted", "Unreadable");
        assert!(accepted.contains("nknown field newer"), "{accepted}");
        setup.patch("stream/clicks", r#"{"spec": {"newer": null}}"#);
        setup.condition("stream", "clicks", "Accepted", "Valid");
    }
}

#[test]
fn a_stream_that_names_no_number_of_shards_can_be_scaled() {
    let setup = Setup::new();
    let _operator = setup.operator("one");
    setup.clicks("{pods: {resources: {requests: {cpu: 1000m}}}}");
    setup.open_shards("clicks", 1);
    let wait_for = |count: &Value| {
        setup.wait_for("stream", "clicks", |stream| &stream["spec"]["shardCount"] == count);
    };
    wait_for(&1.into());
    // It is not in the way of whoever writes something else, and comes back.
    setup.patch("stream/clicks", r#"{"spec": {"mode": "OnDemand", "maxShards": 1}}"#);
    wait_for(&Value::Null);
    setup.patch("stream/clicks", r#"{"spec": {"mode": null, "maxShards": null}}"#);
    wait_for(&1.into());
    setup.namespace.kubectl(&["scale", "stream/clicks", "--replicas=2"]).unwrap();
    wait_for(&2.into());
    setup.wait_for("stream", "clicks", |stream| stream["status"]["phase"] == "UPDATING");
    // It is its own who wrote it now.
    setup.clicks("{mode: OnDemand, pods: {resources: {requests: {cpu: 1000m}}}}");
    let is_looked_at =
        |stream: &Value| stream["status"]["observedGeneration"] == stream["metadata"]["generation"];
    setup.wait_for("stream", "clicks", is_looked_at);
    setup.condition("stream", "clicks", "Accepted", "Valid");
    wait_for(&2.into());
}

#[test]
fn a_stateful_set_of_somebody_else_outlives_a_stream_of_its_name() {
    let setup = Setup::new();
    setup
        .namespace
        .apply(
            "
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: clicks-stream}
spec:
  replicas: 0
  selector: {matchLabels: {app: theirs}}
  template:
    metadata: {labels: {app: theirs}}
    spec: {containers: [{name: theirs, image: theirs}]}
",
        )
        .unwrap();
    let _operator = setup.operator("one");
    setup.clicks("{}");
    setup.condition("stream", "clicks", "Accepted", "Refused");
    setup.namespace.kubectl(&["delete", "stream", "clicks", "--timeout=60s"]).unwrap();
    let theirs = setup.get("statefulset", "clicks-stream").unwrap();
    assert!(theirs["metadata"]["deletionTimestamp"].is_null(), "{theirs}");
}

#[test]
fn a_stream_made_again_waits_for_the_pods_and_volumes_before_it() {
    let setup = Setup::new();
    let _operator = setup.operator("one");
    setup.active_clicks();
    // Something that holds the claim, as a pod on a node that does not answer.
    setup.wait_for("persistentvolumeclaim", "data-clicks-stream-0", |_| true);
    let hold = |finalizers: &str| {
        let patch = format!(r#"{{"metadata": {{"finalizers": {finalizers}}}}}"#);
        setup.patch("persistentvolumeclaim/data-clicks-stream-0", &patch);
    };
    hold(r#"["kubernetes.io/pvc-protection", "example.org/held"]"#);
    setup.namespace.kubectl(&["delete", "stream", "clicks", "--wait=false"]).unwrap();
    let waits = |stream: &Value| {
        let conditions = stream["status"]["conditions"].as_array().into_iter().flatten();
        let mut texts = conditions.filter_map(|condition| condition["message"].as_str());
        texts.any(|text| text == "waits for 1 volume claims of clicks-stream to go")
    };
    setup.wait_for("stream", "clicks", waits);
    setup.wait_until_gone("statefulset/clicks-stream");
    // Somebody does not wait.
    setup.patch("stream/clicks", r#"{"metadata": {"finalizers": null}}"#);
    setup.wait_until_gone("stream/clicks");
    setup.clicks("{shardCount: 2}");
    assert_eq!(
        setup.condition("stream", "clicks", "Ready", "FormerPods"),
        "False FormerPods: waits for 1 volume claims of clicks-stream to go"
    );
    assert!(setup.get("statefulset", "clicks-stream").is_err());
    hold("null");
    setup.wait_for("statefulset", "clicks-stream", |_| true);
    setup.condition("stream", "clicks", "Ready", "PodsNotReady");
}

#[test]
fn what_was_made_for_a_stream_goes_with_it() {
    let setup = Setup::new();
    let _operator = setup.operator("one");
    setup.active_clicks();
    let finalizers = setup.get("stream", "clicks").unwrap()["metadata"]["finalizers"].clone();
    assert_eq!(finalizers, serde_json::json!(["leat.dev/finalizer"]));
    setup.namespace.kubectl(&["delete", "stream", "clicks", "--timeout=20s"]).unwrap();
    for kind in CHILDREN {
        setup.wait_until_gone(&format!("{kind}/clicks-stream"));
    }
    setup.wait_until_gone("secret/clicks-stream-node");
}

#[test]
fn streams_of_a_pool_share_a_set_that_goes_with_the_last_of_them() {
    let setup = Setup::new();
    let _operator = setup.operator("one");
    for name in ["a", "b"] {
        let stream = CLICKS.replace("clicks", name);
        setup.namespace.apply(&format!("{stream}spec: {{pool: small}}\n")).unwrap();
        setup.open_shards(name, 1);
    }
    let owners = |kind: &str, name: &str| {
        let is_of_both = |object: &Value| {
            let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
            let names: Vec<&str> = owners.filter_map(|owner| owner["name"].as_str()).collect();
            names.len() == 2 && names.contains(&"a") && names.contains(&"b")
        };
        setup.wait_for(kind, name, is_of_both);
    };
    owners("statefulset", "small-pool");
    owners("secret", "small-pool-node");
    // There are no pods that could be asked to remove one stream's logs: both go at once.
    setup.namespace.kubectl(&["delete", "stream", "a", "b", "--wait=false"]).unwrap();
    setup.wait_until_gone("stream/a");
    setup.wait_until_gone("stream/b");
    setup.wait_until_gone("statefulset/small-pool");
}

#[test]
fn examples_are_accepted_and_kinds_that_nothing_runs_for_say_so() {
    let setup = Setup::new();
    let _operator = setup.operator("one");
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/examples");
    setup.namespace.kubectl(&["apply", "-f", &examples.to_string_lossy()]).unwrap();
    let mut seen = BTreeMap::new();
    for kind in ["deliverystreams", "analyticsapps", "videostreams"] {
        let names = setup.namespace.kubectl(&["get", kind, "-o", "name"]).unwrap();
        for name in names.lines().filter_map(|name| name.split('/').nth(1)) {
            assert_eq!(setup.condition(kind, name, "Accepted", "Valid"), "True Valid: ");
            if kind != "deliverystreams" {
                let ready = setup.condition(kind, name, "Ready", "NotImplemented");
                assert!(ready.starts_with("False NotImplemented: "), "{ready}");
            }
            let resource = setup.get(kind, name).unwrap();
            assert_eq!(
                resource["status"]["observedGeneration"],
                resource["metadata"]["generation"]
            );
            *seen.entry(kind).or_insert(0) += 1;
        }
    }
    assert_eq!(seen.len(), 3, "an example of each: {seen:?}");
}

#[test]
fn one_of_two_operators_leads_and_the_other_takes_over() {
    let setup = Setup::new();
    let mut one = setup.operator("one");
    let mut other = Operator::start(&setup, "two");
    wait("the other to be ready", SOON, || other.metric("leat_operator_is_leader").map(Some))
        .unwrap();
    // Several: all of them wait for the new leader at once.
    let streams: Vec<String> = (0..8).map(|number| format!("clicks-{number}")).collect();
    for stream in &streams {
        let stream = CLICKS.replace("clicks", stream) + "spec: {}\n";
        setup.namespace.apply(&stream).unwrap();
    }
    for stream in &streams {
        setup.wait_for("statefulset", &format!("{stream}-stream"), |_| true);
    }
    assert_eq!(other.metric("leat_operator_reconciles_total").unwrap(), 0.0);

    one.signal(Signal::KILL);
    let services: Vec<String> = streams.iter().map(|stream| format!("{stream}-stream")).collect();
    for service in &services {
        setup.namespace.kubectl(&["delete", "service", service]).unwrap();
    }
    other.wait_until_it_leads();
    for service in &services {
        setup.wait_for("service", service, |_| true);
    }

    // One that is told to stop lets go at once.
    let third = Operator::start(&setup, "three");
    wait("the third to be ready", SOON, || third.metric("leat_operator_is_leader").map(Some))
        .unwrap();
    other.signal(Signal::TERM);
    let look = || Ok((third.metric("leat_operator_is_leader")? == 1.0).then_some(()));
    wait("the third to lead", Duration::from_secs(8), look).unwrap();
}
