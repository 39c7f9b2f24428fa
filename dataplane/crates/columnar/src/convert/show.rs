//! Rows as text, from files read back by readers that are not ours.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, TimeUnit};

/// Each row as in `a=1 b=null`.
pub(super) fn rows(batches: &[RecordBatch]) -> Vec<String> {
    let shown = batches.iter().flat_map(|batch| {
        (0..batch.num_rows()).map(|row| {
            let schema = batch.schema();
            let fields = schema.fields().iter().zip(batch.columns());
            let shown = fields.map(|(field, column)| {
                assert_eq!(field.data_type(), column.data_type());
                format!("{}={}", field.name(), value(column, row))
            });
            shown.collect::<Vec<_>>().join(" ")
        })
    });
    shown.collect()
}

fn value(array: &dyn Array, row: usize) -> String {
    if array.is_null(row) {
        return "null".to_owned();
    }
    match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Int8 => array.as_primitive::<Int8Type>().value(row).to_string(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(row).to_string(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float32 => format!("{:?}", array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => format!("{:?}", array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(..) => array.as_primitive::<Decimal128Type>().value_as_string(row),
        DataType::Utf8 => format!("{:?}", array.as_string::<i32>().value(row)),
        DataType::Binary => format!("{:02x?}", array.as_binary::<i32>().value(row)),
        DataType::Date32 => {
            let days = array.as_primitive::<Date32Type>().value(row);
            (jiff::civil::date(1970, 1, 1) + jiff::Span::new().days(days)).to_string()
        }
        DataType::Timestamp(TimeUnit::Microsecond, None) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            let start = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0);
            (start + jiff::Span::new().microseconds(micros)).to_string()
        }
        DataType::List(_) => {
            let elements = array.as_list::<i32>().value(row);
            let shown = (0..elements.len()).map(|index| value(&elements, index));
            format!("[{}]", shown.collect::<Vec<_>>().join(", "))
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let shown = (0..entries.len()).map(|index| {
                format!("{}: {}", value(entries.column(0), index), value(entries.column(1), index))
            });
            format!("{{{}}}", shown.collect::<Vec<_>>().join(", "))
        }
        DataType::Struct(fields) => {
            let parts = fields.iter().zip(array.as_struct().columns());
            let shown = parts.map(|(field, part)| format!("{}={}", field.name(), value(part, row)));
            format!("({})", shown.collect::<Vec<_>>().join(" "))
        }
        other => panic!("{other} is no type of ours"),
    }
}
