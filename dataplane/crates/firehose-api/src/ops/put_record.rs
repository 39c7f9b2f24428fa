//! As AWS PutRecord: answers when the record is durable.

use std::sync::Arc;

use aws_protocol::{ApiError, Blob, EMPTY_BLOB};
use bytes::Bytes;
use delivery_catalog::{DeliveryPhase, DeliveryStream};
use model::StreamName;
use serde::{Deserialize, Serialize};

use super::{check_name, parsed};
use crate::api::{Api, Call};
use crate::errors::{self, invalid_argument};
use crate::intake::{PutError, RecordId};
use crate::shape::Checks;
use crate::source::type_of;

/// The most bytes of a record.
const DATA_BYTES_MAX: usize = 1_024_000;

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Request<'a> {
    delivery_stream_name: Option<String>,
    #[serde(borrow)]
    record: Option<Record<'a>>,
}

/// As Record.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Record<'a> {
    #[serde(borrow)]
    data: Option<Blob<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    record_id: String,
    encrypted: bool,
}

pub(crate) async fn run(call: &Call<'_>) -> Result<Bytes, ApiError> {
    let request: Request<'_> = call.decode()?;
    let mut checks = Checks::of_configuration();
    check_name(&mut checks, request.delivery_stream_name.as_ref());
    let record = checks.violations.required("record", request.record);
    if let Some(record) = &record {
        record.check(&mut checks, || "record".to_owned());
    }
    checks.finish()?;
    let name = parsed(request.delivery_stream_name.as_ref())?;
    call.authorize(Some(&name)).await?;
    let stream = taking_stream(call.api, &name)?;
    let mut puts = put(call.api, &stream, record.as_slice()).await?;
    match puts.swap_remove(0) {
        Ok(RecordId(record_id)) => {
            Ok(call.reply(&Output { record_id, encrypted: stream.spec.encryption.is_some() }))
        }
        Err(error) => Err(errors::put(error)),
    }
}

/// The delivery stream, if producers can put records into it.
pub(super) fn taking_stream(api: &Api, name: &StreamName) -> Result<Arc<DeliveryStream>, ApiError> {
    let stream = api.stream(name)?;
    if !stream.is_direct_put() {
        return Err(invalid_argument(format!(
            "This operation is not permitted on {} delivery stream type.",
            type_of(&stream)
        )));
    }
    match stream.phase {
        DeliveryPhase::Active => Ok(stream),
        DeliveryPhase::Creating | DeliveryPhase::Deleting => {
            Err(errors::not_found(name, api.identity()))
        }
    }
}

/// Puts records; there is an answer for each.
pub(super) async fn put(
    api: &Api,
    stream: &DeliveryStream,
    records: &[Record<'_>],
) -> Result<Vec<Result<RecordId, PutError>>, ApiError> {
    let total = records.iter().map(Record::byte_count).sum();
    // One piece of memory for all of them.
    let mut data = Vec::with_capacity(total);
    let mut ends = Vec::with_capacity(records.len());
    for record in records {
        record.blob().append_to(&mut data);
        ends.push(data.len());
    }
    let mut rest = Bytes::from(data);
    let mut start = 0;
    let pieces = ends.into_iter().map(|end| {
        let piece = rest.split_to(end - start);
        start = end;
        piece
    });
    let pieces: Vec<Bytes> = pieces.collect();
    let puts = api.options.intake.put(stream, pieces).await;
    match puts.len() == records.len() {
        true => Ok(puts),
        false => Err(errors::internal(&"the intake answered for other records than it was given")),
    }
}

impl Record<'_> {
    fn blob(&self) -> &Blob<'_> {
        self.data.as_ref().unwrap_or(&EMPTY_BLOB)
    }

    pub(super) fn byte_count(&self) -> usize {
        self.blob().byte_count()
    }

    /// A path is made only for what is wrong, and nearly always nothing is.
    pub(super) fn check(&self, checks: &mut Checks, path: impl Fn() -> String) {
        if self.data.is_some() && self.byte_count() <= DATA_BYTES_MAX {
            return;
        }
        let path = format!("{}.data", path());
        if let Some(data) = checks.violations.required(&path, self.data.as_ref()) {
            checks.violations.blob_length(&path, data.byte_count(), 0..=DATA_BYTES_MAX);
        }
    }
}
