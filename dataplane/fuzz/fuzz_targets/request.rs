//! Requests past authentication: every operation answers every body with a reply or an AWS error.
#![no_main]

use std::future::Future;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};

use aws_protocol::Encoding;
use catalog::{Catalog, Change, ChangeError, Stream};
use libfuzzer_sys::fuzz_target;
use model::{Clock, StreamName, UnixMillis};
use streams_api::{Api, ApiOptions, Identity, Metrics, Shards};

const OPERATIONS: [&str; 19] = [
    "AddTagsToStream",
    "CreateStream",
    "DecreaseStreamRetentionPeriod",
    "DeleteStream",
    "DescribeStream",
    "DescribeStreamSummary",
    "GetRecords",
    "GetShardIterator",
    "IncreaseStreamRetentionPeriod",
    "ListShards",
    "ListStreams",
    "ListTagsForStream",
    "MergeShards",
    "PutRecord",
    "PutRecords",
    "RemoveTagsFromStream",
    "SplitShard",
    "UpdateMaxRecordSize",
    "UpdateShardCount",
];

/// No streams, and none can be made: what is fuzzed is what comes before.
struct Empty(tokio::sync::watch::Sender<u64>);

impl Catalog for Empty {
    fn get(&self, _: &StreamName) -> Option<Arc<Stream>> {
        None
    }

    fn list(&self, _: Option<&str>, _: usize) -> Vec<Arc<Stream>> {
        Vec::new()
    }

    fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.0.subscribe()
    }

    fn create(&self, stream: Stream) -> Change<'_, Arc<Stream>> {
        Box::pin(async move { Err(ChangeError::Exists(stream.name)) })
    }

    fn replace(&self, stream: Stream) -> Change<'_, Arc<Stream>> {
        Box::pin(async move { Err(ChangeError::Missing(stream.name)) })
    }

    fn remove(&self, name: StreamName, _: u64) -> Change<'_, ()> {
        Box::pin(async move { Err(ChangeError::Missing(name)) })
    }
}

struct Noon;

impl Clock for Noon {
    fn now(&self) -> UnixMillis {
        UnixMillis(1_700_000_000_000)
    }
}

static API: LazyLock<Api> = LazyLock::new(|| {
    Api::new(ApiOptions {
        catalog: Arc::new(Empty(tokio::sync::watch::Sender::new(0))),
        shards: Shards::default(),
        clock: Arc::new(Noon),
        identity: Identity { region: "us-east-1".into(), account: "000000000000".into() },
        random: || 7,
        metrics: Metrics::register(&mut prometheus_client::registry::Registry::default()),
    })
});

fuzz_target!(|input: (u8, &[u8])| {
    let (operation, body) = input;
    let operation = OPERATIONS[usize::from(operation) % OPERATIONS.len()];
    let mut call = Box::pin(API.call(operation, Encoding::Json, body));
    match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(reply)) => {
            assert!(reply.is_empty() || serde_json::from_slice::<serde_json::Value>(&reply).is_ok());
        }
        Poll::Ready(Err(error)) => {
            let status = error.code.status().as_u16();
            assert!((400..500).contains(&status), "{operation}: {error}");
            let _: serde_json::Value = serde_json::from_slice(&error.body()).expect("JSON");
        }
        Poll::Pending => panic!("{operation} waits although there is nothing to wait for"),
    }
    if let Ok(text) = str::from_utf8(body) {
        let _ = streams_api::decode_shard_iterator(text);
    }
});
