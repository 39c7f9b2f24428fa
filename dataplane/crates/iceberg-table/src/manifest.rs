//! Manifests, which list files of data, and lists of manifests, which are what a snapshot is.

use std::collections::BTreeMap;

use apache_avro::types::Value as Avro;
use serde_json::{Value as Json, json};

use crate::avro::{self, field, number_map, optional, record, some};
use crate::schema::Schema;
use crate::transform::PartitionSpec;
use crate::value::Value;

const ADDED: i32 = 1;
/// Manifests that a snapshot may have. Engines are asked to merge them long before.
const MANIFESTS_MAX: usize = 1 << 20;

/// Manifests cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// As Avro.
    #[error("avro")]
    Avro(#[from] Box<apache_avro::Error>),
    /// A list of manifests is not what the specification says.
    #[error("a list of manifests has an entry without field {0}")]
    Missing(i32),
    /// There are too many.
    #[error("a snapshot has more than {MANIFESTS_MAX} manifests: have them merged")]
    TooMany,
}

impl From<apache_avro::Error> for ManifestError {
    fn from(error: apache_avro::Error) -> ManifestError {
        ManifestError::Avro(Box::new(error))
    }
}

/// What the rows of a file mean. A manifest has files of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// They are in the table.
    Rows,
    /// Rows that have the same in the fields of these ids are in the table no more, if they came with a
    /// snapshot before (an equality delete).
    Deletes(Vec<i32>),
}

impl Content {
    /// Of a file.
    fn of_file(&self) -> i32 {
        match self {
            Content::Rows => 0,
            // 1 are deletes by the positions of rows.
            Content::Deletes(_) => 2,
        }
    }

    /// Of a manifest, which does not tell deletes from each other.
    fn of_manifest(&self) -> (i32, &'static str) {
        match self {
            Content::Rows => (0, "data"),
            Content::Deletes(_) => (1, "deletes"),
        }
    }
}

/// A file of rows, as Parquet.
#[derive(Clone, Debug, PartialEq)]
pub struct DataFile {
    /// Where it is, as `s3://bucket/key`.
    pub path: String,
    /// How large.
    pub bytes: u64,
    /// How many rows.
    pub rows: u64,
    /// What all its rows have in common: a value for each field of the partition spec.
    pub partition: Vec<Option<Value>>,
    /// What is known of its columns.
    pub columns: Vec<ColumnMetrics>,
}

/// What is known of a column of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnMetrics {
    /// The field's id.
    pub id: i32,
    /// What it takes in the file.
    pub bytes: u64,
    /// How many values, nulls among them.
    pub values: u64,
    /// How many nulls; `None` when nobody counted.
    pub nulls: Option<u64>,
    /// Not more than its least value, in the form of [`Value::to_bytes`].
    pub lower: Option<Vec<u8>>,
    /// Not less than its greatest.
    pub upper: Option<Vec<u8>>,
}

/// Files of a manifest.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// What they hold.
    pub content: &'a Content,
    /// How their rows are parted. Deletes that are not parted are of all partitions, by whatever spec.
    pub spec: &'a PartitionSpec,
    /// The files, which are there.
    pub files: &'a [DataFile],
}

/// A manifest of these files, all of which were added by this snapshot.
pub(crate) fn manifest(
    schema: &Schema,
    snapshot_id: i64,
    Files { content, spec, files }: Files<'_>,
) -> Result<Vec<u8>, ManifestError> {
    let about = BTreeMap::from([
        ("schema", schema.json.to_string()),
        ("schema-id", schema.id.to_string()),
        ("partition-spec", spec.json.to_string()),
        ("partition-spec-id", spec.id.to_string()),
        ("format-version", "2".to_owned()),
        ("content", content.of_manifest().1.to_owned()),
    ]);
    let entry = |file| {
        record(vec![
            ("status", Avro::Int(ADDED)),
            ("snapshot_id", some(Some(Avro::Long(snapshot_id)))),
            // Both are those of the snapshot, which are known when it is committed.
            ("sequence_number", some(None)),
            ("file_sequence_number", some(None)),
            ("data_file", data_file(content, spec, file)),
        ])
    };
    Ok(avro::write(&entry_schema(spec), &about, files.iter().map(entry))?)
}

fn entry_schema(spec: &PartitionSpec) -> Json {
    let part = |of: &crate::transform::PartitionField| {
        optional(of.id, &avro::name_of(&of.name), avro::type_of(&of.type_))
    };
    let parts: Vec<Json> = spec.fields.iter().map(part).collect();
    let partition = json!({"type": "record", "name": "r102", "fields": parts});
    let file = json!({"type": "record", "name": "r2", "fields": [
        field(134, "content", "int"),
        field(100, "file_path", "string"),
        field(101, "file_format", "string"),
        field(102, "partition", partition),
        field(103, "record_count", "long"),
        field(104, "file_size_in_bytes", "long"),
        optional(108, "column_sizes", number_map([117, 118], "long")),
        optional(109, "value_counts", number_map([119, 120], "long")),
        optional(110, "null_value_counts", number_map([121, 122], "long")),
        optional(125, "lower_bounds", number_map([126, 127], "bytes")),
        optional(128, "upper_bounds", number_map([129, 130], "bytes")),
        optional(135, "equality_ids", json!({"type": "array", "items": "int", "element-id": 136})),
    ]});
    json!({"type": "record", "name": "manifest_entry", "fields": [
        field(0, "status", "int"),
        optional(1, "snapshot_id", "long"),
        optional(3, "sequence_number", "long"),
        optional(4, "file_sequence_number", "long"),
        field(2, "data_file", file),
    ]})
}

fn data_file(content: &Content, spec: &PartitionSpec, file: &DataFile) -> Avro {
    let part = |(of, value): (&crate::transform::PartitionField, &Option<Value>)| {
        (avro::name_of(&of.name), some(value.as_ref().map(avro::value_of)))
    };
    let partition = spec.fields.iter().zip(&file.partition).map(part).collect();
    let map = |value: fn(&ColumnMetrics) -> Option<Avro>| {
        let entry = |column: &ColumnMetrics| {
            Some(record(vec![("key", Avro::Int(column.id)), ("value", value(column)?)]))
        };
        some(Some(Avro::Array(file.columns.iter().filter_map(entry).collect())))
    };
    let equality_ids = match content {
        Content::Rows => None,
        Content::Deletes(ids) => Some(Avro::Array(ids.iter().copied().map(Avro::Int).collect())),
    };
    record(vec![
        ("content", Avro::Int(content.of_file())),
        ("file_path", Avro::String(file.path.clone())),
        ("file_format", Avro::String("PARQUET".to_owned())),
        ("partition", Avro::Record(partition)),
        ("record_count", long(file.rows)),
        ("file_size_in_bytes", long(file.bytes)),
        ("column_sizes", map(|column| Some(long(column.bytes)))),
        ("value_counts", map(|column| Some(long(column.values)))),
        ("null_value_counts", map(|column| column.nulls.map(long))),
        ("lower_bounds", map(|column| column.lower.clone().map(Avro::Bytes))),
        ("upper_bounds", map(|column| column.upper.clone().map(Avro::Bytes))),
        ("equality_ids", some(equality_ids)),
    ])
}

/// A manifest, as a list of manifests has it.
#[derive(Clone, Debug)]
pub(crate) struct ManifestFile {
    pub(crate) path: String,
    pub(crate) length: i64,
    pub(crate) spec_id: i32,
    pub(crate) content: i32,
    pub(crate) sequence_number: i64,
    pub(crate) min_sequence_number: i64,
    pub(crate) snapshot_id: i64,
    /// Added, existing and deleted, of files and then of rows.
    pub(crate) counts: [i64; 6],
    /// As it was read: what it says of partitions, and how it is encrypted.
    pub(crate) partitions: Option<Avro>,
    key: Option<Avro>,
}

impl ManifestFile {
    /// One of files that were added now.
    pub(crate) fn added(
        (path, length): (&str, usize),
        (snapshot_id, sequence_number): (i64, i64),
        Files { content, spec, files }: Files<'_>,
    ) -> ManifestFile {
        let rows = files.iter().map(|file| file.rows).sum::<u64>();
        ManifestFile {
            path: path.to_owned(),
            length: length as i64,
            spec_id: spec.id,
            content: content.of_manifest().0,
            sequence_number,
            min_sequence_number: sequence_number,
            snapshot_id,
            counts: [files.len() as i64, 0, 0, rows as i64, 0, 0],
            partitions: Some(summaries(spec, files)),
            key: None,
        }
    }
}

/// What is said of each partition field over all files: by it, manifests are passed over.
fn summaries(spec: &PartitionSpec, files: &[DataFile]) -> Avro {
    let summary = |at: usize| {
        let values = || files.iter().map(|file| file.partition.get(at).and_then(Option::as_ref));
        let mut bounds = None;
        values().flatten().for_each(|value| value.widen(&mut bounds));
        let is_nan = values().flatten().any(Value::is_nan);
        let bound = |value: &Value| Avro::Bytes(value.to_bytes());
        record(vec![
            ("contains_null", Avro::Boolean(values().any(|value| value.is_none()))),
            ("contains_nan", some(Some(Avro::Boolean(is_nan)))),
            ("lower_bound", some(bounds.map(|(least, _)| bound(least)))),
            ("upper_bound", some(bounds.map(|(_, most)| bound(most)))),
        ])
    };
    Avro::Array((0..spec.fields.len()).map(summary).collect())
}

const COUNTS: [(i32, &str); 6] = [
    (504, "added_files_count"),
    (505, "existing_files_count"),
    (506, "deleted_files_count"),
    (512, "added_rows_count"),
    (513, "existing_rows_count"),
    (514, "deleted_rows_count"),
];

/// A list of manifests.
pub(crate) fn write_list(
    manifests: &[ManifestFile],
    about: &BTreeMap<&str, String>,
) -> Result<Vec<u8>, ManifestError> {
    let entry = |of: &ManifestFile| {
        let mut fields = vec![
            ("manifest_path", Avro::String(of.path.clone())),
            ("manifest_length", Avro::Long(of.length)),
            ("partition_spec_id", Avro::Int(of.spec_id)),
            ("content", Avro::Int(of.content)),
            ("sequence_number", Avro::Long(of.sequence_number)),
            ("min_sequence_number", Avro::Long(of.min_sequence_number)),
            ("added_snapshot_id", Avro::Long(of.snapshot_id)),
        ];
        for (at, (_, name)) in COUNTS.iter().enumerate() {
            let count = of.counts[at];
            // Those of files are of 32 bits.
            let is_files = at < 3;
            let value = if is_files {
                Avro::Int(count.clamp(0, i32::MAX.into()) as i32)
            } else {
                Avro::Long(count)
            };
            fields.push((*name, value));
        }
        fields.push(("partitions", some(of.partitions.clone())));
        fields.push(("key_metadata", some(of.key.clone())));
        record(fields)
    };
    Ok(avro::write(&list_schema(), about, manifests.iter().map(entry))?)
}

fn list_schema() -> Json {
    let summary = json!({"type": "record", "name": "r508", "fields": [
        field(509, "contains_null", "boolean"),
        optional(518, "contains_nan", "boolean"),
        optional(510, "lower_bound", "bytes"),
        optional(511, "upper_bound", "bytes"),
    ]});
    let mut fields = vec![
        field(500, "manifest_path", "string"),
        field(501, "manifest_length", "long"),
        field(502, "partition_spec_id", "int"),
        field(517, "content", "int"),
        field(515, "sequence_number", "long"),
        field(516, "min_sequence_number", "long"),
        field(503, "added_snapshot_id", "long"),
    ];
    for (at, (id, name)) in COUNTS.iter().enumerate() {
        fields.push(field(*id, name, if at < 3 { "int" } else { "long" }));
    }
    fields.push(optional(
        507,
        "partitions",
        json!({"type": "array", "items": summary, "element-id": 508}),
    ));
    fields.push(optional(519, "key_metadata", "bytes"));
    json!({"type": "record", "name": "manifest_file", "fields": fields})
}

/// Reads a list of manifests, of this version or of the one before, in which some fields are not.
pub(crate) fn read_list(bytes: &[u8]) -> Result<Vec<ManifestFile>, ManifestError> {
    let records = avro::read(bytes)?;
    if MANIFESTS_MAX < records.len() {
        return Err(ManifestError::TooMany);
    }
    records.into_iter().map(manifest_file).collect()
}

fn manifest_file(mut fields: BTreeMap<i32, Avro>) -> Result<ManifestFile, ManifestError> {
    let number = |id: i32| match fields.get(&id) {
        Some(Avro::Int(number)) => Some(i64::from(*number)),
        Some(Avro::Long(number)) => Some(*number),
        _ => None,
    };
    let needed = |id: i32| number(id).ok_or(ManifestError::Missing(id));
    let Some(Avro::String(path)) = fields.get(&500) else {
        return Err(ManifestError::Missing(500));
    };
    let int = |number: i64, id: i32| i32::try_from(number).map_err(|_| ManifestError::Missing(id));
    let counts = COUNTS.map(|(id, _)| number(id).unwrap_or(0));
    let mut manifest = ManifestFile {
        path: path.clone(),
        length: needed(501)?,
        spec_id: int(needed(502)?, 502)?,
        content: int(number(517).unwrap_or(0), 517)?,
        sequence_number: number(515).unwrap_or(0),
        min_sequence_number: number(516).unwrap_or(0),
        snapshot_id: needed(503)?,
        counts,
        partitions: None,
        key: None,
    };
    manifest.partitions = fields.remove(&507).map(with_nan);
    manifest.key = fields.remove(&519);
    Ok(manifest)
}

/// What older writers say of partitions has no word on numbers that are none.
fn with_nan(summaries: Avro) -> Avro {
    let Avro::Array(summaries) = summaries else { return summaries };
    let complete = |summary| {
        let Avro::Record(mut fields) = summary else { return summary };
        let place = |(name, _): &(String, Avro)| match name.as_str() {
            "contains_null" => 0,
            "contains_nan" => 1,
            "lower_bound" => 2,
            _ => 3,
        };
        if fields.iter().all(|(name, _)| name != "contains_nan") {
            fields.push(("contains_nan".to_owned(), some(None)));
        }
        fields.sort_by_key(place);
        Avro::Record(fields)
    };
    Avro::Array(summaries.into_iter().map(complete).collect())
}

fn long(number: u64) -> Avro {
    Avro::Long(i64::try_from(number).unwrap_or(i64::MAX))
}
