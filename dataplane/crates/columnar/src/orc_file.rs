//! ORC files, by version 1 of the specification.
//!
//! ```text
//!  "ORC"  stripe  stripe  ..  statistics  footer  postscript  its length
//!         └─ row index, streams of each column, their directory
//! ```
//!
//! Values are written as they are, without dictionaries, and numbers in runs of version 2.

mod blocks;
mod column;
mod proto;
mod rle;
mod statistics;

use std::io;

use arrow_array::{RecordBatch, StructArray};
use operator_api::delivery_stream::{Orc, OrcCompression, OrcVersion};

use crate::error::ConversionError;
use crate::hive_type::HiveType;
use crate::{CREATED_BY, check_range};
use blocks::{BLOCK_BYTES, Blocks, Codec};
use column::OrcColumn;
use proto::Message;

const MAGIC: &[u8] = b"ORC";
const STRIPE_MIB_DEFAULT: u32 = 64;
const STRIDE_DEFAULT: u32 = 10_000;
/// Of the format, 0.12: the one with runs of version 2.
const FORMAT_VERSION: [u64; 2] = [0, 12];
/// Of the writer: without any of the known faults of earlier ones.
const WRITER_VERSION: u64 = 6;
/// No number that another writer has: readers assume nothing about it.
const WRITER: u64 = 0x6c65_6174;
/// Days before 1582 are those of the calendar that we have now.
const PROLEPTIC_GREGORIAN: u64 = 2;

/// How files are written.
#[derive(Clone, Debug)]
pub(crate) struct OrcSettings {
    codec: Codec,
    stripe_bytes: usize,
    /// Rows between entries of the index.
    stride: usize,
}

impl OrcSettings {
    /// What concerns file systems of blocks says nothing about objects and is left aside, and so is
    /// the threshold for dictionaries, below which there may be one.
    pub(crate) fn new(orc: &Orc) -> Result<OrcSettings, ConversionError> {
        let stripe_mib = orc.stripe_size_mib.unwrap_or(STRIPE_MIB_DEFAULT);
        let stride = orc.row_index_stride.unwrap_or(STRIDE_DEFAULT);
        check_range("output.orc.stripeSizeMiB", stripe_mib, 8, 1024)?;
        check_range("output.orc.rowIndexStride", stride, 1000, 1_000_000)?;
        if orc.format_version == Some(OrcVersion::V0_11) {
            let what = "files of V0_11 are not written, only of V0_12";
            return Err(ConversionError::unsupported("output.orc.formatVersion", what));
        }
        if let Some(column) = orc.bloom_filter_columns.iter().flatten().next() {
            let what = format!("Bloom filters are not written, as for column {column}");
            return Err(ConversionError::unsupported("output.orc.bloomFilterColumns", what));
        }
        let codec = match orc.compression {
            None | Some(OrcCompression::Snappy) => Codec::Snappy,
            Some(OrcCompression::Zlib) => Codec::Zlib,
            Some(OrcCompression::None) => Codec::None,
        };
        let stripe_bytes = stripe_mib as usize * 1024 * 1024;
        Ok(OrcSettings { codec, stripe_bytes, stride: stride as usize })
    }
}

pub(crate) struct OrcFile {
    settings: OrcSettings,
    /// The rows, as a struct of the columns.
    type_: HiveType,
    root: OrcColumn,
    bytes: Vec<u8>,
    stripe_rows: usize,
    rows: u64,
    /// A line about each stripe for the footer, and its statistics.
    stripes: Vec<Message>,
    stripe_statistics: Vec<Message>,
}

impl OrcFile {
    pub(crate) fn new(columns: &[(String, HiveType)], settings: OrcSettings) -> OrcFile {
        let type_ = HiveType::Struct(columns.to_vec());
        OrcFile {
            settings,
            root: OrcColumn::new(&type_, &mut 0),
            type_,
            bytes: MAGIC.to_vec(),
            stripe_rows: 0,
            rows: 0,
            stripes: Vec::new(),
            stripe_statistics: Vec::new(),
        }
    }

    /// Adds rows. They are on their way into a stripe, which ends when it is of its size, before it is
    /// compressed.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let rows = StructArray::from(batch.clone());
        let stride = self.settings.stride;
        let mut start = 0;
        while start < batch.num_rows() {
            let in_group = self.stripe_rows % stride;
            if in_group == 0 {
                self.root.begin_group();
            }
            let end = batch.num_rows().min(start + stride - in_group);
            self.root.write(&rows, start..end);
            self.stripe_rows += end - start;
            if self.stripe_rows.is_multiple_of(stride) {
                self.root.end_group();
            }
            start = end;
        }
        if self.settings.stripe_bytes <= self.root.size() {
            self.finish_stripe()?;
        }
        Ok(())
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes.len() + self.root.size()
    }

    pub(crate) fn finish(mut self) -> io::Result<Vec<u8>> {
        if 0 < self.stripe_rows {
            self.finish_stripe()?;
        }
        let content_bytes = self.bytes.len();
        let mut metadata = Message::default();
        for statistics in std::mem::take(&mut self.stripe_statistics) {
            metadata.message(1, statistics);
        }
        let metadata_bytes = self.push(metadata.bytes())?;
        let footer = self.footer(content_bytes);
        let footer_bytes = self.push(footer.bytes())?;
        let mut postscript = Message::default();
        postscript.uint(1, footer_bytes as u64);
        let compression = match self.settings.codec {
            Codec::None => 0,
            Codec::Zlib => 1,
            Codec::Snappy => 2,
        };
        postscript.uint(2, compression);
        postscript.uint(3, BLOCK_BYTES as u64);
        postscript.packed(4, FORMAT_VERSION);
        postscript.uint(5, metadata_bytes as u64);
        postscript.uint(6, WRITER_VERSION);
        postscript.blob(8000, MAGIC);
        let postscript = postscript.bytes();
        self.bytes.extend_from_slice(&postscript);
        // Far below 256: it holds a few numbers.
        self.bytes.push(postscript.len() as u8);
        Ok(self.bytes)
    }

    fn finish_stripe(&mut self) -> io::Result<()> {
        if !self.stripe_rows.is_multiple_of(self.settings.stride) {
            self.root.end_group();
        }
        let (mut index, mut data) = (Vec::new(), Vec::new());
        self.root.finish_stripe(self.settings.codec, &mut index, &mut data)?;
        let offset = self.bytes.len();
        let mut footer = Message::default();
        let mut lengths = [0, 0];
        for (streams, length) in [index, data].into_iter().zip(&mut lengths) {
            for stream in streams {
                let mut line = Message::default();
                line.uint(1, stream.kind as u64);
                line.uint(2, stream.column.into());
                line.uint(3, stream.blocks.bytes.len() as u64);
                footer.message(1, line);
                *length += stream.blocks.bytes.len();
                self.bytes.extend_from_slice(&stream.blocks.bytes);
            }
        }
        let mut encodings = Vec::new();
        self.root.encodings(&mut encodings);
        for encoding in encodings {
            footer.message(2, encoding);
        }
        footer.blob(3, b"UTC");
        let footer_bytes = self.push(footer.bytes())?;
        let mut stripe = Message::default();
        let numbers = [offset, lengths[0], lengths[1], footer_bytes, self.stripe_rows];
        for (field, number) in (1..).zip(numbers) {
            stripe.uint(field, number as u64);
        }
        self.stripes.push(stripe);
        let mut known = Vec::new();
        self.root.take_stripe_statistics(&mut known);
        let mut statistics = Message::default();
        for column in known {
            statistics.message(1, column);
        }
        self.stripe_statistics.push(statistics);
        self.rows += self.stripe_rows as u64;
        self.stripe_rows = 0;
        Ok(())
    }

    fn footer(&mut self, content_bytes: usize) -> Message {
        let mut footer = Message::default();
        footer.uint(1, MAGIC.len() as u64);
        footer.uint(2, content_bytes as u64);
        for stripe in std::mem::take(&mut self.stripes) {
            footer.message(3, stripe);
        }
        let mut types = Vec::new();
        push_type(&self.type_, &mut types);
        for type_ in types {
            footer.message(4, type_);
        }
        footer.uint(6, self.rows);
        let mut known = Vec::new();
        self.root.file_statistics(&mut known);
        for column in known {
            footer.message(7, column);
        }
        footer.uint(8, self.settings.stride as u64);
        footer.uint(9, WRITER);
        footer.uint(11, PROLEPTIC_GREGORIAN);
        footer.blob(12, CREATED_BY.as_bytes());
        footer
    }

    /// Appends a message and says how long it is there.
    fn push(&mut self, message: Vec<u8>) -> io::Result<usize> {
        let blocks = Blocks::new(self.settings.codec, message)?;
        self.bytes.extend_from_slice(&blocks.bytes);
        Ok(blocks.bytes.len())
    }
}

/// Adds a type and its parts, in the order in which columns are numbered.
fn push_type(type_: &HiveType, types: &mut Vec<Message>) {
    let place = types.len();
    types.push(Message::default());
    let mut message = Message::default();
    message.uint(1, type_number(type_));
    let mut parts = Vec::new();
    let mut push_part = |part: &HiveType| {
        parts.push(types.len() as u64);
        push_type(part, types);
    };
    match type_ {
        HiveType::Array(element) => push_part(element),
        HiveType::Map(key, value) => {
            push_part(key);
            push_part(value);
        }
        HiveType::Struct(fields) => fields.iter().for_each(|(_, field)| push_part(field)),
        _ => {}
    }
    if !parts.is_empty() {
        message.packed(2, parts);
    }
    match type_ {
        HiveType::Struct(fields) => {
            fields.iter().for_each(|(name, _)| message.blob(3, name.as_bytes()));
        }
        HiveType::Varchar(length) | HiveType::Char(length) => message.uint(4, (*length).into()),
        HiveType::Decimal { precision, scale } => {
            message.uint(5, (*precision).into());
            message.uint(6, (*scale).into());
        }
        _ => {}
    }
    types[place] = message;
}

fn type_number(type_: &HiveType) -> u64 {
    match type_ {
        HiveType::Boolean => 0,
        HiveType::TinyInt => 1,
        HiveType::SmallInt => 2,
        HiveType::Int => 3,
        HiveType::BigInt | HiveType::Time => 4,
        HiveType::Float => 5,
        HiveType::Double => 6,
        HiveType::String => 7,
        HiveType::Binary | HiveType::Uuid | HiveType::Fixed(_) => 8,
        HiveType::Timestamp | HiveType::TimestampTz => 9,
        HiveType::Array(_) => 10,
        HiveType::Map(..) => 11,
        HiveType::Struct(_) => 12,
        HiveType::Decimal { .. } => 14,
        HiveType::Date => 15,
        HiveType::Varchar(_) => 16,
        HiveType::Char(_) => 17,
    }
}

#[cfg(test)]
pub(crate) mod read;
#[cfg(test)]
mod tests;
