//! Objects in buckets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::pods::{AwsCredentials, ClientTls, SecretRef};

/// Objects in Amazon S3 or what speaks its API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct S3Destination {
    /// The bucket.
    #[schemars(length(min = 3, max = 63))]
    pub bucket: String,

    /// The region that requests are signed for. us-east-1 when not set.
    #[schemars(length(min = 1, max = 64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,

    /// The server's address, for one that is not AWS's, as in http://minio:9000. AWS's when not
    /// set.
    #[schemars(length(max = 1000), extend("pattern" = "^https?://"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,

    /// Whether the bucket stands in the path of a URL instead of its host. true when endpoint is
    /// set, else false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub force_path_style: Option<bool>,

    /// The access key to write with. The pod's own identity when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<AwsCredentials>,

    /// The KMS key that the server encrypts objects with, an ARN. The bucket's default when not
    /// set.
    #[schemars(length(min = 1, max = 512))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_key_arn: Option<String>,

    /// How the server's certificate is checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ClientTls>,

    /// What keys start with. May hold !{timestamp:...}, !{firehose:random-string} and partition
    /// keys; without a timestamp, yyyy/MM/dd/HH/ follows. Empty when not set.
    #[schemars(length(max = 1024))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,

    /// What keys of refused records start with. May hold !{firehose:error-output-type}, and must
    /// where it holds other expressions. Required where prefix holds expressions.
    #[schemars(length(max = 1024))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_output_prefix: Option<String>,

    /// The time zone of timestamps in keys, as in Europe/Berlin. UTC when not set.
    #[schemars(length(min = 1, max = 50))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_time_zone: Option<String>,

    /// What keys end with, as in .json.gz. That of the compression or format when not set.
    #[schemars(length(max = 128), extend("pattern" = r"^\.[0-9a-z!\-_.*'()]+$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_extension: Option<String>,

    /// How objects are compressed. UNCOMPRESSED when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<ObjectCompression>,
}

/// Objects in Google Cloud Storage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GcsDestination {
    /// The bucket.
    #[schemars(length(min = 3, max = 222))]
    pub bucket: String,

    /// The server's address, for an emulator. Google's when not set.
    #[schemars(length(max = 1000), extend("pattern" = "^https?://"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,

    /// The key file of a service account, JSON, in a Secret. The pod's own identity when not set;
    /// with endpoint, nobody's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_ref: Option<SecretRef>,

    /// What keys start with. May hold !{timestamp:...}, !{firehose:random-string} and partition
    /// keys; without a timestamp, yyyy/MM/dd/HH/ follows. Empty when not set.
    #[schemars(length(max = 1024))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,

    /// What keys of refused records start with. May hold !{firehose:error-output-type}, and must
    /// where it holds other expressions. Required where prefix holds expressions.
    #[schemars(length(max = 1024))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_output_prefix: Option<String>,

    /// The time zone of timestamps in keys, as in Europe/Berlin. UTC when not set.
    #[schemars(length(min = 1, max = 50))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_time_zone: Option<String>,

    /// What keys end with, as in .json.gz. That of the compression or format when not set.
    #[schemars(length(max = 128), extend("pattern" = r"^\.[0-9a-z!\-_.*'()]+$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_extension: Option<String>,

    /// How objects are compressed. UNCOMPRESSED when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<ObjectCompression>,
}

/// Objects in Azure Blob Storage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AzureBlobDestination {
    /// The storage account.
    #[schemars(length(min = 3, max = 24), extend("pattern" = "^[a-z0-9]+$"))]
    pub account: String,

    /// The container.
    #[schemars(length(min = 3, max = 63))]
    pub container: String,

    /// The server's address, for an emulator, with the account in it where that is in paths, as in
    /// http://127.0.0.1:10000/devstoreaccount1. Azure's when not set.
    #[schemars(length(max = 1000), extend("pattern" = "^https?://"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,

    /// The account's key, in a Secret. The pod's own identity when neither this nor sasTokenRef
    /// is set; with endpoint, nobody's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_key_ref: Option<SecretRef>,

    /// A shared access signature, in a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sas_token_ref: Option<SecretRef>,

    /// What keys start with. May hold !{timestamp:...}, !{firehose:random-string} and partition
    /// keys; without a timestamp, yyyy/MM/dd/HH/ follows. Empty when not set.
    #[schemars(length(max = 1024))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,

    /// What keys of refused records start with. May hold !{firehose:error-output-type}, and must
    /// where it holds other expressions. Required where prefix holds expressions.
    #[schemars(length(max = 1024))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_output_prefix: Option<String>,

    /// The time zone of timestamps in keys, as in Europe/Berlin. UTC when not set.
    #[schemars(length(min = 1, max = 50))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_time_zone: Option<String>,

    /// What keys end with, as in .json.gz. That of the compression or format when not set.
    #[schemars(length(max = 128), extend("pattern" = r"^\.[0-9a-z!\-_.*'()]+$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_extension: Option<String>,

    /// How objects are compressed. UNCOMPRESSED when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<ObjectCompression>,
}

/// How objects are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ObjectCompression {
    /// Not at all.
    #[serde(rename = "UNCOMPRESSED")]
    Uncompressed,
    /// RFC 1952.
    #[serde(rename = "GZIP")]
    Gzip,
    /// An archive of one file.
    #[serde(rename = "ZIP")]
    Zip,
    /// Snappy's framing format.
    Snappy,
    /// Snappy in the blocks that Hadoop reads.
    #[serde(rename = "HADOOP_SNAPPY")]
    HadoopSnappy,
    /// RFC 8878. AWS has no such objects.
    #[serde(rename = "ZSTD")]
    Zstd,
}

/// What all object stores say about the objects themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Objects<'a> {
    /// What keys start with.
    pub prefix: Option<&'a str>,
    /// What keys of refused records start with.
    pub error_output_prefix: Option<&'a str>,
    /// The time zone of timestamps in keys.
    pub custom_time_zone: Option<&'a str>,
    /// What keys end with.
    pub file_extension: Option<&'a str>,
    /// How objects are compressed.
    pub compression: Option<ObjectCompression>,
}

impl S3Destination {
    /// What it says about its objects.
    #[must_use]
    pub fn objects(&self) -> Objects<'_> {
        Objects {
            prefix: self.prefix.as_deref(),
            error_output_prefix: self.error_output_prefix.as_deref(),
            custom_time_zone: self.custom_time_zone.as_deref(),
            file_extension: self.file_extension.as_deref(),
            compression: self.compression,
        }
    }
}

impl GcsDestination {
    /// What it says about its objects.
    #[must_use]
    pub fn objects(&self) -> Objects<'_> {
        Objects {
            prefix: self.prefix.as_deref(),
            error_output_prefix: self.error_output_prefix.as_deref(),
            custom_time_zone: self.custom_time_zone.as_deref(),
            file_extension: self.file_extension.as_deref(),
            compression: self.compression,
        }
    }
}

impl AzureBlobDestination {
    /// What it says about its objects.
    #[must_use]
    pub fn objects(&self) -> Objects<'_> {
        Objects {
            prefix: self.prefix.as_deref(),
            error_output_prefix: self.error_output_prefix.as_deref(),
            custom_time_zone: self.custom_time_zone.as_deref(),
            file_extension: self.file_extension.as_deref(),
            compression: self.compression,
        }
    }
}
