//! Values as records.

use std::io;

use jaq_json::Num;
use serde::de::IgnoredAny;

use super::{DEPTH_MAX, Value, number_text};

/// Bytes that have a bound.
pub(in crate::processing) struct Out {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Out {
    pub(in crate::processing) fn new(bytes_max: usize) -> Out {
        Out { bytes: Vec::new(), bytes_max }
    }

    pub(in crate::processing) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(in crate::processing) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), String> {
        if self.bytes_max - self.bytes.len() < bytes.len() {
            return Err("the program gives too much".to_owned());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

impl io::Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes `value` as the record it is: a string as it stands, so that a program can make lines of any
/// form, and all else as JSON.
///
/// # Errors
/// A sentence: JSON has no such value, or there is no room.
pub(in crate::processing) fn write_record(value: &Value, out: &mut Out) -> Result<(), String> {
    match value {
        Value::Str(string) => out.put(string.bytes()),
        value => write_json(value, out, 0),
    }
}

fn write_json(value: &Value, out: &mut Out, depth: usize) -> Result<(), String> {
    if DEPTH_MAX < depth {
        return Err(format!("the program gives JSON nested deeper than {DEPTH_MAX} levels"));
    }
    match value {
        Value::Null => out.put(b"null"),
        Value::Bool(true) => out.put(b"true"),
        Value::Bool(false) => out.put(b"false"),
        Value::Num(number) => out.put(json_number(number).as_bytes()),
        Value::Str(string) if string.is_text() => write_string(string.bytes(), out),
        Value::Str(_) => Err("the program gives bytes inside of JSON".to_owned()),
        Value::Arr(array) => {
            out.put(b"[")?;
            for (index, value) in array.items().iter().enumerate() {
                if 0 < index {
                    out.put(b",")?;
                }
                write_json(value, out, depth + 1)?;
            }
            out.put(b"]")
        }
        Value::Obj(object) => {
            out.put(b"{")?;
            for (index, (name, value)) in object.fields().enumerate() {
                let Some(name) = name.as_text() else {
                    return Err("the program gives an object with a key that is no string".into());
                };
                if 0 < index {
                    out.put(b",")?;
                }
                write_string(name, out)?;
                out.put(b":")?;
                write_json(value, out, depth + 1)?;
            }
            out.put(b"}")
        }
    }
}

fn write_string(text: &[u8], out: &mut Out) -> Result<(), String> {
    serde_json::to_writer(out, &String::from_utf8_lossy(text)).map_err(|error| error.to_string())
}

/// A number that was not calculated keeps the digits it came with.
fn json_number(number: &Num) -> String {
    match number {
        Num::Int(_) | Num::BigInt(_) => number.to_string(),
        Num::Float(number) => number_text(*number),
        Num::Dec(text) if serde_json::from_str::<IgnoredAny>(text).is_ok() => text.to_string(),
        Num::Dec(text) => number_text(text.parse().unwrap_or(f64::NAN)),
    }
}
