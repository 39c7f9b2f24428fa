//! As AWS UpdateShardCount, by as many splits and merges as it takes.

use aws_protocol::validate::Violations;
use aws_protocol::{ApiError, ErrorCode};
use catalog::{Phase, RecordLimits};
use model::{Boundaries, limits};
use serde::{Deserialize, Serialize};

use crate::api::{Api, Shape};
use crate::mode::check_provisioned;
use crate::stream_ref::StreamRef;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Request {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    target_shard_count: Option<i64>,
    scaling_type: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Output {
    stream_name: String,
    current_shard_count: usize,
    target_shard_count: u32,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
}

pub(crate) async fn run(api: &Api, request: Request) -> Result<Shape<Output>, ApiError> {
    let mut checks = Violations::new();
    let Request { stream_name, stream_arn, .. } = &request;
    let named = StreamRef::check(&mut checks, stream_name.as_deref(), stream_arn.as_deref());
    checks.required("targetShardCount", request.target_shard_count);
    checks.range("targetShardCount", request.target_shard_count, 1..=i64::MAX);
    let scaling = checks.required("scalingType", request.scaling_type.as_deref());
    checks.one_of("scalingType", scaling, &[("UNIFORM_SCALING", ())]);
    checks.finish()?;

    let name = named.resolve()?;
    let target = request.target_shard_count.and_then(|count| u32::try_from(count).ok());
    let desired = target.and_then(|count| Boundaries::uniform(count).ok().zip(Some(count)));
    let (desired, target) = desired.ok_or_else(too_many)?;
    let before = api.stream(&name)?.shards.owners().len();
    api.change_active(&name, |stream| {
        check_provisioned(stream, "UpdateShardCount")?;
        let current = stream.shards.owners().len();
        if stream.settings.limits == RecordLimits::Aws {
            check_step(current, target as usize)?;
        }
        if stream.desired == desired {
            return Ok(false);
        }
        stream.desired = desired.clone();
        stream.phase = Phase::Updating;
        Ok(true)
    })
    .await?;
    api.settle(&name).await;
    Ok(Shape(Output {
        stream_arn: api.arn(&name),
        stream_name: name.to_string(),
        current_shard_count: before,
        target_shard_count: target,
    }))
}

/// AWS scales at most to double and at least to half.
fn check_step(current: usize, target: usize) -> Result<(), ApiError> {
    if current.div_ceil(2) <= target && target <= current * 2 {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::LimitExceededException,
        format!(
            "UpdateShardCount cannot scale from the current {current} open shards to {target}: with AWS limits it goes from half to double of the current number."
        ),
    ))
}

fn too_many() -> ApiError {
    ApiError::new(
        ErrorCode::LimitExceededException,
        format!("A stream has at most {} shards.", limits::SHARDS_MAX),
    )
}
