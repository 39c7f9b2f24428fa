//! What a transforming Lambda function is told and answers; a service behind a webhook does the same.
//!
//! Records keep their ids when a call is repeated, for the ids are made of where the records come
//! from. A record's verdict is its own: one that the answer gets wrong takes none with it, as long as
//! the answer can be read at all. Such an answer is final; what is repeated is a call that failed.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use bytes::Bytes;
use model::Origin;
use serde::Serialize;

use super::{Failed, FailureCode, Item, Metadata, Outcome, failure, keys};

mod answer;

/// The largest call and the largest answer of Lambda.
pub const PAYLOAD_BYTES_MAX: usize = 6 << 20;
/// Records of one call, and of an answer: as many as fit.
const RECORDS_MAX: usize = 50_000;

/// The least and the most that a call's size can be set to, in MiB.
const CALL_MIB_MIN: f64 = 0.2;
const CALL_MIB_MAX: f64 = 3.0;

/// Around a record's data and partition key: names, ids, times and punctuation.
const RECORD_OVERHEAD_BYTES: usize = 640;
/// Around the records, without the names of the streams.
const CALL_OVERHEAD_BYTES: usize = 512;

/// What is the same in all calls of a delivery stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Whose records they are.
    pub delivery_stream_arn: String,
    /// The stream they are read from; `None` for those that were put directly.
    pub source_kinesis_stream_arn: Option<String>,
    /// Where that is.
    pub region: String,
}

/// Records, in calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Each fits one call.
    pub calls: Vec<Vec<Item>>,
    /// Fits none.
    pub failed: Vec<Failed>,
}

/// The bytes of data of one call, of a size in MiB as it is configured.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
pub fn call_bytes(size_mib: f64) -> usize {
    let size_mib = if size_mib.is_nan() { CALL_MIB_MIN } else { size_mib };
    (size_mib.clamp(CALL_MIB_MIN, CALL_MIB_MAX) * f64::from(1 << 20)) as usize
}

/// The id a record has in calls.
#[must_use]
pub fn record_id(origin: Origin) -> String {
    format!("{}.{}.{}", origin.shard, origin.offset, origin.sub)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Call<'a> {
    invocation_id: &'a str,
    delivery_stream_arn: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_kinesis_stream_arn: Option<&'a str>,
    region: &'a str,
    records: Vec<CallRecord<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CallRecord<'a> {
    record_id: String,
    approximate_arrival_timestamp: u64,
    data: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kinesis_record_metadata: Option<KinesisRecordMetadata<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KinesisRecordMetadata<'a> {
    shard_id: String,
    partition_key: std::borrow::Cow<'a, str>,
    approximate_arrival_timestamp: u64,
    sequence_number: String,
    subsequence_number: u32,
}

impl Envelope {
    /// Parts `items` into calls of at most `data_bytes` of data, but at least one record, none of
    /// them larger than Lambda takes.
    #[must_use]
    pub fn split(&self, items: Vec<Item>, data_bytes: usize) -> Calls {
        let mut out = Calls::default();
        let source_bytes = self.source_kinesis_stream_arn.as_ref().map_or(0, String::len);
        let around = CALL_OVERHEAD_BYTES
            + 6 * (self.delivery_stream_arn.len() + source_bytes + self.region.len());
        let (mut call, mut call_data, mut call_payload) = (Vec::new(), 0, around);
        for item in items {
            let (data, payload) = (item.record.data.len(), self.payload_bytes(&item));
            if PAYLOAD_BYTES_MAX < around + payload {
                let message = "The record is larger than a call of the Lambda function can be";
                failure::push(&mut out.failed, item.fail(FailureCode::LambdaTooLarge, message));
                continue;
            }
            let full = data_bytes < call_data + data
                || PAYLOAD_BYTES_MAX < call_payload + payload
                || call.len() == RECORDS_MAX;
            if full && !call.is_empty() {
                out.calls.push(std::mem::take(&mut call));
                (call_data, call_payload) = (0, around);
            }
            call_data += data;
            call_payload += payload;
            call.push(item);
        }
        if !call.is_empty() {
            out.calls.push(call);
        }
        out
    }

    /// No less than what `item` takes in a call.
    fn payload_bytes(&self, item: &Item) -> usize {
        let metadata =
            self.source_kinesis_stream_arn.as_ref().map_or(0, |_| item.record.partition_key.len());
        RECORD_OVERHEAD_BYTES + item.record.data.len().div_ceil(3) * 4 + 6 * metadata
    }

    /// A call's payload.
    ///
    /// # Panics
    /// Never: texts and numbers can be written as JSON.
    #[must_use]
    pub fn encode(&self, invocation_id: &str, items: &[Item]) -> Bytes {
        let from_stream = self.source_kinesis_stream_arn.is_some();
        let call = Call {
            invocation_id,
            delivery_stream_arn: &self.delivery_stream_arn,
            source_kinesis_stream_arn: self.source_kinesis_stream_arn.as_deref(),
            region: &self.region,
            records: items.iter().map(|item| CallRecord::new(item, from_stream)).collect(),
        };
        Bytes::from(serde_json::to_vec(&call).expect("texts and numbers are JSON"))
    }
}

impl<'a> CallRecord<'a> {
    fn new(item: &'a Item, from_stream: bool) -> CallRecord<'a> {
        let origin = item.record.origin;
        CallRecord {
            record_id: record_id(origin),
            approximate_arrival_timestamp: origin.arrival.0,
            data: base64_simd::STANDARD.encode_to_string(&item.record.data),
            kinesis_record_metadata: from_stream.then(|| KinesisRecordMetadata {
                shard_id: origin.shard.to_string(),
                partition_key: String::from_utf8_lossy(&item.record.partition_key),
                approximate_arrival_timestamp: origin.arrival.0,
                sequence_number: origin.sequence_number.to_string(),
                subsequence_number: origin.sub,
            }),
        }
    }
}

/// What became of `items`, the records of a call, as `payload` answers it.
#[must_use]
pub fn decode(payload: &[u8], items: Vec<Item>) -> Outcome {
    if PAYLOAD_BYTES_MAX < payload.len() {
        let message = "The answer of the Lambda function is larger than 6 MB";
        return fail_all(items, FailureCode::LambdaFunction, message, 1);
    }
    // A list of fields would do for an object otherwise.
    let is_object = payload.trim_ascii_start().starts_with(b"{");
    let answer = serde_json::from_slice::<answer::Answer>(payload).ok().filter(|_| is_object);
    let Some(answer) = answer else {
        let message = "There was an error parsing returned records from the Lambda function. \
            Ensure that the returned records follow the status model required by Firehose.";
        return fail_all(items, FailureCode::LambdaJsonProcessing, message, 1);
    };
    let mut verdicts = HashMap::with_capacity(items.len());
    for record in answer.records.0 {
        let Some(id) = &record.record_id else { continue };
        match verdicts.entry(id.clone()) {
            Entry::Vacant(vacant) => {
                vacant.insert(Some(record));
            }
            Entry::Occupied(mut occupied) => {
                occupied.insert(None);
            }
        }
    }
    let mut out = Outcome { kept: Vec::with_capacity(items.len()), ..Outcome::default() };
    for item in items {
        let verdict = verdicts.remove(&*record_id(item.record.origin));
        match judge(verdict) {
            Verdict::Keep(data, metadata) => {
                let mut item = item;
                item.replace_data(data);
                item.metadata = metadata;
                out.kept.push(item);
            }
            Verdict::Drop => out.dropped += 1,
            Verdict::Fail(code, message) => {
                failure::push(&mut out.failed, item.fail(code, message));
            }
        }
    }
    out
}

/// `items` as records that stay behind, for one reason: that of a call that failed for good, when it
/// was made so many times.
#[must_use]
pub fn fail_all(items: Vec<Item>, code: FailureCode, message: &str, attempts: u32) -> Outcome {
    let mut out = Outcome::default();
    for item in items {
        failure::push(&mut out.failed, Failed { attempts, ..item.fail(code, message) });
    }
    out
}

enum Verdict {
    Keep(Bytes, Option<Box<Metadata>>),
    Drop,
    Fail(FailureCode, String),
}

/// What an answer says about one record: nothing, several things (`Some(None)`), or one.
fn judge(said: Option<Option<answer::Record>>) -> Verdict {
    let fail = |code, message: &str| Verdict::Fail(code, message.to_owned());
    let record = match said {
        None => {
            return fail(
                FailureCode::LambdaMissingRecordId,
                "One or more record Ids were not returned. Ensure that the Lambda function returns \
                    all received record Ids.",
            );
        }
        Some(None) => {
            return fail(
                FailureCode::LambdaDuplicatedRecordId,
                "Multiple records were returned with the same record Id. Ensure that the Lambda \
                    function returns a unique record Id for each record.",
            );
        }
        Some(Some(record)) => record,
    };
    match record.result.as_deref() {
        Some("Ok") => keep(record),
        Some("Dropped") => Verdict::Drop,
        Some("ProcessingFailed") => {
            fail(FailureCode::LambdaProcessingFailed, "ProcessingFailed status set for record")
        }
        _ => fail(
            FailureCode::LambdaFunction,
            "Ensure that the returned records contain a valid result: Ok, Dropped or \
                ProcessingFailed.",
        ),
    }
}

fn keep(record: answer::Record) -> Verdict {
    let fail = |code, message: &str| Verdict::Fail(code, message.to_owned());
    let Some(data) = record.data else {
        let message = "The data field cannot be null when the processing result is Ok.";
        return fail(FailureCode::LambdaInvalidReturnFormat, message);
    };
    let Ok(data) = base64_simd::STANDARD.decode_to_vec(data.as_bytes()) else {
        return fail(FailureCode::LambdaFunction, "The data field is not base64.");
    };
    let Some(said) = record.metadata else {
        return Verdict::Keep(Bytes::from(data), None);
    };
    let mut metadata = Metadata::default();
    for (name, value) in said.partition_keys.unwrap_or_default() {
        let inserted = keys::insert(&mut metadata.partition_keys, name, value.0);
        if let Err(message) = inserted {
            return Verdict::Fail(FailureCode::MetadataExtraction, message);
        }
    }
    match said.otf_metadata.map(answer::OtfMetadata::decode).transpose() {
        Ok(table) => metadata.table = table,
        Err(message) => return Verdict::Fail(FailureCode::LambdaFunction, message),
    }
    Verdict::Keep(Bytes::from(data), Some(Box::new(metadata)))
}

#[cfg(test)]
mod tests;
