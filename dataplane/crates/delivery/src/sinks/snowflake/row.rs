//! Records as rows.
//!
//! A row is a line of JSON whose members are columns. What is in a record is never taken apart
//! further than its members, so numbers of any length arrive as they were written.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::{DeliveryRecord, UnixMillis};
use operator_api::delivery_stream::{DataLoadingOption, SnowflakeDestination};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::sinks::{Failure, Feed};

/// Who delivers what, and how it becomes rows.
pub(super) struct Rows {
    option: DataLoadingOption,
    content: String,
    metadata: String,
    feed: Feed,
}

/// The members of a record, or a whole one, by the column they are for.
pub(super) type Members<'a> = BTreeMap<String, &'a RawValue>;

/// As AWS describes a record in a metadata column.
#[derive(Serialize)]
#[serde(untagged)]
enum Metadata<'a> {
    #[serde(rename_all = "camelCase")]
    Stream {
        kinesis_stream_name: &'a str,
        kinesis_shard_id: String,
        kinesis_partition_key: String,
        kinesis_sequence_number: String,
        subsequence_number: String,
        #[serde(rename = "IngestionTime")]
        ingestion_time: String,
    },
    #[serde(rename_all = "camelCase")]
    DirectPut {
        firehose_delivery_stream_name: &'a str,
        #[serde(rename = "IngestionTime")]
        ingestion_time: String,
    },
}

impl Rows {
    pub(super) fn new(of: &SnowflakeDestination, feed: Feed) -> Rows {
        Rows {
            option: of.data_loading_option.unwrap_or(DataLoadingOption::JsonMapping),
            content: of.content_column_name.clone().unwrap_or_default(),
            metadata: of.metadata_column_name.clone().unwrap_or_default(),
            feed,
        }
    }

    pub(super) fn feed(&self) -> &Feed {
        &self.feed
    }

    /// Shows `write` the members of the record's row.
    pub(super) fn with_members<T>(
        &self,
        record: &DeliveryRecord,
        write: impl FnOnce(Members<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let text = str::from_utf8(&record.data).map_err(|_| not_json())?;
        if self.option == DataLoadingOption::JsonMapping {
            return write(serde_json::from_str(text).map_err(|_| not_an_object())?);
        }
        let content: &RawValue = serde_json::from_str(text).map_err(|_| not_json())?;
        let mut members = Members::from([(self.content.clone(), content)]);
        if self.option == DataLoadingOption::VariantContentMapping {
            return write(members);
        }
        let metadata = serde_json::value::to_raw_value(&self.metadata(record));
        let metadata = metadata.expect("texts are JSON");
        members.insert(self.metadata.clone(), &metadata);
        write(members)
    }

    /// The row as a line.
    pub(super) fn line(&self, record: &DeliveryRecord) -> Result<Vec<u8>, Failure> {
        self.with_members(record, |members| {
            let mut line = serde_json::to_vec(&members).expect("members are JSON");
            unbreak(&mut line);
            line.push(b'\n');
            Ok(line)
        })
    }

    fn metadata(&self, record: &DeliveryRecord) -> Metadata<'_> {
        let origin = &record.origin;
        let ingestion_time = time(origin.arrival);
        match &self.feed.source {
            None => Metadata::DirectPut {
                firehose_delivery_stream_name: &self.feed.name,
                ingestion_time,
            },
            Some(stream) => Metadata::Stream {
                kinesis_stream_name: stream,
                kinesis_shard_id: origin.shard.to_string(),
                kinesis_partition_key: String::from_utf8_lossy(&record.partition_key).into_owned(),
                kinesis_sequence_number: origin.sequence_number.to_string(),
                subsequence_number: origin.sub.to_string(),
                ingestion_time,
            },
        }
    }
}

/// Lines end a row. In JSON their ends stand only between tokens, where a space is the same.
pub(super) fn unbreak(json: &mut [u8]) {
    json.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
}

fn time(at: UnixMillis) -> String {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    let time = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX);
    format!("{time:.3}")
}

fn not_json() -> Failure {
    Failure::new("Snowflake.InvalidInput", "The record is not a single valid JSON value in UTF-8.")
}

fn not_an_object() -> Failure {
    Failure::new("Snowflake.InvalidInput", "The record is not a single valid JSON object in UTF-8.")
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) use tests::feed;
