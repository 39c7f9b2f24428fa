//! Records as files of a table.

use std::collections::BTreeMap;

use bytes::Bytes;
use columnar::{ConversionError, Converter, FileError, Refused};
use delivery_core::guid::guid_of;
use iceberg_table::{DataFile, PartitionSpec, Schema, TableError, TableMetadata, Value};
use model::DeliveryRecord;

/// Files of a batch: with a partition for each row there would be one for each.
const FILES_MAX: usize = 1_000;

/// How rows of a table are written.
pub(super) struct Form {
    pub(super) schema: Schema,
    pub(super) spec: PartitionSpec,
    converter: Converter,
    /// What files are below.
    location: String,
    /// Where the values are that rows are parted by.
    ways: Vec<Vec<usize>>,
}

/// Nothing can be written to a table.
#[derive(Debug, thiserror::Error)]
pub(super) enum FormError {
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Columns(#[from] ConversionError),
}

/// What became of records.
#[derive(Default)]
pub(super) struct Written {
    /// Files that are to be put, and what the table is told of them.
    pub(super) files: Vec<(Bytes, DataFile)>,
    /// Records, by their place among those that were given.
    pub(super) refused: Vec<(usize, Refused)>,
}

/// No file was written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("write a file")]
    File(#[from] FileError),
    #[error("a batch goes to more than {FILES_MAX} partitions")]
    TooManyPartitions,
}

/// What all rows of a file have in common, and the records that are its rows.
#[derive(Default)]
struct Partition {
    values: Vec<Option<Value>>,
    records: Vec<usize>,
}

impl Form {
    /// As the table's metadata has it now.
    pub(super) fn of(table: &TableMetadata) -> Result<Form, FormError> {
        let schema = table.schema()?;
        let spec = table.partition_spec(&schema)?;
        let way = |source| schema.find(source).map(|(_, way)| way).unwrap_or_default();
        let ways = spec.fields.iter().map(|field| way(field.source_id)).collect();
        let converter = converter(table, &schema)?;
        Ok(Form { converter, location: table.data_location(), ways, schema, spec })
    }

    /// Writes records, each as a row, into a file for each partition.
    pub(super) fn write(
        &self,
        records: &[&DeliveryRecord],
        name: &str,
    ) -> Result<Written, WriteError> {
        let mut written = Written::default();
        let partitions = match self.spec.fields.is_empty() {
            true => vec![Partition { values: Vec::new(), records: (0..records.len()).collect() }],
            false => self.part(records, &mut written.refused)?,
        };
        for Partition { values, records: of } in partitions {
            let mut file = self.converter.begin()?;
            for at in of {
                if let Err(refused) = file.push(&records[at].data) {
                    written.refused.push((at, refused));
                }
            }
            let rows = file.rows();
            if rows == 0 {
                continue;
            }
            let (bytes, columns) = file.finish_for_table()?;
            // Made of what is in it: what is written again replaces itself, and nothing else.
            let path = format!("{}/{name}-{:032x}.parquet", self.location, guid_of(&bytes));
            let file =
                DataFile { path, bytes: bytes.len() as u64, rows, partition: values, columns };
            written.files.push((bytes, file));
        }
        Ok(written)
    }

    fn part(
        &self,
        records: &[&DeliveryRecord],
        refused: &mut Vec<(usize, Refused)>,
    ) -> Result<Vec<Partition>, WriteError> {
        let mut probe = self.converter.probe();
        let mut partitions: BTreeMap<Vec<Option<Vec<u8>>>, Partition> = BTreeMap::new();
        for (at, record) in records.iter().enumerate() {
            let values = match probe.read(&record.data, &self.ways) {
                Ok(values) => values,
                Err(error) => {
                    refused.push((at, error));
                    continue;
                }
            };
            let fields = self.spec.fields.iter().zip(values);
            let values: Vec<_> =
                fields.map(|(field, value)| field.transform.apply(value)).collect();
            let key = values.iter().map(|value| value.as_ref().map(Value::key)).collect();
            if partitions.len() == FILES_MAX && !partitions.contains_key(&key) {
                return Err(WriteError::TooManyPartitions);
            }
            let partition = partitions.entry(key).or_default();
            partition.values = values;
            partition.records.push(at);
        }
        Ok(partitions.into_values().collect())
    }
}

/// Those of records that do not fit a schema that the table once had.
pub(super) fn misfits(
    table: &TableMetadata,
    schema: &Schema,
    records: &[&DeliveryRecord],
) -> Result<Vec<(usize, Refused)>, FormError> {
    let mut probe = converter(table, schema)?.probe();
    let judge =
        |(at, record): (usize, &&DeliveryRecord)| Some((at, probe.read(&record.data, &[]).err()?));
    Ok(records.iter().enumerate().filter_map(judge).collect())
}

fn converter(table: &TableMetadata, schema: &Schema) -> Result<Converter, ConversionError> {
    Converter::for_table(schema, table.property("write.parquet.compression-codec"))
}
