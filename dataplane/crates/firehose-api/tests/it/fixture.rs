use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use auth::Caller;
use aws_protocol::Encoding;
use bytes::Bytes;
use catalog::{Change, ChangeError, Entries};
use delivery_catalog::{DeliveryPhase, DeliveryStream};
use firehose_api::{
    Allowed, Api, ApiOptions, Identity, Intake, PutError, Puts, RecordId, Right, Rights,
};
use model::{Clock, StreamName, UnixMillis};
use serde_json::{Value, json};
use tokio::sync::watch;

pub(crate) const ACCOUNT: &str = "000000000000";
pub(crate) const ROLE: &str = "arn:aws:iam::000000000000:role/firehose";

struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.fetch_add(1_000, Ordering::Relaxed))
    }
}

/// Delivery streams that are forgotten with the test.
pub(crate) struct MemoryCatalog {
    streams: Mutex<BTreeMap<StreamName, Arc<DeliveryStream>>>,
    changes: watch::Sender<u64>,
    /// How many changes somebody else is about to get ahead of.
    pub(crate) conflicts: AtomicU64,
}

impl MemoryCatalog {
    fn new() -> MemoryCatalog {
        let (changes, _) = watch::channel(0);
        MemoryCatalog { streams: Mutex::default(), changes, conflicts: AtomicU64::new(0) }
    }

    fn store(&self, mut stream: DeliveryStream) -> Arc<DeliveryStream> {
        self.changes.send_modify(|count| *count += 1);
        stream.version = *self.changes.borrow();
        let stored = Arc::new(stream);
        self.streams.lock().unwrap().insert(stored.name.clone(), Arc::clone(&stored));
        stored
    }

    fn is_current(&self, name: &StreamName, version: u64) -> Result<(), ChangeError> {
        let found = self.get(name).ok_or_else(|| ChangeError::Missing(name.clone()))?;
        match found.version == version {
            true => Ok(()),
            false => Err(ChangeError::Conflict(name.clone())),
        }
    }
}

impl Entries<DeliveryStream> for MemoryCatalog {
    fn get(&self, name: &StreamName) -> Option<Arc<DeliveryStream>> {
        self.streams.lock().unwrap().get(name).cloned()
    }

    fn list(&self, after: Option<&str>, limit: usize) -> Vec<Arc<DeliveryStream>> {
        let streams = self.streams.lock().unwrap();
        let listed =
            streams.iter().filter(|(name, _)| after.is_none_or(|after| after < name.as_str()));
        listed.take(limit).map(|(_, stream)| Arc::clone(stream)).collect()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn create(&self, stream: DeliveryStream) -> Change<'_, Arc<DeliveryStream>> {
        Box::pin(async move {
            match self.get(&stream.name) {
                Some(_) => Err(ChangeError::Exists(stream.name)),
                None => Ok(self.store(stream)),
            }
        })
    }

    fn replace(&self, stream: DeliveryStream) -> Change<'_, Arc<DeliveryStream>> {
        Box::pin(async move {
            let overtaken =
                self.conflicts
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
            if overtaken.is_ok() {
                let current = self.get(&stream.name).unwrap();
                self.store((*current).clone());
            }
            self.is_current(&stream.name, stream.version)?;
            Ok(self.store(stream))
        })
    }

    fn remove(&self, name: StreamName, version: u64) -> Change<'_, ()> {
        Box::pin(async move {
            self.is_current(&name, version)?;
            self.streams.lock().unwrap().remove(&name);
            Ok(())
        })
    }
}

/// Keeps records, and answers as it was told to, or that all is well.
#[derive(Default)]
pub(crate) struct MemoryIntake {
    pub(crate) records: Mutex<Vec<Bytes>>,
    pub(crate) answers: Mutex<VecDeque<Result<RecordId, PutError>>>,
}

impl Intake for MemoryIntake {
    fn put<'a>(&'a self, stream: &'a DeliveryStream, records: Vec<Bytes>) -> Puts<'a> {
        Box::pin(async move {
            let mut kept = self.records.lock().unwrap();
            let mut answers = self.answers.lock().unwrap();
            let put = |record| {
                kept.push(record);
                let id = RecordId(format!("{}-{}", stream.name, kept.len()));
                answers.pop_front().unwrap_or(Ok(id))
            };
            records.into_iter().map(put).collect()
        })
    }
}

/// Lets users do what is listed, as in `get deliverystreams/tags s`.
pub(crate) struct ListedRights(pub(crate) Vec<&'static str>);

impl Rights for ListedRights {
    fn allows(&self, right: Right) -> Allowed<'_> {
        let Right { user, kind, verb, part, name } = right;
        let part = part.map(|part| format!("/{part}")).unwrap_or_default();
        let name = name.map_or("*".to_owned(), |name| name.to_string());
        let text = format!("{verb} {kind}{part} {name}");
        let answer = (user == "test").then(|| self.0.contains(&text.as_str()));
        Box::pin(std::future::ready(answer))
    }
}

pub(crate) struct Fixture {
    pub(crate) api: Api,
    pub(crate) catalog: Arc<MemoryCatalog>,
    pub(crate) intake: Arc<MemoryIntake>,
    pub(crate) caller: Caller,
}

impl Fixture {
    pub(crate) fn new() -> Fixture {
        Fixture::with_rights(None)
    }

    pub(crate) fn with_rights(rights: Option<Arc<dyn Rights>>) -> Fixture {
        let catalog = Arc::new(MemoryCatalog::new());
        let intake = Arc::new(MemoryIntake::default());
        let api = Api::new(ApiOptions {
            catalog: Arc::clone(&catalog) as _,
            intake: Arc::clone(&intake) as Arc<dyn Intake>,
            clock: Arc::new(TestClock(AtomicU64::new(1_700_000_000_000))),
            identity: Identity { region: "eu-west-1".into(), account: ACCOUNT.into() },
            random: || 7,
            check: Arc::new(|_| Ok(())),
            has_key: Arc::new(|key| key == "alias/aws/kinesis" || key.ends_with(":key/managed")),
            rights,
        });
        let caller = Caller {
            account: ACCOUNT.into(),
            user: "test".into(),
            source_ip: [127, 0, 0, 1].into(),
            is_secure: false,
        };
        Fixture { api, catalog, intake, caller }
    }

    /// With an ACTIVE delivery stream `s`.
    pub(crate) async fn with(members: Value) -> Fixture {
        let fixture = Fixture::new();
        fixture.create("s", members).await;
        fixture
    }

    /// Creates, and does what whoever looks after the catalog does.
    pub(crate) async fn create(&self, name: &str, members: Value) {
        let mut body = members;
        body["DeliveryStreamName"] = name.into();
        self.call("CreateDeliveryStream", body).await.unwrap();
        self.edit(name, |stream| stream.phase = DeliveryPhase::Active);
    }

    pub(crate) fn stream(&self, name: &str) -> Arc<DeliveryStream> {
        self.catalog.get(&name.parse().unwrap()).unwrap()
    }

    /// As somebody who has no need of this API.
    pub(crate) fn edit(&self, name: &str, edit: impl FnOnce(&mut DeliveryStream)) {
        let mut stream = (*self.stream(name)).clone();
        edit(&mut stream);
        self.catalog.store(stream);
    }

    /// The reply, or the error's name and text.
    pub(crate) async fn call(&self, operation: &str, body: Value) -> Result<Value, String> {
        let body = body.to_string();
        let caller = self.caller.clone();
        let called = self.api.call(operation, Encoding::Json, caller, body.as_bytes()).await;
        let reply = called.map_err(|error| error.to_string())?;
        Ok(serde_json::from_slice(&reply).unwrap())
    }

    pub(crate) async fn describe(&self, name: &str) -> Value {
        let described = self.call("DescribeDeliveryStream", json!({"DeliveryStreamName": name}));
        described.await.unwrap()["DeliveryStreamDescription"].take()
    }

    /// The call must be refused with this error: its name, and what its text begins with.
    pub(crate) async fn check_refused(&self, operation: &str, body: Value, want: &str) {
        let got = self.call(operation, body.clone()).await;
        let got = got.expect_err(&format!("{operation} {body} went through"));
        assert!(got.starts_with(want), "{operation} {body}:\n want {want}\n  got {got}");
    }
}

/// A bucket that anything can be delivered to or backed up in.
pub(crate) fn bucket() -> Value {
    json!({"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::lake"})
}

pub(crate) fn to_bucket() -> Value {
    json!({"ExtendedS3DestinationConfiguration": bucket()})
}

/// `value` with the members of `more`.
pub(crate) fn with(mut value: Value, more: Value) -> Value {
    for (name, inner) in more.as_object().unwrap() {
        value[name] = inner.clone();
    }
    value
}
