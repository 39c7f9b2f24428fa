//! As AWS PutRecords: up to 500 records, each with its own answer.

use aws_protocol::validate::Violations;
use aws_protocol::{ApiError, Blob, EMPTY_BLOB, ErrorCode, Text, displayed};
use catalog::Stream;
use model::{SequenceNumber, ShardId, limits};
use serde::{Deserialize, Serialize};

use super::put_record::{DATA_BYTES_MAX, check_hash_key, check_size};
use crate::api::{Api, Shape};
use crate::errors::{check_dry_run, invalid_argument};
use crate::routing::{Chosen, Outgoing, Put};
use crate::shapes::encryption_type;
use crate::stream_ref::StreamRef;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Request<'a> {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(borrow)]
    records: Option<Vec<Entry<'a>>>,
    dry_run: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Entry<'a> {
    #[serde(borrow)]
    data: Option<Blob<'a>>,
    #[serde(borrow)]
    partition_key: Option<Text<'a>>,
    #[serde(borrow)]
    explicit_hash_key: Option<Text<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Output {
    failed_record_count: usize,
    records: Vec<ResultEntry>,
    encryption_type: &'static str,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ResultEntry {
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "displayed")]
    sequence_number: Option<SequenceNumber>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "displayed")]
    shard_id: Option<ShardId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
}

pub(crate) async fn run(api: &Api, request: Request<'_>) -> Result<Shape<Output>, ApiError> {
    let mut checks = Violations::new();
    let Request { stream_name, stream_arn, records, dry_run } = &request;
    let named = StreamRef::check(&mut checks, stream_name.as_deref(), stream_arn.as_deref());
    if let Some(records) = checks.required("records", records.as_ref()) {
        checks.list_length("records", records.len(), 1..=limits::PUT_RECORDS_MAX);
        for (at, entry) in records.iter().take(limits::PUT_RECORDS_MAX).enumerate() {
            entry.check(&mut checks, at + 1);
        }
    }
    checks.finish()?;

    let name = named.resolve_for(api)?;
    let stream = api.serving_stream(&name)?;
    let mut checks = Violations::new();
    let records = (1..).zip(records.iter().flatten());
    let records = records.map(|(number, entry)| entry.outgoing(api, &stream, &mut checks, number));
    let records = records.collect::<Result<Vec<_>, ApiError>>();
    checks.finish()?;
    let records = records?;
    let total: usize = records.iter().map(Outgoing::bytes).sum();
    if limits::PUT_RECORDS_BYTES_MAX < total {
        return Err(invalid_argument(format!(
            "Records size of {total} bytes exceeds the 10 MiB limit of one request."
        )));
    }
    records.iter().try_for_each(|record| check_size(&stream, record))?;
    check_dry_run(*dry_run)?;

    let puts = api.put(&name, &records).await?;
    let outcomes =
        records.iter().map(Outgoing::bytes).zip(puts.iter().map(|put| put.as_ref().err()));
    api.options.metrics.records_put(&name, outcomes);
    // A key is the stream's, so without it no record was stored; entries have no code for that.
    let of_keys = |error: &&ApiError| error.code == ErrorCode::KmsNotFoundException;
    if let Some(error) = puts.iter().filter_map(|put| put.as_ref().err()).find(of_keys)
        && puts.iter().all(Result::is_err)
    {
        return Err(error.clone());
    }
    Ok(Shape(Output {
        failed_record_count: puts.iter().filter(|put| put.is_err()).count(),
        records: puts.into_iter().map(ResultEntry::of).collect(),
        encryption_type: encryption_type(stream.settings.encryption.is_some()),
    }))
}

impl Entry<'_> {
    fn check(&self, checks: &mut Violations, number: usize) {
        // Paths are made only for what is wrong, and nearly always nothing is.
        let key = self.partition_key.as_deref();
        let hash_key = self.explicit_hash_key.as_deref();
        let data_fits = self.data.as_ref().is_some_and(|data| data.byte_count() <= DATA_BYTES_MAX);
        let key_fits =
            key.is_none_or(|key| (1..=limits::PARTITION_KEY_CHARS_MAX).contains(&key.len()));
        if data_fits && key_fits && hash_key.is_none() {
            return;
        }
        let path = |member: &str| format!("records.{number}.member.{member}");
        if let Some(data) = checks.required(&path("data"), self.data.as_ref()) {
            checks.blob_length(&path("data"), data.byte_count(), 0..=DATA_BYTES_MAX);
        }
        checks.length(&path("partitionKey"), key, 1..=limits::PARTITION_KEY_CHARS_MAX);
        check_hash_key(checks, &path("explicitHashKey"), hash_key);
    }

    fn outgoing(
        &self,
        api: &Api,
        stream: &Stream,
        checks: &mut Violations,
        number: usize,
    ) -> Result<Outgoing<'_>, ApiError> {
        let partition_key = self.partition_key.as_deref();
        let explicit_hash_key = self.explicit_hash_key.as_deref();
        let chosen = Chosen { partition_key, explicit_hash_key };
        let hash_key = api.hash_key(stream, chosen, || {
            checks.required(&format!("records.{number}.member.partitionKey"), partition_key);
        });
        Ok(Outgoing {
            hash_key: hash_key?,
            partition_key: partition_key.unwrap_or_default(),
            data: self.data.as_ref().unwrap_or(&EMPTY_BLOB),
        })
    }
}

impl ResultEntry {
    fn of(put: Result<Put, ApiError>) -> ResultEntry {
        match put {
            Ok(put) => ResultEntry {
                sequence_number: Some(put.sequence_number),
                shard_id: Some(put.shard),
                ..ResultEntry::default()
            },
            Err(error) => ResultEntry {
                // The model knows these two; everything inside is the second.
                error_code: Some(match error.code {
                    ErrorCode::ProvisionedThroughputExceededException => error.code.name(),
                    _ => ErrorCode::InternalFailure.name(),
                }),
                error_message: Some(error.message),
                ..ResultEntry::default()
            },
        }
    }
}
