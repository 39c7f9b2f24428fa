//! As AWS RegisterStreamConsumer: whoever is registered can be sent records by SubscribeToShard.

use std::collections::BTreeMap;

use aws_protocol::validate::Violations;
use aws_protocol::{ApiError, ErrorCode};
use catalog::{Consumer, RecordLimits};
use model::limits::{AWS_CONSUMERS_MAX, CONSUMERS_MAX};
use serde::{Deserialize, Serialize};

use super::tags;
use crate::api::{Api, Shape};
use crate::consumers::{ConsumerShape, check_name};
use crate::errors::{internal, invalid_argument};
use crate::resource::Arn;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Request {
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    consumer_name: Option<String>,
    tags: Option<BTreeMap<String, String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Output {
    consumer: ConsumerShape,
}

pub(crate) async fn run(api: &Api, request: Request) -> Result<Shape<Output>, ApiError> {
    let mut checks = Violations::new();
    checks.required("streamARN", request.stream_arn.as_deref());
    let stream = Arn::check_stream(&mut checks, "streamARN", request.stream_arn.as_deref());
    checks.required("consumerName", request.consumer_name.as_deref());
    let name = check_name(&mut checks, request.consumer_name.as_deref());
    tags::check(&mut checks, request.tags.as_ref());
    checks.finish()?;
    let tags = request.tags.unwrap_or_default();
    tags::check_new(&tags)?;
    let (stream, name) = stream
        .zip(name)
        .ok_or_else(|| invalid_argument("StreamARN and ConsumerName are required."))?;

    let identity = api.identity();
    let created = api.now();
    let stream = api
        .change_active(&stream, |stream| {
            if stream.consumers.contains_key(&name) {
                return Err(ApiError::new(
                    ErrorCode::ResourceInUseException,
                    format!(
                        "Consumer {name} of stream {} under account {} already exists.",
                        stream.name, identity.account
                    ),
                ));
            }
            let most = match stream.settings.limits {
                RecordLimits::Aws => AWS_CONSUMERS_MAX,
                RecordLimits::Unlimited => CONSUMERS_MAX,
            };
            if most <= stream.consumers.len() {
                return Err(ApiError::new(
                    ErrorCode::LimitExceededException,
                    format!(
                        "Stream {} under account {} has {most} consumers, which is the most a stream can have.",
                        stream.name, identity.account
                    ),
                ));
            }
            let consumer = Consumer { created, tags: tags.clone(), policy: None };
            stream.consumers.insert(name.clone(), consumer);
            Ok(true)
        })
        .await?;
    let consumer = stream.consumers.get(&name);
    let consumer = consumer.ok_or_else(|| internal(&"a registered consumer is not there"))?;
    Ok(Shape(Output { consumer: ConsumerShape::of(&stream.name, &name, consumer, identity) }))
}
