//! Measures Leat on the cluster that `e2e/cluster.sh up` made: `e2e/cluster-bench.sh` builds and runs it.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Parser;
use e2e::cluster::leat::{self, AccessKey};
use e2e::cluster::{Cluster, Namespace, wait};
use e2e::{Leat, Start};
use serde_json::Value;

/// Prints how long Leat takes on this cluster: to the first record, to reshard under load, and what it
/// puts through the gateway beside standalone. Takes a few minutes.
#[derive(Parser)]
struct Args {
    /// Rounds of everything that is measured more than once.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Records of 1 KiB in each round of the throughput.
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// Records a second while shards are split.
    #[arg(long, default_value_t = 5_000)]
    rate: u64,
}

/// How long anything on the cluster may take.
const WAIT_MAX: Duration = Duration::from_secs(120);
/// How long records are put before and while shards are split.
const LOAD_SECONDS: u64 = 30;

/// Somebody who may do everything, and where.
struct Bench {
    cluster: Cluster,
    namespace: Namespace,
    endpoint: String,
    key: AccessKey,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let cluster = Cluster::current()?;
    say("installing the chart")?;
    let endpoint = leat::install_built(&cluster, &[])?;
    let namespace = cluster.namespace("bench")?;
    let key = leat::access_key(&namespace, "bench", "ClusterRole/leat-edit")?;
    let bench = Bench { cluster, namespace, endpoint, key };
    // From here on the access key is known everywhere, as it is for whoever adds another stream.
    bench.first_record("warm-up")?;

    for round in 0..args.rounds {
        let took = bench.first_record(&format!("first-{round}"))?;
        say(&format!("from kubectl apply to the first acknowledged record: {:.2} s", secs(took)))?;
    }
    for round in 0..args.rounds {
        bench.reshard(&format!("reshard-{round}"), args.rate)?;
    }
    bench.memory()?;
    bench.throughput(&args)?;
    bench.memory()
}

impl Bench {
    fn apply(&self, stream: &str, spec: &str) -> anyhow::Result<()> {
        self.namespace.apply(&format!(
            "{{apiVersion: leat.dev/v1alpha1, kind: Stream, metadata: {{name: {stream}}}, spec: {spec}}}"
        ))?;
        Ok(())
    }

    fn wait_for_shards(&self, stream: &str, count: u32) -> anyhow::Result<()> {
        let path = "jsonpath={.status.phase} {.status.openShardCount}";
        wait(&format!("stream {stream} with {count} shards"), WAIT_MAX, || {
            let found = self.namespace.kubectl(&["get", "stream", stream, "-o", path])?;
            Ok((found == format!("ACTIVE {count}")).then_some(()))
        })
    }

    fn put(&self, stream: &str, further: &[&str]) -> anyhow::Result<Value> {
        put(&self.endpoint, &self.key, stream, further)
    }

    /// From `kubectl apply` of a stream to a record that is durable on it.
    fn first_record(&self, stream: &str) -> anyhow::Result<Duration> {
        let started = Instant::now();
        self.apply(stream, "{shardCount: 2}")?;
        let one = ["--records", "1", "--batch", "1", "--connections", "1", "--size", "16"];
        wait("a record", WAIT_MAX, || self.put(stream, &one).map(Some))?;
        let took = started.elapsed();
        self.namespace.kubectl(&["delete", "stream", stream])?;
        Ok(took)
    }

    /// From 4 shards to 8, which is from one pod to two, while records are put.
    fn reshard(&self, stream: &str, rate: u64) -> anyhow::Result<()> {
        self.apply(stream, "{shardCount: 4, shardsPerPod: 4}")?;
        self.wait_for_shards(stream, 4)?;
        let records = (rate * LOAD_SECONDS).to_string();
        let rate = rate.to_string();
        let paced =
            ["--check", "--batch", "100", "--connections", "16", "--rate", &rate, "--records"];
        let paced = [&paced[..], &[records.as_str()]].concat();
        let quiet = self.put(stream, &paced)?;
        let (took, meanwhile) = thread::scope(|scope| {
            let load = scope.spawn(|| self.put(stream, &paced));
            thread::sleep(Duration::from_secs(LOAD_SECONDS / 6));
            let started = Instant::now();
            self.namespace.kubectl(&["scale", &format!("stream/{stream}"), "--replicas=8"])?;
            self.wait_for_shards(stream, 8)?;
            let took = started.elapsed();
            let is_over = load.is_finished();
            let meanwhile = load.join().map_err(|_| anyhow::anyhow!("the load panicked"))??;
            if is_over {
                bail!("the load ended before the shards were split");
            }
            anyhow::Ok((took, meanwhile))
        })?;
        let p99 = |outcome: &Value| {
            let millis = &outcome["put_records_milliseconds"];
            format!("p50 {} ms, p99 {} ms, max {} ms", millis["p50"], millis["p99"], millis["max"])
        };
        say(&format!(
            "4 to 8 shards at {rate} records/s: {:.2} s\n  PutRecords before: {}\n  PutRecords \
             meanwhile: {}; {} records were put again",
            secs(took),
            p99(&quiet),
            p99(&meanwhile),
            meanwhile["retried_records"]
        ))?;
        self.namespace.kubectl(&["delete", "stream", stream])?;
        Ok(())
    }

    /// What the chart's pods hold, as their kubelets count it.
    fn memory(&self) -> anyhow::Result<()> {
        let nodes =
            self.cluster.kubectl(&["get", "nodes", "-o", "jsonpath={.items[*].metadata.name}"])?;
        for node in nodes.split_whitespace() {
            let path = format!("/api/v1/nodes/{node}/proxy/stats/summary");
            let summary: Value =
                serde_json::from_str(&self.cluster.kubectl(&["get", "--raw", &path])?)?;
            for pod in summary["pods"].as_array().context("a summary without pods")? {
                let (name, home) = (&pod["podRef"]["name"], &pod["podRef"]["namespace"]);
                let containers = pod["containers"].as_array().into_iter().flatten();
                let bytes: u64 =
                    containers.filter_map(|one| one["memory"]["rssBytes"].as_u64()).sum();
                if *home == leat::NAMESPACE || *home == self.namespace.name() {
                    let mib = bytes as f64 / f64::from(1 << 20);
                    say(&format!(
                        "resident in {}: {mib:.0} MiB",
                        name.as_str().unwrap_or_default()
                    ))?;
                }
            }
        }
        Ok(())
    }

    /// The same load on standalone processes, without and with signatures verified, and through the
    /// gateway, which always verifies them; in turns.
    fn throughput(&self, args: &Args) -> anyhow::Result<()> {
        let stream = "through";
        let data = tempfile::Builder::new().prefix("standalone-").tempdir_in(leat::programs()?)?;
        let credentials = data.path().join("credentials");
        let AccessKey { id, secret } = &self.key;
        let profile = "[default]\naws_access_key_id";
        fs::write(&credentials, format!("{profile} = {id}\naws_secret_access_key = {secret}\n"))?;
        let credentials = credentials.to_str().context("a path in UTF-8")?;
        let start = |name: &str, args: &[&str]| {
            let (program, data_dir) = (leat::programs()?.join("leat"), data.path().join(name));
            Leat::start(&Start { program, ..Start::on(&data_dir) }.with(args))
        };
        let open = start("open", &[])?;
        let verifying = start("verifying", &["--credentials-file", credentials])?;
        self.apply(stream, "{shardCount: 4}")?;
        self.wait_for_shards(stream, 4)?;
        for standalone in [&open, &verifying] {
            let create = ["--create", "--keep", "--records", "1000"];
            put(&standalone.endpoint(), &self.key, stream, &create)?;
        }
        let records = args.records.to_string();
        let measure = |endpoint: &str| {
            let outcome = put(endpoint, &self.key, stream, &["--records", &records])?;
            outcome["megabytes_per_second"].as_f64().context("no rate")
        };
        measure(&self.endpoint)?;
        let mut shares = Vec::new();
        for _ in 0..args.rounds {
            let (open, verifying) = (measure(&open.endpoint())?, measure(&verifying.endpoint())?);
            let gateway = measure(&self.endpoint)?;
            shares.push(gateway / open);
            say(&format!(
                "PutRecords, 500 x 1 KiB, 4 shards: standalone {open:.0} MB/s, {verifying:.0} with \
                 signatures verified; gateway {gateway:.0} MB/s: {:.0} % and {:.0} %",
                100.0 * gateway / open,
                100.0 * gateway / verifying
            ))?;
        }
        shares.sort_by(f64::total_cmp);
        say(&format!("median share: {:.0} % (60 is wanted)", 100.0 * shares[shares.len() / 2]))
    }
}

/// `leat bench`; what it measured.
fn put(endpoint: &str, key: &AccessKey, stream: &str, further: &[&str]) -> anyhow::Result<Value> {
    let output = Command::new(leat::programs()?.join("leat"))
        .args(["bench", "--json", "--endpoint", endpoint, "--stream", stream])
        .args(further)
        .env("AWS_ACCESS_KEY_ID", &key.id)
        .env("AWS_SECRET_ACCESS_KEY", &key.secret)
        .env("AWS_REGION", "us-east-1")
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        bail!("leat bench: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn secs(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

fn say(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}
