//! Documents about records that were refused: a line of JSON each, as AWS writes them.

use base64_simd::STANDARD;
use model::{Origin, UnixMillis};
use operator_api::delivery_stream::{ConversionSchema, Destination};
use serde::{Serialize, Serializer};

use super::search::record_id;

/// The longest error message that is kept: AWS's limit for answers of HTTP endpoints.
const MESSAGE_BYTES_MAX: usize = 8_192;

/// Why records were refused: what `!{firehose:error-output-type}` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorOutputType {
    /// They could not be processed.
    ProcessingFailed,
    /// They could not be decompressed, or held no log messages.
    DecompressionFailed,
    /// They did not fit the schema of a column format.
    FormatConversionFailed,
    /// OpenSearch refused them.
    OpenSearchFailed,
    /// Elasticsearch refused them.
    ElasticsearchFailed,
    /// Splunk refused them.
    SplunkFailed,
    /// An HTTP endpoint refused them.
    HttpEndpointFailed,
    /// Snowflake refused them.
    SnowflakeFailed,
    /// A table of Iceberg refused them.
    IcebergFailed,
    /// A Stream refused them.
    StreamFailed,
}

impl ErrorOutputType {
    /// All there are.
    pub const ALL: [ErrorOutputType; 10] = [
        ErrorOutputType::ProcessingFailed,
        ErrorOutputType::DecompressionFailed,
        ErrorOutputType::FormatConversionFailed,
        ErrorOutputType::OpenSearchFailed,
        ErrorOutputType::ElasticsearchFailed,
        ErrorOutputType::SplunkFailed,
        ErrorOutputType::HttpEndpointFailed,
        ErrorOutputType::SnowflakeFailed,
        ErrorOutputType::IcebergFailed,
        ErrorOutputType::StreamFailed,
    ];

    /// Its name in keys.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ErrorOutputType::ProcessingFailed => "processing-failed",
            ErrorOutputType::DecompressionFailed => "decompression-failed",
            ErrorOutputType::FormatConversionFailed => "format-conversion-failed",
            ErrorOutputType::OpenSearchFailed => "AmazonOpenSearchService-failed",
            ErrorOutputType::ElasticsearchFailed => "elasticsearch-failed",
            ErrorOutputType::SplunkFailed => "splunk-failed",
            ErrorOutputType::HttpEndpointFailed => "http-endpoint-failed",
            ErrorOutputType::SnowflakeFailed => "snowflake-failed",
            ErrorOutputType::IcebergFailed => "iceberg-failed",
            ErrorOutputType::StreamFailed => "stream-failed",
        }
    }

    /// What it is when this destination refuses. `None` where none is refused: object stores
    /// and Kafka are tried until they answer, and Redshift refuses whole objects.
    #[must_use]
    pub fn of_destination(destination: &Destination) -> Option<ErrorOutputType> {
        [
            (destination.opensearch.is_some(), ErrorOutputType::OpenSearchFailed),
            (destination.elasticsearch.is_some(), ErrorOutputType::ElasticsearchFailed),
            (destination.splunk.is_some(), ErrorOutputType::SplunkFailed),
            (destination.http_endpoint.is_some(), ErrorOutputType::HttpEndpointFailed),
            (destination.snowflake.is_some(), ErrorOutputType::SnowflakeFailed),
            (destination.iceberg.is_some(), ErrorOutputType::IcebergFailed),
            (destination.stream.is_some(), ErrorOutputType::StreamFailed),
        ]
        .into_iter()
        .find_map(|(is_set, output)| is_set.then_some(output))
    }
}

/// A record that was refused.
#[derive(Clone, Copy, Debug)]
pub struct RefusedRecord<'a> {
    /// The record as it was refused.
    pub data: &'a [u8],
    /// Where it came from, and when.
    pub origin: &'a Origin,
    /// As in `Lambda.FunctionError`.
    pub error_code: &'a str,
    /// For people. What is longer than 8192 bytes is cut.
    pub error_message: &'a str,
    /// How often it was tried.
    pub attempts: u32,
    /// When the last attempt ended.
    pub ended: UnixMillis,
    /// Who refused it.
    pub refusal: Refusal<'a>,
}

/// Who refused a record, and what only they know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal<'a> {
    /// Processing.
    Processing {
        /// The function that was called, if one was.
        lambda_arn: Option<&'a str>,
    },
    /// The conversion to a column format.
    FormatConversion {
        /// The table that describes the columns, if one does.
        table: Option<CatalogTable<'a>>,
    },
    /// A search engine.
    Search {
        /// Which.
        engine: SearchEngine,
        /// The document, where we name it.
        document_id: Option<&'a str>,
        /// The index.
        index: &'a str,
        /// The type, for those that have some.
        type_name: Option<&'a str>,
    },
    /// Splunk.
    Splunk,
    /// An HTTP endpoint.
    HttpEndpoint,
    /// Snowflake.
    Snowflake,
    /// A table of Iceberg, if the record named one.
    Iceberg {
        /// The namespace.
        database: Option<&'a str>,
        /// The table.
        table: Option<&'a str>,
    },
    /// A Stream.
    Stream,
}

/// A search engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchEngine {
    /// OpenSearch.
    OpenSearch,
    /// Elasticsearch.
    Elasticsearch,
}

/// A table that describes columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CatalogTable<'a> {
    /// The catalog.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalog_id: Option<&'a str>,
    /// The database or namespace.
    pub database_name: &'a str,
    /// The table.
    pub table_name: &'a str,
    /// Its region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<&'a str>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<&'a str>,
}

impl<'a> CatalogTable<'a> {
    /// The table of a schema, where it is in one.
    #[must_use]
    pub fn of(schema: &'a ConversionSchema) -> Option<CatalogTable<'a>> {
        let glue = schema.glue.as_ref().map(|table| CatalogTable {
            catalog_id: table.catalog_id.as_deref(),
            database_name: &table.database,
            table_name: &table.table,
            region: Some(&table.region),
            version_id: Some(table.version_id.as_deref().unwrap_or("LATEST")),
        });
        let iceberg = schema.iceberg.as_ref().map(|table| CatalogTable {
            catalog_id: None,
            database_name: &table.database,
            table_name: &table.table,
            region: None,
            version_id: None,
        });
        glue.or(iceberg)
    }
}

impl RefusedRecord<'_> {
    /// The kind of object it belongs in.
    #[must_use]
    pub fn output_type(&self) -> ErrorOutputType {
        match self.refusal {
            Refusal::Processing { .. } => ErrorOutputType::ProcessingFailed,
            Refusal::FormatConversion { .. } => ErrorOutputType::FormatConversionFailed,
            Refusal::Search { engine: SearchEngine::OpenSearch, .. } => {
                ErrorOutputType::OpenSearchFailed
            }
            Refusal::Search { engine: SearchEngine::Elasticsearch, .. } => {
                ErrorOutputType::ElasticsearchFailed
            }
            Refusal::Splunk => ErrorOutputType::SplunkFailed,
            Refusal::HttpEndpoint => ErrorOutputType::HttpEndpointFailed,
            Refusal::Snowflake => ErrorOutputType::SnowflakeFailed,
            Refusal::Iceberg { .. } => ErrorOutputType::IcebergFailed,
            Refusal::Stream => ErrorOutputType::StreamFailed,
        }
    }

    /// The document, with the end of its line.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        let mut line = Vec::with_capacity(self.data.len() / 3 * 4 + 512);
        serde_json::to_writer(&mut line, &self.document()).expect("texts and numbers are JSON");
        line.push(b'\n');
        line
    }

    fn document(&self) -> Document<'_> {
        let message = self.error_message;
        let message = &message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)];
        let Origin { sub, sequence_number, arrival, .. } = self.origin;
        let mut document = Document {
            raw_data: Base64(self.data),
            attempts_made: self.attempts,
            arrival_timestamp: arrival.0,
            attempt_ending_timestamp: self.ended.0,
            ..Document::default()
        };
        (document.error_code, document.error_message) = (Some(self.error_code), Some(message));
        match self.refusal {
            Refusal::Processing { lambda_arn } => document.lambda_arn = lambda_arn,
            Refusal::FormatConversion { table } => {
                document.last_error_code = document.error_code.take();
                document.last_error_message = document.error_message.take();
                document.sequence_number = Some(sequence_number.to_string());
                document.sub_sequence_number = Some(*sub);
                document.data_catalog_table = table;
            }
            Refusal::Search { document_id, index, type_name, .. } => {
                document.es_document_id = document_id;
                document.es_index_name = Some(index);
                document.es_type_name = type_name;
            }
            Refusal::Splunk | Refusal::Stream => {
                document.event_id = Some(record_id(self.origin));
            }
            Refusal::HttpEndpoint => {
                document.subsequence_number = Some(*sub);
                document.data_id = Some(record_id(self.origin));
            }
            Refusal::Snowflake => {}
            Refusal::Iceberg { database, table } => {
                document.event_id = Some(record_id(self.origin));
                document.destination_database_name = database;
                document.destination_table_name = table;
            }
        }
        document
    }
}

/// The fields of all documents; what is not set is left out.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    raw_data: Base64<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error_message: Option<&'a str>,
    attempts_made: u32,
    arrival_timestamp: u64,
    attempt_ending_timestamp: u64,
    /// So spelled in AWS's objects, whatever its guide says.
    #[serde(rename = "lambdaARN", skip_serializing_if = "Option::is_none")]
    lambda_arn: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_sequence_number: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_catalog_table: Option<CatalogTable<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    es_document_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    es_index_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    es_type_name: Option<&'a str>,
    /// An HTTP endpoint's: with a small s, unlike that of a conversion.
    #[serde(skip_serializing_if = "Option::is_none")]
    subsequence_number: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_id: Option<String>,
    #[serde(rename = "EventId", skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_database_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_table_name: Option<&'a str>,
}

#[derive(Default)]
struct Base64<'a>(&'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode_to_string(self.0))
    }
}

#[cfg(test)]
mod tests;
