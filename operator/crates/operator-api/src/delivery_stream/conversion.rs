//! From JSON to column formats.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::IcebergCatalog;
use crate::pods::AwsCredentials;

/// From JSON records to a column format. Records that do not fit the schema count as refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FormatConversion {
    /// How JSON is read. OpenX with its defaults when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<ConversionInput>,

    /// What is written. Parquet with its defaults when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<ConversionOutput>,

    /// The columns, and where they are described.
    pub schema: ConversionSchema,
}

/// How JSON is read: at most one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!(has(self.openX) && has(self.hive))",
    "message": "set openX or hive, not both"
}]))]
pub struct ConversionInput {
    /// As the OpenX JSON SerDe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_x: Option<OpenXJson>,

    /// As the Hive JSON SerDe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hive: Option<HiveJson>,
}

/// The OpenX JSON SerDe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OpenXJson {
    /// Read keys in lower case. true when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case_insensitive: Option<bool>,

    /// Read dots in keys as underscores. false when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub convert_dots_in_json_keys_to_underscores: Option<bool>,

    /// The JSON key of a column, by the column's name, where they differ.
    #[schemars(extend("maxProperties" = 1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column_to_json_key_mappings: Option<BTreeMap<String, String>>,
}

/// The Hive JSON SerDe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HiveJson {
    /// How timestamps are written, tried in turn: patterns of Joda-Time, or millis for milliseconds
    /// since 1970. java.sql.Timestamp's form when not set.
    #[schemars(length(max = 32), inner(length(min = 1, max = 128)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp_formats: Option<Vec<String>>,
}

/// What is written: at most one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!(has(self.parquet) && has(self.orc))",
    "message": "set parquet or orc, not both"
}]))]
pub struct ConversionOutput {
    /// Apache Parquet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parquet: Option<Parquet>,

    /// Apache ORC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orc: Option<Orc>,
}

/// Apache Parquet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Parquet {
    /// SNAPPY when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<ParquetCompression>,

    /// The size of a row group, in MiB. 256 when not set.
    #[schemars(range(min = 64, max = 1024))]
    #[serde(rename = "blockSizeMiB", skip_serializing_if = "Option::is_none")]
    pub block_size_mib: Option<u32>,

    /// The size of a page, in KiB. 1024 when not set.
    #[schemars(range(min = 64, max = 65536))]
    #[serde(rename = "pageSizeKiB", skip_serializing_if = "Option::is_none")]
    pub page_size_kib: Option<u32>,

    /// Whether columns get dictionaries. false when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_dictionary_compression: Option<bool>,

    /// The most padding between row groups, in bytes. 0 when not set.
    #[schemars(range(min = 0, max = 1073741824))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_padding_bytes: Option<u32>,

    /// The version of the format. V1 when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writer_version: Option<ParquetVersion>,
}

/// How Parquet pages are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ParquetCompression {
    /// Fast.
    Snappy,
    /// Small.
    Gzip,
    /// Not at all.
    Uncompressed,
}

/// A version of the Parquet format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ParquetVersion {
    /// Readable everywhere.
    V1,
    /// Denser encodings.
    V2,
}

/// Apache ORC.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Orc {
    /// SNAPPY when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<OrcCompression>,

    /// The size of a stripe, in MiB. 64 when not set.
    #[schemars(range(min = 8, max = 1024))]
    #[serde(rename = "stripeSizeMiB", skip_serializing_if = "Option::is_none")]
    pub stripe_size_mib: Option<u32>,

    /// The size of a block of the file system, in MiB. 256 when not set.
    #[schemars(range(min = 64, max = 1024))]
    #[serde(rename = "blockSizeMiB", skip_serializing_if = "Option::is_none")]
    pub block_size_mib: Option<u32>,

    /// Rows between entries of the index. 10000 when not set.
    #[schemars(range(min = 1000, max = 1000000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row_index_stride: Option<u32>,

    /// Whether stripes are padded to blocks. false when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_padding: Option<bool>,

    /// How much of a stripe may be padding, 0 to 1. 0.05 when not set.
    #[schemars(range(min = 0.0, max = 1.0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub padding_tolerance: Option<f64>,

    /// Columns that get Bloom filters. None when not set.
    #[schemars(length(max = 100), inner(length(min = 1, max = 255)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bloom_filter_columns: Option<Vec<String>>,

    /// How often a Bloom filter may be wrong, 0 to 1. 0.05 when not set.
    #[schemars(range(min = 0.0, max = 1.0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bloom_filter_false_positive_probability: Option<f64>,

    /// The share of distinct values up to which a column gets a dictionary, 0 to 1. 0 when not
    /// set: no dictionaries.
    #[schemars(range(min = 0.0, max = 1.0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dictionary_key_threshold: Option<f64>,

    /// The version of the format. V0_12 when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format_version: Option<OrcVersion>,
}

/// How ORC streams are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum OrcCompression {
    /// Fast.
    Snappy,
    /// Small.
    Zlib,
    /// Not at all.
    None,
}

/// A version of the ORC format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OrcVersion {
    /// Hive 0.11.
    #[serde(rename = "V0_11")]
    V0_11,
    /// Hive 0.12 and later.
    #[serde(rename = "V0_12")]
    V0_12,
}

/// Where the columns are described: exactly one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.columns), has(self.glue), has(self.iceberg)].exists_one(set, set)",
    "message": "set exactly one schema: columns, glue or iceberg"
}]))]
pub struct ConversionSchema {
    /// Here.
    #[schemars(length(min = 1, max = 1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<Column>>,

    /// In an AWS Glue Data Catalog.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub glue: Option<GlueTable>,

    /// In an Iceberg catalog.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iceberg: Option<IcebergSchema>,
}

/// A column.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Column {
    /// Its name.
    #[schemars(length(min = 1, max = 255))]
    pub name: String,

    /// Its type as Hive writes it, as in bigint, decimal(10,2), timestamp, array<string> or
    /// struct<a:int,b:string>.
    #[schemars(length(min = 1, max = 4096))]
    #[serde(rename = "type")]
    pub type_: String,
}

/// A table of an AWS Glue Data Catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GlueTable {
    /// The database.
    #[schemars(length(min = 1, max = 255))]
    pub database: String,

    /// The table.
    #[schemars(length(min = 1, max = 255))]
    pub table: String,

    /// The AWS region.
    #[schemars(length(min = 1, max = 64))]
    pub region: String,

    /// The catalog: an account's number. The caller's own when not set.
    #[schemars(length(min = 1, max = 255))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalog_id: Option<String>,

    /// The table's version, or LATEST, which is looked up again as time passes. LATEST when not
    /// set.
    #[schemars(length(min = 1, max = 32), extend("pattern" = "^(LATEST|[0-9]+)$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,

    /// The API's address, for one that is not AWS's. AWS's when not set.
    #[schemars(length(max = 1000), extend("pattern" = "^https?://"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,

    /// The access key to read it with. The pod's own identity when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<AwsCredentials>,
}

/// A table of an Iceberg catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IcebergSchema {
    /// The catalog.
    pub catalog: IcebergCatalog,

    /// The namespace.
    #[schemars(length(min = 1, max = 255))]
    pub database: String,

    /// The table.
    #[schemars(length(min = 1, max = 255))]
    pub table: String,
}
