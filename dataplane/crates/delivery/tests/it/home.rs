//! What a delivery needs around it: a stream of real shards, a store in memory that fails now and then.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use catalog::{Catalog, Entries, LocalCatalog, Phase, Settings, Stream, StreamUid};
use delivery::{
    Bucket, Context, Group, Memory, Metrics, MissingSecret, Putting, Secrets, Sharing, Source,
    Statuses, Store, StoreError, Stores, StreamError, StreamPuts, StreamRecord, Streams,
};
use delivery_catalog::{DeliveryPhase, DeliveryStream};
use model::{Boundaries, Clock, ShardId, ShardState, StreamName, UnixMillis};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use operator_api::DeliveryStreamSpec;
use operator_api::pods::SecretRef;
use prometheus_client::registry::Registry;
use rand::RngExt;
use shard::{Engine, EngineOptions, Retention, ShardHandle, ShardOptions, SystemClock, Throughput};
use shard_log::{LogId, OpenMode, RecordBuffer};
use storage::Backend;

const NAME: &str = "clicks";
/// Of so many puts one is slow.
const SLOW_ONE_OF: u32 = 40;
/// How long a put takes at the most.
pub(crate) const LATEST: Duration = Duration::from_millis(2_000);

type Handles = Mutex<HashMap<(StreamUid, ShardId), ShardHandle>>;

/// A stream with its shards, and the stores that its deliveries put objects into.
pub(crate) struct Home {
    engine: Engine,
    catalog: Arc<LocalCatalog>,
    handles: Arc<Handles>,
    pub(crate) stores: Arc<MemoryStores>,
    clock: Arc<dyn Clock>,
    directory: tempfile::TempDir,
}

/// Objects by bucket and key.
#[derive(Default)]
pub(crate) struct MemoryStores {
    objects: Mutex<BTreeMap<(String, String), Bytes>>,
    /// Of so many puts one fails, before or after the object is there; 0 for none.
    pub(crate) one_fails_of: Mutex<u32>,
}

struct MemoryStore {
    bucket: String,
    stores: Arc<MemoryStores>,
}

struct NoSecrets;

impl Secrets for NoSecrets {
    fn get(&self, of: &SecretRef) -> Result<Vec<u8>, MissingSecret> {
        Err(MissingSecret { name: of.name.clone(), key: of.key.clone() })
    }
}

struct NoStreams;

impl Streams for NoStreams {
    fn put<'a>(&'a self, _: &'a str, records: &'a [StreamRecord]) -> StreamPuts<'a> {
        let none = || Err(StreamError::Unavailable("there are none".into()));
        Box::pin(async move { records.iter().map(|_| none()).collect() })
    }
}

/// [`MemoryStores`], shared.
struct Shared(Arc<MemoryStores>);

impl Stores for Shared {
    fn open(&self, bucket: Bucket<'_>) -> Arc<dyn Store> {
        Arc::new(MemoryStore { bucket: bucket.name().to_owned(), stores: Arc::clone(&self.0) })
    }
}

impl Store for MemoryStore {
    fn put<'a>(&'a self, key: &'a str, bytes: Bytes, _: Option<&'a str>) -> Putting<'a> {
        Box::pin(async move {
            let one_of = *self.stores.one_fails_of.lock().unwrap();
            let is_unlucky = || 0 < one_of && rand::rng().random_range(0..one_of) == 0;
            let failed = || StoreError::Malformed {
                name: self.bucket.clone(),
                key: key.to_owned(),
                what: "good luck",
            };
            if is_unlucky() {
                return Err(failed());
            }
            let place = (self.bucket.clone(), key.to_owned());
            let stores = Arc::clone(&self.stores);
            let is_slow = rand::rng().random_range(0..SLOW_ONE_OF) == 0;
            let longest = if is_slow { LATEST } else { Duration::from_millis(150) };
            let pause = longest.mul_f64(rand::random());
            // What was sent arrives, whatever becomes of who sent it.
            let arrives = tokio::spawn(async move {
                tokio::time::sleep(pause).await;
                stores.objects.lock().unwrap().insert(place, bytes);
            });
            arrives.await.unwrap();
            if is_unlucky() { Err(failed()) } else { Ok(()) }
        })
    }

    fn objects(&self) -> Result<Arc<dyn ObjectStore>, StoreError> {
        Ok(Arc::new(InMemory::new()))
    }
}

impl MemoryStores {
    /// The lines of all objects whose keys start so.
    pub(crate) fn lines(&self, bucket: &str, prefix: &str) -> Vec<String> {
        let objects = self.objects.lock().unwrap();
        let objects =
            objects.iter().filter(|((in_, key), _)| in_ == bucket && key.starts_with(prefix));
        let lines = |bytes: &Bytes| {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        objects.flat_map(|(_, bytes)| lines(bytes)).collect()
    }

    pub(crate) fn keys(&self, bucket: &str) -> Vec<String> {
        let objects = self.objects.lock().unwrap();
        objects.keys().filter(|(in_, _)| in_ == bucket).map(|(_, key)| key.clone()).collect()
    }
}

impl Home {
    pub(crate) async fn new(shards: u32) -> Home {
        let directory = tempfile::tempdir().unwrap();
        let options = EngineOptions {
            backend: Backend::Blocking,
            threads: 1,
            tail_bytes_max: 1 << 20,
            read_bytes_max: 16 << 20,
            log: shard_log::Options::standard(),
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let metrics = shard::Metrics::register(&mut Registry::default());
        let engine = Engine::start(&options, &clock, &metrics).unwrap();
        let catalog = Arc::new(LocalCatalog::open(&directory.path().join("catalog")).unwrap());
        let (stores, handles) = (Arc::default(), Arc::default());
        let home = Home { engine, catalog, handles, stores, clock, directory };
        home.create(StreamUid(7), shards).await;
        home
    }

    /// Makes the stream, anew if it was there.
    pub(crate) async fn create(&self, uid: StreamUid, shards: u32) {
        let name: StreamName = NAME.parse().unwrap();
        if let Some(before) = self.catalog.get(&name) {
            self.catalog.remove(name.clone(), before.version).await.unwrap();
        }
        let desired = Boundaries::uniform(shards).unwrap();
        let mut stream = Stream::new(name, uid, self.clock.now(), desired, Settings::default());
        self.open_pending(&stream).await;
        stream.shards.finish(&[]);
        stream.phase = Phase::Active;
        self.catalog.create(stream).await.unwrap();
    }

    /// Splits the stream's only shard.
    pub(crate) async fn split(&self) {
        let mut stream = self.stream();
        for reshard in model::plan(&stream.shards, &Boundaries::uniform(2).unwrap()) {
            stream.shards.begin(&reshard, self.clock.now());
        }
        self.open_pending(&stream).await;
        let parent = stream.shards.shards()[0].id;
        let (end, at) = self.handle(stream.uid, parent).close(self.clock.now()).await.unwrap();
        stream.shards.finish(&[(parent, end, at)]);
        self.catalog.replace(stream).await.unwrap();
    }

    async fn open_pending(&self, stream: &Stream) {
        let shards = stream.shards.shards().iter();
        for shard in shards.filter(|shard| shard.state == ShardState::Pending) {
            let options = ShardOptions {
                throughput: Throughput::Unlimited,
                retention: Retention { age: Duration::from_secs(86_400), bytes_max: None },
                keyring: Arc::default(),
            };
            let mode = OpenMode::Create(LogId(u64::from(shard.id.0) + 1));
            let place = self.directory.path().join(format!("{}-{}", stream.uid.0, shard.id));
            let handle = self.engine.open(place, mode, options).await.unwrap();
            self.handles.lock().unwrap().insert((stream.uid, shard.id), handle);
        }
    }

    fn stream(&self) -> Stream {
        (*self.catalog.get(&NAME.parse().unwrap()).unwrap()).clone()
    }

    fn handle(&self, uid: StreamUid, shard: ShardId) -> ShardHandle {
        self.handles.lock().unwrap()[&(uid, shard)].clone()
    }

    /// Puts a line for each number into one of the shards.
    pub(crate) async fn put(&self, numbers: std::ops::Range<u32>) {
        let stream = self.stream();
        let owners: Vec<ShardId> = stream.shards.owners().map(|shard| shard.id).collect();
        for number in numbers {
            let mut records = RecordBuffer::with_capacity(20_000);
            records.push("key", line(number).as_bytes());
            let shard = owners[number as usize % owners.len()];
            self.handle(stream.uid, shard).append(records).await.unwrap();
        }
    }

    pub(crate) fn delivery_stream(&self, spec: &str) -> Arc<DeliveryStream> {
        let source = "\"source\": {\"stream\": {\"name\": \"clicks\", \"startingPosition\": \"TRIM_HORIZON\"}}";
        let spec: DeliveryStreamSpec =
            serde_json::from_str(&format!("{{{source}, {spec}}}")).unwrap();
        Arc::new(DeliveryStream {
            name: "to-lake".parse().unwrap(),
            uid: StreamUid(8),
            version: 1,
            created: UnixMillis(0),
            updated: None,
            phase: DeliveryPhase::Active,
            spec,
            destination_version: 1,
            secrets: BTreeMap::new(),
            aws_only: BTreeMap::new(),
        })
    }

    /// Sets to work, with so much memory.
    pub(crate) fn deliver(&self, stream: &Arc<DeliveryStream>, memory_bytes: usize) -> Group {
        let context = Arc::new(Context {
            clock: Arc::clone(&self.clock),
            secrets: Arc::new(NoSecrets),
            streams: Arc::new(NoStreams),
            stores: Arc::new(Shared(Arc::clone(&self.stores))),
            random: rand::random,
            memory: Memory::new(memory_bytes),
            metrics: Metrics::register(&mut Registry::default()),
            statuses: Statuses::default(),
            region: "us-east-1".to_owned(),
            account: "000000000000".to_owned(),
        });
        let handles = Arc::clone(&self.handles);
        let find_shard = move |uid, shard| handles.lock().unwrap().get(&(uid, shard)).cloned();
        let source = Source {
            catalog: Arc::clone(&self.catalog) as Arc<dyn Catalog>,
            stream: NAME.parse().unwrap(),
            find_shard: Arc::new(find_shard),
            sharing: Sharing::alone(1),
        };
        Group::start(context, Arc::clone(stream), source).unwrap()
    }

    pub(crate) async fn end(self) {
        self.engine.shutdown().await;
    }
}

pub(crate) fn line(number: u32) -> String {
    // Of an object of 1 MiB, 65: so that some are full before their window ends.
    let padding = "x".repeat(16_000);
    format!("{{\"number\":{number},\"kind\":\"k{}\",\"x\":\"{padding}\"}}\n", number / 15)
}
