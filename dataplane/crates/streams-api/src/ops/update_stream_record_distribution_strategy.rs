//! As AWS UpdateStreamRecordDistributionStrategy: with AUTO, records go to whichever shard has room, and
//! need no partition key.

use aws_protocol::ApiError;
use aws_protocol::validate::Violations;
use catalog::Distribution;
use serde::Deserialize;

use crate::api::Api;
use crate::mode::{check_distribution, check_on_demand};
use crate::stream_ref::StreamRef;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Request {
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    record_distribution_strategy: Option<String>,
}

pub(crate) async fn run(api: &Api, request: Request) -> Result<(), ApiError> {
    let mut checks = Violations::new();
    checks.required("streamARN", request.stream_arn.as_deref());
    let named = StreamRef::check(&mut checks, None, request.stream_arn.as_deref());
    let text = request.record_distribution_strategy.as_deref();
    let text = checks.required("recordDistributionStrategy", text);
    let wanted = check_distribution(&mut checks, text);
    checks.finish()?;
    let wanted = wanted.unwrap_or(Distribution::UserPartitionKey);
    api.change_active(&named.resolve()?, |stream| {
        if wanted == Distribution::Auto {
            check_on_demand(&stream.settings, "RecordDistributionStrategy AUTO")?;
        }
        let is_new = stream.settings.distribution != wanted;
        stream.settings.distribution = wanted;
        Ok(is_new)
    })
    .await?;
    Ok(())
}
