//! What a catalog says of a table.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;

use crate::schema::{Schema, SchemaError};
use crate::transform::PartitionSpec;

/// The version of the format that is written.
const FORMAT_VERSION: i64 = 2;
/// The branch that is committed to.
const BRANCH: &str = "main";

/// A table's metadata: what committing needs of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TableMetadata {
    format_version: i64,
    /// Tells the table from one of its name before it.
    pub table_uuid: String,
    /// What its files are below, as `s3://bucket/prefix`.
    pub location: String,
    #[serde(default)]
    pub(crate) last_sequence_number: i64,
    #[serde(default)]
    pub(crate) last_updated_ms: i64,
    #[serde(default)]
    pub(crate) last_column_id: i32,
    #[serde(default)]
    schemas: Vec<Json>,
    #[serde(default)]
    pub(crate) current_schema_id: i64,
    #[serde(default)]
    pub(crate) partition_specs: Vec<Json>,
    #[serde(default)]
    default_spec_id: i64,
    #[serde(default)]
    properties: BTreeMap<String, String>,
    #[serde(default)]
    snapshots: Vec<Snapshot>,
    #[serde(default)]
    refs: BTreeMap<String, Ref>,
}

/// A state of the table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Snapshot {
    /// What tells it from others.
    pub snapshot_id: i64,
    /// Where the list of its manifests is.
    #[serde(default)]
    pub manifest_list: String,
    /// What its maker says of it.
    #[serde(default)]
    pub summary: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Ref {
    snapshot_id: i64,
}

/// A table that nothing can be committed to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Of another version.
    #[error(
        "it is of version {0} of the format; this version appends to tables of version {FORMAT_VERSION}"
    )]
    Version(i64),
    /// Its schema.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// How its rows are parted.
    #[error("{0}")]
    Partition(String),
    /// It refers to what it does not have.
    #[error("its metadata names a {0} that it does not have")]
    Missing(&'static str),
}

impl TableMetadata {
    /// The schema of rows that are written now.
    ///
    /// # Errors
    /// Nothing can be written by it.
    pub fn schema(&self) -> Result<Schema, TableError> {
        if self.format_version != FORMAT_VERSION {
            return Err(TableError::Version(self.format_version));
        }
        self.described()
    }

    /// The same of a table of any version, for those who write elsewhere what it describes.
    ///
    /// # Errors
    /// Nothing can be written by it.
    pub fn described(&self) -> Result<Schema, TableError> {
        self.schema_of(self.current_schema_id)?.ok_or(TableError::Missing("schema"))
    }

    /// The schema of that id. `None` when the table does not have it any more.
    ///
    /// # Errors
    /// Nothing can be written by it.
    pub fn schema_of(&self, id: i64) -> Result<Option<Schema>, TableError> {
        let has_id = |json: &&Json| json.get("schema-id").and_then(Json::as_i64) == Some(id);
        let json = self.schemas.iter().find(has_id).cloned();
        Ok(json.map(Schema::parse).transpose()?)
    }

    /// How rows that are written now are parted.
    ///
    /// # Errors
    /// They cannot be.
    pub fn partition_spec(&self, schema: &Schema) -> Result<PartitionSpec, TableError> {
        let id = self.default_spec_id;
        let has_id = |json: &&Json| json.get("spec-id").and_then(Json::as_i64) == Some(id);
        let json = self.partition_specs.iter().find(has_id);
        let json = json.ok_or(TableError::Missing("partition spec"))?;
        PartitionSpec::parse(json, schema).map_err(TableError::Partition)
    }

    /// A spec by which nothing is parted, if the table has one: that of files whose deletes are of all
    /// partitions.
    #[must_use]
    pub fn unpartitioned_spec(&self) -> Option<PartitionSpec> {
        let is_unpartitioned =
            |json: &&Json| json["fields"].as_array().is_some_and(|fields| fields.is_empty());
        let json = self.partition_specs.iter().find(is_unpartitioned)?;
        let id = i32::try_from(json["spec-id"].as_i64()?).ok()?;
        Some(PartitionSpec { id, fields: Vec::new(), json: json["fields"].clone() })
    }

    /// The state that is committed to; `None` while nothing was ever written.
    ///
    /// # Errors
    /// The metadata does not say where its manifests are.
    pub fn current(&self) -> Result<Option<&Snapshot>, TableError> {
        let Some(Ref { snapshot_id }) = self.refs.get(BRANCH) else { return Ok(None) };
        let is_it = |snapshot: &&Snapshot| snapshot.snapshot_id == *snapshot_id;
        let found = self.snapshots.iter().find(is_it);
        let found = found.filter(|snapshot| !snapshot.manifest_list.is_empty());
        found.map(Some).ok_or(TableError::Missing("snapshot, or a list of its manifests,"))
    }

    /// A property, if it is set.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.get(name).map(String::as_str)
    }

    /// What files of data are below.
    #[must_use]
    pub fn data_location(&self) -> String {
        self.below("write.data.path", "data")
    }

    /// What files about files are below.
    #[must_use]
    pub fn metadata_location(&self) -> String {
        self.below("write.metadata.path", "metadata")
    }

    fn below(&self, property: &str, folder: &str) -> String {
        let set = self.property(property).map(|path| path.trim_end_matches('/').to_owned());
        set.unwrap_or_else(|| format!("{}/{folder}", self.location.trim_end_matches('/')))
    }
}
