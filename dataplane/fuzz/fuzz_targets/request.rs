//! Requests past authentication: every operation answers every body with a reply or an AWS error.
#![no_main]

use std::future::Future;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};

use auth::Caller;
use aws_protocol::Encoding;
use catalog::{Account, Catalog, Change, ChangeError, Entries, Stream};
use encryption::MasterKeys;
use libfuzzer_sys::fuzz_target;
use model::{Clock, StreamName, UnixMillis};
use streams_api::{Answer, Api, ApiOptions, Heat, Identity, Metrics, OPERATIONS, Shards};

/// No streams, and none can be made: what is fuzzed is what comes before.
struct Empty(tokio::sync::watch::Sender<u64>);

impl Entries<Stream> for Empty {
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

impl Catalog for Empty {
    fn account(&self) -> Account {
        Account::default()
    }

    fn replace_account(&self, account: Account) -> Change<'_, Account> {
        Box::pin(async move { Ok(account) })
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
        keys: Arc::new(MasterKeys::parse(&MasterKeys::new_file()).expect("a key file")),
        event_bytes_max: 0,
        rights: None,
        heat: Heat::default(),
        metrics: Metrics::register(&mut prometheus_client::registry::Registry::default()),
    })
});

fuzz_target!(|input: (u8, bool, &[u8])| {
    let (operation, is_cbor, body) = input;
    let operation = OPERATIONS[usize::from(operation) % OPERATIONS.len()];
    let encoding = if is_cbor { Encoding::Cbor } else { Encoding::Json };
    let caller = Caller {
        account: "000000000000".into(),
        user: "fuzz".into(),
        source_ip: [127, 0, 0, 1].into(),
        is_secure: false,
    };
    let mut call = Box::pin(API.call(operation, encoding, caller, body));
    match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(Answer::Events(_))) => panic!("{operation} answers with events of no shard"),
        Poll::Ready(Ok(Answer::Whole(reply))) => check_readable(encoding, &reply),
        Poll::Ready(Err(error)) => {
            let status = error.code.status().as_u16();
            assert!((400..500).contains(&status), "{operation}: {error}");
            check_readable(encoding, &error.body(encoding));
        }
        Poll::Pending => panic!("{operation} waits although there is nothing to wait for"),
    }
    if let Ok(text) = str::from_utf8(body) {
        let _ = streams_api::decode_shard_iterator(text);
    }
});

/// What we send we can read ourselves.
fn check_readable(encoding: Encoding, reply: &[u8]) {
    let read = aws_protocol::codec::decode::<serde::de::IgnoredAny>(encoding, reply);
    assert!(read.is_ok(), "{}", reply.escape_ascii());
}
