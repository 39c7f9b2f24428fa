//! As AWS StartStreamEncryption: records put from now on are encrypted on disk, under a data key of the stream.

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
        let current = stream.settings.encryption;
        let current = stream.data_keys.iter().find(|key| Some(key.number) == current);
        if current.is_some_and(|current| current.key_id == key_id) {
            return Ok(false);
        }
        let next_number = last.map_or(1, |last| last.number + 1);
        let (keys, context) = (&api.options.keys, stream.key_context());
        // One that can still be used is used again, so that going back and forth adds no keys.
        let is_usable = |known: &&DataKey| {
            known.key_id == key_id && keys.unwrap(&known.key_id, &context, &known.wrapped).is_ok()
        };
        let number = match stream.data_keys.iter().rfind(is_usable) {
            Some(known) => known.number,
            None => {
                let data_key = encryption::DataKey::generate();
                let wrapped = keys.wrap(&key_id, &context, &data_key);
                let wrapped = wrapped.map_err(|error| key_error(&error))?;
                let key_id = key_id.clone();
                stream.data_keys.push(DataKey { number: next_number, key_id, wrapped });
                next_number
            }
        };
        stream.settings.encryption = Some(number);
        stream.phase = Phase::Updating;
        Ok(true)
    })
    .await?;
    api.settle(&checked.name).await;
    Ok(())
}
