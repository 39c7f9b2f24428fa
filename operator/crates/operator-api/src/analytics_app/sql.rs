//! Applications of our SQL engine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::S3Location;
use crate::delivery_stream::{LambdaTransform, Transform};
use crate::pods::StreamRef;

/// SQL over streams.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SqlApp {
    /// The application's statements.
    #[schemars(length(min = 1, max = 102400))]
    pub code: String,

    /// The language of code. Kinesis when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialect: Option<SqlDialect>,

    /// What the application reads.
    #[schemars(length(min = 1, max = 16))]
    pub inputs: Vec<SqlInput>,

    /// Where its results go.
    #[schemars(length(max = 16))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Vec<SqlOutput>>,

    /// Tables to join with.
    #[schemars(length(max = 16))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference_data_sources: Option<Vec<ReferenceDataSource>>,
}

/// A dialect of SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SqlDialect {
    /// That of the runtime SQL-1_0, with streams, pumps and ROWTIME.
    Kinesis,
    /// That of Flink, with its windowing table functions.
    Flink,
}

/// One thing the application reads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.stream), has(self.deliveryStream)].exists_one(set, set)",
    "message": "set exactly one source of the input: stream or deliveryStream"
}]))]
pub struct SqlInput {
    /// What its in-application streams are called, followed by _001, _002 up to parallelism.
    #[schemars(length(min = 1, max = 32), extend("pattern" = "^[a-zA-Z][a-zA-Z0-9_]*$"))]
    pub name_prefix: String,

    /// A Stream of the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamRef>,

    /// The records that producers send to a DeliveryStream of the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_stream: Option<DeliveryStreamRef>,

    /// Where to start when there is no checkpoint. NOW when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starting_position: Option<InputStartingPosition>,

    /// How many in-application streams its shards are spread over. 1 when not set.
    #[schemars(range(min = 1, max = 64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<u32>,

    /// Who changes records before they become rows. Nobody when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processing: Option<Transform>,

    /// How rows are read from records.
    pub schema: RecordSchema,
}

/// A DeliveryStream of the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeliveryStreamRef {
    /// Its name.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
}

/// Where to start when there is no checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InputStartingPosition {
    /// Records that come from now on.
    Now,
    /// The oldest record there is.
    TrimHorizon,
    /// Where the application last stopped, or now.
    LastStoppedPoint,
}

/// How rows are read from records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecordSchema {
    /// The form of records.
    pub format: RecordFormat,

    /// The columns.
    #[schemars(length(min = 1, max = 1000))]
    pub columns: Vec<RecordColumn>,
}

/// The form of records: exactly one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.json), has(self.csv)].exists_one(set, set)",
    "message": "set exactly one format: json or csv"
}]))]
pub struct RecordFormat {
    /// JSON, UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<JsonFormat>,

    /// Text with delimiters, UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csv: Option<CsvFormat>,
}

/// JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JsonFormat {
    /// The JSONPath of the object or array that rows are made of. $ when not set.
    #[schemars(length(min = 1, max = 65535), extend("pattern" = "^\\$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_row_path: Option<String>,
}

/// Text with delimiters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CsvFormat {
    /// What stands between rows. "\n" when not set.
    #[schemars(length(min = 1, max = 1024))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_row_delimiter: Option<String>,

    /// What stands between columns. "," when not set.
    #[schemars(length(min = 1, max = 1024))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_column_delimiter: Option<String>,
}

/// A column.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecordColumn {
    /// Its name.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,

    /// Its type, as in VARCHAR(32), DOUBLE or TIMESTAMP.
    #[schemars(length(min = 1, max = 100))]
    pub sql_type: String,

    /// Where it is found: for JSON a JSONPath, as in $.user.id, $. and the name when not set; for
    /// CSV the column's number, from 0, that in the list when not set.
    #[schemars(length(min = 1, max = 65535))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapping: Option<String>,
}

/// Where results go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.stream), has(self.deliveryStream), \
        has(self.lambda)].exists_one(set, set)",
    "message": "set exactly one target of the output: stream, deliveryStream or lambda"
}]))]
pub struct SqlOutput {
    /// The in-application stream to read.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,

    /// A Stream of the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamRef>,

    /// A DeliveryStream of the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_stream: Option<DeliveryStreamRef>,

    /// A function behind the Lambda API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lambda: Option<LambdaTransform>,

    /// The form of records. JSON when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<OutputFormat>,
}

/// The form of records written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum OutputFormat {
    /// One object for each row.
    Json,
    /// One line for each row.
    Csv,
}

/// A table to join with: exactly one place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.s3), has(self.configMap)].exists_one(set, set)",
    "message": "set exactly one place of the reference data: s3 or configMap"
}]))]
pub struct ReferenceDataSource {
    /// What it is called in code.
    #[schemars(length(min = 1, max = 128))]
    pub table_name: String,

    /// An object in a bucket, up to 1 GiB: the one whose key is prefix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Location>,

    /// An entry of a ConfigMap of the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapRef>,

    /// How often to look for a new version, in seconds. Only at start and on change when not set.
    #[schemars(range(min = 10, max = 86400))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_interval_seconds: Option<u32>,

    /// How rows are read.
    pub schema: RecordSchema,
}

/// One entry of a ConfigMap in the resource's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigMapRef {
    /// The ConfigMap's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// The entry in its data.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}
