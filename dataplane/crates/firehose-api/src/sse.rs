//! Encryption of what producers put.

use aws_protocol::ApiError;
use delivery_catalog::DeliveryStream;
use operator_api::Encryption;
use serde::Serialize;

use crate::api::{HasKey, Identity};
use crate::errors::{invalid_argument, no_key};
use crate::shape::{OneOf, shapes};
use crate::texts::SSE_KEY_ARN;

const OWNED: &str = "AWS_OWNED_CMK";
const MANAGED: &str = "CUSTOMER_MANAGED_CMK";
/// The key that every key file has.
const OWNED_ID: &str = "alias/aws/kinesis";

shapes! {
    /// As DeliveryStreamEncryptionConfigurationInput.
    EncryptionInput {
        KeyARN: String, Never, SSE_KEY_ARN;
        KeyType: String, Always, OneOf(&[OWNED, MANAGED]);
    }
}

/// As DeliveryStreamEncryptionConfiguration.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct EncryptionDescription {
    #[serde(rename = "KeyARN", skip_serializing_if = "Option::is_none")]
    key_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_type: Option<&'static str>,
    status: &'static str,
}

/// What a call asks for. Nothing asks for AWS's own key, as StartDeliveryStreamEncryption has it.
pub(crate) fn encryption(
    given: Option<&EncryptionInput>,
    has_key: &HasKey,
) -> Result<Encryption, ApiError> {
    let kind = given.and_then(|given| given.KeyType.as_deref()).unwrap_or(OWNED);
    let arn = given.and_then(|given| given.KeyARN.as_deref());
    let key = match (kind, arn) {
        (OWNED, None) => OWNED_ID,
        (OWNED, Some(_)) => {
            return Err(invalid_argument(format!("KeyARN is not for KeyType {OWNED}.")));
        }
        (_, None) => {
            return Err(invalid_argument(format!("KeyARN is required for KeyType {MANAGED}.")));
        }
        (_, Some(arn)) => arn,
    };
    match has_key(key) {
        true => Ok(Encryption { key_id: key.to_owned() }),
        false => Err(no_key(key)),
    }
}

/// Refuses delivery streams whose records lie in a stream that is somebody else's.
pub(crate) fn check_direct_put(stream: &DeliveryStream) -> Result<(), ApiError> {
    match stream.is_direct_put() {
        true => Ok(()),
        false => Err(invalid_argument(
            "Server-side encryption is for DirectPut; encrypt the source stream instead.",
        )),
    }
}

impl EncryptionDescription {
    pub(crate) fn of(stream: &DeliveryStream, identity: &Identity) -> EncryptionDescription {
        let Some(Encryption { key_id }) = &stream.spec.encryption else {
            return EncryptionDescription { key_arn: None, key_type: None, status: "DISABLED" };
        };
        let (region, account) = (&identity.region, &identity.account);
        let is_owned = key_id == OWNED_ID;
        let arn = match key_id.starts_with("arn:") {
            true => key_id.clone(),
            false => format!("arn:aws:kms:{region}:{account}:key/{key_id}"),
        };
        EncryptionDescription {
            key_arn: Some(arn).filter(|_| !is_owned),
            key_type: Some(if is_owned { OWNED } else { MANAGED }),
            status: "ENABLED",
        }
    }
}
