//! As AWS DecreaseStreamRetentionPeriod. Older records cannot be read any more at once.

use aws_protocol::ApiError;
use model::limits::RETENTION_HOURS_MIN;

use super::retention;
pub(crate) use super::retention::Request;
use crate::api::Api;
use crate::errors::invalid_argument;

pub(crate) async fn run(api: &Api, request: Request) -> Result<(), ApiError> {
    retention::set(api, request, |stream, hours| {
        let (name, current) = (&stream.name, stream.settings.retention_hours);
        if current < hours {
            return Err(invalid_argument(format!(
                "Requested retention period ({hours} hours) for stream {name} can not be longer than existing retention period ({current} hours). Use IncreaseRetentionPeriod API."
            )));
        }
        if hours < RETENTION_HOURS_MIN {
            return Err(invalid_argument(format!(
                "Minimum allowed retention period is {RETENTION_HOURS_MIN} hours. Requested retention period ({hours} hours) is too short."
            )));
        }
        Ok(())
    })
    .await
}
