//! As AWS DeleteStream, and it answers when the stream is gone, if that takes no longer than a moment.

use aws_protocol::ApiError;
use aws_protocol::validate::Violations;
use catalog::Phase;
use serde::Deserialize;

use crate::api::Api;
use crate::stream_ref::StreamRef;

/// EnforceConsumerDeletion is accepted: without registered consumers it changes nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Request {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
}

pub(crate) async fn run(api: &Api, request: Request) -> Result<(), ApiError> {
    let mut checks = Violations::new();
    let Request { stream_name, stream_arn } = request;
    let stream = StreamRef::check(&mut checks, stream_name.as_deref(), stream_arn.as_deref());
    checks.finish()?;
    let name = stream.resolve()?;
    api.change(&name, |stream| {
        let is_new = stream.phase != Phase::Deleting;
        stream.phase = Phase::Deleting;
        Ok(is_new)
    })
    .await?;
    api.settle(&name).await;
    api.options.metrics.forget(&name);
    Ok(())
}
