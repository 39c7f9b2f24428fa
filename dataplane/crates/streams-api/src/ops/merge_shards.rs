//! As AWS MergeShards.

use aws_protocol::ApiError;
use aws_protocol::validate::Violations;
use catalog::Phase;
use serde::Deserialize;

use super::reshard::open_shard;
use crate::api::Api;
use crate::errors::invalid_argument;
use crate::mode::check_provisioned;
use crate::stream_ref::StreamRef;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Request {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    shard_to_merge: Option<String>,
    adjacent_shard_to_merge: Option<String>,
}

pub(crate) async fn run(api: &Api, request: Request) -> Result<(), ApiError> {
    let mut checks = Violations::new();
    let Request { stream_name, stream_arn, .. } = &request;
    let named = StreamRef::check(&mut checks, stream_name.as_deref(), stream_arn.as_deref());
    let shard_id = checks.required("shardToMerge", request.shard_to_merge.as_deref());
    checks.length("shardToMerge", shard_id, 1..=128);
    let adjacent_id =
        checks.required("adjacentShardToMerge", request.adjacent_shard_to_merge.as_deref());
    checks.length("adjacentShardToMerge", adjacent_id, 1..=128);
    checks.finish()?;

    let name = named.resolve()?;
    let (shard_id, adjacent_id) = (shard_id.unwrap_or_default(), adjacent_id.unwrap_or_default());
    let identity = api.identity();
    api.change_active(&name, |stream| {
        check_provisioned(stream, "MergeShards")?;
        let shard = open_shard(stream, shard_id, identity)?;
        let adjacent = open_shard(stream, adjacent_id, identity)?;
        // Either may be the lower one.
        let (lower, upper) =
            if shard.range < adjacent.range { (shard, adjacent) } else { (adjacent, shard) };
        if lower.range.merge(upper.range).is_none() {
            return Err(invalid_argument(format!(
                "Shards {shard_id} and {adjacent_id} in stream {} under account {} are not an adjacent pair of shards eligible for merging",
                stream.name, identity.account
            )));
        }
        stream.desired = stream.desired.without(upper.range.starting());
        stream.phase = Phase::Updating;
        Ok(true)
    })
    .await?;
    api.settle(&name).await;
    Ok(())
}
