//! Parquet files.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use iceberg_table::{ColumnMetrics, Value};
use operator_api::delivery_stream::{Parquet, ParquetCompression, ParquetVersion};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, GzipLevel, LogicalType, Type as PhysicalType, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::statistics::Statistics;

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

/// How files of a table are written, whose properties may name a compression.
pub(crate) fn table_properties(
    compression: Option<&str>,
) -> Result<WriterProperties, ConversionError> {
    let compression = match compression.map(str::to_ascii_lowercase).as_deref() {
        None | Some("zstd") => Compression::ZSTD(ZstdLevel::default()),
        Some("snappy") => Compression::SNAPPY,
        Some("gzip") => Compression::GZIP(GzipLevel::default()),
        Some("none" | "uncompressed") => Compression::UNCOMPRESSED,
        Some(other) => {
            let what = format!("is {other}; set zstd, snappy, gzip or uncompressed");
            return Err(ConversionError::new(
                "table property write.parquet.compression-codec",
                what,
            ));
        }
    };
    let properties = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_compression(compression)
        // One row group: what a file holds was put into a batch before.
        .set_max_row_group_row_count(None)
        .set_statistics_enabled(EnabledStatistics::Page);
    Ok(properties.build())
}

/// `None` of a column without an id, which no table has.
fn metrics_of(column: &ColumnChunkMetaData) -> Option<ColumnMetrics> {
    let descriptor = column.column_descr();
    let about = descriptor.self_type().get_basic_info();
    let id = about.has_id().then(|| about.id())?;
    let statistics = column.statistics();
    // What is repeated has no bounds, for there is no least of a list.
    let bound = |bytes: fn(&Statistics) -> Option<&[u8]>| {
        let bytes = statistics.filter(|_| descriptor.max_rep_level() == 0).and_then(bytes)?;
        let is_decimal = matches!(descriptor.logical_type_ref(), Some(LogicalType::Decimal { .. }));
        Some(if is_decimal { decimal(descriptor.physical_type(), bytes) } else { bytes.to_vec() })
    };
    Some(ColumnMetrics {
        id,
        bytes: u64::try_from(column.compressed_size()).unwrap_or(0),
        values: u64::try_from(column.num_values()).unwrap_or(0),
        nulls: statistics.and_then(Statistics::null_count_opt),
        lower: bound(Statistics::min_bytes_opt),
        upper: bound(Statistics::max_bytes_opt),
    })
}

/// Parquet has decimals of few digits as integers, whose lowest byte is first.
fn decimal(stored: PhysicalType, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if matches!(stored, PhysicalType::INT32 | PhysicalType::INT64) {
        bytes.reverse();
    }
    let is_negative = bytes.first().is_some_and(|first| 0x80 <= *first);
    let number = bytes.iter().fold(if is_negative { -1 } else { 0_i128 }, |number, byte| {
        (number << 8) | i128::from(*byte)
    });
    Value::Decimal(number).to_bytes()
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

    /// The file, and what its writer knows of its columns.
    pub(crate) fn finish(mut self) -> Result<(Vec<u8>, Vec<ColumnMetrics>), ParquetError> {
        self.writer.flush()?;
        let groups = self.writer.flushed_row_groups().iter();
        let columns = groups.flat_map(|group| group.columns()).filter_map(metrics_of).collect();
        Ok((self.writer.into_inner()?, columns))
    }
}
