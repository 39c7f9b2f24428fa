//! Values as texts: what `tojson` gives, which can say more than JSON can.

use jaq_json::Num;

use super::meter;
use super::value::{STRING_BYTES_MAX, Value};

/// Bytes of a value in a message.
const START_BYTES_MAX: usize = 1_000;

/// There is no room for more.
struct Full;

struct Text {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Text {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let room = self.bytes_max - self.bytes.len();
        self.bytes.extend_from_slice(&bytes[..room.min(bytes.len())]);
        if room < bytes.len() { Err(Full) } else { Ok(()) }
    }
}

/// `value` as JSON, or as near as it can be to it.
pub(super) fn to_json(value: &Value) -> Value {
    let mut text = Text { bytes: Vec::new(), bytes_max: STRING_BYTES_MAX };
    if write(value, &mut text).is_err() {
        meter::stop("the program makes a string that is too long");
    }
    Value::string(&text.bytes, true)
}

/// The start of that.
pub(super) fn start(value: &Value) -> Vec<u8> {
    let mut text = Text { bytes: Vec::new(), bytes_max: START_BYTES_MAX };
    // What has no room is left out.
    let _ = write(value, &mut text);
    text.bytes
}

/// Recurses as deep as values are.
fn write(value: &Value, out: &mut Text) -> Result<(), Full> {
    meter::work(1);
    match value {
        Value::Null => out.put(b"null"),
        Value::Bool(true) => out.put(b"true"),
        Value::Bool(false) => out.put(b"false"),
        Value::Num(Num::Int(number)) => out.put(number.to_string().as_bytes()),
        Value::Num(number) => {
            meter::work(super::meter::STEP / 4);
            out.put(number.to_string().as_bytes())
        }
        Value::Str(string) => write_string(string.bytes(), string.is_text(), out),
        Value::Arr(array) => {
            out.put(b"[")?;
            for (index, item) in array.items().iter().enumerate() {
                if 0 < index {
                    out.put(b",")?;
                }
                write(item, out)?;
            }
            out.put(b"]")
        }
        Value::Obj(object) => {
            out.put(b"{")?;
            for (index, (name, value)) in object.fields().enumerate() {
                if 0 < index {
                    out.put(b",")?;
                }
                write(name, out)?;
                out.put(b":")?;
                write(value, out)?;
            }
            out.put(b"}")
        }
    }
}

fn write_string(bytes: &[u8], is_text: bool, out: &mut Text) -> Result<(), Full> {
    out.put(if is_text { b"\"" } else { b"b\"" })?;
    let is_special =
        |byte: u8| matches!(byte, 0..=0x1F | b'"' | b'\\' | 0x7F) || !is_text && !byte.is_ascii();
    for part in bytes.split_inclusive(|byte| is_special(*byte)) {
        // Before it goes on with a string that has no room.
        meter::read(part.len());
        let Some((last, before)) = part.split_last().filter(|it| is_special(*it.0)) else {
            out.put(part)?;
            continue;
        };
        out.put(before)?;
        match last {
            b'"' => out.put(b"\\\"")?,
            b'\\' => out.put(b"\\\\")?,
            b'\n' => out.put(b"\\n")?,
            b'\r' => out.put(b"\\r")?,
            b'\t' => out.put(b"\\t")?,
            0x08 => out.put(b"\\b")?,
            0x0C => out.put(b"\\f")?,
            byte if is_text => out.put(format!("\\u{byte:04x}").as_bytes())?,
            byte => out.put(format!("\\x{byte:02x}").as_bytes())?,
        }
    }
    out.put(b"\"")
}

/// Where each character of `bytes` begins. What is no UTF-8 is a character for each sequence that
/// would be replaced by one.
pub(super) fn char_starts(bytes: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let mut start = 0;
    bytes.utf8_chunks().flat_map(move |chunk| {
        let at = start;
        let invalid_at = at + chunk.valid().len();
        start = invalid_at + chunk.invalid().len();
        let invalid = (!chunk.invalid().is_empty()).then_some(invalid_at);
        chunk.valid().char_indices().map(move |(index, _)| at + index).chain(invalid)
    })
}
