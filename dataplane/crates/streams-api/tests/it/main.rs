//! What takes a stream that stays as it is, or a clock that can be moved: errors that a process under
//! test shows only by chance, or after minutes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod rights;
mod subscriptions;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use auth::Caller;
use aws_protocol::Encoding;
use catalog::{Catalog, Entries, LocalCatalog, Phase};
use encryption::MasterKeys;
use model::{Clock, UnixMillis};
use serde_json::{Value, json};
use streams_api::{Answer, Api, ApiOptions, Heat, Identity, Metrics, Rights, Shards};

struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::Relaxed))
    }
}

/// The service on a catalog that nobody looks after: streams stay CREATING.
struct Fixture {
    api: Api,
    catalog: Arc<LocalCatalog>,
    clock: Arc<TestClock>,
    shards: Shards,
    directory: tempfile::TempDir,
}

fn caller() -> Caller {
    Caller {
        account: "000000000000".into(),
        user: "test".into(),
        source_ip: [127, 0, 0, 1].into(),
        is_secure: false,
    }
}

const ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";

impl Fixture {
    async fn new() -> Fixture {
        Fixture::with_rights(None).await
    }

    async fn with_rights(rights: Option<Arc<dyn Rights>>) -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        let catalog = Arc::new(LocalCatalog::open(directory.path()).unwrap());
        let clock = Arc::new(TestClock(AtomicU64::new(1_700_000_000_000)));
        let shards = Shards::default();
        let api = Api::new(ApiOptions {
            catalog: Arc::clone(&catalog) as Arc<dyn Catalog>,
            shards: shards.clone(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            identity: Identity { region: "us-east-1".into(), account: "000000000000".into() },
            random: || 7,
            keys: Arc::new(MasterKeys::parse(&MasterKeys::new_file()).unwrap()),
            metrics: Metrics::register(&mut prometheus_client::registry::Registry::default()),
            event_bytes_max: 0,
            rights,
            heat: Heat::default(),
        });
        Fixture { api, catalog, clock, shards, directory }
    }

    /// A stream as it is before the reconciler has seen it.
    async fn creating(names: &[&str]) -> Fixture {
        let fixture = Fixture::new().await;
        for name in names {
            let create = json!({"StreamName": name, "ShardCount": 2});
            // It waits for what never comes; with time paused, not for long.
            fixture.call("CreateStream", create).await.unwrap();
        }
        fixture
    }

    async fn activate(&self, name: &str) {
        let mut stream = (*self.catalog.get(&name.parse().unwrap()).unwrap()).clone();
        stream.shards.finish(&[]);
        stream.phase = Phase::Active;
        self.catalog.replace(stream).await.unwrap();
    }

    async fn call(&self, operation: &str, body: Value) -> Result<Value, String> {
        let body = body.to_string();
        let called = self.api.call(operation, Encoding::Json, caller(), body.as_bytes()).await;
        match called {
            Ok(Answer::Whole(reply)) if reply.is_empty() => Ok(Value::Null),
            Ok(Answer::Whole(reply)) => Ok(serde_json::from_slice(&reply).unwrap()),
            Ok(Answer::Events(_)) => Ok(Value::Null),
            Err(error) => Err(error.code.name().to_owned()),
        }
    }

    fn pass_minutes(&self, minutes: u64) {
        self.clock.0.fetch_add(minutes * 60_000 + 1, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn many_changes_of_a_stream_at_the_same_time_are_all_made() {
    let fixture = Fixture::creating(&["s"]).await;
    let tags: Vec<String> = (0..48).map(|number| format!("tag-{number}")).collect();
    let adds = tags.iter().map(|tag| {
        fixture.call("AddTagsToStream", json!({"StreamName": "s", "Tags": {tag.as_str(): ""}}))
    });
    for added in futures_util::future::join_all(adds).await {
        assert_eq!(added, Ok(Value::Null));
    }
    let listed = fixture.call("ListTagsForStream", json!({"StreamName": "s"})).await.unwrap();
    assert_eq!(listed["Tags"].as_array().map(Vec::len), Some(tags.len()));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_being_changed_is_in_use() {
    let fixture = Fixture::creating(&["s"]).await;
    let kms = json!({"StreamARN": ARN, "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"});
    let hours = json!({"StreamName": "s", "RetentionPeriodHours": 48});
    let metrics = json!({"StreamName": "s", "ShardLevelMetrics": ["ALL"]});
    let shard = "shardId-000000000000";
    fixture
        .catalog
        .replace_account(catalog::Account {
            version: 0,
            commitment: Some(catalog::Commitment { started: UnixMillis(1), ended: None }),
        })
        .await
        .unwrap();
    for (operation, body) in [
        ("DecreaseStreamRetentionPeriod", hours.clone()),
        ("DisableEnhancedMonitoring", metrics.clone()),
        ("EnableEnhancedMonitoring", metrics),
        ("IncreaseStreamRetentionPeriod", hours),
        (
            "MergeShards",
            json!({"StreamName": "s", "ShardToMerge": shard, "AdjacentShardToMerge": "shardId-000000000001"}),
        ),
        ("RegisterStreamConsumer", json!({"StreamARN": ARN, "ConsumerName": "c"})),
        (
            "SplitShard",
            json!({"StreamName": "s", "ShardToSplit": shard, "NewStartingHashKey": "100"}),
        ),
        ("StartStreamEncryption", kms.clone()),
        ("StopStreamEncryption", kms),
        ("UpdateMaxRecordSize", json!({"StreamARN": ARN, "MaxRecordSizeInKiB": 2048})),
        (
            "UpdateShardCount",
            json!({"StreamName": "s", "TargetShardCount": 3, "ScalingType": "UNIFORM_SCALING"}),
        ),
        (
            "UpdateStreamMode",
            json!({"StreamARN": ARN, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}),
        ),
        (
            "UpdateStreamRecordDistributionStrategy",
            json!({"StreamARN": ARN, "RecordDistributionStrategy": "USER_PARTITION_KEY"}),
        ),
        ("UpdateStreamWarmThroughput", json!({"StreamARN": ARN, "WarmThroughputMiBps": 5})),
    ] {
        let refused = fixture.call(operation, body).await;
        assert_eq!(refused, Err("ResourceInUseException".to_owned()), "{operation}");
    }
    let put = json!({"StreamName": "s", "Data": "eA==", "PartitionKey": "k"});
    let refused = fixture.call("PutRecord", put).await;
    assert_eq!(refused, Err("ResourceNotFoundException".to_owned()), "as AWS while CREATING");
}

#[tokio::test(start_paused = true)]
async fn tokens_expire_after_five_minutes() {
    let fixture = Fixture::creating(&["s", "t"]).await;
    fixture.activate("s").await;
    for name in ["a", "b"] {
        let register = json!({"StreamARN": ARN, "ConsumerName": name});
        fixture.call("RegisterStreamConsumer", register).await.unwrap();
    }
    let pages = [
        ("ListStreams", json!({"Limit": 1})),
        ("ListShards", json!({"StreamName": "s", "MaxResults": 1})),
        ("ListStreamConsumers", json!({"StreamARN": ARN, "MaxResults": 1})),
    ];
    for (operation, first) in pages {
        let page = fixture.call(operation, first).await.unwrap();
        let mut next = json!({"NextToken": page["NextToken"]});
        if operation == "ListStreamConsumers" {
            next["StreamARN"] = ARN.into();
        }
        fixture.call(operation, next.clone()).await.unwrap();
        fixture.pass_minutes(5);
        let refused = fixture.call(operation, next).await;
        assert_eq!(refused, Err("ExpiredNextTokenException".to_owned()), "{operation}");
    }
}

#[tokio::test(start_paused = true)]
async fn iterators_expire_after_five_minutes() {
    let fixture = Fixture::creating(&["s"]).await;
    fixture.activate("s").await;
    let iterator = streams_api::ShardIterator {
        stream: "s".parse().unwrap(),
        uid: fixture.catalog.get(&"s".parse().unwrap()).unwrap().uid,
        shard: model::ShardId(0),
        offset: model::Offset(0),
        issued: fixture.clock.now(),
    };
    let get = json!({"ShardIterator": iterator.encode()});
    // No shard runs here: that is as far as a good iterator gets.
    let reached = fixture.call("GetRecords", get.clone()).await;
    assert_eq!(reached, Err("ServiceUnavailable".to_owned()));
    fixture.pass_minutes(5);
    let refused = fixture.call("GetRecords", get).await;
    assert_eq!(refused, Err("ExpiredIteratorException".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_commitment_lasts_a_day() {
    let fixture = Fixture::new().await;
    let say = |status: &str| json!({"MinimumThroughputBillingCommitment": {"Status": status}});
    let status = |reply: Value| {
        let commitment = &reply["MinimumThroughputBillingCommitment"];
        (commitment["Status"].as_str().unwrap().to_owned(), commitment["EndedAt"].is_null())
    };
    let check = |reply: Value, want: &str| assert_eq!(status(reply).0, want);
    check(fixture.call("DescribeAccountSettings", json!({})).await.unwrap(), "DISABLED");
    check(fixture.call("UpdateAccountSettings", say("ENABLED")).await.unwrap(), "ENABLED");
    let ending = "ENABLED_UNTIL_EARLIEST_ALLOWED_END";
    check(fixture.call("UpdateAccountSettings", say("DISABLED")).await.unwrap(), ending);
    fixture.pass_minutes(24 * 60);
    let ended = fixture.call("DescribeAccountSettings", json!({})).await.unwrap();
    assert_eq!(status(ended), ("DISABLED".to_owned(), false));
}
