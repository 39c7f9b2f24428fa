//! As AWS GetShardIterator: a place in a shard, as a token good for five minutes.

use aws_protocol::validate::Violations;
use aws_protocol::{ApiError, Timestamp};
use serde::{Deserialize, Serialize};

use crate::api::{Api, Shape};
use crate::errors::check_dry_run;
use crate::position::{Member, Wanted, check_shard_id, find_shard, offset};
use crate::stream_ref::StreamRef;
use crate::token;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Request {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    shard_id: Option<String>,
    shard_iterator_type: Option<String>,
    starting_sequence_number: Option<String>,
    timestamp: Option<Timestamp>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Output {
    shard_iterator: String,
}

pub(crate) async fn run(api: &Api, request: Request) -> Result<Shape<Output>, ApiError> {
    let mut checks = Violations::new();
    let Request { stream_name, stream_arn, starting_sequence_number, .. } = &request;
    let named = StreamRef::check(&mut checks, stream_name.as_deref(), stream_arn.as_deref());
    let shard_id = check_shard_id(&mut checks, request.shard_id.as_deref());
    let wanted = Wanted {
        operation: "GetShardIterator",
        type_member: Member { path: "shardIteratorType", name: "ShardIteratorType" },
        type_text: request.shard_iterator_type.as_deref(),
        number_member: Member { path: "startingSequenceNumber", name: "StartingSequenceNumber" },
        number_text: starting_sequence_number.as_deref(),
        timestamp: request.timestamp.map(|at| at.0),
    };
    let checked = wanted.check(&mut checks);
    checks.finish()?;

    let stream = api.serving_stream(&named.resolve_for(api)?)?;
    let shard = find_shard(api, &stream, shard_id)?;
    let position = wanted.position(checked, shard, api.now())?;
    check_dry_run(request.dry_run)?;
    let handle = api.handle(&stream, shard)?;
    let iterator = token::Iterator {
        stream: stream.name.clone(),
        uid: stream.uid,
        shard: shard.id,
        offset: offset(&handle, shard, position).await?,
        issued: api.now(),
    };
    Ok(Shape(Output { shard_iterator: iterator.encode() }))
}
