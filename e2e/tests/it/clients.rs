//! Programs written for AWS, unchanged but for their endpoint, through every operation.

use std::path::{Path, PathBuf};
use std::process::Command;

use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_sdk_kinesis::operation::put_record::PutRecordOutput;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{
    ConsumerStatus, EncryptionType, PutRecordsRequestEntry, Record, ScalingType, Shard,
    ShardIteratorType, StartingPosition, StreamDescriptionSummary, StreamStatus,
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
    // Where delivery streams of the clients would deliver to: nobody there.
    let nowhere = [
        ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1"),
        ("AWS_ENDPOINT_URL_GLUE", "http://127.0.0.1:1"),
        ("AWS_ACCESS_KEY_ID", "any"),
        ("AWS_SECRET_ACCESS_KEY", "any"),
    ];
    let start = start.with_environment(&nowhere);
    run_on(Leat::start(&start).unwrap(), "http", command);
}

fn run_on(leat: Leat, scheme: &str, mut command: Command) {
    let output = command
        .env("AWS_ENDPOINT_URL_KINESIS", format!("{scheme}://{}", leat.address()))
        .env("AWS_ENDPOINT_URL_FIREHOSE", format!("{scheme}://{}", leat.address()))
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
fn boto3_runs_every_operation_of_firehose_and_its_service_model_is_covered() {
    run(python("firehose_coverage.py"));
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
fn the_aws_cli_runs_the_scenario() {
    run(python("awscli_core.py"));
}

#[test]
fn the_aws_cli_runs_the_life_of_a_delivery_stream() {
    run(python("awscli_firehose.py"));
}

#[tokio::test]
async fn the_rust_sdk_runs_the_scenario() {
    let directory = tempfile::tempdir().unwrap();
    let leat = Leat::start(&Start::on(directory.path())).unwrap();
    let sdk = RustSdk(rust_sdk(&leat.endpoint()));
    let arn = sdk.create().await;
    sdk.put_and_read(&arn).await;
    sdk.reshard().await;
    sdk.subscribe(&arn).await;
    sdk.encrypt().await;
    sdk.settings(&arn).await;
    sdk.delete().await;
}

/// The AWS SDK for Rust on one stream: the parts of its scenario in their order, and what they share.
struct RustSdk(Client);

impl RustSdk {
    const STREAM: &str = "rust";

    async fn create(&self) -> String {
        let create = self.0.create_stream().stream_name(Self::STREAM).shard_count(2);
        create.tags("a", "1").send().await.unwrap();
        let summary = self.summary().await;
        assert_eq!(summary.stream_status, StreamStatus::Active);
        assert_eq!(summary.open_shard_count, 2);
        assert_eq!(self.0.list_streams().send().await.unwrap().stream_names, [Self::STREAM]);
        summary.stream_arn
    }

    async fn put_and_read(&self, arn: &str) {
        let put = self.0.put_record().stream_name(Self::STREAM).partition_key("k");
        let first = put.data(Blob::new("one")).send().await.unwrap();
        let entry = |number: i32| {
            let entry = PutRecordsRequestEntry::builder().partition_key("k");
            entry.data(Blob::new(number.to_string())).build().unwrap()
        };
        let puts = self.0.put_records().stream_arn(arn).records(entry(2)).records(entry(3));
        let puts = puts.send().await.unwrap();
        assert_eq!(puts.failed_record_count, Some(0));
        assert_eq!(puts.records[1].shard_id.as_ref(), Some(&first.shard_id));

        let iterator = self.0.get_shard_iterator().stream_name(Self::STREAM);
        let iterator = iterator
            .shard_id(&first.shard_id)
            .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
            .starting_sequence_number(&first.sequence_number);
        let iterator = iterator.send().await.unwrap().shard_iterator;
        let got = self.0.get_records().set_shard_iterator(iterator).send().await.unwrap();
        assert_eq!(texts(&got.records), ["2", "3"]);
        assert_eq!(got.millis_behind_latest, Some(0));

        let missing = self.0.describe_stream().stream_name("nobody").send().await.unwrap_err();
        assert!(missing.into_service_error().is_resource_not_found_exception());
    }

    async fn reshard(&self) {
        let split = self.0.split_shard().stream_name(Self::STREAM);
        let split = split.shard_to_split("shardId-000000000000").new_starting_hash_key("1000");
        split.send().await.unwrap();
        let merge = self.0.merge_shards().stream_name(Self::STREAM);
        let merge = merge.shard_to_merge("shardId-000000000002");
        merge.adjacent_shard_to_merge("shardId-000000000003").send().await.unwrap();
        let scale = self.0.update_shard_count().stream_name(Self::STREAM).target_shard_count(3);
        scale.scaling_type(ScalingType::UniformScaling).send().await.unwrap();
        assert_eq!(self.open_shards().await.len(), 3);
        let listed = self.0.list_shards().stream_name(Self::STREAM).send().await.unwrap();
        let described = self.0.describe_stream().stream_name(Self::STREAM).send().await.unwrap();
        let described = described.stream_description.unwrap().shards;
        assert_eq!(Some(described), listed.shards);
    }

    async fn subscribe(&self, arn: &str) {
        let register = self.0.register_stream_consumer().stream_arn(arn).consumer_name("reader");
        let consumer = register.send().await.unwrap().consumer.unwrap().consumer_arn;
        let describe = || self.0.describe_stream_consumer().consumer_arn(&consumer).send();
        let described = describe().await.unwrap().consumer_description.unwrap();
        assert_eq!(described.consumer_status, ConsumerStatus::Active);
        assert_eq!((&*described.consumer_name, &*described.stream_arn), ("reader", arn));

        let shard = &self.open_shards().await[0];
        let latest = StartingPosition::builder().r#type(ShardIteratorType::Latest).build().unwrap();
        let subscribe = self.0.subscribe_to_shard().consumer_arn(&consumer);
        let subscribe = subscribe.shard_id(&shard.shard_id).starting_position(latest);
        let mut events = subscribe.send().await.unwrap().event_stream;
        let mut numbers = Vec::new();
        for text in ["pushed 0", "pushed 1", "pushed 2"] {
            numbers.push(self.put_to(shard, text).await.sequence_number);
        }
        let mut records = Vec::new();
        while records.len() < numbers.len() {
            let event = events.recv().await.unwrap().expect("it goes on");
            let event = event.as_subscribe_to_shard_event().unwrap();
            records.extend(event.records.iter().cloned());
            let last = records.last().map(|record| &record.sequence_number);
            assert!(last.is_none_or(|last| event.continuation_sequence_number == *last));
        }
        assert_eq!(texts(&records), ["pushed 0", "pushed 1", "pushed 2"]);
        let received: Vec<_> = records.into_iter().map(|record| record.sequence_number).collect();
        assert_eq!(received, numbers);

        self.0.deregister_stream_consumer().consumer_arn(&consumer).send().await.unwrap();
        let gone = describe().await.unwrap_err().into_service_error();
        assert!(gone.is_resource_not_found_exception(), "{gone:?}");
        let listed = self.0.list_stream_consumers().stream_arn(arn).send().await.unwrap();
        assert_eq!(listed.consumers, Some(Vec::new()));
    }

    async fn encrypt(&self) {
        let (kms, key) = (EncryptionType::Kms, "alias/aws/kinesis");
        let shard = &self.open_shards().await[1];
        self.put_to(shard, "before").await;
        let start = self.0.start_stream_encryption().stream_name(Self::STREAM);
        start.encryption_type(kms.clone()).key_id(key).send().await.unwrap();
        let summary = self.summary().await;
        assert_eq!((summary.encryption_type(), summary.key_id()), (Some(&kms), Some(key)));
        let during = self.put_to(shard, "during").await;
        assert_eq!(during.encryption_type, Some(kms.clone()));

        let stop = self.0.stop_stream_encryption().stream_name(Self::STREAM);
        stop.encryption_type(kms.clone()).key_id(key).send().await.unwrap();
        let summary = self.summary().await;
        assert_eq!((summary.encryption_type, summary.key_id), (Some(EncryptionType::None), None));
        self.put_to(shard, "after").await;
        // What was put encrypted says so, also after encryption has stopped.
        let iterator = self.0.get_shard_iterator().stream_name(Self::STREAM);
        let iterator = iterator.shard_id(&shard.shard_id);
        let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await;
        let iterator = iterator.unwrap().shard_iterator;
        let got = self.0.get_records().set_shard_iterator(iterator).send().await.unwrap().records;
        assert_eq!(texts(&got), ["before", "during", "after"]);
        let encrypted: Vec<_> =
            got.iter().map(|record| record.encryption_type == Some(kms.clone())).collect();
        assert_eq!(encrypted, [false, true, false]);
    }

    async fn settings(&self, arn: &str) {
        let up = self.0.increase_stream_retention_period().stream_name(Self::STREAM);
        up.retention_period_hours(48).send().await.unwrap();
        assert_eq!(self.summary().await.retention_period_hours, 48);
        let down = self.0.decrease_stream_retention_period().stream_name(Self::STREAM);
        down.retention_period_hours(24).send().await.unwrap();
        let size = self.0.update_max_record_size().stream_arn(arn).max_record_size_in_kib(2048);
        size.send().await.unwrap();
        let summary = self.summary().await;
        let set = (summary.retention_period_hours, summary.max_record_size_in_kib);
        assert_eq!(set, (24, Some(2048)));

        self.0.add_tags_to_stream().stream_name(Self::STREAM).tags("b", "2").send().await.unwrap();
        let remove = self.0.remove_tags_from_stream().stream_name(Self::STREAM);
        remove.tag_keys("a").send().await.unwrap();
        let tags = self.0.list_tags_for_stream().stream_name(Self::STREAM).send().await.unwrap();
        let tags: Vec<_> = tags.tags.iter().map(|tag| (tag.key(), tag.value())).collect();
        assert_eq!(tags, [("b", Some("2"))]);
    }

    async fn delete(&self) {
        self.0.delete_stream().stream_name(Self::STREAM).send().await.unwrap();
        assert!(self.0.list_streams().send().await.unwrap().stream_names.is_empty());
    }

    async fn summary(&self) -> StreamDescriptionSummary {
        let summary = self.0.describe_stream_summary().stream_name(Self::STREAM).send().await;
        summary.unwrap().stream_description_summary.unwrap()
    }

    async fn open_shards(&self) -> Vec<Shard> {
        let listed = self.0.list_shards().stream_name(Self::STREAM).send().await.unwrap();
        let mut shards = listed.shards.unwrap();
        shards.retain(|shard| {
            let range = shard.sequence_number_range.as_ref().unwrap();
            range.ending_sequence_number.is_none()
        });
        shards
    }

    /// Puts to this shard, whatever the partition key.
    async fn put_to(&self, shard: &Shard, text: &str) -> PutRecordOutput {
        let start = shard.hash_key_range.as_ref().unwrap().starting_hash_key();
        let put = self.0.put_record().stream_name(Self::STREAM).partition_key("k");
        let put = put.explicit_hash_key(start).data(Blob::new(text)).send().await.unwrap();
        assert_eq!(put.shard_id, shard.shard_id);
        put
    }
}

fn texts(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| std::str::from_utf8(record.data.as_ref()).unwrap()).collect()
}
