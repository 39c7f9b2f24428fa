//! From records to files.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::Schema;
use bytes::Bytes;
use iceberg_table::{ColumnMetrics, Value};
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
    /// Whether a record is one row.
    is_table: bool,
}

#[derive(Debug)]
enum Output {
    Parquet(Box<WriterProperties>),
    Orc(OrcSettings),
}

impl Converter {
    /// With the columns of the conversion's schema, as Hive writes them, wherever they are described.
    ///
    /// # Errors
    /// A column or a setting that cannot be, and why.
    pub fn new(
        conversion: &FormatConversion,
        columns: &[Column],
    ) -> Result<Converter, ConversionError> {
        Converter::with_schema(conversion, |dialect| FileSchema::new(columns, dialect))
    }

    /// With the columns that a table of Iceberg describes. What Hive has no type for becomes what stands
    /// for it there: times of day and UUIDs are texts, `timestamptz` is a timestamp in UTC.
    ///
    /// # Errors
    /// A column or a setting that cannot be, and why.
    pub fn as_described(
        conversion: &FormatConversion,
        table: &iceberg_table::Schema,
    ) -> Result<Converter, ConversionError> {
        Converter::with_schema(conversion, |dialect| FileSchema::as_described(table, dialect))
    }

    /// What is wrong with a conversion whose columns are not known yet.
    ///
    /// # Errors
    /// A setting that cannot be, and why.
    pub fn check(conversion: &FormatConversion) -> Result<(), ConversionError> {
        let any = Column { name: "a".to_owned(), type_: "string".to_owned() };
        Converter::new(conversion, &[any]).map(drop)
    }

    fn with_schema(
        conversion: &FormatConversion,
        schema: impl FnOnce(&Dialect) -> Result<FileSchema, ConversionError>,
    ) -> Result<Converter, ConversionError> {
        let dialect = Dialect::new(conversion.input.as_ref())?;
        let schema = schema(&dialect)?;
        let output = match conversion.output.clone().unwrap_or_default() {
            ConversionOutput { parquet: Some(_), orc: Some(_) } => {
                return Err(ConversionError::new("output", "set parquet or orc, not both"));
            }
            ConversionOutput { orc: Some(orc), .. } => Output::Orc(OrcSettings::new(&orc)?),
            ConversionOutput { parquet, .. } => {
                Output::Parquet(Box::new(parquet_file::properties(&parquet.unwrap_or_default())?))
            }
        };
        Ok(Converter { plan: Arc::new(Plan { dialect, schema, output, is_table: false }) })
    }

    /// Into Parquet files of a table, one row a record; `compression` is what its property says.
    ///
    /// # Errors
    /// A column that cannot be, or a compression.
    pub fn for_table(
        table: &iceberg_table::Schema,
        compression: Option<&str>,
    ) -> Result<Converter, ConversionError> {
        let dialect = Dialect::table();
        let schema = FileSchema::of_table(table, &dialect)?;
        let output = Output::Parquet(Box::new(parquet_file::table_properties(compression)?));
        Ok(Converter { plan: Arc::new(Plan { dialect, schema, output, is_table: true }) })
    }

    /// What tells which records fit, and what is in them.
    #[must_use]
    pub fn probe(&self) -> Probe {
        Probe { rows: Rows::new(&self.plan) }
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
        Ok(File {
            rows: Rows::new(&plan),
            plan,
            sink,
            batch_bytes: 0,
            written_rows: 0,
            pushed_records: 0,
            source_bytes: 0,
            failed: None,
        })
    }
}

/// Rows as they are read, column by column.
struct Rows {
    plan: Arc<Plan>,
    fields: Fields,
    scratch: String,
    count: usize,
}

impl Rows {
    fn new(plan: &Arc<Plan>) -> Rows {
        let (columns, arrow) = (&plan.schema.columns, plan.schema.arrow.fields());
        let fields = Fields::new(columns, arrow, &plan.dialect);
        Rows { plan: Arc::clone(plan), fields, scratch: String::new(), count: 0 }
    }

    /// Reads a record's objects as rows and says how many values they have; all of them or, when one does
    /// not fit, none.
    fn read(&mut self, record: &[u8]) -> Result<usize, Fault> {
        let count = self.count;
        let read = self.read_on(record);
        if read.is_err() {
            self.cut(count);
        }
        read
    }

    fn cut(&mut self, count: usize) {
        self.count = count;
        self.fields.columns.iter_mut().for_each(|column| column.truncate(count));
    }

    fn read_on(&mut self, record: &[u8]) -> Result<usize, Fault> {
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
            self.fields.read(&mut json, &mut reading, self.count)?;
            self.count += 1;
            if json.peek().is_none() {
                return Ok(VALUES_MAX - reading.values_left);
            }
            if self.plan.is_table {
                return Err(json.error("expected the end: a row is one object").into());
            }
        }
    }
}

/// Reads records and keeps none.
pub struct Probe {
    rows: Rows,
}

impl Probe {
    /// What is in the fields that are these ways through structs.
    ///
    /// # Errors
    /// The record does not fit.
    pub fn read(
        &mut self,
        record: &[u8],
        ways: &[Vec<usize>],
    ) -> Result<Vec<Option<Value>>, Refused> {
        self.rows.read(record).map_err(|fault| refused(0, fault))?;
        let columns = &self.rows.fields.columns;
        let value = |way: &Vec<usize>| {
            let (first, rest) = way.split_first()?;
            columns.get(*first)?.value(0, rest)
        };
        let values = ways.iter().map(value).collect();
        self.rows.cut(0);
        Ok(values)
    }
}

/// A file that is being written, in memory.
///
/// It holds the file's bytes so far, the pages of a row group that is not complete, and a batch of rows;
/// together about what the file will take, and [`memory_bytes`](File::memory_bytes) says how much. It
/// grows for as long as records are pushed: its owner ends it when there is enough.
pub struct File {
    plan: Arc<Plan>,
    /// Rows that the sink has not got yet.
    rows: Rows,
    sink: Sink,
    /// What those rows weigh.
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
        let values = self.rows.read(record).map_err(|fault| refused(index, fault))?;
        self.source_bytes += record.len() as u64;
        self.batch_bytes += record.len() + values * VALUE_BYTES;
        if BATCH_ROWS <= self.rows.count || BATCH_BYTES <= self.batch_bytes {
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
        self.written_rows + self.rows.count as u64
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
    pub fn finish(self) -> Result<Bytes, FileError> {
        Ok(self.end()?.0)
    }

    /// Ends a file of a table, of which more is told.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn finish_for_table(self) -> Result<(Bytes, Vec<ColumnMetrics>), FileError> {
        self.end()
    }

    fn end(mut self) -> Result<(Bytes, Vec<ColumnMetrics>), FileError> {
        if 0 < self.rows.count {
            self.write_batch();
        }
        if let Some(error) = self.failed {
            return Err(error);
        }
        Ok(match self.sink {
            Sink::Parquet(file) => {
                let (bytes, columns) = file.finish()?;
                (bytes.into(), columns)
            }
            Sink::Orc(file) => (file.finish()?.into(), Vec::new()),
        })
    }

    fn write_batch(&mut self) {
        let written = self.take_batch().and_then(|batch| match &mut self.sink {
            _ if self.failed.is_some() => Ok(()),
            Sink::Parquet(file) => Ok(file.write(&batch)?),
            Sink::Orc(file) => Ok(file.write(&batch)?),
        });
        if let Err(error) = written {
            self.rows = Rows::new(&self.plan);
            self.failed = Some(error);
        }
    }

    fn take_batch(&mut self) -> Result<RecordBatch, FileError> {
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows.count));
        self.written_rows += self.rows.count as u64;
        self.rows.count = 0;
        self.batch_bytes = 0;
        let columns = self.rows.fields.columns.iter_mut().map(|column| column.finish());
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
mod table_tests;
#[cfg(test)]
mod tests;
