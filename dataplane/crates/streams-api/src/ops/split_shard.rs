//! As AWS SplitShard.

use aws_protocol::ApiError;
use aws_protocol::validate::Violations;
use catalog::Phase;
use model::HashKey;
use serde::Deserialize;

use super::put_record::check_hash_key;
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
    shard_to_split: Option<String>,
    new_starting_hash_key: Option<String>,
}

pub(crate) async fn run(api: &Api, request: Request) -> Result<(), ApiError> {
    let mut checks = Violations::new();
    let Request { stream_name, stream_arn, .. } = &request;
    let named = StreamRef::check(&mut checks, stream_name.as_deref(), stream_arn.as_deref());
    let shard_id = checks.required("shardToSplit", request.shard_to_split.as_deref());
    checks.length("shardToSplit", shard_id, 1..=128);
    let key = checks.required("newStartingHashKey", request.new_starting_hash_key.as_deref());
    check_hash_key(&mut checks, "newStartingHashKey", key);
    checks.finish()?;

    let name = named.resolve()?;
    let (shard_id, key) = (shard_id.unwrap_or_default(), key.unwrap_or_default());
    let identity = api.identity();
    api.change_active(&name, |stream| {
        check_provisioned(stream, "SplitShard")?;
        let shard = open_shard(stream, shard_id, identity)?;
        // As AWS: further inside than a split needs to be.
        let (starting, ending) = (shard.range.starting(), shard.range.ending());
        let inside = key.parse().ok().filter(|key: &HashKey| {
            starting.0.saturating_add(1) < key.0 && *key < ending
        });
        let Some(key) = inside else {
            return Err(invalid_argument(format!(
                "NewStartingHashKey {key} used in SplitShard() on shard {shard_id} in stream {} under account {} is not both greater than one plus the shard's StartingHashKey {starting} and less than the shard's EndingHashKey {ending}.",
                stream.name, identity.account
            )));
        };
        stream.desired = stream.desired.with(key);
        stream.phase = Phase::Updating;
        Ok(true)
    })
    .await?;
    api.settle(&name).await;
    Ok(())
}
