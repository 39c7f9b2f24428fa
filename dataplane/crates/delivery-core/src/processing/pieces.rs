//! Records that hold several: JSON objects one after the other, or bytes with a delimiter between.

use std::ops::Range;

use memchr::memmem::Finder;
use operator_api::delivery_stream::{Deaggregation, SubRecordType};
use serde::de::IgnoredAny;

use super::SetupError;

/// Records that one is taken apart into; one that holds more is left as it is, as AWS does.
pub const PIECES_MAX: usize = 500;

/// The most bytes of a delimiter.
const DELIMITER_BYTES_MAX: usize = 64;

/// What tells them apart.
pub(super) enum Pieces {
    Json,
    Delimited(Box<Finder<'static>>),
}

/// Where they are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Split {
    /// It stays as it is: more than [`PIECES_MAX`], or none.
    Whole,
    At(Vec<Range<usize>>),
}

impl Pieces {
    pub(super) fn new(deaggregation: &Deaggregation) -> Result<Pieces, SetupError> {
        let refuse = |what: &str| SetupError {
            field: "processing.deaggregation.delimiter",
            what: what.to_owned(),
        };
        let kind = deaggregation.sub_record_type.unwrap_or(SubRecordType::Json);
        match (kind, &deaggregation.delimiter) {
            (SubRecordType::Json, None) => Ok(Pieces::Json),
            (SubRecordType::Json, Some(_)) => Err(refuse("is for subRecordType DELIMITED")),
            (SubRecordType::Delimited, None) => Err(refuse("is needed")),
            (SubRecordType::Delimited, Some(text)) => {
                let bytes = base64_simd::STANDARD
                    .decode_to_vec(text)
                    .map_err(|_| refuse("is not base64, as in Cg== for a line feed"))?;
                if bytes.is_empty() || DELIMITER_BYTES_MAX < bytes.len() {
                    return Err(refuse("holds 1 to 64 bytes"));
                }
                Ok(Pieces::Delimited(Box::new(Finder::new(&bytes).into_owned())))
            }
        }
    }

    /// Where the pieces of `data` are.
    ///
    /// # Errors
    /// A sentence: `data` is not JSON objects.
    pub(super) fn split(&self, data: &[u8]) -> Result<Split, String> {
        match self {
            Pieces::Json => split_json(data),
            Pieces::Delimited(delimiter) => Ok(split_delimited(data, delimiter)),
        }
    }
}

fn split_json(data: &[u8]) -> Result<Split, String> {
    let mut pieces = Vec::new();
    let mut at = 0;
    loop {
        at += data[at..].iter().take_while(|byte| is_json_space(**byte)).count();
        match data.get(at) {
            None if pieces.is_empty() => return Err("The record holds no JSON object".into()),
            None => return Ok(Split::At(pieces)),
            Some(b'{') if pieces.len() == PIECES_MAX => return Ok(Split::Whole),
            Some(b'{') => {}
            Some(b'[') => return Err(format!("A JSON array at byte {at}, not a JSON object")),
            Some(_) => return Err(format!("No JSON object at byte {at}")),
        }
        // Skips what it reads, without recursion: depth costs it a bit for each level.
        let mut values =
            serde_json::Deserializer::from_slice(&data[at..]).into_iter::<IgnoredAny>();
        if let Some(Err(error)) = values.next() {
            return Err(format!("Invalid JSON in the object at byte {at}: {error}"));
        }
        let end = at + values.byte_offset();
        pieces.push(at..end);
        at = end;
    }
}

fn is_json_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// What is empty, as between two delimiters or behind one at the end, is no record.
fn split_delimited(data: &[u8], delimiter: &Finder<'_>) -> Split {
    let mut pieces = Vec::new();
    let mut at = 0;
    let ends = delimiter.find_iter(data).chain([data.len()]);
    for end in ends {
        if at < end {
            if pieces.len() == PIECES_MAX {
                return Split::Whole;
            }
            pieces.push(at..end);
        }
        at = end + delimiter.needle().len();
    }
    // What is nothing but delimiters, or nothing, is a record all the same: none is lost.
    if pieces.is_empty() { Split::Whole } else { Split::At(pieces) }
}
