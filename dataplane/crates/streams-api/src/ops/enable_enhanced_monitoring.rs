//! As AWS EnableEnhancedMonitoring: `/metrics` shows these for each shard from now on.

use aws_protocol::ApiError;

use crate::api::{Api, Shape};
pub(crate) use crate::monitoring::Request;
use crate::monitoring::{Output, change};

pub(crate) async fn run(api: &Api, request: Request) -> Result<Shape<Output>, ApiError> {
    change(api, request, |before, asked| before | asked).await
}
