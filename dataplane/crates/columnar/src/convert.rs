//! From records to files.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::Schema;
use bytes::Bytes;
use operator_api::delivery_stream::{Column, ConversionOutput, FormatConversion};
use parquet::file::properties::WriterProperties;

use crate::dialect::Dialect;
use crate::error::{ConversionError, FileError, Refused, RefusedCode};
use crate::fields::{Fault, Fields, Reading, VALUES_MAX};
use crate::json::Scanner;
use crate::orc_file::{OrcFile, OrcSettings};
use crate::parquet_file::{self, ParquetFile};
use crate::schema::FileSchema;

/// The largest record. AWS takes ones of 1 MiB, and what a function makes of a record is 6 MB at most.
pub const RECORD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Rows go on to the file when there are so many, or when they weigh so much.
const BATCH_ROWS: usize = 8192;
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// What a value weighs besides its text: the largest of fixed size are decimals.
const VALUE_BYTES: usize = 16;

/// How records become files. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Converter {
    plan: Arc<Plan>,
}

#[derive(Debug)]
struct Plan {
    dialect: Dialect,
    schema: FileSchema,
    output: Output,
}

#[derive(Debug)]
enum Output {
    Parquet(Box<WriterProperties>),
    Orc(OrcSettings),
}

impl Converter {
    /// `columns` are those of the conversion's schema, wherever it is described.
    ///
    /// # Errors
    /// A column or a setting that cannot be, and why.
    pub fn new(
        conversion: &FormatConversion,
        columns: &[Column],
    ) -> Result<Converter, ConversionError> {
        let dialect = Dialect::new(conversion.input.as_ref())?;
        let schema = FileSchema::new(columns, &dialect)?;
        let output = match conversion.output.clone().unwrap_or_default() {
            ConversionOutput { parquet: Some(_), orc: Some(_) } => {
                return Err(ConversionError::new("output", "set parquet or orc, not both"));
            }
            ConversionOutput { orc: Some(orc), .. } => Output::Orc(OrcSettings::new(&orc)?),
            ConversionOutput { parquet, .. } => {
                Output::Parquet(Box::new(parquet_file::properties(&parquet.unwrap_or_default())?))
            }
        };
        Ok(Converter { plan: Arc::new(Plan { dialect, schema, output }) })
    }

    /// The schema of its files.
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        &self.plan.schema.arrow
    }

    /// What the names of its files end with.
    #[must_use]
    pub fn extension(&self) -> &'static str {
        match self.plan.output {
            Output::Parquet(_) => ".parquet",
            Output::Orc(_) => ".orc",
        }
    }

    /// A file without rows.
    ///
    /// # Errors
    /// Its writer gave up; no records can make a difference.
    pub fn begin(&self) -> Result<File, FileError> {
        let plan = self.plan.clone();
        let sink = match &plan.output {
            Output::Parquet(properties) => {
                let schema = plan.schema.arrow.clone();
                Sink::Parquet(Box::new(ParquetFile::new(schema, (**properties).clone())?))
            }
            Output::Orc(settings) => {
                Sink::Orc(Box::new(OrcFile::new(&plan.schema.columns, settings.clone())))
            }
        };
        let fields = Fields::new(&plan.schema.columns, &plan.dialect);
        Ok(File {
            plan,
            fields,
            sink,
            scratch: String::new(),
            batch_rows: 0,
            batch_bytes: 0,
            written_rows: 0,
            pushed_records: 0,
            source_bytes: 0,
            failed: None,
        })
    }
}

/// A file that is being written, in memory.
///
/// It holds the file's bytes so far, the pages of a row group that is not complete, and a batch of rows;
/// together about what the file will take, and [`memory_bytes`](File::memory_bytes) says how much. It
/// grows for as long as records are pushed: its owner ends it when there is enough.
pub struct File {
    plan: Arc<Plan>,
    fields: Fields,
    sink: Sink,
    scratch: String,
    /// Rows that the sink has not got yet, and what they weigh.
    batch_rows: usize,
    batch_bytes: usize,
    written_rows: u64,
    pushed_records: u64,
    source_bytes: u64,
    /// Why the sink gave up. What is pushed afterwards is read and thrown away.
    failed: Option<FileError>,
}

enum Sink {
    Parquet(Box<ParquetFile>),
    Orc(Box<OrcFile>),
}

impl File {
    /// Adds a record: a JSON object, or several, one behind the other, which are a row each.
    ///
    /// # Errors
    /// The record is refused as a whole. The file is as it was, and others can be pushed.
    pub fn push(&mut self, record: &[u8]) -> Result<(), Refused> {
        let index = self.pushed_records;
        self.pushed_records += 1;
        let rows = self.batch_rows;
        let read = self.read(record);
        let values = match read {
            Ok(values) => values,
            Err(fault) => {
                self.batch_rows = rows;
                self.fields.columns.iter_mut().for_each(|column| column.truncate(rows));
                return Err(refused(index, fault));
            }
        };
        self.source_bytes += record.len() as u64;
        self.batch_bytes += record.len() + values * VALUE_BYTES;
        if BATCH_ROWS <= self.batch_rows || BATCH_BYTES <= self.batch_bytes {
            self.write_batch();
        }
        Ok(())
    }

    /// The size of the records that became rows.
    #[must_use]
    pub fn source_bytes(&self) -> u64 {
        self.source_bytes
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.written_rows + self.batch_rows as u64
    }

    /// About how much memory is held.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let written = match &self.sink {
            Sink::Parquet(file) => file.memory_bytes(),
            Sink::Orc(file) => file.memory_bytes(),
        };
        written + self.batch_bytes
    }

    /// Ends the file. One without rows is a file too.
    ///
    /// # Errors
    /// Its writer gave up, perhaps earlier. There is no file.
    pub fn finish(mut self) -> Result<Bytes, FileError> {
        if 0 < self.batch_rows {
            self.write_batch();
        }
        if let Some(error) = self.failed {
            return Err(error);
        }
        let file = match self.sink {
            Sink::Parquet(file) => file.finish()?,
            Sink::Orc(file) => file.finish()?,
        };
        Ok(file.into())
    }

    /// Reads a record's objects as rows and says how many values they have.
    fn read(&mut self, record: &[u8]) -> Result<usize, Fault> {
        if RECORD_BYTES_MAX < record.len() {
            return Err(Fault::value(format!("larger than {RECORD_BYTES_MAX} bytes")));
        }
        let text = std::str::from_utf8(record).map_err(|error| Fault::not_utf8(&error))?;
        let mut json = Scanner::new(text);
        let mut reading = Reading {
            dialect: &self.plan.dialect,
            scratch: &mut self.scratch,
            values_left: VALUES_MAX,
        };
        let row_values = self.fields.columns.iter().map(|column| column.width).sum();
        loop {
            if json.peek() != Some(b'{') {
                return Err(json.error("expected {").into());
            }
            reading.take_values(row_values)?;
            self.fields.read(&mut json, &mut reading, self.batch_rows)?;
            self.batch_rows += 1;
            if json.peek().is_none() {
                return Ok(VALUES_MAX - reading.values_left);
            }
        }
    }

    fn write_batch(&mut self) {
        let written = self.take_batch().and_then(|batch| match &mut self.sink {
            _ if self.failed.is_some() => Ok(()),
            Sink::Parquet(file) => Ok(file.write(&batch)?),
            Sink::Orc(file) => Ok(file.write(&batch)?),
        });
        if let Err(error) = written {
            self.fields = Fields::new(&self.plan.schema.columns, &self.plan.dialect);
            self.failed = Some(error);
        }
    }

    fn take_batch(&mut self) -> Result<RecordBatch, FileError> {
        let options = RecordBatchOptions::new().with_row_count(Some(self.batch_rows));
        self.written_rows += self.batch_rows as u64;
        self.batch_rows = 0;
        self.batch_bytes = 0;
        let columns = self.fields.columns.iter_mut().map(|column| column.finish());
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let schema = self.plan.schema.arrow.clone();
        Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
    }
}

fn refused(index: u64, fault: Fault) -> Refused {
    match fault {
        Fault::Syntax(error) => Refused {
            index,
            code: RefusedCode::ParseError,
            message: format!("not JSON objects: {} at byte {}", error.what, error.position),
        },
        Fault::Value(fault) => Refused {
            index,
            code: RefusedCode::MalformedData,
            message: match fault.path.as_str() {
                "" => fault.what,
                path => format!("column {path}: {}", fault.what),
            },
        },
    }
}

#[cfg(test)]
mod file_tests;
#[cfg(test)]
mod show;
#[cfg(test)]
mod tests;
