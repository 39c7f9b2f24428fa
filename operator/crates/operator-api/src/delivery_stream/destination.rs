//! The destination: one of many.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    AzureBlobDestination, GcsDestination, HttpDestination, IcebergDestination, KafkaDestination,
    RedshiftDestination, S3Destination, SearchDestination, SnowflakeDestination, SplunkDestination,
    StreamDestination,
};

/// Where records are brought: exactly one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.s3), has(self.gcs), has(self.azureBlob), has(self.redshift), \
        has(self.elasticsearch), has(self.opensearch), has(self.snowflake), \
        has(self.httpEndpoint), has(self.splunk), has(self.iceberg), \
        has(self.stream), has(self.kafka)].exists_one(set, set)",
    "message": "set exactly one destination: s3, gcs, azureBlob, redshift, elasticsearch, \
        opensearch, snowflake, httpEndpoint, splunk, iceberg, stream or kafka"
}]))]
pub struct Destination {
    /// Objects in Amazon S3 or what speaks its API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Destination>,

    /// Objects in Google Cloud Storage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gcs: Option<GcsDestination>,

    /// Objects in Azure Blob Storage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub azure_blob: Option<AzureBlobDestination>,

    /// A table in Amazon Redshift, by way of S3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redshift: Option<RedshiftDestination>,

    /// Documents in Elasticsearch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elasticsearch: Option<SearchDestination>,

    /// Documents in OpenSearch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opensearch: Option<SearchDestination>,

    /// Rows in Snowflake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snowflake: Option<SnowflakeDestination>,

    /// Requests to a service, as AWS documents them for HTTP endpoints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_endpoint: Option<HttpDestination>,

    /// Events in Splunk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub splunk: Option<SplunkDestination>,

    /// Rows in tables of Apache Iceberg.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iceberg: Option<IcebergDestination>,

    /// Records in a Stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamDestination>,

    /// Messages in Apache Kafka.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaDestination>,
}

impl Destination {
    /// The names of all destinations that are set, as users write them.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        let all = [
            ("s3", self.s3.is_some()),
            ("gcs", self.gcs.is_some()),
            ("azureBlob", self.azure_blob.is_some()),
            ("redshift", self.redshift.is_some()),
            ("elasticsearch", self.elasticsearch.is_some()),
            ("opensearch", self.opensearch.is_some()),
            ("snowflake", self.snowflake.is_some()),
            ("httpEndpoint", self.http_endpoint.is_some()),
            ("splunk", self.splunk.is_some()),
            ("iceberg", self.iceberg.is_some()),
            ("stream", self.stream.is_some()),
            ("kafka", self.kafka.is_some()),
        ];
        all.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect()
    }
}
