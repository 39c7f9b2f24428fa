//! Programs written for AWS, unchanged but for their endpoint, through every operation.

use std::path::{Path, PathBuf};
use std::process::Command;

use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{
    PutRecordsRequestEntry, ScalingType, ShardIteratorType, StreamStatus,
};
use aws_sdk_kinesis::{Client, Config};
use e2e::{Leat, Start};

/// The AWS SDK for Rust, pointed at an endpoint.
pub(crate) fn rust_sdk(endpoint: &str) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new("any", "any", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}

/// One of the scripts in `e2e/clients`, by the Python that `e2e/test.sh` has set up.
fn python(name: &str) -> Command {
    let bin = clients().join("../.venv/bin");
    let mut command = Command::new(bin.join("python"));
    command.arg(clients().join(name));
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", bin.display()));
    command
}

fn script(name: &str, arg: &str) {
    let mut command = python(name);
    command.arg(arg);
    run(command);
}

/// Runs a program in `e2e/clients` that is written in another language.
fn program(directory: &str, name: &str, args: &[&str]) {
    let mut command = Command::new(name);
    command.args(args).current_dir(clients().join(directory));
    run(command);
}

/// A certificate for loopback and its key: their files.
pub(crate) fn certificate(directory: &Path) -> (String, String) {
    let path = |name: &str| directory.join(name).to_str().unwrap().to_owned();
    let (certificate, key) = (path("cert.pem"), path("key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-keyout", &key, "-out", &certificate])
        .output()
        .unwrap();
    assert!(made.status.success());
    (certificate, key)
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// Runs a client against a server of its own; both must end well.
fn run(command: Command) {
    let directory = tempfile::tempdir().unwrap();
    let start = Start::on(directory.path()).with(&["--on-demand-interval", "1"]);
    run_on(Leat::start(&start).unwrap(), "http", command);
}

fn run_on(leat: Leat, scheme: &str, mut command: Command) {
    let output = command
        .env("AWS_ENDPOINT_URL_KINESIS", format!("{scheme}://{}", leat.address()))
        .env("AWS_REGION", "us-east-1")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "any")
        .env("AWS_SECRET_ACCESS_KEY", "any")
        .output()
        .expect("run e2e/test.sh, which installs the clients");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{}\n{}\n{}",
        text(&output.stdout),
        text(&output.stderr),
        leat.log()
    );
    let errors: Vec<_> =
        leat.log().lines().filter(|l| l.contains(" ERROR ")).map(str::to_owned).collect();
    assert!(errors.is_empty(), "{errors:?}");
    leat.stop().unwrap();
}

#[test]
fn boto3_runs_every_operation_and_the_service_model_is_covered() {
    run(python("coverage.py"));
}

#[test]
fn three_kcl_workers_share_a_stream_by_polling() {
    script("kcl/kcl.py", "polling");
}

#[test]
fn three_kcl_workers_share_a_stream_by_enhanced_fan_out() {
    script("kcl/kcl.py", "fanout");
}

#[test]
fn what_the_kpl_aggregates_comes_back_whole_through_the_kcl() {
    // Its daemon speaks TLS only.
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = certificate(directory.path());
    let start = Start::on(&directory.path().join("data"));
    let start = start.with(&["--tls-cert", &certificate, "--tls-key", &key]);
    let leat = Leat::start(&start).unwrap();
    let mut command = python("kcl/kcl.py");
    command.arg("kpl").env("AWS_CA_BUNDLE", certificate);
    run_on(leat, "https", command);
}

#[test]
fn the_java_sdk_runs_the_scenario_sync_and_async() {
    program("java", "mvn", &["-q", "-B", "-o", "compile", "exec:exec"]);
}

#[test]
fn the_go_sdk_runs_the_scenario() {
    program("go", "go", &["run", "."]);
}

#[test]
fn the_javascript_sdk_runs_the_scenario() {
    program("js", "node", &["scenario.mjs"]);
}

#[test]
fn the_aws_cli_runs_every_operation() {
    run(python("awscli_core.py"));
}

#[tokio::test]
async fn the_rust_sdk_runs_every_operation() {
    let directory = tempfile::tempdir().unwrap();
    let leat = Leat::start(&Start::on(directory.path())).unwrap();
    let client = rust_sdk(&leat.endpoint());
    let name = "rust";
    client.create_stream().stream_name(name).shard_count(2).tags("a", "1").send().await.unwrap();
    let summary = client.describe_stream_summary().stream_name(name).send().await.unwrap();
    let summary = summary.stream_description_summary.unwrap();
    assert_eq!(summary.stream_status, StreamStatus::Active);
    assert_eq!(summary.open_shard_count, 2);
    let arn = summary.stream_arn;

    let put = client.put_record().stream_name(name).partition_key("k").data(Blob::new("one"));
    let first = put.send().await.unwrap();
    let entry = |number: i32| {
        let entry = PutRecordsRequestEntry::builder().partition_key("k");
        entry.data(Blob::new(number.to_string())).build().unwrap()
    };
    let puts = client.put_records().stream_arn(&arn).records(entry(2)).records(entry(3));
    let puts = puts.send().await.unwrap();
    assert_eq!(puts.failed_record_count, Some(0));
    assert_eq!(puts.records[1].shard_id.as_ref(), Some(&first.shard_id));

    let iterator = client.get_shard_iterator().stream_name(name).shard_id(&first.shard_id);
    let iterator = iterator
        .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
        .starting_sequence_number(&first.sequence_number);
    let iterator = iterator.send().await.unwrap().shard_iterator;
    let got = client.get_records().set_shard_iterator(iterator).send().await.unwrap();
    let data: Vec<_> = got.records.iter().map(|record| record.data.as_ref().to_vec()).collect();
    assert_eq!(data, [b"2".to_vec(), b"3".to_vec()]);
    assert_eq!(got.millis_behind_latest, Some(0));

    let split = client.split_shard().stream_name(name).shard_to_split("shardId-000000000000");
    split.new_starting_hash_key("1000").send().await.unwrap();
    let merge = client.merge_shards().stream_name(name).shard_to_merge("shardId-000000000002");
    merge.adjacent_shard_to_merge("shardId-000000000003").send().await.unwrap();
    let scale = client.update_shard_count().stream_name(name).target_shard_count(3);
    scale.scaling_type(ScalingType::UniformScaling).send().await.unwrap();
    let shards = client.list_shards().stream_name(name).send().await.unwrap().shards.unwrap();
    let open = shards.iter().filter(|shard| {
        let range = shard.sequence_number_range.as_ref().unwrap();
        range.ending_sequence_number.is_none()
    });
    assert_eq!(open.count(), 3);

    let up = client.increase_stream_retention_period().stream_name(name);
    up.retention_period_hours(48).send().await.unwrap();
    let down = client.decrease_stream_retention_period().stream_name(name);
    down.retention_period_hours(24).send().await.unwrap();
    let size = client.update_max_record_size().stream_arn(&arn).max_record_size_in_kib(2048);
    size.send().await.unwrap();
    client.add_tags_to_stream().stream_name(name).tags("b", "2").send().await.unwrap();
    client.remove_tags_from_stream().stream_name(name).tag_keys("a").send().await.unwrap();
    let tags = client.list_tags_for_stream().stream_name(name).send().await.unwrap();
    assert_eq!(tags.tags.len(), 1);
    let description = client.describe_stream().stream_name(name).send().await.unwrap();
    assert_eq!(description.stream_description.unwrap().shards.len(), shards.len());
    assert_eq!(client.list_streams().send().await.unwrap().stream_names, [name]);

    let missing = client.describe_stream().stream_name("nobody").send().await.unwrap_err();
    assert!(missing.into_service_error().is_resource_not_found_exception());
    client.delete_stream().stream_name(name).send().await.unwrap();
    assert!(client.list_streams().send().await.unwrap().stream_names.is_empty());
}
