//! Where reading is to start: what GetShardIterator and SubscribeToShard say in the same words.

use aws_protocol::ApiError;
use aws_protocol::validate::Violations;
use catalog::Stream;
use model::{Offset, Place, SequenceNumber, SequenceNumberError, Shard, ShardState, UnixMillis};
use shard::ShardHandle;

use crate::api::Api;
use crate::errors::{self, invalid_argument, shard_not_found};
use crate::shapes::listed_shards;
use crate::stream_ref::NAME_PATTERN;

const SEQUENCE_NUMBER_PATTERN: &str = r"0|([1-9]\d{0,128})";

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

/// A place in a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    At(SequenceNumber),
    After(SequenceNumber),
    Timestamp(UnixMillis),
    TrimHorizon,
    Latest,
}

/// How a request names a place: its members, and by what names they go in its operation.
pub(crate) struct Wanted<'a> {
    pub(crate) operation: &'static str,
    pub(crate) type_member: Member,
    pub(crate) type_text: Option<&'a str>,
    pub(crate) number_member: Member,
    pub(crate) number_text: Option<&'a str>,
    pub(crate) timestamp: Option<UnixMillis>,
}

/// A member by its path in violations and by its name in other errors.
#[derive(Clone, Copy)]
pub(crate) struct Member {
    pub(crate) path: &'static str,
    pub(crate) name: &'static str,
}

/// What the constraints of the model leave open.
pub(crate) struct Checked {
    position_type: Option<Type>,
    number: Option<Result<SequenceNumber, SequenceNumberError>>,
}

/// A shard's id.
pub(crate) fn check_shard_id<'a>(checks: &mut Violations, text: Option<&'a str>) -> &'a str {
    let text = checks.required("shardId", text);
    checks.length("shardId", text, 1..=128);
    let is_name = text.is_some_and(|id| id.parse::<model::StreamName>().is_ok());
    checks.pattern("shardId", text, NAME_PATTERN, is_name);
    text.unwrap_or_default()
}

/// A shard that clients are shown.
pub(crate) fn find_shard<'a>(
    api: &Api,
    stream: &'a Stream,
    text: &str,
) -> Result<&'a Shard, ApiError> {
    let id = text.parse().ok();
    let found = listed_shards(stream, api.now()).find(|shard| Some(shard.id) == id);
    found.ok_or_else(|| shard_not_found(text, &stream.name, api.identity()))
}

impl Wanted<'_> {
    /// The constraints of the model.
    pub(crate) fn check(&self, checks: &mut Violations) -> Checked {
        let text = checks.required(self.type_member.path, self.type_text);
        let position_type = checks.one_of(self.type_member.path, text, &TYPES);
        let number = self.number_text.map(str::parse::<SequenceNumber>);
        let is_number = number != Some(Err(SequenceNumberError::NotANumber));
        let path = self.number_member.path;
        checks.pattern(path, self.number_text, SEQUENCE_NUMBER_PATTERN, is_number);
        Checked { position_type, number }
    }

    /// The place, if it is one of this shard: the type and what it must, and must not, come with.
    pub(crate) fn position(
        &self,
        checked: Checked,
        shard: &Shard,
        now: UnixMillis,
    ) -> Result<Position, ApiError> {
        let Wanted { operation, type_member, number_member, timestamp, .. } = self;
        let (type_member, number_member) = (type_member.name, number_member.name);
        let type_name = self.type_text.unwrap_or_default();
        let text = self.number_text.unwrap_or_default();
        let position_type = checked.position_type.unwrap_or(Type::Latest);
        let position = match (position_type, checked.number, *timestamp) {
            (Type::AtSequenceNumber, Some(Ok(number)), None) => Position::At(number),
            (Type::AfterSequenceNumber, Some(Ok(number)), None) => Position::After(number),
            (Type::AtSequenceNumber | Type::AfterSequenceNumber, Some(Err(_)), None) => {
                return Err(invalid_argument(format!(
                    "{number_member} {text} used in {operation} is invalid: it is not a number of this service."
                )));
            }
            (Type::AtTimestamp, None, Some(at)) if at <= now => Position::Timestamp(at),
            (Type::AtTimestamp, None, Some(at)) => {
                return Err(invalid_argument(format!(
                    "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: {at}, currentTimestampInMillis: {now}"
                )));
            }
            (Type::TrimHorizon, None, None) => Position::TrimHorizon,
            (Type::Latest, None, None) => Position::Latest,
            (Type::AtSequenceNumber | Type::AfterSequenceNumber, ..) => {
                return Err(invalid_argument(format!(
                    "Must specify parameter {number_member}, and no Timestamp, in {operation} with {type_member} {type_name}."
                )));
            }
            (Type::AtTimestamp, ..) => {
                return Err(invalid_argument(format!(
                    "Must specify parameter Timestamp, and no {number_member}, in {operation} with {type_member} AT_TIMESTAMP."
                )));
            }
            (Type::TrimHorizon | Type::Latest, ..) => {
                return Err(invalid_argument(format!(
                    "Neither {number_member} nor Timestamp goes with {type_member} {type_name}."
                )));
            }
        };
        self.check_shard(shard, position)?;
        Ok(position)
    }

    /// A sequence number must be of this shard.
    fn check_shard(&self, shard: &Shard, position: Position) -> Result<(), ApiError> {
        let (Position::At(number) | Position::After(number)) = position else {
            return Ok(());
        };
        let Wanted { operation, number_member: Member { name, .. }, .. } = self;
        if number.shard() != shard.id {
            return Err(invalid_argument(format!(
                "Invalid {name}. It encodes {}, while it was used in a call to a shard with {}",
                number.shard(),
                shard.id
            )));
        }
        if !number.belongs_to(shard.id, shard.created) {
            return Err(invalid_argument(format!(
                "{name} {number} used in {operation} on shard {} is invalid: it is of another stream.",
                shard.id
            )));
        }
        Ok(())
    }
}

/// Where the next record of an open shard will be. It is asked for: on a gateway what is known of the
/// shard may be behind, or nothing yet.
async fn tip(handle: &ShardHandle) -> Result<Offset, shard::ReadError> {
    handle.offset_at(UnixMillis(u64::MAX)).await
}

/// Whether a record of this offset has been stored.
pub(crate) async fn was_given(
    handle: &ShardHandle,
    offset: Offset,
) -> Result<bool, shard::ReadError> {
    Ok(offset < handle.progress().commit_end || offset < tip(handle).await?)
}

/// The offset of the first record at or behind `position`.
pub(crate) async fn offset(
    handle: &ShardHandle,
    shard: &Shard,
    position: Position,
) -> Result<Offset, ApiError> {
    let failed = |error: shard::ReadError| match error {
        shard::ReadError::Unavailable(why) => errors::unavailable(shard.id, &why),
        shard::ReadError::NoKey(_) => errors::key_error(&error),
        shard::ReadError::Throttled(_) => errors::internal(&error),
    };
    let end = async || match shard.state {
        ShardState::Closed { end, .. } => Ok(end),
        _ => tip(handle).await.map_err(failed),
    };
    // Whoever was let wait there would miss all that comes before it.
    if let Position::At(number) | Position::After(number) = position
        && let Place::Record(place) = number.place()
        && !was_given(handle, place).await.map_err(failed)?
    {
        return Err(invalid_argument(format!(
            "The sequence number {number} is invalid: shard {} has not come so far.",
            shard.id
        )));
    }
    match position {
        Position::At(number) => match number.place() {
            Place::Start => Ok(Offset::FIRST),
            Place::Record(offset) => Ok(offset),
            Place::End => end().await,
        },
        Position::After(number) => match number.place() {
            Place::Start => Ok(Offset::FIRST),
            Place::Record(offset) => Ok(Offset(offset.0.saturating_add(1))),
            Place::End => end().await,
        },
        Position::Timestamp(at) => handle.offset_at(at).await.map_err(failed),
        Position::TrimHorizon => handle.start_offset().await.map_err(failed),
        Position::Latest => end().await,
    }
}
