//! Objects: what they are called, how they are compressed, and the documents about what was
//! refused.
//!
//! ```text
//!  prefix with expressions ─► Template ─┐
//!  ObjectId, oldest arrival ────────────┴─► Naming ─► key
//!  records ─► ObjectWriter ─► bytes
//!  refused records ─► RefusedRecord ─► lines of JSON
//! ```
//!
//! Beside them what destinations other than object stores name things by: indexes and documents of
//! search engines, and Redshift's COPY.

pub mod compaction;
mod compression;
mod hadoop_snappy;
mod id;
mod naming;
mod pattern;
pub mod redshift;
mod refused;
pub mod search;
mod template;
mod time;
mod zip;

pub use compression::{OBJECT_BYTES_MAX, ObjectWriter, WriteError};
pub use id::{ObjectId, PartitionKeys};
pub use naming::{KEY_BYTES_MAX, ManifestUse, Naming, NamingError, Written};
pub use pattern::PatternProblem;
pub use refused::{CatalogTable, ErrorOutputType, Refusal, RefusedRecord, SearchEngine};
pub use template::{
    KeyError, KeySource, PREFIX_CHARS_MAX, Template, TemplateError, TemplateProblem,
};
pub use time::Zone;
