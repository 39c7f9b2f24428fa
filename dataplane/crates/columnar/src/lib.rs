//! Records as JSON into Parquet and ORC files, as Amazon Data Firehose converts formats.
//!
//! ```text
//!  Column ─► HiveType ─► the columns of a file
//!  record ─► Scanner ─► Fields, Column ─► batches of rows ─► Parquet, ORC
//!                           ▲ cut back if the record does not fit
//! ```
//!
//! A record is read once, from front to back, and its values go straight into columns. One that does not
//! parse or fit is [`Refused`] and leaves nothing behind. There is no I/O, no clock and no randomness:
//! the same records make the same bytes.

mod column;
mod convert;
mod dialect;
mod error;
mod fields;
mod hive_type;
mod joda;
mod json;
mod number;
mod orc_file;
mod parquet_file;
mod parquet_merge;
mod schema;
mod timestamp;

pub use convert::{Converter, File, Probe, RECORD_BYTES_MAX};
pub use error::{ConversionError, FileError, Refused, RefusedCode};
pub use parquet_merge::{
    MergeError, PARQUET_HEAD, PARQUET_TAIL_BYTES, ParquetMerge, parquet_footer,
};

/// What wrote a file, in the form that readers look for known faults in.
const CREATED_BY: &str = concat!("leat version ", env!("CARGO_PKG_VERSION"));

fn check_range(field: &str, value: u32, min: u32, max: u32) -> Result<(), ConversionError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(ConversionError::new(field, format!("{value} is not within {min} to {max}")))
}
