//! Parquet files.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use operator_api::delivery_stream::{Parquet, ParquetCompression, ParquetVersion};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, GzipLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};

use crate::error::ConversionError;
use crate::{CREATED_BY, check_range};

/// As Hive calls it.
const SCHEMA_ROOT: &str = "hive_schema";
const BLOCK_MIB_DEFAULT: u32 = 256;
const PAGE_KIB_DEFAULT: u32 = 1024;

pub(crate) struct ParquetFile {
    writer: ArrowWriter<Vec<u8>>,
}

/// How files are written. Padding between row groups is for file systems of blocks, so nothing is
/// ever padded, which is within any maximum.
pub(crate) fn properties(parquet: &Parquet) -> Result<WriterProperties, ConversionError> {
    let block_mib = parquet.block_size_mib.unwrap_or(BLOCK_MIB_DEFAULT);
    let page_kib = parquet.page_size_kib.unwrap_or(PAGE_KIB_DEFAULT);
    check_range("output.parquet.blockSizeMiB", block_mib, 64, 1024)?;
    check_range("output.parquet.pageSizeKiB", page_kib, 64, 65_536)?;
    let compression = match parquet.compression {
        None | Some(ParquetCompression::Snappy) => Compression::SNAPPY,
        Some(ParquetCompression::Gzip) => Compression::GZIP(GzipLevel::default()),
        Some(ParquetCompression::Uncompressed) => Compression::UNCOMPRESSED,
    };
    let version = match parquet.writer_version {
        None | Some(ParquetVersion::V1) => WriterVersion::PARQUET_1_0,
        Some(ParquetVersion::V2) => WriterVersion::PARQUET_2_0,
    };
    let properties = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_writer_version(version)
        .set_compression(compression)
        .set_dictionary_enabled(parquet.enable_dictionary_compression.unwrap_or(false))
        .set_data_page_size_limit(page_kib as usize * 1024)
        .set_max_row_group_bytes(Some(block_mib as usize * 1024 * 1024))
        .set_max_row_group_row_count(None)
        .set_statistics_enabled(EnabledStatistics::Page);
    Ok(properties.build())
}

impl ParquetFile {
    pub(crate) fn new(
        schema: Arc<Schema>,
        properties: WriterProperties,
    ) -> Result<ParquetFile, ParquetError> {
        // Without it a file means the same to every reader.
        let options = ArrowWriterOptions::new()
            .with_properties(properties)
            .with_schema_root(SCHEMA_ROOT.to_owned())
            .with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(Vec::new(), schema, options)?;
        Ok(ParquetFile { writer })
    }

    /// Adds rows. They are on their way into a row group, which ends when it is of a block's size.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        self.writer.write(batch)
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.writer.bytes_written() + self.writer.memory_size()
    }

    pub(crate) fn finish(self) -> Result<Vec<u8>, ParquetError> {
        self.writer.into_inner()
    }
}
