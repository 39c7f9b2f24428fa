//! Destinations: one module each.
//!
//! A sink makes one attempt at a time, and says of each record what became of it. When to try again, for
//! how long, and where what was refused goes is decided once, for all of them, by who calls it. `redshift`
//! is no sink: it is given objects instead of records, and takes all of them or none.

pub(crate) mod client;
pub mod http_endpoint;
pub(crate) mod iceberg;
pub mod redshift;
pub mod search;
pub mod snowflake;
pub mod splunk;
pub mod stream;
#[cfg(test)]
pub(crate) mod testing;
mod tls;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use delivery_core::objects::{ErrorOutputType, RefusedRecord, SearchEngine};
use delivery_core::processing::TableMetadata;
use model::{Clock, DeliveryRecord, Offset, Origin};
use operator_api::delivery_stream::Destination;

use crate::pipeline::SetupError;
use crate::secrets::Secrets;
use crate::store::Stores;
use http_endpoint::HttpEndpointSink;
use iceberg::IcebergSink;
use search::SearchSink;
use snowflake::SnowflakeSink;
use splunk::SplunkSink;
use stream::{StreamSink, Streams};

/// Records of a batch, however small they are: so many a request of an HTTP endpoint takes.
pub(crate) const BATCH_RECORDS_MAX: usize = 10_000;

/// Records that go to a destination together, and again together when the first attempt did not bring
/// all of them there.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Made of the records' places: the same when the batch is made again after a crash.
    pub id: BatchId,
    /// The first record of the window that it is of: all before it are done with.
    pub since: Option<Origin>,
    /// The records that are not delivered yet.
    pub records: Vec<DeliveryRecord>,
    /// What a transformer said of the tables that records go to, by their places.
    pub tables: BTreeMap<(Offset, u32), TableMetadata>,
}

/// What tells a batch from all others of its delivery stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BatchId(pub u128);

/// What became of an attempt. A record that is in neither list is delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempt {
    /// Records, by their index, that the destination will never take.
    pub refused: Vec<(usize, Failure)>,
    /// Records, by their index, that it may take later.
    pub again: Vec<(usize, Failure)>,
    /// How long the destination asked to be left alone (as Retry-After).
    pub pause: Option<Duration>,
}

/// Why a record was not delivered, in AWS's words where it has some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// As in `HttpEndpoint.RequestTimeout`.
    pub code: Cow<'static, str>,
    /// What the destination said, shortened. All records of a request share it: a batch of many small
    /// ones must not become large by what is said of them.
    pub message: Arc<str>,
    /// The table that did not take it, of a destination that has several.
    pub table: Option<Arc<TableName>>,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// The database, or namespace.
    pub database: String,
    /// Its name there.
    pub table: String,
}

impl Failure {
    /// Shortens the message.
    pub(crate) fn new(code: impl Into<Cow<'static, str>>, message: &str) -> Failure {
        Failure { code: code.into(), message: client::shorten(message).into(), table: None }
    }
}

impl Attempt {
    /// All records once more, for the same reason.
    #[must_use]
    pub fn all_again(records: usize, failure: &Failure) -> Attempt {
        let again = (0..records).map(|at| (at, failure.clone())).collect();
        Attempt { again, ..Attempt::default() }
    }

    /// No record ever, for the same reason.
    #[must_use]
    pub fn all_refused(records: usize, failure: &Failure) -> Attempt {
        let refused = (0..records).map(|at| (at, failure.clone())).collect();
        Attempt { refused, ..Attempt::default() }
    }

    /// These never, for the same reason.
    pub(crate) fn refuse(&mut self, records: Range<usize>, failure: &Failure) {
        self.refused.extend(records.map(|at| (at, failure.clone())));
    }

    /// These once more, for the same reason.
    pub(crate) fn repeat(&mut self, records: Range<usize>, failure: &Failure) {
        self.again.extend(records.map(|at| (at, failure.clone())));
    }
}

/// What a sink is made with, beside its destination.
pub struct Parts {
    /// The delivery stream's ARN.
    pub arn: String,
    /// What it reads, and as what records come out of it.
    pub feed: Feed,
    /// Where secrets are looked up.
    pub secrets: Arc<dyn Secrets>,
    /// What objects are put into.
    pub stores: Arc<dyn Stores>,
    /// Where Streams are found.
    pub streams: Arc<dyn Streams>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// What a delivery stream reads, and as what records come out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// The delivery stream's name.
    pub name: String,
    /// Tells it from others of its name, before it and elsewhere.
    pub uid: u64,
    /// The stream it reads; `None` where producers put records into it.
    pub source: Option<String>,
    /// Tells what is done with its records on the way from what was done before that was changed.
    pub processing: u128,
    /// Tells it from all others, also from what it was before it was changed.
    pub lineage: u128,
    /// Whether the same records come out when the same are read again: what a function answers may
    /// differ each time.
    pub repeats: bool,
}

/// A sink, and what its refusals are called.
pub type Opened = (Arc<dyn Sink>, ErrorOutputType);

/// The sink of a destination, and what its refusals are called; `None` for destinations that have none.
///
/// # Errors
/// The destination makes no sense, or asks for what this version does not do.
pub fn open(destination: &Destination, parts: &Parts) -> Result<Option<Opened>, SetupError> {
    let (secrets, clock) = (Arc::clone(&parts.secrets), Arc::clone(&parts.clock));
    let sink: Arc<dyn Sink> = if let Some(of) = &destination.http_endpoint {
        Arc::new(HttpEndpointSink::new(of.clone(), &parts.arn, secrets, clock))
    } else if let Some(of) = &destination.splunk {
        Arc::new(SplunkSink::new(of.clone(), secrets, clock))
    } else if let Some(of) = &destination.snowflake {
        Arc::new(SnowflakeSink::new(of.clone(), parts.feed.clone(), secrets, clock))
    } else if let Some(of) = &destination.elasticsearch {
        let engine = SearchEngine::Elasticsearch;
        Arc::new(SearchSink::new(of.clone(), engine, &parts.arn, secrets, clock))
    } else if let Some(of) = &destination.opensearch {
        Arc::new(SearchSink::new(of.clone(), SearchEngine::OpenSearch, &parts.arn, secrets, clock))
    } else if let Some(of) = &destination.iceberg {
        Arc::new(IcebergSink::new(of, parts)?)
    } else if let Some(of) = &destination.stream {
        Arc::new(StreamSink::new(of.name.clone(), Arc::clone(&parts.streams)))
    } else {
        return Ok(None);
    };
    Ok(ErrorOutputType::of_destination(destination).map(|output| (sink, output)))
}

/// A destination's side of a delivery stream.
pub trait Sink: Send + Sync {
    /// Tries once to deliver a batch. Never fails as a whole: what went wrong is said of each record.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open which records were delivered.
    fn deliver<'a>(
        &'a self,
        batch: &'a Batch,
    ) -> Pin<Box<dyn Future<Output = Attempt> + Send + 'a>>;

    /// The document about a record that was not delivered, of which `about` says all but who refused it.
    fn document(
        &self,
        record: &DeliveryRecord,
        failure: &Failure,
        about: RefusedRecord<'_>,
    ) -> Vec<u8>;

    /// What follows the prefix of documents about records that failed so.
    fn error_prefix(&self, _: &Failure) -> &str {
        ""
    }

    /// Whether a record that was refused on the way counts as delivered once records before and behind it
    /// are, and might not be refused when it comes again. It is written down before they are delivered.
    fn hides_refused(&self) -> bool {
        false
    }

    /// Records of a batch, however small they are.
    fn records_max(&self) -> usize {
        BATCH_RECORDS_MAX
    }
}
