//! Tables of Apache Iceberg, version 2 of the format: what a catalog says of them, and what is appended to
//! them.
//!
//! ```text
//!  metadata.json ─► TableMetadata ─► Schema, PartitionSpec ─► (files are written elsewhere)
//!                        │                                          ▼
//!                        └──────────────► Append ◄───────────── DataFile
//!                                           └─► manifest, manifest list, the request of the commit
//! ```
//!
//! Only appending is here: reading, deleting and upkeep are for engines. There is no I/O, no clock and no
//! randomness: the same input makes the same bytes.
//!
//! The crate `iceberg` would bring this along, and with it a second generation of arrow and parquet and
//! some ninety crates more, and neither its commits nor its client of catalogs could be used: a commit has
//! to carry a property with it, and says no more than that it failed when its answer was lost.

mod append;
mod avro;
mod manifest;
mod metadata;
mod schema;
mod transform;
mod value;

pub use append::Append;
pub use manifest::{ColumnMetrics, DataFile, ManifestError};
pub use metadata::{Snapshot, TableError, TableMetadata};
pub use schema::{Field, Schema, SchemaError, Type};
pub use transform::{PartitionField, PartitionSpec, Transform};
pub use value::Value;
