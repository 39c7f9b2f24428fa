//! As AWS StartDeliveryStreamEncryption: records put from now on are encrypted on disk. Also to change
//! the key.

use aws_protocol::ApiError;
use bytes::Bytes;

use super::checked;
use crate::api::Call;
use crate::shape::{Nested, shapes};
use crate::sse::{self, EncryptionInput};
use crate::texts::NAME;

shapes! {
    Request {
        DeliveryStreamName: String, Always, NAME;
        DeliveryStreamEncryptionConfigurationInput: EncryptionInput, Never, Nested;
    }
}

pub(crate) async fn run(call: &Call<'_>) -> Result<Bytes, ApiError> {
    let request: Request = call.decode()?;
    let name = checked(&request, request.DeliveryStreamName.as_ref())?;
    call.authorize(Some(&name)).await?;
    let api = call.api;
    let given = request.DeliveryStreamEncryptionConfigurationInput.as_ref();
    let change = api.change_active(&name, |stream| {
        sse::check_direct_put(stream)?;
        let encryption = Some(sse::encryption(given, &api.options.has_key)?);
        if stream.spec.encryption == encryption {
            return Ok(false);
        }
        stream.spec.encryption = encryption;
        stream.updated = Some(api.now());
        Ok(true)
    });
    change.await?;
    Ok(call.empty_reply())
}
