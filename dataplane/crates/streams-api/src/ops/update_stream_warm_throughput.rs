//! As AWS UpdateStreamWarmThroughput: shards for this throughput, before there is any.

use aws_protocol::ApiError;
use aws_protocol::validate::Violations;
use serde::{Deserialize, Serialize};

use crate::account::check_committed;
use crate::api::{Api, Shape};
use crate::mode::{WarmThroughput, check_on_demand, check_warm};
use crate::stream_ref::StreamRef;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Request {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(rename = "WarmThroughputMiBps")]
    warm_throughput_mibps: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Output {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    warm_throughput: Option<WarmThroughput>,
}

pub(crate) async fn run(api: &Api, request: Request) -> Result<Shape<Output>, ApiError> {
    let mut checks = Violations::new();
    let Request { stream_name, stream_arn, warm_throughput_mibps } = &request;
    let named = StreamRef::check(&mut checks, stream_name.as_deref(), stream_arn.as_deref());
    checks.required("warmThroughputMiBps", *warm_throughput_mibps);
    let warm = check_warm(&mut checks, *warm_throughput_mibps);
    checks.finish()?;
    let name = named.resolve()?;
    check_committed(&api.options.catalog.account(), api.now())?;
    let stream = api.change_active(&name, |stream| {
        check_on_demand(&stream.settings, "WarmThroughputMiBps")?;
        let is_new = stream.settings.warm_mib_per_second != warm;
        stream.settings.warm_mib_per_second = warm;
        Ok(is_new)
    });
    let stream = stream.await?;
    Ok(Shape(Output {
        stream_arn: api.arn(&name),
        stream_name: name.to_string(),
        warm_throughput: WarmThroughput::of(&stream),
    }))
}
