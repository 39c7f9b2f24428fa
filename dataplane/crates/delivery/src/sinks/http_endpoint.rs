//! The `httpEndpoint` destination: requests as Firehose makes them.
//!
//! Requests of a batch go out one after the other. After one that failed the rest is not sent, so
//! what is left of a batch is always its end; it is cut in the same places when it is sent again, and
//! its requests have the same ids, by which an endpoint can tell that it has them already.

mod judge;
mod request;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use delivery_core::objects::{Refusal, RefusedRecord};
use model::{Clock, DeliveryRecord};
use operator_api::delivery_stream::{ContentEncoding, HttpDestination};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};

use self::judge::Verdict;
use super::client::{Connector, Reply, TransferError, secret_header, send};
use super::{Attempt, Batch, BatchId, Failure, Sink};
use crate::secrets::Secrets;

/// As AWS: an endpoint has three minutes to answer.
const TIMEOUT: Duration = Duration::from_secs(180);

/// Brings records to an HTTP endpoint.
pub struct HttpEndpointSink {
    of: HttpDestination,
    source_arn: String,
    common_attributes: Option<String>,
    connector: Connector,
    clock: Arc<dyn Clock>,
}

impl HttpEndpointSink {
    /// For the delivery stream of that ARN, which endpoints are told.
    #[must_use]
    pub fn new(
        of: HttpDestination,
        source_arn: &str,
        secrets: Arc<dyn Secrets>,
        clock: Arc<dyn Clock>,
    ) -> HttpEndpointSink {
        HttpEndpointSink::with_timeout(of, source_arn, secrets, clock, TIMEOUT)
    }

    fn with_timeout(
        of: HttpDestination,
        source_arn: &str,
        secrets: Arc<dyn Secrets>,
        clock: Arc<dyn Clock>,
        timeout: Duration,
    ) -> HttpEndpointSink {
        HttpEndpointSink {
            source_arn: source_arn.to_owned(),
            common_attributes: of.common_attributes.as_ref().map(request::common_attributes),
            connector: Connector::new(of.tls.clone(), secrets, timeout),
            clock,
            of,
        }
    }

    async fn attempt(&self, batch: &Batch) -> Attempt {
        let mut attempt = Attempt::default();
        for part in request::parts(&batch.records) {
            match self.deliver_part(batch.id, &batch.records[part.clone()]).await {
                Verdict::Delivered => {}
                Verdict::Refused(failure) => attempt.refuse(part, &failure),
                Verdict::Again(failure, pause) => {
                    attempt.repeat(part.start..batch.records.len(), &failure);
                    attempt.pause = pause;
                    break;
                }
            }
        }
        attempt
    }

    async fn deliver_part(&self, batch: BatchId, records: &[DeliveryRecord]) -> Verdict {
        let id = request::request_id(batch, records);
        match self.post(&id, records).await {
            Ok(reply) => judge::judge(&id, &reply, self.clock.now()),
            Err(error) => Verdict::Again(judge::failure(&error), None),
        }
    }

    async fn post(&self, id: &str, records: &[DeliveryRecord]) -> Result<Reply, TransferError> {
        let mut post = self
            .connector
            .client()?
            .post(&self.of.url)
            .header("X-Amz-Firehose-Protocol-Version", "1.0")
            .header("X-Amz-Firehose-Request-Id", id)
            .header("X-Amz-Firehose-Source-Arn", &self.source_arn)
            .header(CONTENT_TYPE, "application/json");
        if let Some(access_key) = &self.of.access_key_ref {
            let access_key = secret_header(&self.connector.secret(access_key)?)?;
            post = post.header("X-Amz-Firehose-Access-Key", access_key);
        }
        if let Some(attributes) = &self.common_attributes {
            post = post.header("X-Amz-Firehose-Common-Attributes", attributes);
        }
        let mut body = request::body(id, self.clock.now(), records);
        if self.of.content_encoding == Some(ContentEncoding::Gzip) {
            body = gzip(body).await?;
            post = post.header(CONTENT_ENCODING, "gzip");
        }
        send(post.body(Bytes::from(body)), judge::BODY_BYTES_MAX).await
    }
}

/// Of 64 MiB it takes seconds, so it is done where nobody else waits.
async fn gzip(body: Vec<u8>) -> Result<Vec<u8>, TransferError> {
    let compressed = tokio::task::spawn_blocking(move || request::gzip(&body)).await;
    // It is cancelled when the process ends.
    compressed.map_err(|error| TransferError::Request(error.to_string()))
}

impl Sink for HttpEndpointSink {
    fn deliver<'a>(
        &'a self,
        batch: &'a Batch,
    ) -> Pin<Box<dyn Future<Output = Attempt> + Send + 'a>> {
        Box::pin(self.attempt(batch))
    }

    fn document(&self, _: &DeliveryRecord, _: &Failure, about: RefusedRecord<'_>) -> Vec<u8> {
        RefusedRecord { refusal: Refusal::HttpEndpoint, ..about }.line()
    }
}

#[cfg(test)]
mod tests;
