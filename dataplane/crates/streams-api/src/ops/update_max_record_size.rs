//! As AWS UpdateMaxRecordSize. Records already there stay.

use aws_protocol::ApiError;
use aws_protocol::validate::Violations;
use model::limits::{RECORD_KIB_MAX, RECORD_KIB_MIN};
use serde::Deserialize;

use crate::api::Api;
use crate::stream_ref::StreamRef;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Request {
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    max_record_size_in_ki_b: Option<i64>,
}

pub(crate) async fn run(api: &Api, request: Request) -> Result<(), ApiError> {
    let mut checks = Violations::new();
    let named = StreamRef::check(&mut checks, None, request.stream_arn.as_deref());
    checks.required("maxRecordSizeInKiB", request.max_record_size_in_ki_b);
    let sizes = i64::from(RECORD_KIB_MIN)..=i64::from(RECORD_KIB_MAX);
    checks.range("maxRecordSizeInKiB", request.max_record_size_in_ki_b, sizes);
    checks.finish()?;
    let size = request.max_record_size_in_ki_b.and_then(|kib| u32::try_from(kib).ok());
    let size = size.unwrap_or(RECORD_KIB_MIN);
    api.change_active(&named.resolve()?, |stream| {
        let is_new = stream.settings.record_kib_max != size;
        stream.settings.record_kib_max = size;
        Ok(is_new)
    })
    .await?;
    Ok(())
}
