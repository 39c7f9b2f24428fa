//! As AWS IncreaseStreamRetentionPeriod. What has expired does not come back.

use aws_protocol::ApiError;
use model::limits::RETENTION_HOURS_MAX;

use super::retention;
pub(crate) use super::retention::Request;
use crate::api::Api;
use crate::errors::invalid_argument;

pub(crate) async fn run(api: &Api, request: Request) -> Result<(), ApiError> {
    retention::set(api, request, |stream, hours| {
        let (name, current) = (&stream.name, stream.settings.retention_hours);
        if hours < current {
            return Err(invalid_argument(format!(
                "Requested retention period ({hours} hours) for stream {name} can not be shorter than existing retention period ({current} hours). Use DecreaseRetentionPeriod API."
            )));
        }
        if RETENTION_HOURS_MAX < hours {
            return Err(invalid_argument(format!(
                "Maximum allowed retention period is {RETENTION_HOURS_MAX} hours. Requested retention period ({hours} hours) is too long."
            )));
        }
        Ok(())
    })
    .await
}
