//! As AWS StopStreamEncryption: records put from now on lie on disk as they are. Those before stay
//! encrypted, and can be read.

use aws_protocol::ApiError;
use catalog::Phase;

use crate::api::Api;
pub(crate) use crate::encryption_ops::Request;
use crate::errors::invalid_argument;

pub(crate) async fn run(api: &Api, request: Request) -> Result<(), ApiError> {
    let checked = request.check()?;
    api.change_active(&checked.name, |stream| {
        let Some(number) = stream.settings.encryption else {
            return Ok(false);
        };
        let key = stream.data_keys.iter().find(|key| key.number == number);
        if let Some(key) = key.filter(|key| key.key_id != checked.key_id) {
            return Err(invalid_argument(format!(
                "Stream {} is encrypted with key {}, not {}.",
                stream.name, key.key_id, checked.key_id
            )));
        }
        stream.settings.encryption = None;
        stream.phase = Phase::Updating;
        Ok(true)
    })
    .await?;
    api.settle(&checked.name).await;
    Ok(())
}
