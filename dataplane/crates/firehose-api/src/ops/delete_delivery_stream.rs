//! As AWS DeleteDeliveryStream: it is marked, and goes with all that it holds.

use aws_protocol::ApiError;
use bytes::Bytes;
use delivery_catalog::DeliveryPhase;

use super::checked;
use crate::api::Call;
use crate::errors;
use crate::shape::{Anything, shapes};
use crate::texts::NAME;

shapes! {
    Request {
        DeliveryStreamName: String, Always, NAME;
        // There is no grant that could stand in the way: with and without force is the same.
        AllowForceDelete: bool, Never, Anything;
    }
}

pub(crate) async fn run(call: &Call<'_>) -> Result<Bytes, ApiError> {
    let request: Request = call.decode()?;
    let name = checked(&request, request.DeliveryStreamName.as_ref())?;
    call.authorize(Some(&name)).await?;
    let change = call.api.change(&name, |stream| match stream.phase {
        DeliveryPhase::Creating => Err(errors::not_active(stream, call.api.identity())),
        DeliveryPhase::Deleting => Ok(false),
        DeliveryPhase::Active => {
            stream.phase = DeliveryPhase::Deleting;
            Ok(true)
        }
    });
    change.await?;
    Ok(call.empty_reply())
}
