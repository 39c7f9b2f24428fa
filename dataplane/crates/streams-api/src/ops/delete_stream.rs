//! As AWS DeleteStream, and it answers when the stream is gone, if that takes no longer than a moment.

use aws_protocol::validate::Violations;
use aws_protocol::{ApiError, ErrorCode};
use catalog::Phase;
use serde::Deserialize;

use crate::api::Api;
use crate::stream_ref::StreamRef;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Request {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    enforce_consumer_deletion: Option<bool>,
}

pub(crate) async fn run(api: &Api, request: Request) -> Result<(), ApiError> {
    let mut checks = Violations::new();
    let Request { stream_name, stream_arn, enforce_consumer_deletion } = request;
    let stream = StreamRef::check(&mut checks, stream_name.as_deref(), stream_arn.as_deref());
    checks.finish()?;
    let name = stream.resolve()?;
    let identity = api.identity();
    api.change(&name, |stream| {
        if !stream.consumers.is_empty() && enforce_consumer_deletion != Some(true) {
            return Err(ApiError::new(
                ErrorCode::ResourceInUseException,
                format!(
                    "Stream {} under account {} has {} registered consumers: deregister them, or set EnforceConsumerDeletion.",
                    stream.name,
                    identity.account,
                    stream.consumers.len()
                ),
            ));
        }
        let is_new = stream.phase != Phase::Deleting;
        stream.phase = Phase::Deleting;
        Ok(is_new)
    })
    .await?;
    api.settle(&name).await;
    api.options.metrics.forget(&name);
    Ok(())
}
