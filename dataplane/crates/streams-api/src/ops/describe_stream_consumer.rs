//! As AWS DescribeStreamConsumer.

use aws_protocol::ApiError;
use serde::Serialize;

use crate::api::{Api, Shape};
use crate::consumers::ConsumerShape;
pub(crate) use crate::consumers::Request;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Output {
    consumer_description: Description,
}

#[derive(Serialize)]
struct Description {
    #[serde(flatten)]
    consumer: ConsumerShape,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
}

pub(crate) async fn run(api: &Api, request: Request) -> Result<Shape<Output>, ApiError> {
    let found = request.find(api)?;
    let stream = &found.stream.name;
    Ok(Shape(Output {
        consumer_description: Description {
            consumer: ConsumerShape::of(stream, &found.name, &found.consumer, api.identity()),
            stream_arn: api.arn(stream),
        },
    }))
}
