//! The files about files, which are Avro: schemas with the numbers that the specification gives to fields.

use std::collections::BTreeMap;

use apache_avro::schema::RecordField;
use apache_avro::types::Value as Avro;
use apache_avro::{Codec, DeflateSettings, Reader, Schema as AvroSchema, Writer};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use crate::schema::Type;
use crate::value::Value;

/// A field that is always there.
pub(crate) fn field(id: i32, name: &str, type_: impl Into<Json>) -> Json {
    json!({"name": name, "type": type_.into(), "field-id": id})
}

/// A field that may be null.
pub(crate) fn optional(id: i32, name: &str, type_: impl Into<Json>) -> Json {
    json!({"name": name, "type": ["null", type_.into()], "default": null, "field-id": id})
}

/// A map whose keys are numbers, which Avro has as a list of records.
pub(crate) fn number_map([key, value]: [i32; 2], type_: &str) -> Json {
    let fields = [field(key, "key", "int"), field(value, "value", type_)];
    let entry = json!({"type": "record", "name": format!("k{key}_v{value}"), "fields": fields});
    json!({"type": "array", "logicalType": "map", "items": entry})
}

pub(crate) fn record(fields: Vec<(&str, Avro)>) -> Avro {
    Avro::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// A value of an optional field.
pub(crate) fn some(value: Option<Avro>) -> Avro {
    match value {
        None => Avro::Union(0, Box::new(Avro::Null)),
        Some(value) => Avro::Union(1, Box::new(value)),
    }
}

/// How Avro has values of a type.
pub(crate) fn type_of(type_: &Type) -> Json {
    match type_ {
        Type::Int => json!("int"),
        Type::Date => json!({"type": "int", "logicalType": "date"}),
        Type::Time => json!({"type": "long", "logicalType": "time-micros"}),
        Type::Timestamp | Type::TimestampTz => {
            let is_utc = *type_ == Type::TimestampTz;
            json!({"type": "long", "logicalType": "timestamp-micros", "adjust-to-utc": is_utc})
        }
        Type::Decimal { precision, scale } => json!({
            "type": "fixed",
            "name": format!("decimal_{precision}_{scale}"),
            "size": decimal_bytes(*precision),
            "logicalType": "decimal",
            "precision": precision,
            "scale": scale,
        }),
        Type::Uuid => {
            json!({"type": "fixed", "name": "uuid_fixed", "size": 16, "logicalType": "uuid"})
        }
        Type::Fixed(size) => {
            json!({"type": "fixed", "name": format!("fixed_{size}"), "size": size})
        }
        Type::Binary => json!("bytes"),
        // Nothing is parted by nested values.
        plain => Json::String(plain.name()),
    }
}

/// The least bytes that all numbers of so many digits fit in.
fn decimal_bytes(precision: u8) -> usize {
    let most = 10_i128.pow(u32::from(precision)) - 1;
    crate::value::shortest(most).len()
}

pub(crate) fn value_of(value: &Value) -> Avro {
    match value {
        Value::Boolean(value) => Avro::Boolean(*value),
        Value::Int(value) => Avro::Int(*value),
        Value::Long(value) => Avro::Long(*value),
        Value::Float(value) => Avro::Float(*value),
        Value::Double(value) => Avro::Double(*value),
        Value::Decimal(_) => Avro::Decimal(value.to_bytes().into()),
        Value::Date(days) => Avro::Date(*days),
        Value::Time(micros) => Avro::TimeMicros(*micros),
        Value::Timestamp(micros) | Value::TimestampTz(micros) => Avro::TimestampMicros(*micros),
        Value::String(text) => Avro::String(text.clone()),
        Value::Uuid(bytes) => Avro::Fixed(bytes.len(), bytes.to_vec()),
        Value::Fixed(bytes) => Avro::Fixed(bytes.len(), bytes.clone()),
        Value::Binary(bytes) => Avro::Bytes(bytes.clone()),
    }
}

/// A name as Avro allows it: what it does not allow is written by its number, as others do it.
pub(crate) fn name_of(name: &str) -> String {
    let mut sound = String::with_capacity(name.len());
    for (at, character) in name.chars().enumerate() {
        let is_sound = character == '_' || character.is_ascii_alphanumeric();
        match character {
            digit if at == 0 && digit.is_ascii_digit() => sound.extend(['_', digit]),
            character if is_sound => sound.push(character),
            other => sound.push_str(&format!("_x{:X}", u32::from(other))),
        }
    }
    sound
}

/// A file of these records.
pub(crate) fn write(
    schema: &Json,
    about: &BTreeMap<&str, String>,
    records: impl IntoIterator<Item = Avro>,
) -> Result<Vec<u8>, apache_avro::Error> {
    let parsed = AvroSchema::parse(schema)?;
    let (header, marker) = header(schema, about);
    let codec = Codec::Deflate(DeflateSettings::default());
    let mut writer = Writer::append_to_with_codec(&parsed, header, codec, marker)?;
    for record in records {
        writer.append_value(record)?;
    }
    writer.into_inner()
}

/// What a file starts with, and what its blocks end with. Written here, for the library would leave out what
/// it does not know in a schema, as that a list is a map.
fn header(schema: &Json, about: &BTreeMap<&str, String>) -> (Vec<u8>, [u8; 16]) {
    let schema = schema.to_string();
    let own = [("avro.codec", "deflate"), ("avro.schema", &schema)];
    let about = about.iter().map(|(name, value)| (*name, value.as_str()));
    let entries: Vec<(&str, &str)> = own.into_iter().chain(about).collect();
    let mut header = b"Obj\x01".to_vec();
    push_length(&mut header, entries.len());
    for (name, value) in entries {
        for text in [name, value] {
            push_length(&mut header, text.len());
            header.extend_from_slice(text.as_bytes());
        }
    }
    push_length(&mut header, 0);
    let mut marker = [0; 16];
    marker.copy_from_slice(&Sha256::digest(&header)[..16]);
    header.extend_from_slice(&marker);
    (header, marker)
}

/// A number as Avro has it: twice as large, seven bits in a byte.
fn push_length(to: &mut Vec<u8>, length: usize) {
    let mut left = 2 * length as u64;
    while 0x80 <= left {
        to.push(left as u8 | 0x80);
        left >>= 7;
    }
    to.push(left as u8);
}

/// The records of a file, each as its fields by number: names have changed over time.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<BTreeMap<i32, Avro>>, apache_avro::Error> {
    let reader = Reader::new(bytes)?;
    let ids = match reader.writer_schema() {
        AvroSchema::Record(record) => record.fields.iter().map(id_of).collect(),
        _ => Vec::new(),
    };
    reader.map(|record| Ok(numbered(record?, &ids))).collect()
}

fn id_of(field: &RecordField) -> i32 {
    let id = field.custom_attributes.get("field-id").and_then(Json::as_i64);
    id.and_then(|id| i32::try_from(id).ok()).unwrap_or(-1)
}

fn numbered(record: Avro, ids: &[i32]) -> BTreeMap<i32, Avro> {
    let Avro::Record(fields) = record else { return BTreeMap::new() };
    let values = fields.into_iter().map(|(_, value)| match value {
        Avro::Union(_, value) => *value,
        value => value,
    });
    ids.iter().copied().zip(values).filter(|(_, value)| *value != Avro::Null).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_sound_as_others_do_it() {
        for (name, want) in
            [("a_1", "a_1"), ("1a", "_1a"), ("a.b", "a_x2Eb"), ("ä", "_xE4"), ("a b", "a_x20b")]
        {
            assert_eq!(name_of(name), want);
        }
    }

    #[test]
    fn decimals_take_the_bytes_that_the_specification_says() {
        for (precision, want) in
            [(1, 1), (2, 1), (3, 2), (9, 4), (10, 5), (18, 8), (19, 9), (38, 16)]
        {
            assert_eq!(decimal_bytes(precision), want, "{precision}");
        }
    }
}
