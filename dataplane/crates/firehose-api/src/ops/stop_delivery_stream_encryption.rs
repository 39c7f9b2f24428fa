//! As AWS StopDeliveryStreamEncryption: what is encrypted stays so, and can be read.

use aws_protocol::ApiError;
use bytes::Bytes;

use super::checked;
use crate::api::Call;
use crate::shape::shapes;
use crate::sse;
use crate::texts::NAME;

shapes! {
    Request {
        DeliveryStreamName: String, Always, NAME;
    }
}

pub(crate) async fn run(call: &Call<'_>) -> Result<Bytes, ApiError> {
    let request: Request = call.decode()?;
    let name = checked(&request, request.DeliveryStreamName.as_ref())?;
    call.authorize(Some(&name)).await?;
    let api = call.api;
    let change = api.change_active(&name, |stream| {
        sse::check_direct_put(stream)?;
        if stream.spec.encryption.take().is_none() {
            return Ok(false);
        }
        stream.updated = Some(api.now());
        Ok(true)
    });
    change.await?;
    Ok(call.empty_reply())
}
