//! The columns of a file.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit};
use operator_api::delivery_stream::Column;

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
        let refuse = |what: String| Err(ConversionError::new("schema.columns", what));
        if columns.is_empty() {
            return refuse("no columns".to_owned());
        }
        if COLUMNS_MAX < columns.len() {
            return refuse(format!("more than {COLUMNS_MAX} columns"));
        }
        let typed = columns.iter().map(|column| {
            if column.name.is_empty() || NAME_BYTES_MAX < column.name.len() {
                let what = format!("a name takes 1 to {NAME_BYTES_MAX} bytes");
                return Err(ConversionError::column(&column.name, what));
            }
            let type_ = HiveType::parse(&column.type_)
                .map_err(|error| ConversionError::column(&column.name, error.to_string()))?;
            Ok((column.name.clone(), type_))
        });
        let columns = typed.collect::<Result<Vec<_>, ConversionError>>()?;
        let leaf_count = columns.iter().map(|(_, type_)| type_.leaf_count()).sum::<usize>();
        if LEAVES_MAX < leaf_count {
            return refuse(format!("more than {LEAVES_MAX} columns, counting nested ones"));
        }
        check_names(&columns, dialect, None)?;
        let fields = columns.iter().map(|(name, type_)| Field::new(name, arrow_type(type_), true));
        let arrow = Arc::new(Schema::new(fields.collect::<Fields>()));
        Ok(FileSchema { columns, arrow })
    }
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
            let entries = Field::new("key_value", DataType::Struct(entry), false);
            DataType::Map(Arc::new(entries), false)
        }
        HiveType::Struct(fields) => {
            let fields = fields
                .iter()
                .map(|(name, type_)| Arc::new(Field::new(name, arrow_type(type_), true)));
            DataType::Struct(fields.collect())
        }
    }
}
