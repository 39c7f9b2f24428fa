//! One file for each operation: its shapes, its checks, what it does.

pub(crate) mod create_delivery_stream;
pub(crate) mod delete_delivery_stream;
pub(crate) mod describe_delivery_stream;
pub(crate) mod list_delivery_streams;
pub(crate) mod list_tags_for_delivery_stream;
pub(crate) mod put_record;
pub(crate) mod put_record_batch;
pub(crate) mod start_delivery_stream_encryption;
pub(crate) mod stop_delivery_stream_encryption;
pub(crate) mod tag_delivery_stream;
pub(crate) mod untag_delivery_stream;
pub(crate) mod update_destination;

mod tags;

use aws_protocol::ApiError;
use model::StreamName;

use crate::errors::invalid_argument;
use crate::shape::{Checks, Rule, Shape};
use crate::texts::NAME;

/// Checks a request that has no other form, and gives the delivery stream's name.
fn checked(request: &impl Shape, name: Option<&String>) -> Result<StreamName, ApiError> {
    let mut checks = Checks::of_configuration();
    request.check(&mut checks, "");
    checks.finish()?;
    parsed(name)
}

/// A name that has been checked.
fn parsed(name: Option<&String>) -> Result<StreamName, ApiError> {
    let name = name.and_then(|name| name.parse().ok());
    name.ok_or_else(|| invalid_argument("DeliveryStreamName is required."))
}

/// Checks the name of a request whose shape is borrowed from its body.
fn check_name(checks: &mut Checks, name: Option<&String>) {
    checks.violations.required("deliveryStreamName", name);
    if let Some(name) = name {
        NAME.check(checks, "deliveryStreamName", name);
    }
}
