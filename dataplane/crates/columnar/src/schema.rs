//! The columns of a file.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::extension::EXTENSION_TYPE_NAME_KEY;
use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit};
use iceberg_table::Type;
use operator_api::delivery_stream::Column;
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;

use crate::dialect::Dialect;
use crate::error::ConversionError;
use crate::hive_type::HiveType;

const COLUMNS_MAX: usize = 1000;
const NAME_BYTES_MAX: usize = 255;
/// The most columns of plain values, counting those of nested types. Each costs memory per file.
const LEAVES_MAX: usize = 10_000;

/// Columns that a file can have and records can be read into.
#[derive(Clone, Debug)]
pub(crate) struct FileSchema {
    pub(crate) columns: Vec<(String, HiveType)>,
    pub(crate) arrow: Arc<Schema>,
}

impl FileSchema {
    pub(crate) fn new(
        columns: &[Column],
        dialect: &Dialect,
    ) -> Result<FileSchema, ConversionError> {
        let typed = columns.iter().map(|column| {
            let type_ = HiveType::parse(&column.type_)
                .map_err(|error| ConversionError::column(&column.name, error.to_string()))?;
            Ok((column.name.clone(), type_))
        });
        FileSchema::of_columns(typed.collect::<Result<_, ConversionError>>()?, dialect)
    }

    /// The columns that a table describes, in files that know nothing of it: as AWS Glue shows tables of
    /// Iceberg.
    pub(crate) fn as_described(
        table: &iceberg_table::Schema,
        dialect: &Dialect,
    ) -> Result<FileSchema, ConversionError> {
        let columns = named_types(&table.fields).into_iter();
        let columns = columns.map(|(name, type_)| (name, type_.in_hive())).collect();
        FileSchema::of_columns(columns, dialect)
    }

    fn of_columns(
        columns: Vec<(String, HiveType)>,
        dialect: &Dialect,
    ) -> Result<FileSchema, ConversionError> {
        let is_named = |name: &str| (1..=NAME_BYTES_MAX).contains(&name.len());
        if let Some((name, _)) = columns.iter().find(|(name, _)| !is_named(name)) {
            let what = format!("a name takes 1 to {NAME_BYTES_MAX} bytes");
            return Err(ConversionError::column(name, what));
        }
        check_columns(&columns, dialect)?;
        let fields = columns.iter().map(|(name, type_)| Field::new(name, arrow_type(type_), true));
        let arrow = Arc::new(Schema::new(fields.collect::<Fields>()));
        Ok(FileSchema { columns, arrow })
    }

    /// The columns of a table, in files that know them by their ids.
    pub(crate) fn of_table(
        table: &iceberg_table::Schema,
        dialect: &Dialect,
    ) -> Result<FileSchema, ConversionError> {
        let columns = named_types(&table.fields);
        check_columns(&columns, dialect)?;
        let arrow = Arc::new(Schema::new(table_fields(&table.fields)));
        Ok(FileSchema { columns, arrow })
    }
}

fn check_columns(columns: &[(String, HiveType)], dialect: &Dialect) -> Result<(), ConversionError> {
    let refuse = |what: String| Err(ConversionError::new("schema.columns", what));
    if columns.is_empty() {
        return refuse("no columns".to_owned());
    }
    if COLUMNS_MAX < columns.len() {
        return refuse(format!("more than {COLUMNS_MAX} columns"));
    }
    let leaf_count = columns.iter().map(|(_, type_)| type_.leaf_count()).sum::<usize>();
    if LEAVES_MAX < leaf_count {
        return refuse(format!("more than {LEAVES_MAX} columns, counting nested ones"));
    }
    check_names(columns, dialect, None)
}

fn named_types(fields: &[iceberg_table::Field]) -> Vec<(String, HiveType)> {
    fields.iter().map(|field| (field.name.clone(), table_type(&field.type_))).collect()
}

fn table_type(type_: &Type) -> HiveType {
    match type_ {
        Type::Boolean => HiveType::Boolean,
        Type::Int => HiveType::Int,
        Type::Long => HiveType::BigInt,
        Type::Float => HiveType::Float,
        Type::Double => HiveType::Double,
        Type::Decimal { precision, scale } => {
            HiveType::Decimal { precision: *precision, scale: *scale }
        }
        Type::Date => HiveType::Date,
        Type::Time => HiveType::Time,
        Type::Timestamp => HiveType::Timestamp,
        Type::TimestampTz => HiveType::TimestampTz,
        Type::String => HiveType::String,
        Type::Uuid => HiveType::Uuid,
        Type::Fixed(length) => HiveType::Fixed(*length),
        Type::Binary => HiveType::Binary,
        Type::Struct(fields) => HiveType::Struct(named_types(fields)),
        Type::List(element) => HiveType::Array(Box::new(table_type(&element.type_))),
        Type::Map(entry) => {
            let (key, value) = (table_type(&entry.0.type_), table_type(&entry.1.type_));
            HiveType::Map(Box::new(key), Box::new(value))
        }
    }
}

fn table_fields(fields: &[iceberg_table::Field]) -> Fields {
    fields.iter().map(|field| Arc::new(table_field(field))).collect()
}

/// With its id, and whether there may be nulls.
fn table_field(field: &iceberg_table::Field) -> Field {
    let type_ = match &field.type_ {
        Type::Struct(fields) => DataType::Struct(table_fields(fields)),
        Type::List(element) => DataType::List(Arc::new(table_field(element))),
        Type::Map(entry) => {
            let parts = Fields::from(vec![table_field(&entry.0), table_field(&entry.1)]);
            map_of(parts)
        }
        plain => arrow_type(&table_type(plain)),
    };
    let id = (PARQUET_FIELD_ID_META_KEY.to_owned(), field.id.to_string());
    let uuid = (EXTENSION_TYPE_NAME_KEY.to_owned(), "arrow.uuid".to_owned());
    let is_uuid = field.type_ == Type::Uuid;
    let about = [Some(id), is_uuid.then_some(uuid)].into_iter().flatten().collect();
    Field::new(&field.name, type_, !field.is_required).with_metadata(about)
}

/// Each name and each key belongs to one column, or to one field of a struct.
fn check_names(
    fields: &[(String, HiveType)],
    dialect: &Dialect,
    outer: Option<&str>,
) -> Result<(), ConversionError> {
    let mut names = HashMap::new();
    let mut keys = HashMap::new();
    for (name, type_) in fields {
        let column = outer.unwrap_or(name);
        let of = if outer.is_some() { format!("field {name} ") } else { String::new() };
        if names.insert(name.to_lowercase(), ()).is_some() {
            return Err(ConversionError::column(column, format!("{of}is named twice")));
        }
        if let Some(other) = keys.insert(dialect.key_of(name), name) {
            let what = format!("{of}has the JSON key of {other}");
            return Err(ConversionError::column(column, what));
        }
        check_inner_names(type_, dialect, column)?;
    }
    Ok(())
}

fn check_inner_names(
    type_: &HiveType,
    dialect: &Dialect,
    column: &str,
) -> Result<(), ConversionError> {
    match type_ {
        HiveType::Array(inner) | HiveType::Map(_, inner) => {
            check_inner_names(inner, dialect, column)
        }
        HiveType::Struct(fields) => check_names(fields, dialect, Some(column)),
        _ => Ok(()),
    }
}

/// The names inside arrays and maps are those that the Parquet format has for them.
pub(crate) fn arrow_type(type_: &HiveType) -> DataType {
    match type_ {
        HiveType::Boolean => DataType::Boolean,
        HiveType::TinyInt => DataType::Int8,
        HiveType::SmallInt => DataType::Int16,
        HiveType::Int => DataType::Int32,
        HiveType::BigInt => DataType::Int64,
        HiveType::Float => DataType::Float32,
        HiveType::Double => DataType::Float64,
        HiveType::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale as i8),
        HiveType::String | HiveType::Varchar(_) | HiveType::Char(_) => DataType::Utf8,
        HiveType::Binary => DataType::Binary,
        HiveType::Date => DataType::Date32,
        HiveType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        HiveType::Array(element) => {
            DataType::List(Arc::new(Field::new("element", arrow_type(element), true)))
        }
        HiveType::Map(key, value) => {
            let entry = Fields::from(vec![
                Field::new("key", arrow_type(key), false),
                Field::new("value", arrow_type(value), true),
            ]);
            map_of(entry)
        }
        HiveType::Struct(fields) => {
            let fields = fields
                .iter()
                .map(|(name, type_)| Arc::new(Field::new(name, arrow_type(type_), true)));
            DataType::Struct(fields.collect())
        }
        HiveType::Time => DataType::Time64(TimeUnit::Microsecond),
        HiveType::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        HiveType::Uuid => DataType::FixedSizeBinary(16),
        HiveType::Fixed(length) => DataType::FixedSizeBinary(*length as i32),
    }
}

fn map_of(entry: Fields) -> DataType {
    let entries = Field::new("key_value", DataType::Struct(entry), false);
    DataType::Map(Arc::new(entries), false)
}
