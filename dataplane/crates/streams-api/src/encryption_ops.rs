//! What StartStreamEncryption and StopStreamEncryption share.

use aws_protocol::ApiError;
use aws_protocol::validate::Violations;
use model::StreamName;
use serde::Deserialize;

use crate::stream_ref::StreamRef;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Request {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    encryption_type: Option<String>,
    key_id: Option<String>,
}

/// A stream, and the master key to start or stop using.
pub(crate) struct Checked {
    pub(crate) name: StreamName,
    pub(crate) is_kms: bool,
    pub(crate) key_id: String,
}

impl Request {
    pub(crate) fn check(self) -> Result<Checked, ApiError> {
        let mut checks = Violations::new();
        let (name, arn) = (self.stream_name.as_deref(), self.stream_arn.as_deref());
        let named = StreamRef::check(&mut checks, name, arn);
        let text = checks.required("encryptionType", self.encryption_type.as_deref());
        let is_kms = checks.one_of("encryptionType", text, &[("NONE", false), ("KMS", true)]);
        checks.required("keyId", self.key_id.as_deref());
        checks.length("keyId", self.key_id.as_deref(), 1..=2048);
        checks.finish()?;
        Ok(Checked {
            name: named.resolve()?,
            is_kms: is_kms.unwrap_or_default(),
            key_id: self.key_id.unwrap_or_default(),
        })
    }
}
