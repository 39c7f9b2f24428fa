//! Services that take records over the network: search engines, HTTP, Splunk, Kafka, a Stream.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::pods::{AwsCredentials, ClientTls, SecretRef, UserCredentials};

/// Documents in Elasticsearch or OpenSearch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SearchDestination {
    /// The cluster's address, as in https://search:9200.
    #[schemars(length(max = 512), extend("pattern" = "^https?://"))]
    pub endpoint: String,

    /// The index, or what its name starts with when it rotates.
    #[schemars(length(min = 1, max = 80), extend("pattern" = "^[^A-Z\\\\/*?\"<>| ,#]+$"))]
    pub index_name: String,

    /// How often a new index is begun; its name ends with the time, UTC. OneDay when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index_rotation: Option<IndexRotation>,

    /// Who makes the ids of documents. FIREHOSE_DEFAULT when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document_id: Option<DocumentIdFormat>,

    /// The type of documents, for Elasticsearch before 7. None when not set.
    #[schemars(length(min = 1, max = 100))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub type_name: Option<String>,

    /// Who to log in as. Nobody when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<SearchCredentials>,

    /// How the server's certificate is checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ClientTls>,
}

/// How often a new index is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IndexRotation {
    /// Never: the index is indexName.
    NoRotation,
    /// Its name ends with -YYYY-MM-DD-HH.
    OneHour,
    /// Its name ends with -YYYY-MM-DD.
    OneDay,
    /// Its name ends with -YYYY-wNN.
    OneWeek,
    /// Its name ends with -YYYY-MM.
    OneMonth,
}

/// Who makes the ids of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DocumentIdFormat {
    /// We, from the record's place: delivered twice, it is stored once.
    FirehoseDefault,
    /// The search engine: faster, but delivered twice, it is stored twice.
    NoDocumentId,
}

/// Who to log in to a search engine as: exactly one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.basic), has(self.apiKeyRef), has(self.aws)].exists_one(set, set)",
    "message": "set exactly one of the credentials: basic, apiKeyRef or aws"
}]))]
pub struct SearchCredentials {
    /// A user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic: Option<UserCredentials>,

    /// An API key of Elasticsearch, in its encoded form, in a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_ref: Option<SecretRef>,

    /// Requests are signed, for Amazon OpenSearch Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws: Option<SearchSigning>,
}

/// How requests to Amazon OpenSearch Service are signed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SearchSigning {
    /// The AWS region.
    #[schemars(length(min = 1, max = 64))]
    pub region: String,

    /// Whether it is a serverless collection. false when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serverless: Option<bool>,

    /// The access key. The pod's own identity when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<AwsCredentials>,
}

/// Requests to a service, as AWS documents them for HTTP endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpDestination {
    /// Its address.
    #[schemars(length(max = 1000), extend("pattern" = "^https?://"))]
    pub url: String,

    /// A name for people.
    #[schemars(length(min = 1, max = 256))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,

    /// What is sent as X-Amz-Firehose-Access-Key, in a Secret. Nothing when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key_ref: Option<SecretRef>,

    /// How bodies are compressed. NONE when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<ContentEncoding>,

    /// What is sent as X-Amz-Firehose-Common-Attributes.
    #[schemars(extend("maxProperties" = 50))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub common_attributes: Option<BTreeMap<String, String>>,

    /// How the server's certificate is checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ClientTls>,
}

/// How bodies are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ContentEncoding {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
}

/// Events in Splunk, by its HTTP event collector with indexer acknowledgment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SplunkDestination {
    /// The collector's address, as in https://splunk:8088.
    #[schemars(length(max = 2048), extend("pattern" = "^https?://"))]
    pub hec_endpoint: String,

    /// Which of its endpoints. Raw when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hec_endpoint_type: Option<HecEndpointType>,

    /// The collector's token, in a Secret.
    pub hec_token_ref: SecretRef,

    /// How long to wait for the acknowledgment, in seconds. 300 when not set.
    #[schemars(range(min = 180, max = 600))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hec_acknowledgment_timeout_seconds: Option<u32>,

    /// How the server's certificate is checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ClientTls>,
}

/// An endpoint of Splunk's collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HecEndpointType {
    /// Records of any form.
    Raw,
    /// Records that are Splunk's event JSON.
    Event,
}

/// Records in a Stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamDestination {
    /// The Stream's name, in the same namespace.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,

    /// A jq program that gives the partition key, as in .customer_id. The source record's when not
    /// set, or a random one for directPut.
    #[schemars(length(min = 1, max = 1024))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_key_query: Option<String>,
}

/// Messages in Apache Kafka.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KafkaDestination {
    /// Some of the brokers, as in kafka-0:9092.
    #[schemars(length(min = 1, max = 16), inner(length(min = 3, max = 261)))]
    pub bootstrap_servers: Vec<String>,

    /// The topic.
    #[schemars(length(min = 1, max = 249), extend("pattern" = "^[a-zA-Z0-9._-]+$"))]
    pub topic: String,

    /// A jq program that gives the message's key, as in .customer_id. The record's partition key
    /// when not set; none for directPut.
    #[schemars(length(min = 1, max = 1024))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_query: Option<String>,

    /// How messages are compressed. none when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<KafkaCompression>,

    /// Who to log in as. Nobody when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sasl: Option<KafkaSasl>,

    /// TLS to the brokers. Plain text when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ClientTls>,
}

/// How Kafka messages are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KafkaCompression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// Who to log in to Kafka as.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KafkaSasl {
    /// How. SCRAM-SHA-512 when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<SaslMechanism>,

    /// The user.
    pub credentials: UserCredentials,
}

/// How to log in to Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SaslMechanism {
    /// The password as it is: over TLS only.
    #[serde(rename = "PLAIN")]
    Plain,
    /// RFC 5802 with SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// RFC 5802 with SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}
