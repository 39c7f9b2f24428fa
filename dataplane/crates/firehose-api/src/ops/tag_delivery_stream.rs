//! As AWS TagDeliveryStream: new keys are added, known ones get the new value.

use aws_protocol::ApiError;
use bytes::Bytes;

use super::{checked, tags};
use crate::api::Call;
use crate::shape::{Counted, Nested, shapes};
use crate::texts::NAME;

shapes! {
    Request {
        DeliveryStreamName: String, Always, NAME;
        Tags: Vec<tags::Tag>, Always, Counted(1..=tags::MAX, Nested);
    }
}

pub(crate) async fn run(call: &Call<'_>) -> Result<Bytes, ApiError> {
    let request: Request = call.decode()?;
    let name = checked(&request, request.DeliveryStreamName.as_ref())?;
    let added = tags::added(request.Tags.as_deref().unwrap_or_default())?;
    call.authorize(Some(&name)).await?;
    let change = call.api.change_active(&name, |stream| {
        let before = stream.spec.tags.clone();
        stream.spec.tags.extend(added.clone());
        tags::check_count(stream.spec.tags.len())?;
        Ok(stream.spec.tags != before)
    });
    change.await?;
    Ok(call.empty_reply())
}
