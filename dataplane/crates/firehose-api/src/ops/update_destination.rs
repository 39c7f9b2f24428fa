//! As AWS UpdateDestination: members are merged with what is there, or are all there is of another kind
//! of destination.

use aws_protocol::ApiError;
use bytes::Bytes;
use delivery_catalog::DeliveryStream;

use super::create_delivery_stream::validate;
use super::parsed;
use crate::api::Call;
use crate::destination::{self, Destinations, ID, Kind};
use crate::errors::{self, invalid_argument};
use crate::shape::{Checks, Shape, shapes};
use crate::texts::{DESTINATION_ID, NAME, VERSION_ID};

shapes! {
    /// The members that are not destinations.
    Request {
        DeliveryStreamName: String, Always, NAME;
        CurrentDeliveryStreamVersionId: String, Always, VERSION_ID;
        DestinationId: String, Always, DESTINATION_ID;
    }
}

pub(crate) async fn run(call: &Call<'_>) -> Result<Bytes, ApiError> {
    let request: Request = call.decode()?;
    let destinations: Destinations = call.decode()?;
    let mut checks = Checks::of_update(false);
    request.check(&mut checks, "");
    destinations.check(&mut checks, "");
    checks.finish()?;
    let name = parsed(request.DeliveryStreamName.as_ref())?;
    call.authorize(Some(&name)).await?;
    let api = call.api;
    let mut whole = Checks::of_update(true);
    destinations.check(&mut whole, "");
    let missing = whole.finish().err();
    let given = destinations.only_one()?;
    let change = api.change_active(&name, |stream| {
        request.check_current(stream)?;
        if Kind::of(&stream.spec) != Some(given.kind())
            && let Some(missing) = &missing
        {
            return Err(missing.clone());
        }
        destination::update(&*given, stream, api.identity())?;
        validate(api, stream)?;
        stream.destination_version += 1;
        stream.updated = Some(api.now());
        Ok(true)
    });
    change.await?;
    Ok(call.empty_reply())
}

impl Request {
    /// Whether it is about what is there now.
    fn check_current(&self, stream: &DeliveryStream) -> Result<(), ApiError> {
        let version = self.CurrentDeliveryStreamVersionId.as_deref().unwrap_or_default();
        if version.parse() != Ok(stream.destination_version) {
            return Err(errors::other_version(stream, version));
        }
        match self.DestinationId.as_deref() {
            Some(ID) => Ok(()),
            id => Err(invalid_argument(format!(
                "Destination {} of Firehose {} not found.",
                id.unwrap_or_default(),
                stream.name
            ))),
        }
    }
}
