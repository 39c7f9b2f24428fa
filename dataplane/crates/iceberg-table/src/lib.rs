//! Tables of Apache Iceberg, version 2 of the format: what a catalog says of them, and what it is asked to
//! change.
//!
//! ```text
//!  metadata.json ─► TableMetadata ─► Schema, PartitionSpec ─► (files are written elsewhere)
//!                        │                                          ▼
//!                        ├──────────────► Delta ◄───────────── DataFile
//!                        │                  └─► manifests, manifest list, the request of the commit
//!                        └──────────────► Growth ─► the request of a schema that holds more
//! ```
//!
//! Only writing is here: reading and upkeep are for engines. There is no I/O, no clock and no
//! randomness: the same input makes the same bytes.
//!
//! The crate `iceberg` does not do for this. Its transactions load the table before each try and commit to
//! whatever they find, and try again by themselves: there is no place to ask whether what is to be added
//! is there already. What else it has would bring a second generation of arrow and parquet, and
//! some hundred crates.

mod avro;
mod delta;
mod growth;
mod manifest;
mod metadata;
mod schema;
mod transform;
mod value;

pub use delta::Delta;
pub use growth::Growth;
pub use manifest::{ColumnMetrics, Content, DataFile, Files, ManifestError};
pub use metadata::{Snapshot, TableError, TableMetadata};
pub use schema::{Field, Schema, SchemaError, Type};
pub use transform::{PartitionField, PartitionSpec, Transform};
pub use value::Value;
