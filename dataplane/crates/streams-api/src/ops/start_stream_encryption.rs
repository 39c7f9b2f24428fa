//! As AWS StartStreamEncryption: records put from now on are encrypted on disk, under a new data key.

use aws_protocol::ApiError;
use catalog::{DataKey, Phase};

use crate::api::Api;
pub(crate) use crate::encryption_ops::Request;
use crate::errors::{invalid_argument, key_error};

pub(crate) async fn run(api: &Api, request: Request) -> Result<(), ApiError> {
    let checked = request.check()?;
    if !checked.is_kms {
        return Err(invalid_argument(
            "EncryptionType NONE starts no encryption; StopStreamEncryption ends it.",
        ));
    }
    let key_id = checked.key_id;
    api.change_active(&checked.name, |stream| {
        let last = stream.data_keys.last();
        let is_in_use = stream.settings.encryption.is_some();
        if is_in_use && last.is_some_and(|last| last.key_id == key_id) {
            return Ok(false);
        }
        let number = last.map_or(1, |last| last.number + 1);
        let data_key = encryption::DataKey::generate();
        let wrapped = api.options.keys.wrap(&key_id, &stream.key_context(), &data_key);
        let wrapped = wrapped.map_err(|error| key_error(&error))?;
        stream.data_keys.push(DataKey { number, key_id: key_id.clone(), wrapped });
        stream.settings.encryption = Some(number);
        stream.phase = Phase::Updating;
        Ok(true)
    })
    .await?;
    api.settle(&checked.name).await;
    Ok(())
}
