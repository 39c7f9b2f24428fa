//! Leat on a real cluster, as its users have it: the chart is installed, streams are resources, AWS
//! clients speak to the gateway. Needs `e2e/cluster.sh up`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod alone;
mod deliveries;
mod faults;
mod load;
mod rights;
mod streams;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use e2e::cluster::leat::{self, AccessKey};
use e2e::cluster::{Cluster, Namespace, wait};

/// How long a stream may take to be in service: pods are scheduled and volumes made.
const READY_MAX: Duration = Duration::from_secs(120);

/// The chart, installed once for all tests.
struct Installed {
    cluster: Cluster,
    endpoint: String,
}

fn installed() -> &'static Installed {
    static INSTALLED: OnceLock<Installed> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let cluster = Cluster::current().unwrap();
        // Few shards on each pod of a pool, so that a test's pool has several; and on-demand streams
        // that make up their minds while a test waits.
        let values = [
            "operator.pools.shardsPerPod=70",
            "operator.onDemand.intervalSeconds=2",
            "operator.onDemand.quietSeconds=10",
            // For the test that the chart brings.
            "tests.accessKey.create=true",
        ];
        let endpoint = leat::install_built(&cluster, &values).unwrap();
        Installed { cluster, endpoint }
    })
}

/// A namespace of a test's own, with somebody who may do everything in it.
struct Fixture {
    namespace: Namespace,
    key: AccessKey,
    client: Client,
}

impl Fixture {
    fn new(name: &str) -> Fixture {
        let installed = installed();
        let namespace = installed.cluster.namespace(name).unwrap();
        let key = leat::access_key(&namespace, "app", "ClusterRole/leat-edit").unwrap();
        let client = client(&key);
        Fixture { namespace, key, client }
    }

    /// With the stream `clicks`, in service with so many open shards.
    async fn with_clicks(name: &str, shards: usize, spec: &str) -> Fixture {
        let fixture = Fixture::new(name);
        fixture.apply("clicks", spec);
        fixture.wait_for_shards("clicks", shards);
        // As people's scripts do.
        fixture.kubectl(&["wait", "--for=condition=Ready", "stream/clicks", "--timeout=120s"]);
        fixture.wait_for_put("clicks").await;
        fixture
    }

    fn kubectl(&self, arguments: &[&str]) -> String {
        self.namespace.kubectl(arguments).unwrap()
    }

    fn apply(&self, name: &str, spec: &str) {
        self.namespace.apply(&stream(name, spec)).unwrap();
    }

    /// Waits until the stream is in service with so many open shards.
    fn wait_for_shards(&self, name: &str, count: usize) {
        let wanted = format!("ACTIVE {count}");
        let path = "jsonpath={.status.phase} {.status.openShardCount}";
        wait(&format!("stream {name} with {count} shards"), READY_MAX, || {
            let found = self.kubectl(&["get", "stream", name, "-o", path]);
            Ok((found == wanted).then_some(()))
        })
        .unwrap();
    }

    /// Waits until a client can put: its access key has reached the gateways.
    async fn wait_for_put(&self, name: &str) {
        let deadline = Instant::now() + READY_MAX;
        loop {
            let put = self.client.put_record().stream_name(name).partition_key("k");
            let data = aws_sdk_kinesis::primitives::Blob::new("probe:0");
            match put.data(data).send().await {
                Ok(_) => return,
                Err(error) if Instant::now() < deadline => {
                    let _ = error;
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Err(error) => panic!("{:?}", error.into_service_error()),
            }
        }
    }
}

fn stream(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: leat.dev/v1alpha1\nkind: Stream\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    )
}

/// An AWS client as anybody has it: nothing is set but endpoint and credentials.
fn client(key: &AccessKey) -> Client {
    Client::from_conf(config(key, &installed().endpoint).build())
}

fn config(key: &AccessKey, endpoint: &str) -> aws_sdk_kinesis::config::Builder {
    aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(&key.id, &key.secret, None, None, "test"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
}
