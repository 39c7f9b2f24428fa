//! What the operations on registered consumers share.

use std::sync::Arc;

use aws_protocol::validate::Violations;
use aws_protocol::{ApiError, Timestamp};
use catalog::{Consumer, Stream};
use model::{ConsumerName, StreamName};
use serde::{Deserialize, Serialize};

use crate::api::{Api, Identity};
use crate::errors::invalid_argument;
use crate::resource::{Arn, ConsumerId};
use crate::stream_ref::NAME_PATTERN;

/// A consumer as DescribeStreamConsumer and DeregisterStreamConsumer name it: by its ARN, or by its
/// name and its stream's ARN.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Request {
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    consumer_name: Option<String>,
    #[serde(rename = "ConsumerARN")]
    consumer_arn: Option<String>,
}

/// A consumer that was found.
pub(crate) struct Found {
    pub(crate) stream: Arc<Stream>,
    pub(crate) name: ConsumerName,
    pub(crate) consumer: Consumer,
}

impl Request {
    pub(crate) fn find(&self, api: &Api) -> Result<Found, ApiError> {
        let mut checks = Violations::new();
        let stream = Arn::check_stream(&mut checks, "streamARN", self.stream_arn.as_deref());
        let name = check_name(&mut checks, self.consumer_name.as_deref());
        let arn = Arn::check_consumer(&mut checks, "consumerARN", self.consumer_arn.as_deref());
        checks.finish()?;
        match (arn, stream, name) {
            (Some(id), stream, name) => {
                let stream_differs = stream.is_some_and(|stream| stream != id.stream);
                if stream_differs || name.is_some_and(|name| name != id.name) {
                    return Err(invalid_argument(
                        "ConsumerARN names another consumer than StreamARN and ConsumerName.",
                    ));
                }
                api.consumer(&id)
            }
            (None, Some(stream), Some(name)) => {
                // The consumer's policy counts, not its stream's; one that is not there has none.
                let found = api.options.catalog.get(&stream);
                let found = found.and_then(|stream| Some(stream.consumers.get(&name)?.created));
                let created_seconds = found.unwrap_or_default().as_seconds();
                api.consumer(&ConsumerId { stream, name, created_seconds })
            }
            _ => Err(invalid_argument(
                "Either ConsumerARN, or both StreamARN and ConsumerName, must be specified.",
            )),
        }
    }
}

pub(crate) fn check_name(checks: &mut Violations, text: Option<&str>) -> Option<ConsumerName> {
    checks.length("consumerName", text, 1..=128);
    let name = text.and_then(|text| text.parse().ok());
    checks.pattern("consumerName", text, NAME_PATTERN, name.is_some());
    name
}

/// As the service model's Consumer.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ConsumerShape {
    consumer_name: String,
    #[serde(rename = "ConsumerARN")]
    consumer_arn: String,
    /// One that is registered can be sent records at once.
    consumer_status: &'static str,
    consumer_creation_timestamp: Timestamp,
}

impl ConsumerShape {
    pub(crate) fn of(
        stream: &StreamName,
        name: &ConsumerName,
        consumer: &Consumer,
        identity: &Identity,
    ) -> ConsumerShape {
        ConsumerShape {
            consumer_name: name.to_string(),
            consumer_arn: identity.consumer_arn(stream, name, consumer.created),
            consumer_status: "ACTIVE",
            consumer_creation_timestamp: Timestamp(consumer.created),
        }
    }
}
