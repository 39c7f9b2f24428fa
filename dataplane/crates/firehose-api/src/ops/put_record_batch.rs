//! As AWS PutRecordBatch: up to 500 records, each with its own answer.

use aws_protocol::{ApiError, ErrorCode};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::put_record::{Record, put, taking_stream};
use super::{check_name, parsed};
use crate::api::Call;
use crate::errors::{self, invalid_argument};
use crate::intake::{PutError, RecordId};
use crate::shape::Checks;

const RECORDS_MAX: usize = 500;
const BYTES_MAX: usize = 4 << 20;

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Request<'a> {
    delivery_stream_name: Option<String>,
    #[serde(borrow)]
    records: Option<Vec<Record<'a>>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    failed_put_count: usize,
    encrypted: bool,
    request_responses: Vec<Response>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Response {
    #[serde(skip_serializing_if = "Option::is_none")]
    record_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
}

pub(crate) async fn run(call: &Call<'_>) -> Result<Bytes, ApiError> {
    let request: Request<'_> = call.decode()?;
    let mut checks = Checks::of_configuration();
    check_name(&mut checks, request.delivery_stream_name.as_ref());
    if let Some(records) = checks.violations.required("records", request.records.as_ref()) {
        checks.violations.list_length("records", records.len(), 1..=RECORDS_MAX);
        for (at, record) in records.iter().take(RECORDS_MAX).enumerate() {
            record.check(&mut checks, || format!("records.{}.member", at + 1));
        }
    }
    checks.finish()?;
    let records = request.records.unwrap_or_default();
    let total: usize = records.iter().map(Record::byte_count).sum();
    if BYTES_MAX < total {
        return Err(invalid_argument(format!(
            "Records size of {total} bytes exceeds the 4 MiB limit of one request."
        )));
    }
    let name = parsed(request.delivery_stream_name.as_ref())?;
    call.authorize(Some(&name)).await?;
    let stream = taking_stream(call.api, &name)?;
    let puts = put(call.api, &stream, &records).await?;
    // A key is the delivery stream's, so without it no record was stored; entries have no code for that.
    let of_key = puts.iter().filter_map(|put| put.as_ref().err());
    if let Some(error) = of_key.into_iter().find(|error| matches!(error, PutError::Key(_)))
        && puts.iter().all(Result::is_err)
    {
        return Err(errors::put(error.clone()));
    }
    Ok(call.reply(&Output {
        failed_put_count: puts.iter().filter(|put| put.is_err()).count(),
        encrypted: stream.spec.encryption.is_some(),
        request_responses: puts.into_iter().map(Response::of).collect(),
    }))
}

impl Response {
    fn of(put: Result<RecordId, PutError>) -> Response {
        match put {
            Ok(RecordId(id)) => Response { record_id: Some(id), ..Response::default() },
            Err(error) => {
                let error = errors::put(error);
                Response {
                    // The model knows these two; everything inside is the second.
                    error_code: Some(match error.code {
                        ErrorCode::ServiceUnavailableException => error.code.name(),
                        _ => ErrorCode::InternalFailure.name(),
                    }),
                    error_message: Some(error.message),
                    ..Response::default()
                }
            }
        }
    }
}
