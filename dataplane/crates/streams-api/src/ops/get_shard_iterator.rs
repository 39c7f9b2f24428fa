//! As AWS GetShardIterator: a place in a shard, as a token good for five minutes.

use aws_protocol::validate::Violations;
use aws_protocol::{ApiError, Timestamp};
use catalog::Stream;
use model::{Offset, Place, SequenceNumber, Shard, ShardState, UnixMillis};
use serde::{Deserialize, Serialize};
use shard::ShardHandle;

use crate::api::{Api, Shape};
use crate::errors::{self, invalid_argument, shard_not_found};
use crate::shapes::listed_shards;
use crate::shards::ShardKey;
use crate::stream_ref::{NAME_PATTERN, StreamRef};
use crate::token;

const SEQUENCE_NUMBER_PATTERN: &str = r"0|([1-9]\d{0,128})";

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
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Output {
    shard_iterator: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    AtSequenceNumber,
    AfterSequenceNumber,
    AtTimestamp,
    TrimHorizon,
    Latest,
}

const TYPES: [(&str, Type); 5] = [
    ("AFTER_SEQUENCE_NUMBER", Type::AfterSequenceNumber),
    ("LATEST", Type::Latest),
    ("AT_TIMESTAMP", Type::AtTimestamp),
    ("AT_SEQUENCE_NUMBER", Type::AtSequenceNumber),
    ("TRIM_HORIZON", Type::TrimHorizon),
];

/// Where reading is to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    At(SequenceNumber),
    After(SequenceNumber),
    Timestamp(UnixMillis),
    TrimHorizon,
    Latest,
}

pub(crate) async fn run(api: &Api, request: Request) -> Result<Shape<Output>, ApiError> {
    let mut checks = Violations::new();
    let Request { stream_name, stream_arn, starting_sequence_number, .. } = &request;
    let named = StreamRef::check(&mut checks, stream_name.as_deref(), stream_arn.as_deref());
    let shard_id = checks.required("shardId", request.shard_id.as_deref());
    checks.length("shardId", shard_id, 1..=128);
    let is_name = shard_id.is_some_and(|id| id.parse::<model::StreamName>().is_ok());
    checks.pattern("shardId", shard_id, NAME_PATTERN, is_name);
    let text = checks.required("shardIteratorType", request.shard_iterator_type.as_deref());
    let iterator_type = checks.one_of("shardIteratorType", text, &TYPES);
    let number = starting_sequence_number.as_deref();
    let parsed = number.map(str::parse::<SequenceNumber>);
    let is_number = parsed != Some(Err(model::SequenceNumberError::NotANumber));
    checks.pattern("startingSequenceNumber", number, SEQUENCE_NUMBER_PATTERN, is_number);
    checks.finish()?;

    let stream = api.serving_stream(&named.resolve()?)?;
    let shard = find_shard(api, &stream, shard_id.unwrap_or_default())?;
    let start = start(api, &request, iterator_type, parsed)?;
    check_start(shard, start, number.unwrap_or_default())?;
    let key = ShardKey { stream: stream.uid, shard: shard.id };
    let handle = api.options.shards.get(key);
    let handle =
        handle.ok_or_else(|| errors::unavailable(shard.id, &shard::Unavailable::Stopped))?;
    let iterator = token::Iterator {
        stream: stream.name.clone(),
        uid: stream.uid,
        shard: shard.id,
        offset: offset(&handle, shard, start).await?,
        issued: api.now(),
    };
    Ok(Shape(Output { shard_iterator: iterator.encode() }))
}

fn find_shard<'a>(api: &Api, stream: &'a Stream, text: &str) -> Result<&'a Shard, ApiError> {
    let id = text.parse().ok();
    let found = listed_shards(stream, api.now()).find(|shard| Some(shard.id) == id);
    found.ok_or_else(|| shard_not_found(text, &stream.name, api.identity()))
}

/// The type and what it must, and must not, come with.
fn start(
    api: &Api,
    request: &Request,
    iterator_type: Option<Type>,
    number: Option<Result<SequenceNumber, model::SequenceNumberError>>,
) -> Result<Start, ApiError> {
    let type_name = request.shard_iterator_type.as_deref().unwrap_or_default();
    let text = request.starting_sequence_number.as_deref().unwrap_or_default();
    let timestamp = request.timestamp.map(|at| at.0);
    match (iterator_type.unwrap_or(Type::Latest), number, timestamp) {
        (Type::AtSequenceNumber, Some(Ok(number)), None) => Ok(Start::At(number)),
        (Type::AfterSequenceNumber, Some(Ok(number)), None) => Ok(Start::After(number)),
        (Type::AtSequenceNumber | Type::AfterSequenceNumber, Some(Err(_)), None) => {
            Err(invalid_argument(format!(
                "StartingSequenceNumber {text} used in GetShardIterator is invalid: it is not a number of this service."
            )))
        }
        (Type::AtTimestamp, None, Some(at)) if at <= api.now() => Ok(Start::Timestamp(at)),
        (Type::AtTimestamp, None, Some(at)) => Err(invalid_argument(format!(
            "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: {at}, currentTimestampInMillis: {}",
            api.now()
        ))),
        (Type::TrimHorizon, None, None) => Ok(Start::TrimHorizon),
        (Type::Latest, None, None) => Ok(Start::Latest),
        (Type::AtSequenceNumber | Type::AfterSequenceNumber, ..) => Err(invalid_argument(format!(
            "Must specify parameter StartingSequenceNumber, and no Timestamp, in GetShardIterator with ShardIteratorType {type_name}."
        ))),
        (Type::AtTimestamp, ..) => Err(invalid_argument(
            "Must specify parameter Timestamp, and no StartingSequenceNumber, in GetShardIterator with ShardIteratorType AT_TIMESTAMP.",
        )),
        (Type::TrimHorizon | Type::Latest, ..) => Err(invalid_argument(format!(
            "Neither StartingSequenceNumber nor Timestamp goes with ShardIteratorType {type_name}."
        ))),
    }
}

/// A sequence number must be of this shard.
fn check_start(shard: &Shard, start: Start, text: &str) -> Result<(), ApiError> {
    let (Start::At(number) | Start::After(number)) = start else {
        return Ok(());
    };
    if number.shard() != shard.id {
        return Err(invalid_argument(format!(
            "Invalid StartingSequenceNumber. It encodes {}, while it was used in a call to a shard with {}",
            number.shard(),
            shard.id
        )));
    }
    if !number.belongs_to(shard.id, shard.created) {
        return Err(invalid_argument(format!(
            "StartingSequenceNumber {text} used in GetShardIterator on shard {} is invalid: it is of another stream.",
            shard.id
        )));
    }
    Ok(())
}

async fn offset(handle: &ShardHandle, shard: &Shard, start: Start) -> Result<Offset, ApiError> {
    let end = || match shard.state {
        ShardState::Closed { end, .. } => end,
        _ => handle.progress().commit_end,
    };
    let failed = |error: shard::ReadError| match error {
        shard::ReadError::Unavailable(why) => errors::unavailable(shard.id, &why),
        shard::ReadError::Throttled(_) => errors::internal(&error),
    };
    match start {
        Start::At(number) => Ok(match number.place() {
            Place::Start => Offset::FIRST,
            Place::Record(offset) => offset,
            Place::End => end(),
        }),
        Start::After(number) => Ok(match number.place() {
            Place::Start => Offset::FIRST,
            Place::Record(offset) => Offset(offset.0.saturating_add(1)),
            Place::End => end(),
        }),
        Start::Timestamp(at) => handle.offset_at(at).await.map_err(failed),
        Start::TrimHorizon => handle.start_offset().await.map_err(failed),
        Start::Latest => Ok(end()),
    }
}
