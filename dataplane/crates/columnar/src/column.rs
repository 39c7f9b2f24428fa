//! Values in columns, as they grow.
//!
//! A column can be cut back to a row it had before, so that a record which turns out not to fit leaves
//! nothing behind. It has room for any number of rows; who fills it takes them out in time.

use std::sync::Arc;

use arrow_array::builder::BooleanBufferBuilder;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray,
    Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, ListArray, MapArray,
    StringArray, StructArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow_buffer::{Buffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field};
use iceberg_table::Value;

use crate::dialect::Dialect;
use crate::fields::Fields;
use crate::hive_type::HiveType;
use crate::json::Scalar;

/// A column of any type.
pub(crate) struct Column {
    pub(crate) type_: HiveType,
    arrow: DataType,
    /// Whether a null does not fit.
    pub(crate) is_required: bool,
    /// How many values one row takes.
    pub(crate) width: usize,
    pub(crate) values: Values,
    pub(crate) nulls: NullBufferBuilder,
}

/// Where there is a null, plain values have a zero and nested ones no parts.
pub(crate) enum Values {
    Boolean(BooleanBufferBuilder),
    TinyInt(Vec<i8>),
    SmallInt(Vec<i16>),
    /// Dates are days since 1970.
    IntOrDate(Vec<i32>),
    BigInt(Vec<i64>),
    /// Microseconds since 1970, or since midnight.
    Micros(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    /// In units of `10^-scale`.
    Decimal(Vec<i128>),
    Bytes(Spans, Vec<u8>),
    /// One behind the other, of so many bytes each.
    Fixed(Vec<u8>, usize),
    Array(Spans, Box<Column>),
    /// Keys and values.
    Map(Spans, Box<(Column, Column)>),
    Struct(Box<Fields>),
}

/// Where the parts of each row end. Starts with a zero.
pub(crate) struct Spans(Vec<i32>);

impl Spans {
    fn new() -> Spans {
        Spans(vec![0])
    }

    /// Ends a row.
    pub(crate) fn push(&mut self, end: usize) {
        let end = i32::try_from(end).expect("a batch is far smaller than 2 GiB");
        self.0.push(end);
    }

    fn end(&self, rows: usize) -> usize {
        self.0[rows] as usize
    }

    fn truncate(&mut self, rows: usize) {
        self.0.truncate(rows + 1);
    }

    fn finish(&mut self) -> OffsetBuffer<i32> {
        let mut next = Vec::with_capacity(self.0.len());
        next.push(0);
        OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(&mut self.0, next)))
    }
}

impl Column {
    /// `field` says how arrow has values of the type, and what the parts of nested ones are.
    pub(crate) fn new(type_: &HiveType, field: &Field, dialect: &Dialect) -> Column {
        let values = match (type_, field.data_type()) {
            (HiveType::Boolean, _) => Values::Boolean(BooleanBufferBuilder::new(0)),
            (HiveType::TinyInt, _) => Values::TinyInt(Vec::new()),
            (HiveType::SmallInt, _) => Values::SmallInt(Vec::new()),
            (HiveType::Int | HiveType::Date, _) => Values::IntOrDate(Vec::new()),
            (HiveType::BigInt, _) => Values::BigInt(Vec::new()),
            (HiveType::Timestamp | HiveType::TimestampTz | HiveType::Time, _) => {
                Values::Micros(Vec::new())
            }
            (HiveType::Float, _) => Values::Float(Vec::new()),
            (HiveType::Double, _) => Values::Double(Vec::new()),
            (HiveType::Decimal { .. }, _) => Values::Decimal(Vec::new()),
            (HiveType::Uuid, _) => Values::Fixed(Vec::new(), 16),
            (HiveType::Fixed(bytes), _) => Values::Fixed(Vec::new(), *bytes as usize),
            (HiveType::Array(type_), DataType::List(element)) => {
                Values::Array(Spans::new(), Box::new(Column::new(type_, element, dialect)))
            }
            (HiveType::Map(key, value), DataType::Map(entries, _)) => {
                let DataType::Struct(parts) = entries.data_type() else { unreachable!() };
                let part = |type_, at: usize| Column::new(type_, &parts[at], dialect);
                Values::Map(Spans::new(), Box::new((part(key, 0), part(value, 1))))
            }
            (HiveType::Struct(fields), DataType::Struct(parts)) => {
                Values::Struct(Box::new(Fields::new(fields, parts, dialect)))
            }
            _ => Values::Bytes(Spans::new(), Vec::new()),
        };
        Column {
            type_: type_.clone(),
            arrow: field.data_type().clone(),
            is_required: !field.is_nullable(),
            width: type_.leaf_count(),
            values,
            nulls: NullBufferBuilder::new(0),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.nulls.len()
    }

    /// Adds a plain value. False, and nothing is added, if it does not fit.
    pub(crate) fn push(&mut self, scalar: Scalar<'_>, dialect: &Dialect) -> bool {
        if scalar == Scalar::Null {
            self.push_null();
            return true;
        }
        let pushed = self.push_value(scalar, dialect);
        if pushed.is_some() {
            self.nulls.append_non_null();
        }
        pushed.is_some()
    }

    #[inline]
    fn push_value(&mut self, scalar: Scalar<'_>, dialect: &Dialect) -> Option<()> {
        match (&mut self.values, &self.type_) {
            (Values::Boolean(values), _) => values.append(dialect.boolean(scalar)?),
            (Values::TinyInt(values), _) => values.push(dialect.integer(scalar)?),
            (Values::SmallInt(values), _) => values.push(dialect.integer(scalar)?),
            (Values::IntOrDate(values), HiveType::Date) => values.push(dialect.date(scalar)?),
            (Values::IntOrDate(values), _) => values.push(dialect.integer(scalar)?),
            (Values::BigInt(values), _) => values.push(dialect.integer(scalar)?),
            (Values::Micros(values), HiveType::Time) => values.push(dialect.time(scalar)?),
            (Values::Micros(values), _) => values.push(dialect.timestamp(scalar)?),
            (Values::Fixed(bytes, _), HiveType::Uuid) => {
                bytes.extend_from_slice(&dialect.uuid(scalar)?);
            }
            (Values::Fixed(bytes, length), _) => {
                let value = dialect.binary(scalar)?;
                (value.len() == *length).then(|| bytes.extend_from_slice(&value))?;
            }
            (Values::Float(values), _) => values.push(dialect.float(scalar)?),
            (Values::Double(values), _) => values.push(dialect.double(scalar)?),
            (Values::Decimal(values), HiveType::Decimal { precision, scale }) => {
                values.push(dialect.decimal(scalar, *precision, *scale)?);
            }
            (Values::Bytes(spans, bytes), HiveType::Binary) => {
                bytes.extend_from_slice(&dialect.binary(scalar)?);
                spans.push(bytes.len());
            }
            (Values::Bytes(spans, bytes), type_) => {
                let value = match type_ {
                    HiveType::Varchar(most) => first_characters(dialect.string(scalar)?, *most),
                    // Padding counts for nothing in comparisons, and Parquet stores none.
                    HiveType::Char(most) => {
                        first_characters(dialect.string(scalar)?, *most).trim_ascii_end()
                    }
                    _ => dialect.string(scalar)?.as_bytes(),
                };
                bytes.extend_from_slice(value);
                spans.push(bytes.len());
            }
            _ => return None,
        }
        Some(())
    }

    /// Completes a row of a nested type, whose parts are there.
    pub(crate) fn push_nested(&mut self) {
        match &mut self.values {
            Values::Array(spans, element) => spans.push(element.len()),
            Values::Map(spans, entry) => spans.push(entry.0.len()),
            _ => {}
        }
        self.nulls.append_non_null();
    }

    pub(crate) fn push_null(&mut self) {
        match &mut self.values {
            Values::Boolean(values) => values.append(false),
            Values::TinyInt(values) => values.push(0),
            Values::SmallInt(values) => values.push(0),
            Values::IntOrDate(values) => values.push(0),
            Values::BigInt(values) | Values::Micros(values) => values.push(0),
            Values::Float(values) => values.push(0.0),
            Values::Double(values) => values.push(0.0),
            Values::Decimal(values) => values.push(0),
            Values::Bytes(spans, bytes) => spans.push(bytes.len()),
            Values::Fixed(bytes, length) => bytes.resize(bytes.len() + *length, 0),
            Values::Array(spans, element) => spans.push(element.len()),
            Values::Map(spans, entry) => spans.push(entry.0.len()),
            Values::Struct(fields) => fields.columns.iter_mut().for_each(Column::push_null),
        }
        self.nulls.append_null();
    }

    /// Cuts back to `rows`, which it has. Behind them there may be parts without a row.
    pub(crate) fn truncate(&mut self, rows: usize) {
        match &mut self.values {
            Values::Boolean(values) => values.truncate(rows),
            Values::TinyInt(values) => values.truncate(rows),
            Values::SmallInt(values) => values.truncate(rows),
            Values::IntOrDate(values) => values.truncate(rows),
            Values::BigInt(values) | Values::Micros(values) => values.truncate(rows),
            Values::Float(values) => values.truncate(rows),
            Values::Double(values) => values.truncate(rows),
            Values::Decimal(values) => values.truncate(rows),
            Values::Bytes(spans, bytes) => {
                spans.truncate(rows);
                bytes.truncate(spans.end(rows));
            }
            Values::Fixed(bytes, length) => bytes.truncate(rows * *length),
            Values::Array(spans, element) => {
                spans.truncate(rows);
                element.truncate(spans.end(rows));
            }
            Values::Map(spans, entry) => {
                spans.truncate(rows);
                entry.0.truncate(spans.end(rows));
                entry.1.truncate(spans.end(rows));
            }
            Values::Struct(fields) => {
                fields.columns.iter_mut().for_each(|column| column.truncate(rows));
            }
        }
        self.nulls.truncate(rows);
    }

    /// The plain value of a row, or of the field that is this way below it, which is a way through structs.
    /// `None` for null.
    pub(crate) fn value(&self, row: usize, way: &[usize]) -> Option<Value> {
        if !self.nulls.is_valid(row) {
            return None;
        }
        Some(match (&self.values, &self.type_) {
            (Values::Struct(fields), _) => {
                let (first, rest) = way.split_first()?;
                return fields.columns.get(*first)?.value(row, rest);
            }
            (Values::Boolean(values), _) => Value::Boolean(values.get_bit(row)),
            (Values::IntOrDate(values), HiveType::Date) => Value::Date(values[row]),
            (Values::IntOrDate(values), _) => Value::Int(values[row]),
            (Values::BigInt(values), _) => Value::Long(values[row]),
            (Values::Micros(values), HiveType::Time) => Value::Time(values[row]),
            (Values::Micros(values), HiveType::TimestampTz) => Value::TimestampTz(values[row]),
            (Values::Micros(values), _) => Value::Timestamp(values[row]),
            (Values::Float(values), _) => Value::Float(values[row]),
            (Values::Double(values), _) => Value::Double(values[row]),
            (Values::Decimal(values), _) => Value::Decimal(values[row]),
            (Values::Bytes(spans, bytes), type_) => {
                let value = &bytes[spans.end(row)..spans.end(row + 1)];
                match type_ {
                    HiveType::Binary => Value::Binary(value.to_vec()),
                    _ => Value::String(String::from_utf8_lossy(value).into_owned()),
                }
            }
            (Values::Fixed(bytes, length), type_) => {
                let value = &bytes[row * length..(row + 1) * length];
                match (type_, <[u8; 16]>::try_from(value)) {
                    (HiveType::Uuid, Ok(value)) => Value::Uuid(value),
                    _ => Value::Fixed(value.to_vec()),
                }
            }
            // Tables have no such columns, or they are of many values.
            (Values::TinyInt(_) | Values::SmallInt(_) | Values::Array(..) | Values::Map(..), _) => {
                return None;
            }
        })
    }

    /// Takes all rows out.
    pub(crate) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let nulls = self.nulls.finish();
        Ok(match (&mut self.values, &self.arrow) {
            (Values::Boolean(values), _) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            (Values::TinyInt(values), _) => Arc::new(Int8Array::try_new(taken(values), nulls)?),
            (Values::SmallInt(values), _) => Arc::new(Int16Array::try_new(taken(values), nulls)?),
            (Values::IntOrDate(values), DataType::Date32) => {
                Arc::new(Date32Array::try_new(taken(values), nulls)?)
            }
            (Values::IntOrDate(values), _) => Arc::new(Int32Array::try_new(taken(values), nulls)?),
            (Values::BigInt(values), _) => Arc::new(Int64Array::try_new(taken(values), nulls)?),
            (Values::Micros(values), DataType::Time64(_)) => {
                Arc::new(Time64MicrosecondArray::try_new(taken(values), nulls)?)
            }
            (Values::Micros(values), DataType::Timestamp(_, zone)) => {
                let values = TimestampMicrosecondArray::try_new(taken(values), nulls)?;
                Arc::new(values.with_timezone_opt(zone.clone()))
            }
            (Values::Fixed(bytes, length), _) => {
                let next = Vec::with_capacity(bytes.len());
                let bytes = Buffer::from_vec(std::mem::replace(bytes, next));
                Arc::new(FixedSizeBinaryArray::try_new(*length as i32, bytes, nulls)?)
            }
            (Values::Float(values), _) => Arc::new(Float32Array::try_new(taken(values), nulls)?),
            (Values::Double(values), _) => Arc::new(Float64Array::try_new(taken(values), nulls)?),
            (Values::Decimal(values), arrow) => {
                let values = Decimal128Array::try_new(taken(values), nulls)?;
                Arc::new(values.with_data_type(arrow.clone()))
            }
            (Values::Bytes(spans, bytes), arrow) => {
                let next = Vec::with_capacity(bytes.len());
                let bytes = Buffer::from_vec(std::mem::replace(bytes, next));
                match arrow {
                    DataType::Binary => {
                        Arc::new(BinaryArray::try_new(spans.finish(), bytes, nulls)?)
                    }
                    _ => Arc::new(StringArray::try_new(spans.finish(), bytes, nulls)?),
                }
            }
            (Values::Array(spans, element), DataType::List(field)) => {
                let elements = element.finish()?;
                Arc::new(ListArray::try_new(field.clone(), spans.finish(), elements, nulls)?)
            }
            (Values::Map(spans, entry), DataType::Map(field, _)) => {
                let parts = vec![entry.0.finish()?, entry.1.finish()?];
                let DataType::Struct(fields) = field.data_type() else {
                    return Err(not_of_its_type());
                };
                let entries = StructArray::try_new(fields.clone(), parts, None)?;
                let spans = spans.finish();
                Arc::new(MapArray::try_new(field.clone(), spans, entries, nulls, false)?)
            }
            (Values::Struct(inner), DataType::Struct(fields)) => {
                let parts = inner.columns.iter_mut().map(Column::finish);
                let parts = parts.collect::<Result<Vec<_>, _>>()?;
                Arc::new(StructArray::try_new(fields.clone(), parts, nulls)?)
            }
            _ => return Err(not_of_its_type()),
        })
    }
}

fn not_of_its_type() -> ArrowError {
    ArrowError::SchemaError("a column that is not of its type".to_owned())
}

/// Takes the values out, and leaves room for as many.
fn taken<T: arrow_buffer::ArrowNativeType>(values: &mut Vec<T>) -> ScalarBuffer<T> {
    let next = Vec::with_capacity(values.len());
    ScalarBuffer::from(std::mem::replace(values, next))
}

fn first_characters(text: &str, most: u32) -> &[u8] {
    let most = most as usize;
    if text.len() <= most {
        return text.as_bytes();
    }
    let end = text.char_indices().nth(most).map_or(text.len(), |(end, _)| end);
    &text.as_bytes()[..end]
}
