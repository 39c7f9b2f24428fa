//! The `elasticsearch` and `opensearch` destinations: documents, by `_bulk`.
//!
//! A document's id is made of its record's place, so a record that is delivered twice is stored once.

mod credentials;
mod judge;
mod place;
mod request;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use delivery_core::objects::{Refusal, RefusedRecord, SearchEngine};
use model::{Clock, DeliveryRecord};
use operator_api::delivery_stream::SearchDestination;
use reqwest::Url;
use reqwest::header::CONTENT_TYPE;

use self::credentials::Credentials;
use self::judge::{Fate, Verdict};
pub use self::place::DocumentPlace;
use self::request::Operation;
use super::client::{Connector, Reply, TransferError, send};
use super::{Attempt, Batch, Failure, Sink};
use crate::secrets::Secrets;

/// Longer than a cluster takes for a bulk request when it is busy: by default it waits for a minute
/// itself, for a shard or its master.
const TIMEOUT: Duration = Duration::from_secs(120);
/// A size that clusters like; the most they take is 100 MiB, and less on small machines of AWS.
const BODY_BYTES_MAX: usize = 10 << 20;
/// Asks for no more of the reply than is looked at.
const PATH: &str = "/_bulk?filter_path=errors,items.*.status,items.*.error";

/// Brings records to a search engine.
pub struct SearchSink {
    of: SearchDestination,
    engine: SearchEngine,
    stream: String,
    url: Result<Url, TransferError>,
    connector: Connector,
    credentials: Credentials,
    clock: Arc<dyn Clock>,
    /// Halved when the cluster says that a request was too large.
    body_bytes_max: AtomicUsize,
    /// Whether the cluster has said that its index is a data stream.
    creates: AtomicBool,
}

impl SearchSink {
    /// For a delivery stream that `stream` tells from all others that write to the same indexes: its
    /// ARN. It becomes part of document ids.
    #[must_use]
    pub fn new(
        of: SearchDestination,
        engine: SearchEngine,
        stream: &str,
        secrets: Arc<dyn Secrets>,
        clock: Arc<dyn Clock>,
    ) -> SearchSink {
        let limits = (TIMEOUT, BODY_BYTES_MAX);
        SearchSink { engine, ..SearchSink::with_limits(of, stream, secrets, clock, limits) }
    }

    fn with_limits(
        of: SearchDestination,
        stream: &str,
        secrets: Arc<dyn Secrets>,
        clock: Arc<dyn Clock>,
        (timeout, body_bytes_max): (Duration, usize),
    ) -> SearchSink {
        let url = format!("{}{PATH}", of.endpoint.trim_end_matches('/'));
        let url = Url::parse(&url).map_err(|error| TransferError::Request(error.to_string()));
        SearchSink {
            url,
            engine: SearchEngine::OpenSearch,
            stream: stream.to_owned(),
            connector: Connector::new(of.tls.clone(), secrets, timeout),
            credentials: Credentials::new(of.credentials.clone()),
            clock,
            body_bytes_max: AtomicUsize::new(body_bytes_max),
            creates: AtomicBool::new(false),
            of,
        }
    }

    /// Where a record becomes a document, for the documents about records that were refused.
    #[must_use]
    pub fn place(&self, record: &DeliveryRecord) -> DocumentPlace {
        place::place(&self.of, &self.stream, &record.origin)
    }

    async fn attempt(&self, batch: &Batch) -> Attempt {
        let mut attempt = Attempt::default();
        let mut waiting = VecDeque::new();
        for (at, record) in batch.records.iter().enumerate() {
            match request::check(&record.data) {
                Ok(()) => waiting.push_back(at),
                Err(failure) => attempt.refused.push((at, failure)),
            }
        }
        while !waiting.is_empty() {
            let operation = self.operation();
            let bytes_max = self.body_bytes_max.load(Ordering::Relaxed);
            let documents = waiting.iter().map(|at| {
                let record = &batch.records[*at];
                (self.place(record), record.data.as_ref())
            });
            let (body, taken) = request::body(operation, bytes_max, documents);
            let body_bytes = body.len();
            let part: Vec<usize> = waiting.drain(..taken).collect();
            match self.verdict(body, operation, part.len()).await {
                Verdict::Items(fates) => {
                    self.apply(&mut attempt, &mut waiting, &part, fates);
                }
                Verdict::TooLarge(failure) if part.len() == 1 => {
                    attempt.refused.push((part[0], failure));
                }
                Verdict::TooLarge(_) => {
                    // Less than this one was too much for the cluster, and it stays so.
                    self.body_bytes_max.store(body_bytes / 2, Ordering::Relaxed);
                    put_back(&mut waiting, &part);
                }
                Verdict::Again(failure, pause) => {
                    put_back(&mut waiting, &part);
                    attempt.again.extend(waiting.drain(..).map(|at| (at, failure.clone())));
                    attempt.pause = pause;
                }
            }
        }
        attempt
    }

    /// What a data stream does not take with `index` it is given with `create`, at once.
    fn apply(
        &self,
        attempt: &mut Attempt,
        waiting: &mut VecDeque<usize>,
        part: &[usize],
        fates: Vec<Fate>,
    ) {
        let mut to_create = Vec::new();
        for (at, fate) in part.iter().copied().zip(fates) {
            match fate {
                Fate::Done => {}
                Fate::Again(failure) => attempt.again.push((at, failure)),
                Fate::Refused(failure) => attempt.refused.push((at, failure)),
                Fate::NeedsCreate => to_create.push(at),
            }
        }
        if !to_create.is_empty() {
            self.creates.store(true, Ordering::Relaxed);
            put_back(waiting, &to_create);
        }
    }

    fn operation(&self) -> Operation {
        match self.creates.load(Ordering::Relaxed) {
            true => Operation::Create,
            false => Operation::Index,
        }
    }

    async fn verdict(&self, body: Vec<u8>, operation: Operation, sent: usize) -> Verdict {
        match self.post(body).await {
            Ok(reply) => judge::judge(&reply, operation, sent, self.clock.now()),
            Err(error) => Verdict::Again(judge::failure(&error), None),
        }
    }

    async fn post(&self, body: Vec<u8>) -> Result<Reply, TransferError> {
        let url = self.url.clone()?;
        let now = self.clock.now();
        let headers = self.credentials.headers(&self.connector, &url, &body, now).await?;
        let post = self.connector.client()?.post(url).headers(headers);
        let post = post.header(CONTENT_TYPE, "application/x-ndjson").body(Bytes::from(body));
        send(post, judge::BODY_BYTES_MAX).await
    }
}

/// In front, where they came from.
fn put_back(waiting: &mut VecDeque<usize>, part: &[usize]) {
    part.iter().rev().for_each(|at| waiting.push_front(*at));
}

impl Sink for SearchSink {
    fn deliver<'a>(
        &'a self,
        batch: &'a Batch,
    ) -> Pin<Box<dyn Future<Output = Attempt> + Send + 'a>> {
        Box::pin(self.attempt(batch))
    }

    fn document(&self, record: &DeliveryRecord, _: &Failure, about: RefusedRecord<'_>) -> Vec<u8> {
        let place = self.place(record);
        let refusal = Refusal::Search {
            engine: self.engine,
            document_id: place.id.as_deref(),
            index: &place.index,
            type_name: place.type_name.as_deref(),
        };
        RefusedRecord { refusal, ..about }.line()
    }
}

#[cfg(test)]
mod tests;
