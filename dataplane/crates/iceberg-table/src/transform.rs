//! How rows are parted: a partition is what transforms make of some of their values.

use serde_json::{Value as Json, json};

use crate::schema::{Schema, Type};
use crate::value::{Value, shortest};

const MICROS_PER_HOUR: i64 = 3_600_000_000;
const MICROS_PER_DAY: i64 = 24 * MICROS_PER_HOUR;
/// Fields that rows are parted by.
const FIELDS_MAX: usize = 100;

/// What rows of a table are parted by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionSpec {
    /// What tells it from the table's other specs.
    pub id: i32,
    /// By each of these.
    pub fields: Vec<PartitionField>,
    /// As it was written, for those who keep it beside their files.
    pub json: Json,
}

/// One thing that rows are parted by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionField {
    /// What tells it from all others of the table.
    pub id: i32,
    /// Its name.
    pub name: String,
    /// The column it is made of.
    pub source_id: i32,
    /// How.
    pub transform: Transform,
    /// What that makes.
    pub type_: Type,
}

/// What is made of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transform {
    /// The value.
    Identity,
    /// Its hash, modulo so many.
    Bucket(u32),
    /// So many of its first characters or bytes, or the multiple below it.
    Truncate(u32),
    /// Years since 1970.
    Year,
    /// Months since 1970.
    Month,
    /// Days since 1970.
    Day,
    /// Hours since 1970.
    Hour,
    /// Null.
    Void,
}

impl PartitionSpec {
    /// Reads one of a table with this schema.
    ///
    /// # Errors
    /// Rows cannot be parted by it, and why.
    pub fn parse(json: &Json, schema: &Schema) -> Result<PartitionSpec, String> {
        let number = |of: &Json, name: &str| {
            let number = of.get(name).and_then(Json::as_i64);
            let number = number.and_then(|number| i32::try_from(number).ok());
            number.ok_or_else(|| format!("a partition spec has no {name}"))
        };
        let id = number(json, "spec-id")?;
        let fields = json.get("fields").and_then(Json::as_array);
        let fields = fields.ok_or("a partition spec has no fields")?;
        if FIELDS_MAX < fields.len() {
            return Err(format!("it is partitioned by more than {FIELDS_MAX} fields"));
        }
        let field = |field: &Json| {
            let text = |name| field.get(name).and_then(Json::as_str).unwrap_or_default();
            let (name, text) = (text("name"), text("transform"));
            let transform = Transform::parse(text).ok_or_else(|| {
                format!("partition field {name} has the transform {text}, which this version does not know")
            })?;
            let source_id = number(field, "source-id")?;
            let id = number(field, "field-id")?;
            let (source, _) = schema.find(source_id).ok_or_else(|| {
                format!("partition field {name} is made of no plain column of the table")
            })?;
            let type_ = transform.makes(&source.type_).ok_or_else(|| {
                let (column, type_) = (&source.name, source.type_.name());
                format!(
                    "partition field {name}: {text} of column {column} of type {type_} is nothing"
                )
            })?;
            let name = name.to_owned();
            Ok::<_, String>(PartitionField { id, name, source_id, transform, type_ })
        };
        let parsed = fields.iter().map(field).collect::<Result<_, _>>()?;
        Ok(PartitionSpec { id, fields: parsed, json: Json::Array(fields.clone()) })
    }

    /// The spec of a new table: by the values of these columns. `None` when one is not there.
    #[must_use]
    pub fn identities(schema: &Schema, columns: &[String]) -> Option<Json> {
        let field = |(at, name): (usize, &String)| {
            let column = schema.fields.iter().find(|field| field.name == *name)?;
            let (source, id) = (column.id, 1000 + at);
            Some(
                json!({"source-id": source, "field-id": id, "name": name, "transform": "identity"}),
            )
        };
        let fields = columns.iter().enumerate().map(field).collect::<Option<Vec<_>>>()?;
        Some(json!({"spec-id": 0, "fields": fields}))
    }
}

impl Transform {
    fn parse(text: &str) -> Option<Transform> {
        let measure = |name: &str| {
            let number = text.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']')?;
            number.parse().ok().filter(|number| (1..=i32::MAX as u32).contains(number))
        };
        Some(match text {
            "identity" => Transform::Identity,
            "year" => Transform::Year,
            "month" => Transform::Month,
            "day" => Transform::Day,
            "hour" => Transform::Hour,
            "void" => Transform::Void,
            _ => match (measure("bucket"), measure("truncate")) {
                (Some(count), _) => Transform::Bucket(count),
                (_, Some(width)) => Transform::Truncate(width),
                _ => return None,
            },
        })
    }

    /// The type of what it makes of values of that type; `None` when it makes nothing of them.
    fn makes(self, of: &Type) -> Option<Type> {
        let is_nested = matches!(of, Type::Struct(_) | Type::List(_) | Type::Map(_));
        let is_time = matches!(of, Type::Timestamp | Type::TimestampTz);
        match self {
            Transform::Identity | Transform::Void => (!is_nested).then(|| of.clone()),
            Transform::Year | Transform::Month if is_time || *of == Type::Date => Some(Type::Int),
            Transform::Day if is_time || *of == Type::Date => Some(Type::Date),
            Transform::Hour if is_time => Some(Type::Int),
            Transform::Bucket(_) => {
                let is_hashed =
                    !is_nested && !matches!(of, Type::Boolean | Type::Float | Type::Double);
                is_hashed.then_some(Type::Int)
            }
            Transform::Truncate(_) => {
                let is_cut = matches!(
                    of,
                    Type::Int | Type::Long | Type::Decimal { .. } | Type::String | Type::Binary
                );
                is_cut.then(|| of.clone())
            }
            _ => None,
        }
    }

    /// What it makes of a value. Null becomes null, and so does what it makes nothing of.
    #[must_use]
    pub fn apply(self, value: Option<Value>) -> Option<Value> {
        let value = value?;
        match self {
            Transform::Identity => Some(value),
            Transform::Void => None,
            Transform::Bucket(count) => {
                let hash = i64::from(hash(&value)? & i32::MAX);
                Some(Value::Int((hash % i64::from(count)) as i32))
            }
            Transform::Truncate(width) => truncate(value, width),
            Transform::Day => Some(Value::Date(day(&value)?)),
            Transform::Hour => match value {
                Value::Timestamp(micros) | Value::TimestampTz(micros) => {
                    i32::try_from(micros.div_euclid(MICROS_PER_HOUR)).ok().map(Value::Int)
                }
                _ => None,
            },
            Transform::Year => Some(Value::Int(month(day(&value)?).div_euclid(12))),
            Transform::Month => Some(Value::Int(month(day(&value)?))),
        }
    }
}

fn day(value: &Value) -> Option<i32> {
    match value {
        Value::Date(days) => Some(*days),
        Value::Timestamp(micros) | Value::TimestampTz(micros) => {
            i32::try_from(micros.div_euclid(MICROS_PER_DAY)).ok()
        }
        _ => None,
    }
}

/// Months since 1970 of a day since 1970, in the Gregorian calendar.
fn month(day: i32) -> i32 {
    // Days since March 1 of the year 0, in eras of 400 years.
    let days = i64::from(day) + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    // Counted from March.
    let month = (5 * of_year + 2) / 153;
    ((era * 400 + year - 1970) * 12 + month + 2) as i32
}

fn truncate(value: Value, width: u32) -> Option<Value> {
    let wide = i128::from(width);
    let below = |number: i128| number - number.rem_euclid(wide);
    Some(match value {
        // Below the least of its type it starts again at the top, as the arithmetic of others does.
        Value::Int(value) => Value::Int(below(value.into()) as i32),
        Value::Long(value) => Value::Long(below(value.into()) as i64),
        Value::Decimal(unscaled) => Value::Decimal(below(unscaled)),
        Value::String(mut text) => {
            let end = text.char_indices().nth(width as usize).map_or(text.len(), |(end, _)| end);
            text.truncate(end);
            Value::String(text)
        }
        Value::Binary(mut bytes) => {
            bytes.truncate(width as usize);
            Value::Binary(bytes)
        }
        _ => return None,
    })
}

/// Murmur3 of 32 bits, of the bytes that the specification says.
fn hash(value: &Value) -> Option<i32> {
    Some(match value {
        Value::Int(value) | Value::Date(value) => murmur3(&i64::from(*value).to_le_bytes()),
        Value::Long(value)
        | Value::Time(value)
        | Value::Timestamp(value)
        | Value::TimestampTz(value) => murmur3(&value.to_le_bytes()),
        Value::Decimal(unscaled) => murmur3(&shortest(*unscaled)),
        Value::String(text) => murmur3(text.as_bytes()),
        Value::Uuid(bytes) => murmur3(bytes),
        Value::Fixed(bytes) | Value::Binary(bytes) => murmur3(bytes),
        Value::Boolean(_) | Value::Float(_) | Value::Double(_) => return None,
    })
}

/// MurmurHash3_x86_32 with the seed 0.
fn murmur3(bytes: &[u8]) -> i32 {
    let scramble =
        |word: u32| word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let mut hash = 0_u32;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        hash ^= scramble(u32::from_le_bytes(*word));
        hash = hash.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    let tail = rest.iter().rev().fold(0, |tail, byte| (tail << 8) | u32::from(*byte));
    hash ^= scramble(tail);
    hash ^= bytes.len() as u32;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    (hash ^ (hash >> 16)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the specification's appendix B.
    #[test]
    fn hashes_are_those_of_the_specification() {
        let uuid = 0xf79c_3e09_677c_4bbd_a479_3f34_9cb7_85e7_u128.to_be_bytes();
        for (value, want) in [
            (Value::Int(34), 2_017_239_379),
            (Value::Long(34), 2_017_239_379),
            (Value::Decimal(1420), -500_754_589),
            (Value::Date(17_486), -653_330_422),
            (Value::Time(81_068_000_000), -662_762_989),
            (Value::Timestamp(1_510_871_468_000_000), -2_047_944_441),
            (Value::TimestampTz(1_510_871_468_000_000), -2_047_944_441),
            (Value::String("iceberg".to_owned()), 1_210_000_089),
            (Value::Uuid(uuid), 1_488_055_340),
            (Value::Fixed(vec![0, 1, 2, 3]), -188_683_207),
            (Value::Binary(vec![0, 1, 2, 3]), -188_683_207),
        ] {
            assert_eq!(hash(&value), Some(want), "{value:?}");
        }
        let bucket = Transform::Bucket(16).apply(Some(Value::Decimal(1420)));
        assert_eq!(bucket, Some(Value::Int((-500_754_589 & i32::MAX) % 16)));
    }

    #[test]
    fn times_are_counted_from_1970() {
        let moment = |micros| Some(Value::Timestamp(micros));
        // 2017-11-16T22:31:08.
        let micros = 1_510_871_468_000_000;
        for (transform, want, before_1970) in [
            (Transform::Year, Value::Int(47), Value::Int(-1)),
            (Transform::Month, Value::Int(574), Value::Int(-1)),
            (Transform::Day, Value::Date(17_486), Value::Date(-1)),
            (Transform::Hour, Value::Int(419_686), Value::Int(-1)),
        ] {
            assert_eq!(transform.apply(moment(micros)), Some(want));
            assert_eq!(transform.apply(moment(-1)), Some(before_1970));
            assert_eq!(transform.apply(None), None);
        }
        let months = |day| Transform::Month.apply(Some(Value::Date(day)));
        for (day, want) in
            [(0, 0), (30, 0), (31, 1), (58, 1), (59, 2), (-719_162, -23_628), (789, 25), (790, 26)]
        {
            assert_eq!(months(day), Some(Value::Int(want)), "{day}");
        }
    }

    #[test]
    fn truncation_goes_down() {
        let truncate = |width, value| Transform::Truncate(width).apply(Some(value)).unwrap();
        assert_eq!(truncate(10, Value::Int(1)), Value::Int(0));
        assert_eq!(truncate(10, Value::Int(-1)), Value::Int(-10));
        assert_eq!(truncate(10, Value::Long(i64::MIN)), Value::Long(i64::MIN.wrapping_sub(2)));
        assert_eq!(truncate(50, Value::Decimal(1065)), Value::Decimal(1050));
        assert_eq!(truncate(3, Value::String("größe".into())), Value::String("grö".into()));
        assert_eq!(truncate(9, Value::String("größe".into())), Value::String("größe".into()));
        assert_eq!(truncate(2, Value::Binary(vec![1, 2, 3])), Value::Binary(vec![1, 2]));
    }

    #[test]
    fn specs_are_refused_by_the_name_of_what_is_wrong() {
        let text = r#"{"fields":[{"id":1,"name":"a","type":"double"},{"id":2,"name":"t","type":"timestamp"}]}"#;
        let schema = Schema::parse(serde_json::from_str(text).unwrap()).unwrap();
        let check = |source: i32, transform: &str, want: &str| {
            let field =
                json!({"source-id": source, "field-id": 1000, "name": "p", "transform": transform});
            let spec = PartitionSpec::parse(&json!({"spec-id": 4, "fields": [field]}), &schema);
            let found =
                spec.map_or_else(|error| error, |spec| format!("{:?}", spec.fields[0].type_));
            assert_eq!(found, want);
        };
        check(2, "day", "Date");
        check(2, "bucket[8]", "Int");
        check(1, "identity", "Double");
        check(1, "bucket[8]", "partition field p: bucket[8] of column a of type double is nothing");
        check(
            2,
            "zorder",
            "partition field p has the transform zorder, which this version does not know",
        );
        check(
            2,
            "bucket[0]",
            "partition field p has the transform bucket[0], which this version does not know",
        );
        check(3, "identity", "partition field p is made of no plain column of the table");
    }
}
