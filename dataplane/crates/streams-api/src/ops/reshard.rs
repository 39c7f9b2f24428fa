//! What SplitShard and MergeShards share: they edit where shards should start, and the rest follows.

use aws_protocol::ApiError;
use catalog::Stream;
use model::{Shard, ShardState};

use super::describe_stream::parse_shard_id;
use crate::api::Identity;
use crate::errors::{invalid_argument, shard_not_found};

/// An open shard of the stream.
pub(super) fn open_shard<'a>(
    stream: &'a Stream,
    text: &str,
    identity: &Identity,
) -> Result<&'a Shard, ApiError> {
    let shard = stream.shards.get(parse_shard_id(text)?);
    let shard = shard.ok_or_else(|| shard_not_found(text, &stream.name, identity))?;
    match shard.state {
        ShardState::Open => Ok(shard),
        _ => Err(invalid_argument(format!(
            "Shard {text} in stream {} under account {} has already been merged or split, and thus is not eligible for merging or splitting.",
            stream.name, identity.account
        ))),
    }
}
