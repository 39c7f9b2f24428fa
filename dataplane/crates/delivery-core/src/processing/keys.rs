//! Partition keys: what parts a delivery stream's records by what they hold.

use std::collections::BTreeMap;

use jaq_json::Num;

use super::jq::{Program, Value, number_text};

/// Keys by their names.
pub type PartitionKeys = BTreeMap<String, String>;

/// Keys of one record.
const KEYS_MAX: usize = 50;
/// Bytes of a name and of a key: no object key holds more.
const KEY_BYTES_MAX: usize = 1_024;

/// As AWS says it.
pub(super) const NULL_OR_EMPTY: &str = "partitionKeys values must not be null or empty";

/// The keys that `query` makes of `data`: one object of strings, numbers and booleans.
///
/// # Errors
/// A sentence.
pub(super) fn extract(query: &Program, data: &[u8]) -> Result<PartitionKeys, String> {
    only(query, data, decode)
}

/// The one key that `query` makes of `data`: a string, a number or a boolean.
///
/// # Errors
/// A sentence.
pub(super) fn extract_one(query: &Program, data: &[u8]) -> Result<String, String> {
    only(query, data, |value| {
        let key = text(value)?.filter(|key| !key.is_empty()).ok_or(NULL_OR_EMPTY)?;
        if KEY_BYTES_MAX < key.len() {
            return Err(format!("a partition key holds at most {KEY_BYTES_MAX} bytes"));
        }
        Ok(key)
    })
}

/// What `decode` makes of the one value that `query` gives.
fn only<T>(
    query: &Program,
    data: &[u8],
    decode: impl Fn(&Value) -> Result<T, String>,
) -> Result<T, String> {
    let mut only = None;
    query.run(data, |value| {
        if only.is_some() {
            return Err("the query gives more than one value".to_owned());
        }
        only = Some(decode(&value)?);
        Ok(())
    })?;
    only.ok_or_else(|| "the query gives no value".to_owned())
}

fn decode(value: &Value) -> Result<PartitionKeys, String> {
    let Value::Obj(object) = value else {
        return Err("the query gives no object".to_owned());
    };
    let mut keys = PartitionKeys::new();
    for (name, value) in object.fields() {
        let Some(name) = name.as_text() else {
            return Err("the query gives an object with a key that is no string".to_owned());
        };
        let name = String::from_utf8_lossy(name).into_owned();
        insert(&mut keys, name, text(value)?)?;
    }
    Ok(keys)
}

/// What jq's `tostring` makes of it; an integer keeps all its digits.
pub(super) fn text(value: &Value) -> Result<Option<String>, String> {
    match value {
        Value::Null => Ok(None),
        Value::Bool(value) => Ok(Some(value.to_string())),
        Value::Num(number @ (Num::Int(_) | Num::BigInt(_))) => Ok(Some(number.to_string())),
        Value::Num(Num::Float(number)) => Ok(Some(number_text(*number))),
        Value::Num(Num::Dec(text)) => Ok(Some(number_text(text.parse().unwrap_or(f64::NAN)))),
        Value::Str(string) if string.is_text() => {
            Ok(Some(String::from_utf8_lossy(string.bytes()).into_owned()))
        }
        Value::Str(_) | Value::Arr(_) | Value::Obj(_) => {
            Err("partitionKeys values must be strings, numbers or booleans".to_owned())
        }
    }
}

/// Adds a key.
///
/// # Errors
/// A sentence: it cannot be part of an object's key.
pub(super) fn insert(
    keys: &mut PartitionKeys,
    name: String,
    value: Option<String>,
) -> Result<(), String> {
    let value = value.filter(|value| !value.is_empty()).ok_or(NULL_OR_EMPTY)?;
    if KEY_BYTES_MAX < name.len() || KEY_BYTES_MAX < value.len() {
        return Err(format!("partitionKeys names and values hold at most {KEY_BYTES_MAX} bytes"));
    }
    keys.insert(name, value);
    if KEYS_MAX < keys.len() {
        return Err(format!("partitionKeys are at most {KEYS_MAX}"));
    }
    Ok(())
}
