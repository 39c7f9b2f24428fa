//! What the two operations on the retention period share.

use aws_protocol::ApiError;
use aws_protocol::validate::Violations;
use catalog::Stream;
use serde::Deserialize;

use crate::api::Api;
use crate::stream_ref::StreamRef;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Request {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    retention_period_hours: Option<i64>,
}

/// Sets the period to what was asked for, if `check` has nothing against it.
pub(super) async fn set(
    api: &Api,
    request: Request,
    check: impl Fn(&Stream, u32) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    let mut checks = Violations::new();
    let Request { stream_name, stream_arn, retention_period_hours } = &request;
    let named = StreamRef::check(&mut checks, stream_name.as_deref(), stream_arn.as_deref());
    checks.required("retentionPeriodHours", *retention_period_hours);
    checks.finish()?;
    let hours = retention_period_hours.unwrap_or_default();
    let hours = u32::try_from(hours.max(0)).unwrap_or(u32::MAX);
    let name = named.resolve()?;
    api.change_active(&name, |stream| {
        check(stream, hours)?;
        let is_new = stream.settings.retention_hours != hours;
        stream.settings.retention_hours = hours;
        Ok(is_new)
    })
    .await?;
    Ok(())
}
