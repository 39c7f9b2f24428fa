//! What can be wrong with a conversion, with a record and with a file.

use thiserror::Error;

/// A conversion that cannot be carried out, whatever the records say.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field}: {what}")]
pub struct ConversionError {
    /// What is wrong: a field of the resource, or a column by its name, as in `column price`.
    pub field: String,
    /// What is wrong about it.
    pub what: String,
    /// Whether nothing is wrong about it, but that this version does not do it.
    pub is_unsupported: bool,
}

impl ConversionError {
    pub(crate) fn new(field: impl Into<String>, what: impl Into<String>) -> ConversionError {
        ConversionError { field: field.into(), what: what.into(), is_unsupported: false }
    }

    pub(crate) fn unsupported(field: &str, what: impl Into<String>) -> ConversionError {
        ConversionError { is_unsupported: true, ..ConversionError::new(field, what) }
    }

    pub(crate) fn column(name: &str, what: impl Into<String>) -> ConversionError {
        ConversionError::new(format!("column {name}"), what)
    }
}

/// A record that did not become rows. The file is as it was before the record.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("record {index}: {}: {message}", code.as_str())]
pub struct Refused {
    /// Counts the records that were pushed into the file, from 0.
    pub index: u64,
    /// Its kind.
    pub code: RefusedCode,
    /// What is wrong, and where.
    pub message: String,
}

/// Why a record did not become rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusedCode {
    /// It is not JSON objects.
    ParseError,
    /// It is, but a value does not fit its column, or there are too many of them.
    MalformedData,
}

impl RefusedCode {
    /// As AWS writes it beside a record that was not converted.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RefusedCode::ParseError => "DataFormatConversion.ParseError",
            RefusedCode::MalformedData => "DataFormatConversion.MalformedData",
        }
    }
}

/// A file that could not be written. Its rows are in no file: convert the records again.
#[derive(Debug, Error)]
pub enum FileError {
    /// The Parquet writer gave up.
    #[error("write parquet")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// Columns that do not make a batch.
    #[error("build columns")]
    Columns(#[from] arrow_schema::ArrowError),
    /// The compressor gave up.
    #[error("compress a stream")]
    Compress(#[from] std::io::Error),
}
