//! As AWS PutRecord: one record, durable when it answers.

use aws_protocol::validate::Violations;
use aws_protocol::{ApiError, Blob, EMPTY_BLOB, ErrorCode};
use catalog::Stream;
use model::{Place, SequenceNumber, limits};
use serde::{Deserialize, Serialize};

use crate::api::{Api, Shape};
use crate::errors::{check_dry_run, internal, invalid_argument};
use crate::position::was_given;
use crate::routing::{Chosen, Outgoing};
use crate::shapes::encryption_type;
use crate::shards::ShardKey;
use crate::stream_ref::StreamRef;

pub(super) const HASH_KEY_PATTERN: &str = r"0|([1-9]\d{0,38})";
const SEQUENCE_NUMBER_PATTERN: &str = r"0|([1-9]\d{0,128})";
/// The most any stream takes.
pub(super) const DATA_BYTES_MAX: usize = (limits::RECORD_KIB_MAX as usize) << 10;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Request<'a> {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(borrow)]
    data: Option<Blob<'a>>,
    partition_key: Option<String>,
    explicit_hash_key: Option<String>,
    sequence_number_for_ordering: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Output {
    shard_id: String,
    sequence_number: String,
    encryption_type: &'static str,
}

pub(crate) async fn run(api: &Api, request: Request<'_>) -> Result<Shape<Output>, ApiError> {
    let mut checks = Violations::new();
    let Request { stream_name, stream_arn, explicit_hash_key, .. } = &request;
    let named = StreamRef::check(&mut checks, stream_name.as_deref(), stream_arn.as_deref());
    if let Some(data) = checks.required("data", request.data.as_ref()) {
        checks.blob_length("data", data.byte_count(), 0..=DATA_BYTES_MAX);
    }
    let partition_key = request.partition_key.as_deref();
    checks.length("partitionKey", partition_key, 1..=limits::PARTITION_KEY_CHARS_MAX);
    check_hash_key(&mut checks, "explicitHashKey", explicit_hash_key.as_deref());
    let ordering = request.sequence_number_for_ordering.as_deref();
    let is_number = ordering.is_some_and(is_sequence_number);
    checks.pattern("sequenceNumberForOrdering", ordering, SEQUENCE_NUMBER_PATTERN, is_number);
    checks.finish()?;

    let name = named.resolve_for(api)?;
    let stream = api.serving_stream(&name)?;
    let mut checks = Violations::new();
    let chosen = Chosen { partition_key, explicit_hash_key: explicit_hash_key.as_deref() };
    let hash_key = api.hash_key(&stream, chosen, || {
        checks.required("partitionKey", partition_key);
    });
    checks.finish()?;
    let record = Outgoing {
        hash_key: hash_key?,
        partition_key: partition_key.unwrap_or_default(),
        data: request.data.as_ref().unwrap_or(&EMPTY_BLOB),
    };
    check_size(&stream, &record)?;
    if let Some(ordering) = ordering {
        check_ordering(api, &stream, ordering).await?;
    }
    check_dry_run(request.dry_run)?;
    let bytes = record.bytes();
    let put = api.put(&name, &[record]).await?.pop();
    let put = put.unwrap_or_else(|| Err(internal(&"a put without an answer")));
    match &put {
        Ok(_) => api.options.metrics.record_put(&name, bytes),
        Err(error) if error.code == ErrorCode::ProvisionedThroughputExceededException => {
            api.options.metrics.record_throttled(&name);
        }
        Err(_) => {}
    }
    let put = put?;
    Ok(Shape(Output {
        shard_id: put.shard.to_string(),
        sequence_number: put.sequence_number.to_string(),
        encryption_type: encryption_type(stream.settings.encryption.is_some()),
    }))
}

pub(super) fn check_hash_key(checks: &mut Violations, path: &str, text: Option<&str>) {
    let is_number = text.is_some_and(|text| {
        let canonical = text == "0" || text.starts_with(|first| matches!(first, '1'..='9'));
        canonical && text.len() <= 39 && text.bytes().all(|digit| digit.is_ascii_digit())
    });
    checks.pattern(path, text, HASH_KEY_PATTERN, is_number);
}

/// The stream's own limit on a record.
pub(super) fn check_size(stream: &Stream, record: &Outgoing<'_>) -> Result<(), ApiError> {
    let kib_max = stream.settings.record_kib_max;
    if record.bytes() <= (kib_max as usize) << 10 {
        return Ok(());
    }
    Err(invalid_argument(format!(
        "The record of {} bytes, data and partition key, exceeds the stream's maximum of {kib_max} KiB; \
         UpdateMaxRecordSize raises it up to {} KiB.",
        record.bytes(),
        limits::RECORD_KIB_MAX
    )))
}

fn is_sequence_number(text: &str) -> bool {
    text.parse::<SequenceNumber>() != Err(model::SequenceNumberError::NotANumber)
}

/// The number must be one that this stream has already given.
async fn check_ordering(api: &Api, stream: &Stream, text: &str) -> Result<(), ApiError> {
    let given = match text.parse::<SequenceNumber>() {
        Ok(number) => is_given(api, stream, number).await,
        Err(_) => false,
    };
    match given {
        true => Ok(()),
        false => Err(invalid_argument(format!(
            "ExclusiveMinimumSequenceNumber {text} used in PutRecord on stream {} under account {} is invalid.",
            stream.name,
            api.identity().account
        ))),
    }
}

async fn is_given(api: &Api, stream: &Stream, number: SequenceNumber) -> bool {
    let Some(shard) = stream.shards.get(number.shard()) else {
        return false;
    };
    let is_ours = number.belongs_to(shard.id, shard.created);
    let key = ShardKey { stream: stream.uid, shard: shard.id };
    match (number.place(), api.options.shards.get(key)) {
        (Place::Start, _) => is_ours,
        (Place::Record(offset), Some(handle)) if is_ours => {
            was_given(&handle, offset).await.unwrap_or(false)
        }
        _ => false,
    }
}
