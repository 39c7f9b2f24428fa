//! Records as files of a table.

use std::collections::BTreeMap;

use bytes::Bytes;
use columnar::{ConversionError, Converter, FileError, Refused, RefusedCode};
use delivery_core::guid::guid_of;
use delivery_core::processing::TableOperation;
use iceberg_table::{
    Content, DataFile, Files, PartitionSpec, Schema, TableError, TableMetadata, Value,
};
use model::DeliveryRecord;

use super::Failure;
use super::evolve::Homes;
use super::keys::{KeyProbe, Keys};
use super::resolve::{Keyed, Left, resolve};

/// Files of a batch: with a partition for each row there would be one for each.
const FILES_MAX: usize = 1_000;

/// A record, and what is to become of it in its table.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) record: DeliveryRecord,
    pub(super) operation: TableOperation,
}

/// What the resource says of a table.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    /// Columns that tell its rows apart; those that the table says when there are none.
    pub(super) unique_keys: Vec<String>,
    /// Whether there is a column for each member of a record.
    pub(super) evolves: bool,
}

impl Rules {
    /// Whether rows of the table may be told apart, and so updated and deleted.
    pub(super) fn have_keys(&self, table: &TableMetadata) -> bool {
        let schema = table.schema();
        schema.is_ok_and(|schema| Keys::of(table, &schema, &self.unique_keys).is_ok())
    }
}

/// What tells which records fit a table that has, or had, a schema.
pub(super) struct Judge {
    pub(super) schema: Schema,
    converter: Converter,
    keys: Result<Keys, String>,
    /// Whether records are refused for want of columns.
    evolves: bool,
}

/// How rows of a table are written.
pub(super) struct Form {
    pub(super) judge: Judge,
    spec: PartitionSpec,
    /// How files of deletes are parted, if the table knows how: not.
    whole: Option<PartitionSpec>,
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
    /// Files of rows that are to be put, and what the table is told of them.
    pub(super) rows: Vec<(Bytes, DataFile)>,
    /// A file of deletes, if there are some.
    pub(super) deletes: Vec<(Bytes, DataFile)>,
    /// Records, by their place among those that were given.
    pub(super) refused: Vec<(usize, Failure)>,
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

impl Judge {
    pub(super) fn of(
        table: &TableMetadata,
        schema: Schema,
        rules: &Rules,
    ) -> Result<Judge, FormError> {
        let keys = Keys::of(table, &schema, &rules.unique_keys);
        Ok(Judge { converter: converter(table, &schema)?, keys, evolves: rules.evolves, schema })
    }

    /// Those of changes that the table does not take, or did not.
    pub(super) fn misfits(&self, changes: &[Change]) -> Vec<(usize, Failure)> {
        self.look(changes).1
    }

    /// Each change with the key of its row, but for those that are refused.
    fn look(&self, changes: &[Change]) -> (Vec<Option<Keyed>>, Vec<(usize, Failure)>) {
        let mut probe = KeyProbe::new(&self.keys, &self.converter);
        let homes = self.evolves.then(|| Homes::of(&self.schema));
        let mut refused = Vec::new();
        let mut look = |(at, change): (usize, &Change)| {
            let found =
                probe.key(change).and_then(|key| is_at_home(homes.as_ref(), change).map(|()| key));
            match found {
                Ok(key) => Some(Keyed { operation: change.operation, key }),
                Err(failure) => {
                    refused.push((at, failure));
                    None
                }
            }
        };
        let looked = changes.iter().enumerate().map(&mut look).collect();
        (looked, refused)
    }
}

fn is_at_home(homes: Option<&Homes<'_>>, change: &Change) -> Result<(), Failure> {
    let homes = homes.filter(|_| change.operation != TableOperation::Delete);
    let Some(name) = homes.and_then(|homes| homes.homeless(&change.record.data)) else {
        return Ok(());
    };
    let why = if name.contains('.') {
        "a column has no dot in its name"
    } else {
        "the table has as many columns as it may"
    };
    let what = format!("member {name}: {why}");
    Err(Failure::new("Iceberg.MalformedData", &what))
}

impl Form {
    /// As the table's metadata has it now.
    pub(super) fn of(table: &TableMetadata, rules: &Rules) -> Result<Form, FormError> {
        let schema = table.schema()?;
        let spec = table.partition_spec(&schema)?;
        let way = |source| schema.find(source).map(|(_, way)| way).unwrap_or_default();
        let ways = spec.fields.iter().map(|field| way(field.source_id)).collect();
        let judge = Judge::of(table, schema, rules)?;
        let whole = table.unpartitioned_spec();
        Ok(Form { location: table.data_location(), ways, judge, spec, whole })
    }

    /// Writes changes, those that are rows into a file for each partition.
    pub(super) fn write(&self, changes: &[Change], name: &str) -> Result<Written, WriteError> {
        let mut written = Written::default();
        let inserts = |change: &Change| change.operation == TableOperation::Insert;
        let Left { rows, deletes } = match changes.iter().all(inserts) && !self.judge.evolves {
            // Whether they fit is seen when they are written.
            true => Left { rows: (0..changes.len()).collect(), deletes: Vec::new() },
            false => {
                let (looked, refused) = self.judge.look(changes);
                written.refused = refused;
                resolve(&looked)
            }
        };
        let partitions = match self.spec.fields.is_empty() {
            true => vec![Partition { values: Vec::new(), records: rows }],
            false => self.part(changes, &rows, &mut written.refused)?,
        };
        for partition in partitions {
            let converter = &self.judge.converter;
            let file = self.file(converter, changes, partition, name, &mut written.refused)?;
            written.rows.extend(file);
        }
        if let Ok(keys) = &self.judge.keys {
            let all = Partition { values: Vec::new(), records: deletes };
            let name = format!("{name}-deletes");
            let file = self.file(&keys.converter, changes, all, &name, &mut written.refused)?;
            written.deletes.extend(file);
        }
        Ok(written)
    }

    /// A file of some of the changes; `None` when it would have no rows.
    fn file(
        &self,
        converter: &Converter,
        changes: &[Change],
        Partition { values, records }: Partition,
        name: &str,
        refused: &mut Vec<(usize, Failure)>,
    ) -> Result<Option<(Bytes, DataFile)>, WriteError> {
        if records.is_empty() {
            return Ok(None);
        }
        let mut file = converter.begin()?;
        for at in records {
            if let Err(error) = file.push(&changes[at].record.data) {
                refused.push((at, refusal(&error)));
            }
        }
        let rows = file.rows();
        if rows == 0 {
            return Ok(None);
        }
        let (bytes, columns) = file.finish_for_table()?;
        // Made of what is in it: what is written again replaces itself, and nothing else.
        let path = format!("{}/{name}-{:032x}.parquet", self.location, guid_of(&bytes));
        let file = DataFile { path, bytes: bytes.len() as u64, rows, partition: values, columns };
        Ok(Some((bytes, file)))
    }

    /// What of these files is to be committed.
    pub(super) fn files<'a>(
        &'a self,
        rows: &'a [DataFile],
        deletes: &'a [DataFile],
    ) -> Result<Vec<Files<'a>>, TableError> {
        let mut files = Vec::new();
        if !rows.is_empty() {
            files.push(Files { content: &Content::Rows, spec: &self.spec, files: rows });
        }
        if let (Ok(keys), false) = (&self.judge.keys, deletes.is_empty()) {
            let spec = self.whole.as_ref().ok_or(TableError::Missing("spec without partitions"))?;
            files.push(Files { content: &keys.content, spec, files: deletes });
        }
        Ok(files)
    }

    fn part(
        &self,
        changes: &[Change],
        rows: &[usize],
        refused: &mut Vec<(usize, Failure)>,
    ) -> Result<Vec<Partition>, WriteError> {
        let mut probe = self.judge.converter.probe();
        let mut partitions: BTreeMap<Vec<Option<Vec<u8>>>, Partition> = BTreeMap::new();
        for at in rows.iter().copied() {
            let values = match probe.read(&changes[at].record.data, &self.ways) {
                Ok(values) => values,
                Err(error) => {
                    refused.push((at, refusal(&error)));
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

/// Of files with the columns of this schema, as the table's properties have them written.
pub(super) fn converter(
    table: &TableMetadata,
    schema: &Schema,
) -> Result<Converter, ConversionError> {
    Converter::for_table(schema, table.property("write.parquet.compression-codec"))
}

pub(super) fn refusal(refused: &Refused) -> Failure {
    let code = match refused.code {
        RefusedCode::ParseError => "Iceberg.ParseError",
        RefusedCode::MalformedData => "Iceberg.MalformedData",
    };
    Failure::new(code, &refused.message)
}
