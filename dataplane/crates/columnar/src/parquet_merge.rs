//! Parquet files into one: their row groups as they are, one file's behind the other's, under a footer
//! of their own. What is in them is not looked at, so it costs no more than copying them.
//!
//! ```text
//!  PAR1 │ row groups of a, of b, of c │ what the footers of a, b and c say, with other places │ PAR1
//! ```
//!
//! The indexes of pages are not taken along: they name places in their file. Readers do without.

use std::ops::Range;

use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, FooterTail, ParquetMetaData, ParquetMetaDataReader,
    ParquetMetaDataWriter, RowGroupMetaData,
};
use parquet::schema::types::SchemaDescPtr;

/// What a file begins with.
pub const PARQUET_HEAD: &[u8] = b"PAR1";
/// Bytes at the end of a file that say how long its footer is.
pub const PARQUET_TAIL_BYTES: u64 = 8;
/// All footers of the files that are merged.
const FOOTERS_BYTES_MAX: u64 = 64 << 20;
/// A row group's number has 16 bits.
const ROW_GROUPS_MAX: usize = i16::MAX as usize;

/// Files that are being merged.
#[derive(Default)]
pub struct ParquetMerge {
    schema: Option<SchemaDescPtr>,
    row_groups: Vec<RowGroupMetaData>,
    rows: i64,
    footers_bytes: u64,
    /// Where the next file's row groups go.
    end: u64,
}

/// Why files cannot be merged. They are as they were.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// A file is none, or damaged.
    #[error("read a parquet footer")]
    Footer(#[from] ParquetError),
    /// A file is shorter than its footer says.
    #[error("the footer of a parquet file is longer than the file")]
    Short,
    /// Their columns differ.
    #[error("parquet files have different columns")]
    Schema,
    /// Their footers are too large, or their row groups too many.
    #[error("parquet files have too many row groups or columns to be merged")]
    Many,
}

/// Where the footer of a file of `file_bytes` is, the last [`PARQUET_TAIL_BYTES`] of which are `tail`.
///
/// # Errors
/// It is no Parquet file, or too large a one.
pub fn parquet_footer(file_bytes: u64, tail: &[u8]) -> Result<Range<u64>, MergeError> {
    let footer_bytes = FooterTail::try_from(tail)?.metadata_length() as u64;
    if FOOTERS_BYTES_MAX < footer_bytes {
        return Err(MergeError::Many);
    }
    let end = file_bytes.checked_sub(PARQUET_TAIL_BYTES).ok_or(MergeError::Short)?;
    let start = end.checked_sub(footer_bytes).ok_or(MergeError::Short)?;
    if start < PARQUET_HEAD.len() as u64 { Err(MergeError::Short) } else { Ok(start..end) }
}

impl ParquetMerge {
    /// Adds a file with this footer, which is at `place` in it. Gives what of the file comes next in the
    /// merged one, which begins with [`PARQUET_HEAD`].
    ///
    /// # Errors
    /// See [`MergeError`]; nothing was added.
    pub fn add(&mut self, place: &Range<u64>, footer: &[u8]) -> Result<Range<u64>, MergeError> {
        let head = PARQUET_HEAD.len() as u64;
        let body = head..place.start;
        let metadata = ParquetMetaDataReader::decode_metadata(footer)?;
        let file = metadata.file_metadata();
        let schema = self.schema.get_or_insert_with(|| file.schema_descr_ptr());
        if schema.root_schema() != file.schema_descr().root_schema() {
            return Err(MergeError::Schema);
        }
        let footers_bytes = self.footers_bytes + footer.len() as u64;
        let count = self.row_groups.len() + metadata.num_row_groups();
        if FOOTERS_BYTES_MAX < footers_bytes || ROW_GROUPS_MAX < count {
            return Err(MergeError::Many);
        }
        let by = i64::try_from(self.end.max(head) - head).map_err(|_| MergeError::Many)?;
        let first = self.row_groups.len();
        for (at, row_group) in metadata.row_groups().iter().enumerate() {
            let number = i16::try_from(first + at).map_err(|_| MergeError::Many)?;
            let moved = moved(row_group, by, &body, number);
            match moved {
                Ok(row_group) => self.row_groups.push(row_group),
                Err(error) => {
                    self.row_groups.truncate(first);
                    return Err(error);
                }
            }
        }
        self.rows = self.rows.saturating_add(file.num_rows());
        self.footers_bytes = footers_bytes;
        self.end = self.end.max(head) + (body.end - body.start);
        Ok(body)
    }

    /// What the merged file ends with.
    ///
    /// # Errors
    /// The footer cannot be written.
    pub fn finish(self) -> Result<Vec<u8>, MergeError> {
        let schema = self.schema.ok_or(MergeError::Short)?;
        let created_by = Some(crate::CREATED_BY.to_owned());
        let file = FileMetaData::new(1, self.rows, created_by, None, schema, None);
        let metadata = ParquetMetaData::new(file, self.row_groups);
        let mut footer = Vec::new();
        ParquetMetaDataWriter::new(&mut footer, &metadata).finish()?;
        Ok(footer)
    }
}

/// The same row group `by` bytes further on. What it says to be where must be in `body`.
fn moved(
    row_group: &RowGroupMetaData,
    by: i64,
    body: &Range<u64>,
    number: i16,
) -> Result<RowGroupMetaData, MergeError> {
    let place = |offset: i64| {
        let is_inside = u64::try_from(offset).is_ok_and(|offset| body.contains(&offset));
        offset.checked_add(by).filter(|_| is_inside).ok_or(MergeError::Short)
    };
    let column = |column: &ColumnChunkMetaData| {
        let column = column.clone();
        let (data, dictionary) = (column.data_page_offset(), column.dictionary_page_offset());
        let builder = column
            .into_builder()
            .set_data_page_offset(place(data)?)
            .set_dictionary_page_offset(dictionary.map(place).transpose()?)
            .set_index_page_offset(None)
            .set_bloom_filter_offset(None)
            .set_bloom_filter_length(None)
            .set_offset_index_offset(None)
            .set_offset_index_length(None)
            .set_column_index_offset(None)
            .set_column_index_length(None);
        Ok(builder.build()?)
    };
    let columns: Result<Vec<_>, MergeError> = row_group.columns().iter().map(column).collect();
    let mut builder =
        row_group.clone().into_builder().set_column_metadata(columns?).set_ordinal(number);
    if let Some(offset) = row_group.file_offset() {
        builder = builder.set_file_offset(place(offset)?);
    }
    Ok(builder.build()?)
}

#[cfg(test)]
mod tests;
