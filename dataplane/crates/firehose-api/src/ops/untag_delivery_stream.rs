//! As AWS UntagDeliveryStream: keys that are not there do not matter.

use aws_protocol::ApiError;
use bytes::Bytes;

use super::{checked, tags};
use crate::api::Call;
use crate::shape::{Counted, shapes};
use crate::texts::{NAME, TAG_KEY};

shapes! {
    Request {
        DeliveryStreamName: String, Always, NAME;
        TagKeys: Vec<String>, Always, Counted(1..=tags::MAX, &TAG_KEY);
    }
}

pub(crate) async fn run(call: &Call<'_>) -> Result<Bytes, ApiError> {
    let request: Request = call.decode()?;
    let name = checked(&request, request.DeliveryStreamName.as_ref())?;
    call.authorize(Some(&name)).await?;
    let keys = request.TagKeys.unwrap_or_default();
    let change = call.api.change_active(&name, |stream| {
        let before = stream.spec.tags.len();
        stream.spec.tags.retain(|key, _| !keys.contains(key));
        Ok(stream.spec.tags.len() != before)
    });
    change.await?;
    Ok(call.empty_reply())
}
