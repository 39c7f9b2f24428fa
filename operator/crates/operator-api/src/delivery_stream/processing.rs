//! What happens to records on their way.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::pods::{AwsCredentials, ClientTls, SecretRef};

/// What happens to records on the way, in this order: decompression, cloudWatchLogExtraction,
/// deaggregation, transform, metadataExtraction, appendDelimiter. Records that the Kinesis Producer
/// Library aggregated are taken apart before all that.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Processing {
    /// Decompress each record. Off when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decompression: Option<Decompression>,

    /// Take the messages out of what a CloudWatch Logs subscription sends; control messages are
    /// dropped. false when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud_watch_log_extraction: Option<bool>,

    /// Take apart records that hold several. Off when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deaggregation: Option<Deaggregation>,

    /// Change, split up or drop records. Off when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transform: Option<Transform>,

    /// Take partition keys from JSON records. Off when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_extraction: Option<MetadataExtraction>,

    /// What to put behind each record, as in "\n". Nothing when not set.
    #[schemars(length(min = 1, max = 64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub append_delimiter: Option<String>,
}

/// How records are compressed when they come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Decompression {
    /// The format. GZIP when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<DecompressionFormat>,
}

/// A format to decompress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum DecompressionFormat {
    /// RFC 1952, one or more members.
    Gzip,
}

/// How several records are held in one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "(has(self.subRecordType) && self.subRecordType == 'DELIMITED') == has(self.delimiter)",
    "message": "set delimiter with subRecordType DELIMITED, and only with it"
}]))]
pub struct Deaggregation {
    /// What tells them apart. JSON when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub_record_type: Option<SubRecordType>,

    /// The bytes between them, base64, as in Cg== for a line feed. For DELIMITED.
    #[schemars(length(min = 4, max = 88))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
}

/// What tells records in a record apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum SubRecordType {
    /// JSON objects, one after the other, with or without white space between; not an array.
    Json,
    /// A delimiter.
    Delimited,
}

/// Who changes records: exactly one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.lambda), has(self.webhook), has(self.vrl), \
        has(self.jq)].exists_one(set, set)",
    "message": "set exactly one transform: lambda, webhook, vrl or jq"
}]))]
pub struct Transform {
    /// A function behind the Lambda API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lambda: Option<LambdaTransform>,

    /// A service that takes and gives what a transforming Lambda function does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookTransform>,

    /// A program in Vector Remap Language, run in place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vrl: Option<Program>,

    /// A program in jq, run in place; each value it gives is a record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jq: Option<Program>,
}

/// A function behind the Lambda API.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LambdaTransform {
    /// The function's ARN or name.
    #[schemars(length(min = 1, max = 512))]
    pub function_arn: String,

    /// The API's address, for one that is not AWS's. AWS's when not set.
    #[schemars(length(max = 1000), extend("pattern" = "^https?://"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,

    /// The access key to call it with. The pod's own identity when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<AwsCredentials>,

    /// The size of a call, in MiB. 1 when not set, 0.25 for splunk.
    #[schemars(range(min = 0.2, max = 3.0))]
    #[serde(rename = "bufferingSizeMiB", skip_serializing_if = "Option::is_none")]
    pub buffering_size_mib: Option<f64>,

    /// How long a call waits for more records, in seconds. 60 when not set.
    #[schemars(range(min = 0, max = 900))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<u32>,

    /// How often a call that failed is repeated. 3 when not set.
    #[schemars(range(min = 0, max = 300))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
}

/// A service that takes and gives what a transforming Lambda function does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebhookTransform {
    /// Its address.
    #[schemars(length(max = 1000), extend("pattern" = "^https?://"))]
    pub url: String,

    /// The bearer token to send, in a Secret. None when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_ref: Option<SecretRef>,

    /// How the server's certificate is checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ClientTls>,

    /// The size of a call, in MiB. 1 when not set.
    #[schemars(range(min = 0.2, max = 3.0))]
    #[serde(rename = "bufferingSizeMiB", skip_serializing_if = "Option::is_none")]
    pub buffering_size_mib: Option<f64>,

    /// How long a call waits for more records, in seconds. 60 when not set.
    #[schemars(range(min = 0, max = 900))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<u32>,

    /// How long to wait for the answer, in seconds. 300 when not set.
    #[schemars(range(min = 1, max = 300))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,

    /// How often a call that failed is repeated. 3 when not set.
    #[schemars(range(min = 0, max = 300))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
}

/// A program that is run in place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Program {
    /// Its text.
    #[schemars(length(min = 1, max = 65536))]
    pub program: String,
}

/// Partition keys from JSON records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetadataExtraction {
    /// A jq program that makes an object of keys, as in {customer: .customer_id}. A prefix speaks
    /// of them as !{partitionKeyFromQuery:customer}.
    #[schemars(length(min = 1, max = 5120))]
    pub query: String,

    /// The language. JQ-1.6 when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<JsonParsingEngine>,
}

/// The language of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum JsonParsingEngine {
    /// jq, version 1.6.
    #[serde(rename = "JQ-1.6")]
    Jq16,
}
