//! As AWS GetRecords: what follows an iterator, and the iterator that follows it.

use std::time::Duration;

use aws_protocol::codec::encode;
use aws_protocol::validate::Violations;
use aws_protocol::{ApiError, Encoding, ErrorCode};
use catalog::{ShardMetric, Stream};
use model::{Offset, Shard, ShardState, UnixMillis, limits};
use serde::{Deserialize, Serialize};
use shard::{ReadError, ReadReply, ReadRequest};

use crate::api::{Answer, Api, Reply};
use crate::errors::{self, check_dry_run, invalid_argument, rate_exceeded, shard_not_found};
use crate::resource::Arn;
use crate::shapes::{ChildShard, Record, records};
use crate::token;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Request {
    shard_iterator: Option<String>,
    limit: Option<i64>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Output<'a> {
    records: Vec<Record<'a>>,
    /// Null at the end of a closed shard, and only there.
    next_shard_iterator: Option<String>,
    millis_behind_latest: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    child_shards: Vec<ChildShard>,
}

/// The reply keeps what was read until it is encoded, so that no record is copied before that.
pub(crate) struct Got {
    read: ReadReply,
    shard: Shard,
    next_shard_iterator: Option<String>,
    millis_behind_latest: u64,
    child_shards: Vec<ChildShard>,
}

pub(crate) async fn run(api: &Api, request: Request) -> Result<Got, ApiError> {
    let mut checks = Violations::new();
    let text = checks.required("shardIterator", request.shard_iterator.as_deref());
    checks.length("shardIterator", text, 1..=512);
    checks.range("limit", request.limit, 1..=limits::GET_RECORDS_MAX as i64);
    let arn = Arn::check_stream(&mut checks, "streamARN", request.stream_arn.as_deref());
    checks.finish()?;

    let iterator = token::Iterator::decode(text.unwrap_or_default())
        .map_err(|_| invalid_argument("Invalid ShardIterator."))?;
    check_age(&iterator, api.now())?;
    if arn.is_some_and(|name| name != iterator.stream) {
        return Err(invalid_argument("StreamARN names another stream than ShardIterator."));
    }
    let stream = api.serving_stream(&iterator.stream)?;
    let shard = stream.shards.get(iterator.shard).filter(|_| stream.uid == iterator.uid);
    let shard = shard
        .ok_or_else(|| {
            shard_not_found(&iterator.shard.to_string(), &iterator.stream, api.identity())
        })?
        .clone();
    check_dry_run(request.dry_run)?;
    let records_max = request.limit.and_then(|limit| usize::try_from(limit).ok());
    let read = read(api, &stream, &shard, &iterator, records_max).await?;

    let (mut count, mut bytes, mut last) = (0, 0, None);
    for (record, timestamp) in read.records() {
        count += 1;
        bytes += record.data.len();
        last = Some((record.offset, timestamp));
    }
    let metrics = &api.options.metrics;
    metrics.records_got(&stream.name, count, bytes);
    metrics.shard(&stream, shard.id, ShardMetric::OutgoingBytes, bytes as u64);
    metrics.shard(&stream, shard.id, ShardMetric::OutgoingRecords, count as u64);
    let age = last.map_or(Duration::ZERO, |(_, timestamp)| api.now().since(timestamp));
    metrics.shard_age(&stream, shard.id, age);
    Ok(Got::new(api, &stream, shard, iterator, read, last))
}

fn check_age(iterator: &token::Iterator, now: UnixMillis) -> Result<(), ApiError> {
    if now <= iterator.issued.saturating_add(limits::SHARD_ITERATOR_LIFETIME) {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::ExpiredIteratorException,
        format!(
            "Iterator expired. The iterator was created at time {} while right now it is {now} which is further in the future than the tolerated delay of {} milliseconds.",
            iterator.issued,
            limits::SHARD_ITERATOR_LIFETIME.as_millis()
        ),
    ))
}

async fn read(
    api: &Api,
    stream: &Stream,
    shard: &Shard,
    iterator: &token::Iterator,
    records_max: Option<usize>,
) -> Result<ReadReply, ApiError> {
    let handle = api.handle(stream, shard)?;
    let request = ReadRequest {
        from: iterator.offset,
        bytes_max: limits::GET_RECORDS_BYTES_MAX,
        records_max: records_max.unwrap_or(limits::GET_RECORDS_MAX),
        wait: Duration::ZERO,
        charged: true,
    };
    handle.read(request).await.map_err(|error| match error {
        ReadError::Throttled(_) => {
            api.options.metrics.read_throttled(&stream.name);
            let metric = ShardMetric::ReadProvisionedThroughputExceeded;
            api.options.metrics.shard(stream, shard.id, metric, 1);
            rate_exceeded(shard.id, &stream.name, api.identity())
        }
        ReadError::NoKey(_) => errors::key_error(&error),
        ReadError::Unavailable(why) => errors::unavailable(shard.id, &why),
    })
}

impl Got {
    fn new(
        api: &Api,
        stream: &Stream,
        shard: Shard,
        iterator: token::Iterator,
        read: ReadReply,
        last: Option<(Offset, UnixMillis)>,
    ) -> Got {
        let next = last.map_or(read.from(), |(offset, _)| offset.advance(1));
        let caught_up = read.progress.commit_end <= next;
        let is_end = match shard.state {
            ShardState::Closed { end, .. } => end <= next,
            _ => false,
        };
        // Behind by the age of what was read last; without that, of the tip.
        let reached = last.map_or(read.progress.tip_timestamp, |(_, timestamp)| timestamp);
        let behind = if caught_up { Duration::ZERO } else { api.now().since(reached) };
        let children = stream.shards.children(shard.id).filter(|_| is_end);
        let issued = api.now();
        Got {
            next_shard_iterator: (!is_end)
                .then(|| token::Iterator { offset: next, issued, ..iterator }.encode()),
            millis_behind_latest: u64::try_from(behind.as_millis()).unwrap_or(u64::MAX),
            child_shards: children.map(ChildShard::of).collect(),
            read,
            shard,
        }
    }
}

impl Reply for Got {
    fn into_answer(self, encoding: Encoding) -> Answer {
        let output = Output {
            records: records(&self.shard, &self.read, self.read.from()).collect(),
            next_shard_iterator: self.next_shard_iterator,
            millis_behind_latest: self.millis_behind_latest,
            child_shards: self.child_shards,
        };
        Answer::Whole(encode(encoding, &output))
    }
}
