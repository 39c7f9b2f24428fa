//! What tests of whole windows share: a bucket in memory, a delivery stream, virtual time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use catalog::StreamUid;
use delivery_catalog::{DeliveryPhase, DeliveryStream};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use prometheus_client::registry::Registry;
use tokio::task::JoinHandle;

use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::pipeline::Context;
use crate::secrets::Secrets;
use crate::sinks::stream::testing::TestStreams;
use crate::sinks::testing::{NOW, StoppedClock};
use crate::status::Statuses;
use crate::store::{Bucket, Putting, Store, StoreError, Stores, path};

/// Objects by key, in one bucket. Keys are what S3 makes of them.
#[derive(Clone, Default)]
pub(crate) struct TestBucket(pub(crate) Arc<Mutex<BTreeMap<String, Bytes>>>);

impl Stores for TestBucket {
    fn open(&self, _: Bucket<'_>) -> Arc<dyn Store> {
        Arc::new(self.clone())
    }
}

impl Store for TestBucket {
    fn put<'a>(&'a self, key: &'a str, bytes: Bytes, _: Option<&'a str>) -> Putting<'a> {
        self.0.lock().unwrap().insert(path(key).into(), bytes);
        Box::pin(async { Ok(()) })
    }

    fn objects(&self) -> Result<Arc<dyn ObjectStore>, StoreError> {
        Ok(Arc::new(InMemory::new()))
    }
}

/// With a clock that stands still, and attempts as early as chance allows.
pub(crate) fn context(
    bucket: &TestBucket,
    secrets: Arc<dyn Secrets>,
    registry: &mut Registry,
    statuses: &Statuses,
) -> Context {
    Context {
        clock: Arc::new(StoppedClock),
        secrets,
        stores: Arc::new(bucket.clone()),
        streams: Arc::new(TestStreams::scripted(Vec::new())),
        random: || 0.0,
        memory: Memory::new(64 << 20),
        metrics: Metrics::register(registry),
        statuses: statuses.clone(),
        region: "us-east-1".to_owned(),
        account: "0".to_owned(),
    }
}

/// With a spec in JSON.
pub(crate) fn delivery_stream(spec: &str) -> DeliveryStream {
    DeliveryStream {
        name: "clicks".parse().unwrap(),
        uid: StreamUid(7),
        version: 1,
        created: NOW,
        updated: None,
        phase: DeliveryPhase::Active,
        spec: serde_json::from_str(spec).unwrap(),
        destination_version: 1,
        secrets: BTreeMap::new(),
        aws_only: BTreeMap::new(),
    }
}

/// Virtual time for those who use sockets, until it is dropped.
///
/// A paused clock leaps to the next timer whenever nothing can be done at once, and so over an answer that
/// is on its way. With this it goes half a second at most, and then stands until what is on its
/// way has come.
pub(crate) struct SlowMotion(JoinHandle<()>);

impl SlowMotion {
    const STEP: Duration = Duration::from_millis(500);
    /// The runtime looks for what has come each 61st time.
    const LOOKS: u32 = 16 * 61;

    /// In a runtime whose clock is paused.
    pub(crate) fn start() -> SlowMotion {
        SlowMotion(tokio::spawn(async {
            loop {
                for _ in 0..SlowMotion::LOOKS {
                    tokio::task::yield_now().await;
                }
                tokio::time::sleep(SlowMotion::STEP).await;
            }
        }))
    }
}

impl Drop for SlowMotion {
    fn drop(&mut self) {
        self.0.abort();
    }
}
