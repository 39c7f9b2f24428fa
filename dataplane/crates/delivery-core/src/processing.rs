//! What happens to records on their way.
//!
//! ```text
//!            prepare                            in between                   finish
//!  source ─► KPL · decompression · log     ─► transform in place, or   ─► partition keys ·
//!  records   messages · de-aggregation        calls to a transformer      delimiter
//! ```
//!
//! A step takes records and gives those that go on, and those that stay behind with the reason.
//! [`Processor::new`] refuses a configuration that could not be followed, so nothing later asks again.
//! [`lambda`] is what a transformer is told and answers; calling it is not done here.
//!
//! The numbers [`Origin::sub`](model::Origin::sub) that come out count what a source record became,
//! from 0. They are the same each time, for they depend on the record alone; for that, the parts of
//! one source record go through a step together and in order.

use std::io;

use bytes::Bytes;
use model::DeliveryRecord;
use operator_api::delivery_stream::{self as config, Processing};

mod failure;
mod gzip;
mod jq;
mod keys;
mod kpl;
pub mod lambda;
mod logs;
mod pieces;
mod routing;
mod run;

pub use failure::{Failed, FailureCode, Failures};
pub use keys::PartitionKeys;
pub use pieces::PIECES_MAX;
pub use routing::Router;

/// What one source record may become when it is decompressed, all its parts together. A step holds
/// all that it makes, so whoever decompresses gives it few records at a time.
pub const DECOMPRESSED_BYTES_MAX: usize = 16 << 20;
/// DEFLATE makes no more than so many bytes of one (RFC 1951: 258 of two bits, and some more).
const GZIP_RATIO_MAX: usize = 1_032;
/// What programs are expected to make of a byte. One that makes more, up to
/// [`TRANSFORMED_BYTES_MAX`], takes more memory than its delivery stream's part.
const TRANSFORM_RATIO_EXPECTED: usize = 64;
/// Records that a program makes of one.
pub const TRANSFORMED_RECORDS_MAX: usize = 500;
/// Bytes that a program makes of one record, all together.
pub const TRANSFORMED_BYTES_MAX: usize = 16 << 20;
/// The longest delimiter to append.
const DELIMITER_CHARS_MAX: usize = 64;

/// What a configuration asks for that cannot be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {what}")]
pub struct SetupError {
    /// The field, from the spec down.
    pub field: &'static str,
    /// What is wrong with it.
    pub what: String,
}

/// There is no thread to run a program on. Nothing was done; later there may be one.
#[derive(Debug, thiserror::Error)]
#[error("start a thread for jq")]
pub struct StartError(#[source] pub(crate) io::Error);

/// A record on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// As it is now.
    pub record: DeliveryRecord,
    /// What a transformer said about it.
    pub metadata: Option<Box<Metadata>>,
    /// What it was, when that is something else.
    raw: Option<Bytes>,
}

/// What a transformer says about a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// For a prefix's `!{partitionKeyFromLambda:..}`.
    pub partition_keys: PartitionKeys,
    /// For a destination with tables.
    pub table: Option<TableMetadata>,
}

/// Where in which table a record goes (`otfMetadata`). What is not set, the destination decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableMetadata {
    /// The database.
    pub database: Option<String>,
    /// The table.
    pub table: Option<String>,
    /// What to do there.
    pub operation: Option<TableOperation>,
}

/// What to do with a record in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TableOperation {
    /// Add it.
    Insert,
    /// Put it in the place of the one with its unique keys.
    Update,
    /// Remove the one with its unique keys.
    Delete,
}

impl TableOperation {
    /// As AWS writes it.
    pub(crate) fn parse(text: &str) -> Option<TableOperation> {
        match text {
            "insert" => Some(TableOperation::Insert),
            "update" => Some(TableOperation::Update),
            "delete" => Some(TableOperation::Delete),
            _ => None,
        }
    }
}

/// What a step made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Goes on, in order.
    pub kept: Vec<Item>,
    /// Stays behind.
    pub failed: Vec<Failed>,
    /// Is no more: control messages, and what a transform left out.
    pub dropped: usize,
}

/// Records that are ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finished {
    /// In order.
    pub records: Vec<Keyed>,
    /// Stays behind.
    pub failed: Vec<Failed>,
}

/// A record that is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyed {
    /// The record, what it was, and what a transformer said about it.
    pub item: Item,
    /// For a prefix's `!{partitionKeyFromQuery:..}`.
    pub query_keys: PartitionKeys,
}

/// What is in between [`prepare`](Processor::prepare) and [`finish`](Processor::finish).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransformKind {
    /// Nothing.
    None,
    /// [`Processor::transform_in_place`].
    InPlace,
    /// A call, with [`lambda`]'s words.
    Call,
}

/// What happens to a delivery stream's records.
pub struct Processor {
    from_stream: bool,
    decompression: bool,
    log_messages: bool,
    pieces: Option<pieces::Pieces>,
    transform: Transform,
    query: Option<jq::Program>,
    key: Option<jq::Program>,
    delimiter: Bytes,
}

enum Transform {
    None,
    InPlace(jq::Program),
    Call,
}

impl Processor {
    /// What `processing` asks for, for records from a stream or put directly.
    ///
    /// # Errors
    /// The first thing it asks for that cannot be done.
    pub fn new(processing: Option<&Processing>, from_stream: bool) -> Result<Self, SetupError> {
        let none = Processing::default();
        let processing = processing.unwrap_or(&none);
        let query = processing.metadata_extraction.as_ref();
        let delimiter = processing.append_delimiter.as_deref().unwrap_or_default();
        if DELIMITER_CHARS_MAX < delimiter.chars().count() {
            return Err(refuse("processing.appendDelimiter", "holds at most 64 characters"));
        }
        Ok(Processor {
            from_stream,
            // There is one format.
            decompression: processing.decompression.is_some(),
            log_messages: processing.cloud_watch_log_extraction.unwrap_or(false),
            pieces: processing.deaggregation.as_ref().map(pieces::Pieces::new).transpose()?,
            transform: processing.transform.as_ref().map_or(Ok(Transform::None), transform)?,
            query: query
                .map(|query| program("processing.metadataExtraction.query", &query.query))
                .transpose()?,
            key: None,
            delimiter: Bytes::copy_from_slice(delimiter.as_bytes()),
        })
    }

    /// The same, and `text` is the program that gives the partition key of each record, which it had
    /// from its source before. `field` is where it is written.
    ///
    /// # Errors
    /// What is wrong with the program.
    pub fn with_key(self, field: &'static str, text: &str) -> Result<Self, SetupError> {
        Ok(Processor { key: Some(program(field, text)?), ..self })
    }

    /// What is in between [`prepare`](Self::prepare) and [`finish`](Self::finish).
    #[must_use]
    pub fn transform(&self) -> TransformKind {
        match self.transform {
            Transform::None => TransformKind::None,
            Transform::InPlace(_) => TransformKind::InPlace,
            Transform::Call => TransformKind::Call,
        }
    }

    /// Whether it only takes apart, if that: no programs, no decompression.
    #[must_use]
    pub fn is_quick(&self) -> bool {
        !self.expands() && self.query.is_none() && self.key.is_none()
    }

    /// What a source record may become at the most, all its parts together.
    #[must_use]
    pub fn bytes_max(&self, data: &[u8]) -> usize {
        let mut bytes = data.len();
        if self.decompression {
            bytes = bytes.saturating_mul(GZIP_RATIO_MAX).min(DECOMPRESSED_BYTES_MAX);
        }
        if let Transform::InPlace(_) = self.transform {
            bytes = bytes.saturating_mul(TRANSFORM_RATIO_EXPECTED).min(TRANSFORMED_BYTES_MAX);
        }
        let parts = match (self.from_stream, &self.pieces) {
            (false, None) => 1,
            (false, Some(_)) => data.len().clamp(1, pieces::PIECES_MAX),
            (true, None) => 1 + data.len() / kpl::USER_RECORD_BYTES_MIN,
            // Each user record may be taken apart.
            (true, Some(_)) => 1 + data.len(),
        };
        bytes.saturating_add(parts * self.delimiter.len())
    }

    /// Whether records may become much larger than they are.
    #[must_use]
    pub fn expands(&self) -> bool {
        self.decompression || matches!(self.transform, Transform::InPlace(_))
    }
}

impl Item {
    /// What was put, before anything was done to it: the `rawData` of an error document.
    #[must_use]
    pub fn raw(&self) -> &Bytes {
        self.raw.as_ref().unwrap_or(&self.record.data)
    }

    /// The record as one that stays behind.
    #[must_use]
    pub fn fail(self, code: FailureCode, message: impl Into<String>) -> Failed {
        Failed {
            origin: self.record.origin,
            raw: self.raw.unwrap_or(self.record.data),
            code,
            message: message.into(),
            records: 1,
            attempts: 1,
        }
    }

    fn replace_data(&mut self, data: Bytes) {
        let before = std::mem::replace(&mut self.record.data, data);
        self.raw.get_or_insert(before);
    }
}

impl From<DeliveryRecord> for Item {
    fn from(record: DeliveryRecord) -> Item {
        Item { record, metadata: None, raw: None }
    }
}

fn transform(transform: &config::Transform) -> Result<Transform, SetupError> {
    const FIELD: &str = "processing.transform";
    match transform {
        config::Transform { lambda: Some(_), webhook: None, vrl: None, jq: None }
        | config::Transform { lambda: None, webhook: Some(_), vrl: None, jq: None } => {
            Ok(Transform::Call)
        }
        config::Transform { lambda: None, webhook: None, vrl: None, jq: Some(jq) } => {
            program("processing.transform.jq.program", &jq.program).map(Transform::InPlace)
        }
        config::Transform { lambda: None, webhook: None, vrl: Some(_), jq: None } => {
            Err(refuse("processing.transform.vrl", "is not built in: use jq"))
        }
        _ => Err(refuse(FIELD, "set exactly one of lambda, webhook, vrl and jq")),
    }
}

fn program(field: &'static str, text: &str) -> Result<jq::Program, SetupError> {
    jq::Program::new(text).map_err(|what| SetupError { field, what })
}

fn refuse(field: &'static str, what: &str) -> SetupError {
    SetupError { field, what: what.to_owned() }
}

#[cfg(test)]
mod tests;
