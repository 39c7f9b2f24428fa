//! Subscriptions to shards with records, on a clock that can be moved.

use std::time::Duration;

use aws_protocol::Encoding;
use bytes::Bytes;
use catalog::{Entries, Phase};
use futures_util::StreamExt;
use model::{Clock, HashKey, Reshard, ShardId, StreamName};
use serde_json::{Value, json};
use shard::{Engine, EngineOptions, Retention, ShardHandle, ShardOptions, Throughput};
use shard_log::{LogId, OpenMode};
use streams_api::{Answer, Events, ShardKey};

use super::{ARN, Fixture, caller};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A stream of one shard that runs.
struct Running {
    fixture: Fixture,
    engine: Engine,
    shard: ShardHandle,
    consumer: String,
}

impl Running {
    async fn new() -> Running {
        let fixture = Fixture::new().await;
        let name: StreamName = "s".parse().unwrap();
        let create = json!({"StreamName": "s", "ShardCount": 1});
        let created = fixture.call("CreateStream", create);
        // It waits for somebody to make the shards.
        let made = async {
            let mut changes = fixture.catalog.changes();
            changes.wait_for(|_| fixture.catalog.get(&name).is_some()).await.unwrap();
            fixture.activate("s").await;
        };
        tokio::join!(created, made).0.unwrap();
        let options = EngineOptions {
            backend: "blocking".parse().unwrap(),
            threads: 1,
            tail_bytes_max: 1 << 20,
            read_bytes_max: 64 << 20,
            log: shard_log::Options::standard(),
        };
        let metrics =
            shard::Metrics::register(&mut prometheus_client::registry::Registry::default());
        let clock = fixture.clock.clone() as std::sync::Arc<dyn Clock>;
        let engine = Engine::start(&options, &clock, &metrics).unwrap();
        let directory = fixture.directory.path().join("shard");
        let shard = ShardOptions {
            throughput: Throughput::Unlimited,
            retention: Retention { age: DAY, bytes_max: None },
            keyring: std::sync::Arc::default(),
        };
        let shard = engine.open(directory, OpenMode::Create(LogId(1)), shard).await.unwrap();
        let stream = fixture.catalog.get(&name).unwrap();
        let key = ShardKey { stream: stream.uid, shard: ShardId(0) };
        fixture.shards.insert(key, shard.clone());
        let register = json!({"StreamARN": ARN, "ConsumerName": "c"});
        let consumer = fixture.call("RegisterStreamConsumer", register).await.unwrap();
        let consumer = consumer["Consumer"]["ConsumerARN"].as_str().unwrap().to_owned();
        Running { fixture, engine, shard, consumer }
    }

    async fn put(&self, data: &str) -> String {
        let put = json!({"StreamName": "s", "PartitionKey": "k", "Data": data});
        let reply = self.fixture.call("PutRecord", put).await.unwrap();
        reply["SequenceNumber"].as_str().unwrap().to_owned()
    }

    async fn subscribe(&self, position: Value) -> Events {
        let body = json!({
            "ConsumerARN": self.consumer, "ShardId": "shardId-000000000000",
            "StartingPosition": position,
        });
        let body = body.to_string();
        let called =
            self.fixture.api.call("SubscribeToShard", Encoding::Json, caller(), body.as_bytes());
        match called.await {
            Ok(Answer::Events(events)) => events,
            Ok(Answer::Whole(_)) => panic!("no events"),
            Err(error) => panic!("{error}"),
        }
    }
}

async fn next(events: &mut Events) -> Option<Bytes> {
    let next = tokio::time::timeout(Duration::from_secs(30), events.stream.next());
    next.await.expect("an event comes in time")
}

fn has(event: &Bytes, text: &str) -> bool {
    event.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn a_subscription_ends_after_five_minutes() {
    let running = Running::new().await;
    let mut events = running.subscribe(json!({"Type": "LATEST"})).await;
    assert!(has(&next(&mut events).await.unwrap(), "initial-response"));
    tokio::time::pause();
    let started = tokio::time::Instant::now();
    while let Some(heartbeat) = events.stream.next().await {
        assert!(has(&heartbeat, "MillisBehindLatest"));
    }
    let lasted = started.elapsed();
    assert!((300..306).contains(&lasted.as_secs()), "{lasted:?}");
    tokio::time::resume();
    running.engine.shutdown().await;
}

#[tokio::test]
async fn the_end_of_a_shard_comes_also_when_its_records_have_expired() {
    let running = Running::new().await;
    let first = running.put("AAAA").await;
    running.put("BBBB").await;
    running.fixture.pass_minutes(25 * 60);
    let now = running.fixture.clock.now();
    let (end, at) = running.shard.close(now).await.unwrap();
    let catalog = &running.fixture.catalog;
    let mut stream = (*catalog.get(&"s".parse().unwrap()).unwrap()).clone();
    let split = Reshard::Split { parent: ShardId(0), at: HashKey(1000) };
    stream.shards.begin(&split, now);
    stream.shards.finish(&[(ShardId(0), end, at)]);
    stream.phase = Phase::Active;
    catalog.replace(stream).await.unwrap();

    let position = json!({"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": first});
    let mut events = running.subscribe(position).await;
    assert!(has(&next(&mut events).await.unwrap(), "initial-response"));
    let last = next(&mut events).await.unwrap();
    assert!(has(&last, "shardId-000000000002"), "{last:?}");
    assert_eq!(next(&mut events).await, None);
    running.engine.shutdown().await;
}

#[tokio::test]
async fn a_subscription_that_is_behind_is_taken_over_and_stopped_at_once() {
    for is_stopped in [false, true] {
        let running = Running::new().await;
        let large = "A".repeat(1_000_000);
        for _ in 0..6 {
            running.put(&large).await;
        }
        let mut first = running.subscribe(json!({"Type": "TRIM_HORIZON"})).await;
        next(&mut first).await.unwrap();
        assert!(has(&next(&mut first).await.unwrap(), "AAAA"));
        if is_stopped {
            running.fixture.api.stop();
            assert_eq!(next(&mut first).await, None);
        } else {
            tokio::time::sleep(Duration::from_millis(5_100)).await;
            let _second = running.subscribe(json!({"Type": "TRIM_HORIZON"})).await;
            let event = next(&mut first).await.unwrap();
            assert!(has(&event, "ResourceInUseException"), "{event:?}");
            assert_eq!(next(&mut first).await, None);
        }
        running.engine.shutdown().await;
    }
}
