//! Column types as Hive writes them: `bigint`, `decimal(10,2)`, `array<struct<a:int,b:string>>`.

use std::fmt;

use thiserror::Error;

/// How deep types may be nested. Readers of Parquet and ORC recurse as deep.
pub(crate) const DEPTH_MAX: usize = 16;
/// The longest type, as in an AWS Glue Data Catalog.
const TYPE_BYTES_MAX: usize = 131_072;
const DECIMAL_PRECISION_MAX: u8 = 38;
/// What `decimal` alone stands for.
const DECIMAL_DEFAULT: (u8, u8) = (10, 0);
const VARCHAR_MAX: u32 = 65_535;
const CHAR_MAX: u32 = 255;

/// A type of a column or of a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HiveType {
    Boolean,
    TinyInt,
    SmallInt,
    Int,
    BigInt,
    Float,
    Double,
    Decimal {
        precision: u8,
        scale: u8,
    },
    String,
    /// With the most characters that are kept.
    Varchar(u32),
    Char(u32),
    Binary,
    Date,
    Timestamp,
    Array(Box<HiveType>),
    Map(Box<HiveType>, Box<HiveType>),
    Struct(Vec<(String, HiveType)>),
    /// From here on those that Hive has not, and tables of Iceberg have.
    Time,
    /// In UTC.
    TimestampTz,
    Uuid,
    /// With its bytes.
    Fixed(u32),
}

/// A type that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("type at character {position}: {what}")]
pub(crate) struct TypeError {
    /// Counts bytes, from 1: types are ASCII but for names of fields.
    position: usize,
    what: String,
}

impl HiveType {
    /// # Errors
    /// Not a type, one we do not have, or one nested too deep.
    pub(crate) fn parse(text: &str) -> Result<HiveType, TypeError> {
        let mut parser = Parser { text, at: 0 };
        if TYPE_BYTES_MAX < text.len() {
            return Err(parser.error(format!("longer than {TYPE_BYTES_MAX} bytes")));
        }
        let parsed = parser.parse_type(1)?;
        parser.skip_spaces();
        if parser.at < text.len() {
            return Err(parser.error("expected the end"));
        }
        Ok(parsed)
    }

    /// How many columns of plain values it takes.
    pub(crate) fn leaf_count(&self) -> usize {
        match self {
            HiveType::Array(element) => element.leaf_count(),
            HiveType::Map(key, value) => key.leaf_count() + value.leaf_count(),
            HiveType::Struct(fields) => fields.iter().map(|(_, type_)| type_.leaf_count()).sum(),
            _ => 1,
        }
    }

    /// What stands for it in Hive, which has fewer types.
    pub(crate) fn in_hive(self) -> HiveType {
        match self {
            HiveType::Time | HiveType::Uuid => HiveType::String,
            HiveType::TimestampTz => HiveType::Timestamp,
            HiveType::Fixed(_) => HiveType::Binary,
            HiveType::Array(element) => HiveType::Array(Box::new(element.in_hive())),
            HiveType::Map(key, value) => {
                HiveType::Map(Box::new(key.in_hive()), Box::new(value.in_hive()))
            }
            HiveType::Struct(fields) => {
                let fields = fields.into_iter().map(|(name, type_)| (name, type_.in_hive()));
                HiveType::Struct(fields.collect())
            }
            other => other,
        }
    }

    pub(crate) fn is_nested(&self) -> bool {
        matches!(self, HiveType::Array(_) | HiveType::Map(..) | HiveType::Struct(_))
    }
}

impl fmt::Display for HiveType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HiveType::Boolean => f.write_str("boolean"),
            HiveType::TinyInt => f.write_str("tinyint"),
            HiveType::SmallInt => f.write_str("smallint"),
            HiveType::Int => f.write_str("int"),
            HiveType::BigInt => f.write_str("bigint"),
            HiveType::Float => f.write_str("float"),
            HiveType::Double => f.write_str("double"),
            HiveType::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            HiveType::String => f.write_str("string"),
            HiveType::Varchar(length) => write!(f, "varchar({length})"),
            HiveType::Char(length) => write!(f, "char({length})"),
            HiveType::Binary => f.write_str("binary"),
            HiveType::Date => f.write_str("date"),
            HiveType::Timestamp => f.write_str("timestamp"),
            HiveType::Array(element) => write!(f, "array<{element}>"),
            HiveType::Map(key, value) => write!(f, "map<{key},{value}>"),
            HiveType::Struct(fields) => {
                f.write_str("struct<")?;
                for (index, (name, type_)) in fields.iter().enumerate() {
                    let separator = if index == 0 { "" } else { "," };
                    write!(f, "{separator}{name}:{type_}")?;
                }
                f.write_str(">")
            }
            HiveType::Time => f.write_str("time"),
            HiveType::TimestampTz => f.write_str("timestamptz"),
            HiveType::Uuid => f.write_str("uuid"),
            HiveType::Fixed(bytes) => write!(f, "fixed[{bytes}]"),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn parse_type(&mut self, depth: usize) -> Result<HiveType, TypeError> {
        self.skip_spaces();
        if DEPTH_MAX < depth {
            return Err(self.error(format!("nested deeper than {DEPTH_MAX} levels")));
        }
        let start = self.at;
        let word = self.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let name = word.to_ascii_lowercase();
        match name.as_str() {
            "boolean" => Ok(HiveType::Boolean),
            "tinyint" => Ok(HiveType::TinyInt),
            "smallint" => Ok(HiveType::SmallInt),
            "int" | "integer" => Ok(HiveType::Int),
            "bigint" => Ok(HiveType::BigInt),
            "float" => Ok(HiveType::Float),
            "double" => Ok(HiveType::Double),
            "string" => Ok(HiveType::String),
            "binary" => Ok(HiveType::Binary),
            "date" => Ok(HiveType::Date),
            "timestamp" => Ok(HiveType::Timestamp),
            "decimal" => self.parse_decimal(),
            "varchar" => Ok(HiveType::Varchar(self.parse_length(VARCHAR_MAX)?)),
            "char" => Ok(HiveType::Char(self.parse_length(CHAR_MAX)?)),
            "array" => {
                self.expect(b'<')?;
                let element = self.parse_type(depth + 1)?;
                self.expect(b'>')?;
                Ok(HiveType::Array(Box::new(element)))
            }
            "map" => self.parse_map(depth),
            "struct" => self.parse_struct(depth),
            "uniontype" | "interval_year_month" | "interval_day_time" => {
                Err(self.error_at(start, format!("{name} cannot be converted")))
            }
            "" => Err(self.error("expected a type")),
            _ => Err(self.error_at(start, format!("unknown type {word}"))),
        }
    }

    fn parse_decimal(&mut self) -> Result<HiveType, TypeError> {
        self.skip_spaces();
        if self.peek() != Some(b'(') {
            let (precision, scale) = DECIMAL_DEFAULT;
            return Ok(HiveType::Decimal { precision, scale });
        }
        self.at += 1;
        let precision = self.parse_number(1, u32::from(DECIMAL_PRECISION_MAX))?;
        self.skip_spaces();
        let scale = if self.peek() == Some(b',') {
            self.at += 1;
            self.parse_number(0, precision)?
        } else {
            0
        };
        self.expect(b')')?;
        Ok(HiveType::Decimal { precision: precision as u8, scale: scale as u8 })
    }

    fn parse_length(&mut self, max: u32) -> Result<u32, TypeError> {
        self.expect(b'(')?;
        let length = self.parse_number(1, max)?;
        self.expect(b')')?;
        Ok(length)
    }

    fn parse_map(&mut self, depth: usize) -> Result<HiveType, TypeError> {
        self.expect(b'<')?;
        self.skip_spaces();
        let start = self.at;
        let key = self.parse_type(depth + 1)?;
        if key.is_nested() {
            return Err(self.error_at(start, "a map's key cannot be nested"));
        }
        self.expect(b',')?;
        let value = self.parse_type(depth + 1)?;
        self.expect(b'>')?;
        Ok(HiveType::Map(Box::new(key), Box::new(value)))
    }

    fn parse_struct(&mut self, depth: usize) -> Result<HiveType, TypeError> {
        self.expect(b'<')?;
        let mut fields: Vec<(String, HiveType)> = Vec::new();
        loop {
            let name = self.parse_field_name()?;
            self.expect(b':')?;
            let type_ = self.parse_type(depth + 1)?;
            fields.push((name, type_));
            self.skip_spaces();
            if self.peek() != Some(b',') {
                break;
            }
            self.at += 1;
        }
        self.expect(b'>')?;
        Ok(HiveType::Struct(fields))
    }

    /// Anything up to the colon; between backticks, even a colon.
    fn parse_field_name(&mut self) -> Result<String, TypeError> {
        self.skip_spaces();
        let start = self.at;
        let name = if self.peek() == Some(b'`') {
            self.at += 1;
            let name = self.take_while(|byte| byte != b'`');
            self.expect(b'`')?;
            name
        } else {
            self.take_while(|byte| !matches!(byte, b':' | b',' | b'<' | b'>' | b'(' | b')')).trim()
        };
        if name.is_empty() {
            return Err(self.error_at(start, "expected a field's name"));
        }
        Ok(name.to_owned())
    }

    fn parse_number(&mut self, min: u32, max: u32) -> Result<u32, TypeError> {
        self.skip_spaces();
        let start = self.at;
        let digits = self.take_while(|byte| byte.is_ascii_digit());
        let number = digits.parse::<u32>().ok().filter(|number| (min..=max).contains(number));
        number.ok_or_else(|| self.error_at(start, format!("expected a number, {min} to {max}")))
    }

    fn expect(&mut self, want: u8) -> Result<(), TypeError> {
        self.skip_spaces();
        if self.peek() != Some(want) {
            return Err(self.error(format!("expected {}", want as char)));
        }
        self.at += 1;
        Ok(())
    }

    fn skip_spaces(&mut self) {
        self.take_while(|byte| byte.is_ascii_whitespace());
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// `wanted` must hold for bytes above 127 or for none, so that characters stay whole.
    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        let length = rest.bytes().position(|byte| !wanted(byte)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn error(&self, what: impl Into<String>) -> TypeError {
        self.error_at(self.at, what)
    }

    fn error_at(&self, at: usize, what: impl Into<String>) -> TypeError {
        TypeError { position: at + 1, what: what.into() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, want: &str) {
        let found = match HiveType::parse(text) {
            Ok(type_) => type_.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, want, "{text}");
    }

    #[test]
    fn types_are_read_as_hive_writes_them() {
        for same in [
            "boolean",
            "tinyint",
            "smallint",
            "int",
            "bigint",
            "float",
            "double",
            "string",
            "binary",
            "date",
            "timestamp",
            "varchar(65535)",
            "char(255)",
            "decimal(38,38)",
            "array<string>",
            "map<string,array<int>>",
            "struct<a:int,b:struct<c:map<int,decimal(5,2)>>,größe:double>",
        ] {
            check(same, same);
        }
        check(" BIGINT ", "bigint");
        check("integer", "int");
        check("decimal", "decimal(10,0)");
        check("decimal ( 12 )", "decimal(12,0)");
        check("Array < Struct < A : INT , `b:c` : String > >", "array<struct<A:int,b:c:string>>");
    }

    #[test]
    fn a_wrong_type_says_where_it_is_wrong() {
        check("", "type at character 1: expected a type");
        check("text", "type at character 1: unknown type text");
        check("array<text>", "type at character 7: unknown type text");
        check("array<int", "type at character 10: expected >");
        check("array", "type at character 6: expected <");
        check("int)", "type at character 4: expected the end");
        check("decimal(39,2)", "type at character 9: expected a number, 1 to 38");
        check("decimal(5,6)", "type at character 11: expected a number, 0 to 5");
        check("decimal(5,2", "type at character 12: expected )");
        check("varchar", "type at character 8: expected (");
        check("varchar(0)", "type at character 9: expected a number, 1 to 65535");
        check("varchar(65536)", "type at character 9: expected a number, 1 to 65535");
        check("char(256)", "type at character 6: expected a number, 1 to 255");
        check("map<string>", "type at character 11: expected ,");
        check("map<array<int>,int>", "type at character 5: a map's key cannot be nested");
        check("struct<>", "type at character 8: expected a field's name");
        check("struct<a>", "type at character 9: expected :");
        check("struct<a:int,>", "type at character 14: expected a field's name");
        check("uniontype<int,string>", "type at character 1: uniontype cannot be converted");
    }

    #[test]
    fn nesting_has_a_depth() {
        let nested = |levels: usize| "array<".repeat(levels) + "int" + &">".repeat(levels);
        assert!(HiveType::parse(&nested(DEPTH_MAX - 1)).is_ok());
        check(&nested(DEPTH_MAX), "type at character 97: nested deeper than 16 levels");
        check(&nested(10_000), "type at character 97: nested deeper than 16 levels");
        check(&" ".repeat(131_073), "type at character 1: longer than 131072 bytes");
    }

    proptest! {
        #[test]
        fn any_text_is_a_type_or_an_error(text in "\\PC{0,64}") {
            let _ = HiveType::parse(&text);
        }

        #[test]
        fn texts_that_look_like_types_are_types_or_errors(
            parts in proptest::collection::vec(
                prop_oneof![
                    Just("array<"), Just("map<"), Just("struct<"), Just("decimal("), Just("a:"),
                    Just("int"), Just("string"), Just(">"), Just(","), Just(")"), Just("5"),
                    Just("`"), Just("é"),
                ],
                0..24,
            ),
        ) {
            let text = parts.concat();
            if let Ok(type_) = HiveType::parse(&text) {
                let _ = type_.leaf_count();
            }
        }
    }
}
