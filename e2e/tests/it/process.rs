//! The process itself: manifests, credentials, TLS, health, metrics, stopping, resharding under load.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{ScalingType, ShardIteratorType};
use e2e::{Leat, Start};

use crate::clients::{certificate, rust_sdk};

fn start(args: &[&str]) -> (tempfile::TempDir, Result<Leat, String>) {
    let directory = tempfile::tempdir().unwrap();
    let leat = Leat::start(&Start::on(directory.path()).with(args));
    (directory, leat.map_err(|error| format!("{error:#}")))
}

#[test]
fn it_tells_its_health_and_its_metrics() {
    let (_directory, leat) = start(&[]);
    let leat = leat.unwrap();
    for path in ["/livez", "/readyz"] {
        assert!(leat.get(path).unwrap().starts_with("HTTP/1.1 200"), "{path}");
    }
    let metrics = leat.get("/metrics").unwrap();
    for name in ["leat_shard_commits_total 0", "leat_io_uring_refused 0", "# EOF"] {
        assert!(metrics.contains(name), "{name} in {metrics}");
    }
}

#[tokio::test]
async fn cloudwatch_names_count_what_was_put_and_got() {
    let (_directory, leat) = start(&[]);
    let leat = leat.unwrap();
    let client = rust_sdk(&leat.endpoint());
    client.create_stream().stream_name("m").shard_count(1).send().await.unwrap();
    let put = client.put_record().stream_name("m").partition_key("key").data(Blob::new("12345"));
    put.send().await.unwrap();
    let metrics = leat.get("/metrics").unwrap();
    for line in [
        r#"aws_kinesis_IncomingRecords_total{StreamName="m"} 1"#,
        r#"aws_kinesis_IncomingBytes_total{StreamName="m"} 8"#,
        r#"aws_kinesis_PutRecord_Success_total{StreamName="m"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn manifests_are_applied_like_kubectl_apply() {
    let directory = tempfile::tempdir().unwrap();
    let manifest = directory.path().join("streams.yaml");
    let yaml = |shards: u32| {
        format!(
            "apiVersion: leat.dev/v1alpha1\nkind: Stream\nmetadata:\n  name: clicks\nspec:\n  shardCount: {shards}\n"
        )
    };
    let start = Start::on(&directory.path().join("data")).with(&["-f", manifest.to_str().unwrap()]);
    for (shards, said) in [(4, "created"), (4, "unchanged"), (2, "configured")] {
        std::fs::write(&manifest, yaml(shards)).unwrap();
        let leat = Leat::start(&start).unwrap();
        assert!(leat.log().contains(&format!("stream/clicks {said}")), "{}", leat.log());
        let client = rust_sdk(&leat.endpoint());
        let summary = client.describe_stream_summary().stream_name("clicks").send().await.unwrap();
        let open = summary.stream_description_summary.unwrap().open_shard_count;
        assert_eq!(open, i32::try_from(shards).unwrap());
        leat.stop().unwrap();
    }
    std::fs::write(&manifest, yaml(0)).unwrap();
    let error = format!("{:#}", Leat::start(&start).err().unwrap());
    assert!(error.contains("stream/clicks: spec.shardCount: a stream has 1 to 10000"), "{error}");
}

#[test]
fn it_does_not_listen_beyond_loopback_without_credentials() {
    let (_directory, leat) = start(&["--listen", "0.0.0.0:0"]);
    let error = leat.err().unwrap();
    assert!(error.contains("--credentials-file"), "{error}");
}

#[test]
fn a_directory_is_used_by_one_process_at_a_time() {
    let (directory, leat) = start(&[]);
    let _leat = leat.unwrap();
    let second = Leat::start(&Start::on(directory.path()));
    let error = format!("{:#}", second.err().unwrap());
    assert!(error.contains("is in use by another leat"), "{error}");
}

pub(crate) fn client(endpoint: &str, access_key: &str, secret_key: &str) -> Client {
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new(access_key, secret_key, None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}

#[tokio::test]
async fn with_a_credentials_file_only_its_keys_are_let_in() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("credentials");
    std::fs::write(&file, "[default]\naws_access_key_id = AK\naws_secret_access_key = secret\n")
        .unwrap();
    let start = Start::on(&directory.path().join("data"))
        .with(&["--credentials-file", file.to_str().unwrap()]);
    let leat = Leat::start(&start).unwrap();
    client(&leat.endpoint(), "AK", "secret").list_streams().send().await.unwrap();
    for (access_key, secret, code) in [
        ("AK", "wrong", "InvalidSignatureException"),
        ("other", "secret", "UnrecognizedClientException"),
    ] {
        let error = client(&leat.endpoint(), access_key, secret).list_streams().send().await;
        let error = error.unwrap_err().into_service_error();
        assert_eq!(error.meta().code(), Some(code));
    }
}

#[tokio::test]
async fn a_clean_stop_answers_what_is_under_way_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let start = Start::on(directory.path());
    let leat = Leat::start(&start).unwrap();
    let client = rust_sdk(&leat.endpoint());
    client.create_stream().stream_name("s").shard_count(1).send().await.unwrap();
    let puts: Vec<_> = (0..50)
        .map(|number: i32| {
            let put = client.put_record().stream_name("s").partition_key("k");
            tokio::spawn(put.data(Blob::new(number.to_string())).send())
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let log = tokio::task::spawn_blocking(move || leat.stop()).await.unwrap().unwrap();
    assert!(
        log.contains("stopped") && !log.contains(" WARN ") && !log.contains(" ERROR "),
        "{log}"
    );
    let mut acknowledged = 0;
    for put in puts {
        acknowledged += i32::from(put.await.unwrap().is_ok());
    }
    let leat = Leat::start(&start).unwrap();
    assert!(!leat.log().contains("torn tail"), "{}", leat.log());
    let client = rust_sdk(&leat.endpoint());
    let records = read_all(&client, "s").await;
    assert!(acknowledged <= i32::try_from(records.len()).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn resharding_under_load_loses_and_reorders_nothing() {
    let (_directory, leat) = start(&[]);
    let leat = leat.unwrap();
    let client = rust_sdk(&leat.endpoint());
    client.create_stream().stream_name("s").shard_count(2).send().await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..8)
        .map(|writer: u32| {
            let (client, stop) = (client.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut count = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    let put =
                        client.put_record().stream_name("s").partition_key(format!("{writer}"));
                    // No retries: a reshard must not be noticed.
                    put.data(Blob::new(format!("{writer}:{count}"))).send().await.unwrap();
                    count += 1;
                }
                count
            })
        })
        .collect();
    for count in [5, 1, 4, 7, 3, 2, 6, 1] {
        let scale = client.update_shard_count().stream_name("s").target_shard_count(count);
        scale.scaling_type(ScalingType::UniformScaling).send().await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut put = BTreeMap::new();
    for (writer, counted) in writers.into_iter().enumerate() {
        put.insert(writer.to_string(), counted.await.unwrap());
    }
    let mut got: BTreeMap<String, u64> = BTreeMap::new();
    for record in read_all(&client, "s").await {
        let (writer, count) = record.split_once(':').unwrap();
        let next = got.entry(writer.to_owned()).or_default();
        assert_eq!(count.parse::<u64>().unwrap(), *next, "writer {writer}");
        *next += 1;
    }
    assert_eq!(got, put);
    assert!(put.values().all(|count| 20 < *count), "{put:?}");
}

/// All records, parents before children, as a consumer library reads them.
pub(crate) async fn read_all(client: &Client, stream: &str) -> Vec<String> {
    let shards = client.list_shards().stream_name(stream).send().await.unwrap().shards.unwrap();
    let mut records = Vec::new();
    // A child's id is always larger than its parents'.
    for shard in shards {
        let iterator = client.get_shard_iterator().stream_name(stream).shard_id(shard.shard_id);
        let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon);
        let mut next = iterator.send().await.unwrap().shard_iterator;
        while let Some(iterator) = next {
            let got = client.get_records().shard_iterator(iterator).send().await.unwrap();
            let texts = got.records.iter().map(|record| record.data.as_ref().to_vec());
            records.extend(texts.map(|data| String::from_utf8(data).unwrap()));
            next = got.next_shard_iterator.filter(|_| !got.records.is_empty());
        }
    }
    records
}

#[test]
fn it_serves_tls_when_given_a_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = certificate(directory.path());
    let start = Start::on(&directory.path().join("data"));
    let start = start.with(&["--tls-cert", &certificate, "--tls-key", &key]);
    let leat = Leat::start(&start).unwrap();
    for http in ["--http1.1", "--http2"] {
        let answered = std::process::Command::new("curl")
            .args(["--silent", "--show-error", http, "--cacert", &certificate])
            .arg(format!("https://{}/readyz", leat.address()))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&answered.stdout), "ok\n", "{http}: {answered:?}");
    }
}

#[test]
fn a_renewed_certificate_is_served_without_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let renewed = tempfile::tempdir().unwrap();
    let (certificate, key) = certificate(directory.path());
    let (renewed_certificate, renewed_key) = self::certificate(renewed.path());
    let start = Start::on(&directory.path().join("data"));
    let start = start.with(&["--tls-cert", &certificate, "--tls-key", &key]);
    let leat = Leat::start(&start).unwrap();
    let is_trusted_by = |authority: &str| {
        let mut curl = std::process::Command::new("curl");
        curl.args(["--silent", "--cacert", authority]);
        curl.arg(format!("https://{}/readyz", leat.address())).status().unwrap().success()
    };
    assert!(is_trusted_by(&certificate) && !is_trusted_by(&renewed_certificate));
    let original = directory.path().join("original");
    std::fs::copy(&certificate, &original).unwrap();
    // One after the other: in between they do not belong together, and the old one is served on.
    std::fs::copy(&renewed_certificate, &certificate).unwrap();
    assert!(is_trusted_by(&original.to_string_lossy()));
    std::fs::copy(&renewed_key, &key).unwrap();
    assert!(is_trusted_by(&renewed_certificate));
    assert!(!is_trusted_by(&original.to_string_lossy()));
}

#[tokio::test]
async fn a_damaged_shard_says_what_is_wrong_and_the_others_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let start = Start::on(directory.path());
    let leat = Leat::start(&start).unwrap();
    let client = rust_sdk(&leat.endpoint());
    for stream in ["good", "bad"] {
        client.create_stream().stream_name(stream).shard_count(1).send().await.unwrap();
    }
    for _ in 0..3 {
        let put = client.put_record().stream_name("bad").partition_key("k");
        put.data(Blob::new(vec![7; 2_000])).send().await.unwrap();
    }
    leat.stop().unwrap();
    // In the middle of the first record.
    let (path, mut bytes) =
        segments(directory.path()).into_iter().find(|(_, bytes)| bytes[4_500] == 7).unwrap();
    bytes[4_500] ^= 1;
    std::fs::write(path, bytes).unwrap();

    let leat = Leat::start(&start).unwrap();
    assert!(leat.log().contains("corrupt at byte 4096"), "{}", leat.log());
    let client = rust_sdk(&leat.endpoint());
    let put = |stream: &str| {
        client.put_record().stream_name(stream).partition_key("k").data(Blob::new("x")).send()
    };
    let refused = put("bad").await.unwrap_err().into_service_error();
    assert_eq!(refused.meta().code(), Some("ServiceUnavailable"));
    let message = refused.meta().message().unwrap_or_default();
    assert!(message.contains("corrupt at byte 4096"), "{message}");
    put("good").await.unwrap();
    assert!(
        leat.get("/metrics").unwrap().contains(r#"leat_shard_unwritable{cause="LogFailed"} 1"#)
    );
}

fn segments(directory: &std::path::Path) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut directories = vec![directory.join("shards")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                found.insert(path.clone(), std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[tokio::test]
async fn where_io_uring_is_refused_it_says_so_and_serves_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let wrapper =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/without_io_uring.py");
    let start = Start { program: wrapper, ..Start::on(directory.path()) };
    let leat = Leat::start(&start).unwrap();
    assert!(leat.log().contains("io_uring is refused"), "{}", leat.log());
    assert!(leat.log().contains("kernel.io_uring_disabled"), "{}", leat.log());
    assert!(leat.get("/metrics").unwrap().contains("leat_io_uring_refused 1"));
    let client = rust_sdk(&leat.endpoint());
    client.create_stream().stream_name("s").shard_count(1).send().await.unwrap();
    let put = client.put_record().stream_name("s").partition_key("k").data(Blob::new("x"));
    put.send().await.unwrap();
    assert_eq!(read_all(&client, "s").await, ["x"]);
    drop(leat);
    // Asked for by name, it is not replaced by something else.
    let error = format!("{:#}", Leat::start(&start.with(&["--backend", "uring"])).err().unwrap());
    assert!(error.contains("io_uring is refused"), "{error}");
}
