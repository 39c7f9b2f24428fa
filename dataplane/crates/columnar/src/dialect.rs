//! How JSON becomes values: by the rules of the OpenX SerDe, or by those of Hive's own.
//!
//! | | OpenX | Hive |
//! |---|---|---|
//! | keys | in lower case unless told not to; dots, other names | in lower case |
//! | numbers in strings | read, also as `0x1f`, `NaN` and `Infinity` | only as decimals |
//! | scalars for strings | as they were written | as they were written |
//! | objects and arrays for strings | as they were written | refused |
//! | one value for an array | an array of it | refused |
//! | `""`, and `[]` for objects | null where parts are expected | refused |
//! | a key given twice | refused | the last one counts |
//!
//! A number with a fraction for an integer column, or one out of a type's range, is refused by both.

use std::borrow::Cow;
use std::collections::BTreeMap;

use operator_api::delivery_stream::{ConversionInput, HiveJson, OpenXJson};

use crate::error::ConversionError;
use crate::joda::JodaPattern;
use crate::json::Scalar;
use crate::number::{parse_decimal, parse_integer, parse_integer_or_hex};
use crate::timestamp::{self, MICROS_PER_DAY};

/// The name of the pattern that stands for milliseconds since 1970.
const MILLIS: &str = "millis";
const FORMATS_MAX: usize = 32;
const FORMAT_BYTES_MAX: usize = 1024;
const MAPPINGS_MAX: usize = 1000;

/// The rules one converter reads by.
#[derive(Clone, Debug)]
pub(crate) struct Dialect {
    pub(crate) is_open_x: bool,
    pub(crate) lowers_keys: bool,
    replaces_dots: bool,
    /// Whether bytes are written in Base64. Else a string's bytes are as they are.
    has_base64: bool,
    /// The JSON key of a column, where they differ.
    keys: BTreeMap<String, String>,
    timestamp_formats: Vec<TimestampFormat>,
}

#[derive(Clone, Debug)]
enum TimestampFormat {
    Millis,
    Pattern(JodaPattern),
}

impl Dialect {
    pub(crate) fn new(input: Option<&ConversionInput>) -> Result<Dialect, ConversionError> {
        match input {
            None => Dialect::open_x(&OpenXJson::default()),
            Some(ConversionInput { open_x: Some(_), hive: Some(_) }) => {
                Err(ConversionError::new("input", "set openX or hive, not both"))
            }
            Some(ConversionInput { hive: Some(hive), .. }) => Dialect::hive(hive),
            Some(ConversionInput { open_x, hive: None }) => {
                Dialect::open_x(&open_x.clone().unwrap_or_default())
            }
        }
    }

    fn open_x(open_x: &OpenXJson) -> Result<Dialect, ConversionError> {
        let keys = open_x.column_to_json_key_mappings.clone().unwrap_or_default();
        if MAPPINGS_MAX < keys.len() {
            let what = format!("more than {MAPPINGS_MAX} keys");
            return Err(ConversionError::new("input.openX.columnToJsonKeyMappings", what));
        }
        Ok(Dialect {
            is_open_x: true,
            lowers_keys: open_x.case_insensitive.unwrap_or(true),
            has_base64: false,
            replaces_dots: open_x.convert_dots_in_json_keys_to_underscores.unwrap_or(false),
            keys,
            timestamp_formats: Vec::new(),
        })
    }

    fn hive(hive: &HiveJson) -> Result<Dialect, ConversionError> {
        let formats = hive.timestamp_formats.as_deref().unwrap_or_default();
        let field = "input.hive.timestampFormats";
        if FORMATS_MAX < formats.len() {
            return Err(ConversionError::new(field, format!("more than {FORMATS_MAX} formats")));
        }
        let timestamp_formats = formats.iter().enumerate().map(|(index, format)| {
            let parsed = match format.as_str() {
                MILLIS => Ok(TimestampFormat::Millis),
                long if FORMAT_BYTES_MAX < long.len() => Err("too long".to_owned()),
                pattern => JodaPattern::parse(pattern).map(TimestampFormat::Pattern),
            };
            parsed.map_err(|what| ConversionError::new(format!("{field}[{index}]"), what))
        });
        Ok(Dialect {
            is_open_x: false,
            lowers_keys: true,
            replaces_dots: false,
            has_base64: false,
            keys: BTreeMap::new(),
            timestamp_formats: timestamp_formats.collect::<Result<_, _>>()?,
        })
    }

    /// As OpenX reads. A table has types that its SerDe does not know.
    pub(crate) fn table() -> Dialect {
        Dialect {
            is_open_x: true,
            lowers_keys: true,
            replaces_dots: false,
            has_base64: true,
            keys: BTreeMap::new(),
            timestamp_formats: Vec::new(),
        }
    }

    /// The normal form of the key under which `column`, or a struct's field of that name, is found.
    pub(crate) fn key_of(&self, column: &str) -> String {
        let mapped = self.keys.get(column).or_else(|| self.keys.get(&column.to_lowercase()));
        self.normal_key(mapped.map_or(column, String::as_str)).into_owned()
    }

    /// Keys of one normal form are one key.
    pub(crate) fn normal_key<'k>(&self, key: &'k str) -> Cow<'k, str> {
        let key = if self.lowers_keys { lower_case(key) } else { Cow::Borrowed(key) };
        if self.replaces_dots && key.contains('.') {
            return Cow::Owned(key.replace('.', "_"));
        }
        key
    }

    pub(crate) fn boolean(&self, scalar: Scalar<'_>) -> Option<bool> {
        match scalar {
            Scalar::Bool(value) => Some(value),
            Scalar::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Scalar::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }

    pub(crate) fn integer<T: TryFrom<i64>>(&self, scalar: Scalar<'_>) -> Option<T> {
        let value = match scalar {
            Scalar::Number(text) => parse_integer(text)?,
            Scalar::String(text) if self.is_open_x => parse_integer_or_hex(text)?,
            _ => return None,
        };
        T::try_from(value).ok()
    }

    pub(crate) fn double(&self, scalar: Scalar<'_>) -> Option<f64> {
        match self.float_text(scalar)? {
            Float::Named(value) => Some(value),
            Float::Text(text) => text.parse::<f64>().ok().filter(|value| value.is_finite()),
        }
    }

    pub(crate) fn float(&self, scalar: Scalar<'_>) -> Option<f32> {
        match self.float_text(scalar)? {
            Float::Named(value) => Some(value as f32),
            Float::Text(text) => text.parse::<f32>().ok().filter(|value| value.is_finite()),
        }
    }

    fn float_text<'s>(&self, scalar: Scalar<'s>) -> Option<Float<'s>> {
        match scalar {
            Scalar::Number(text) => Some(Float::Text(text)),
            Scalar::String(text) if self.is_open_x => Some(match text {
                "NaN" => Float::Named(f64::NAN),
                "Infinity" => Float::Named(f64::INFINITY),
                "-Infinity" => Float::Named(f64::NEG_INFINITY),
                _ => Float::Text(text),
            }),
            _ => None,
        }
    }

    pub(crate) fn decimal(&self, scalar: Scalar<'_>, precision: u8, scale: u8) -> Option<i128> {
        match scalar {
            Scalar::Number(text) | Scalar::String(text) => parse_decimal(text, precision, scale),
            _ => None,
        }
    }

    pub(crate) fn string<'s>(&self, scalar: Scalar<'s>) -> Option<&'s str> {
        match scalar {
            Scalar::String(text) | Scalar::Number(text) => Some(text),
            Scalar::Bool(true) => Some("true"),
            Scalar::Bool(false) => Some("false"),
            Scalar::Nested(text) if self.is_open_x => Some(text),
            Scalar::Nested(_) | Scalar::Null => None,
        }
    }

    /// A string's bytes, as neither SerDe has an encoding for others, or those that it stands for.
    pub(crate) fn binary<'s>(&self, scalar: Scalar<'s>) -> Option<Cow<'s, [u8]>> {
        match scalar {
            Scalar::String(text) if self.has_base64 => {
                base64_simd::STANDARD.decode_to_vec(text).ok().map(Cow::Owned)
            }
            Scalar::String(text) => Some(Cow::Borrowed(text.as_bytes())),
            _ => None,
        }
    }

    /// As in `ed4acda5-034f-8f42-bba1-f29aea6d7d8f`.
    pub(crate) fn uuid(&self, scalar: Scalar<'_>) -> Option<[u8; 16]> {
        let Scalar::String(text) = scalar else { return None };
        let parts = text.split('-').map(str::len);
        let is_formed = parts.eq([8, 4, 4, 4, 12]) && !text.contains('+');
        let digits = text.replace('-', "");
        let number = is_formed.then(|| u128::from_str_radix(&digits, 16).ok())?;
        number.map(u128::to_be_bytes)
    }

    /// Microseconds since midnight.
    pub(crate) fn time(&self, scalar: Scalar<'_>) -> Option<i64> {
        match scalar {
            Scalar::String(text) => timestamp::parse_time(text),
            _ => None,
        }
    }

    /// Days since 1970.
    pub(crate) fn date(&self, scalar: Scalar<'_>) -> Option<i32> {
        let (Scalar::String(text) | Scalar::Number(text)) = scalar else {
            return None;
        };
        timestamp::parse_date(text).or_else(|| {
            let micros = self.formatted_timestamp(text)?;
            i32::try_from(micros.div_euclid(MICROS_PER_DAY)).ok()
        })
    }

    /// Microseconds since 1970.
    pub(crate) fn timestamp(&self, scalar: Scalar<'_>) -> Option<i64> {
        let (Scalar::String(text) | Scalar::Number(text)) = scalar else {
            return None;
        };
        if self.is_open_x {
            return timestamp::parse_open_x(text);
        }
        self.formatted_timestamp(text).or_else(|| timestamp::parse_sql(text))
    }

    fn formatted_timestamp(&self, text: &str) -> Option<i64> {
        self.timestamp_formats.iter().find_map(|format| match format {
            TimestampFormat::Millis => timestamp::parse_millis(text),
            TimestampFormat::Pattern(pattern) => pattern.read(text),
        })
    }
}

enum Float<'s> {
    Named(f64),
    Text(&'s str),
}

pub(crate) fn lower_case(key: &str) -> Cow<'_, str> {
    let is_lower = key.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    if is_lower { Cow::Borrowed(key) } else { Cow::Owned(key.to_lowercase()) }
}
