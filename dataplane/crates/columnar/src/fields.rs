//! Columns that are read from one JSON object: those of a file, or the fields of a struct.

use std::collections::HashMap;

use arrow_schema::Fields as ArrowFields;

use crate::column::{Column, Values};
use crate::dialect::{Dialect, lower_case};
use crate::hive_type::HiveType;
use crate::json::{Scalar, Scanner, SyntaxError};

/// The most values that one record may hold. A short record can hold many, as `[{},{}]` does for an
/// array of wide structs.
pub(crate) const VALUES_MAX: usize = 1 << 20;
/// How many keys are remembered in the order in which records have them, and how long they may be.
const ORDER_MAX: usize = 1024;
const ORDER_KEY_BYTES_MAX: usize = 128;
/// How many keys may be missing before the order is given up for a look-up.
const AHEAD_MAX: usize = 8;
/// How much of a value a message shows.
const SHOWN_CHARACTERS_MAX: usize = 64;

/// Why a record is no rows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Syntax(SyntaxError),
    Value(Box<ValueFault>),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ValueFault {
    /// The names of fields, from the outermost.
    pub(crate) path: String,
    pub(crate) what: String,
}

impl From<SyntaxError> for Fault {
    fn from(error: SyntaxError) -> Fault {
        Fault::Syntax(error)
    }
}

impl Fault {
    pub(crate) fn value(what: String) -> Fault {
        Fault::Value(Box::new(ValueFault { path: String::new(), what }))
    }

    /// A text in another encoding, or none.
    pub(crate) fn not_utf8(error: &std::str::Utf8Error) -> Fault {
        Fault::Syntax(SyntaxError { position: error.valid_up_to(), what: "not UTF-8" })
    }

    fn misfit(found: &str, type_: &HiveType) -> Fault {
        Fault::value(format!("{found} is not {type_}"))
    }

    fn within(mut self, name: &str) -> Fault {
        if let Fault::Value(fault) = &mut self {
            let separator = if fault.path.is_empty() { "" } else { "." };
            fault.path = format!("{name}{separator}{}", fault.path);
        }
        self
    }
}

/// What reading takes besides the columns.
pub(crate) struct Reading<'d> {
    pub(crate) dialect: &'d Dialect,
    pub(crate) scratch: &'d mut String,
    /// How many values the record may still hold.
    pub(crate) values_left: usize,
}

impl Reading<'_> {
    pub(crate) fn take_values(&mut self, count: usize) -> Result<(), Fault> {
        let left = self.values_left.checked_sub(count);
        self.values_left =
            left.ok_or_else(|| Fault::value(format!("more than {VALUES_MAX} values")))?;
        Ok(())
    }
}

pub(crate) struct Fields {
    names: Vec<String>,
    pub(crate) columns: Vec<Column>,
    /// Columns by the normal form of their keys.
    by_key: HashMap<String, usize>,
    /// Keys as they were last seen, one behind the other, which saves most look-ups.
    order: Vec<SeenKey>,
}

struct SeenKey {
    /// As it was written, without escapes.
    key: Box<[u8]>,
    column: Option<usize>,
}

impl Fields {
    /// `parts` are the same fields, as arrow has them.
    pub(crate) fn new(
        fields: &[(String, HiveType)],
        parts: &ArrowFields,
        dialect: &Dialect,
    ) -> Fields {
        let keys =
            fields.iter().enumerate().map(|(index, (name, _))| (dialect.key_of(name), index));
        Fields {
            names: fields.iter().map(|(name, _)| name.clone()).collect(),
            columns: fields
                .iter()
                .zip(parts)
                .map(|((_, type_), part)| Column::new(type_, part, dialect))
                .collect(),
            by_key: keys.collect(),
            order: Vec::new(),
        }
    }

    /// Reads an object, whose bracket is next, as row `row` of each column.
    pub(crate) fn read(
        &mut self,
        json: &mut Scanner<'_>,
        reading: &mut Reading<'_>,
        row: usize,
    ) -> Result<(), Fault> {
        json.enter()?;
        let mut place = 0;
        let mut is_first = true;
        while json.has_part(b'}', is_first)? {
            is_first = false;
            let column = self.read_key(json, reading, &mut place)?;
            json.expect(b':', "expected :")?;
            let Some(index) = column else {
                json.skip(reading.scratch)?;
                continue;
            };
            let column = &mut self.columns[index];
            if row < column.len() {
                if reading.dialect.is_open_x {
                    let fault = Fault::value("given twice".to_owned());
                    return Err(fault.within(&self.names[index]));
                }
                column.truncate(row);
            }
            column.read(json, reading).map_err(|fault| fault.within(&self.names[index]))?;
        }
        for (column, name) in self.columns.iter_mut().zip(&self.names) {
            if column.len() == row {
                column.push_null();
            }
            column.check_present().map_err(|fault| fault.within(name))?;
        }
        Ok(())
    }

    /// The column of the key that comes next. `place` is where the order says that it is.
    fn read_key(
        &mut self,
        json: &mut Scanner<'_>,
        reading: &mut Reading<'_>,
        place: &mut usize,
    ) -> Result<Option<usize>, Fault> {
        let ahead = self.order.iter().enumerate().skip(*place).take(AHEAD_MAX);
        for (index, seen) in ahead {
            if json.take_key(&seen.key) {
                *place = index + 1;
                return Ok(seen.column);
            }
        }
        // Behind spaces, so that the key's length tells whether it has escapes.
        json.peek();
        let start = json.position();
        let key = json.string(reading.scratch)?;
        let column = self.by_key.get(&*reading.dialect.normal_key(key)).copied();
        let is_plain = json.position() - start == key.len() + 2;
        if is_plain && key.len() <= ORDER_KEY_BYTES_MAX && self.order.len() < ORDER_MAX {
            let seen = SeenKey { key: key.as_bytes().into(), column };
            self.order.insert(*place, seen);
            *place += 1;
        }
        Ok(column)
    }
}

impl Column {
    /// Whether the last row is one that the column can have.
    fn check_present(&self) -> Result<(), Fault> {
        if self.is_required
            && self.len().checked_sub(1).is_some_and(|row| !self.nulls.is_valid(row))
        {
            return Err(Fault::value("is required, and null or not there".to_owned()));
        }
        Ok(())
    }

    /// Reads the value that comes next as a row. After an error the row may be there in part.
    fn read(&mut self, json: &mut Scanner<'_>, reading: &mut Reading<'_>) -> Result<(), Fault> {
        match &mut self.values {
            Values::Array(..) => self.read_array(json, reading),
            Values::Map(..) => self.read_map(json, reading),
            Values::Struct(fields) => {
                if json.peek() != Some(b'{') {
                    return self.read_in_place_of_object(json, reading);
                }
                let row = self.nulls.len();
                fields.read(json, reading, row)?;
                self.push_nested();
                Ok(())
            }
            _ => {
                let scalar = json.scalar(reading.scratch)?;
                if self.push(scalar, reading.dialect) {
                    return Ok(());
                }
                Err(Fault::misfit(&shown(scalar), &self.type_))
            }
        }
    }

    fn read_array(
        &mut self,
        json: &mut Scanner<'_>,
        reading: &mut Reading<'_>,
    ) -> Result<(), Fault> {
        let next = json.peek();
        let Values::Array(_, element) = &mut self.values else {
            return Ok(());
        };
        match next {
            Some(b'[') => {
                json.enter()?;
                let mut is_first = true;
                while json.has_part(b']', is_first)? {
                    is_first = false;
                    reading.take_values(element.width)?;
                    element.read(json, reading)?;
                    element.check_present()?;
                }
            }
            Some(b'n') => {
                json.literal("null")?;
                self.push_null();
                return Ok(());
            }
            Some(b'"') => {
                let scalar = Scalar::String(json.string(reading.scratch)?);
                if reading.dialect.is_open_x && is_blank(scalar) {
                    self.push_null();
                    return Ok(());
                }
                if !reading.dialect.is_open_x || !element.push(scalar, reading.dialect) {
                    return Err(Fault::misfit(&shown(scalar), &self.type_));
                }
            }
            _ if reading.dialect.is_open_x => element.read(json, reading)?,
            _ => {
                let found = shown(json.scalar(reading.scratch)?);
                return Err(Fault::misfit(&found, &self.type_));
            }
        }
        self.push_nested();
        Ok(())
    }

    fn read_map(&mut self, json: &mut Scanner<'_>, reading: &mut Reading<'_>) -> Result<(), Fault> {
        if json.peek() != Some(b'{') {
            return self.read_in_place_of_object(json, reading);
        }
        let Values::Map(_, entry) = &mut self.values else {
            return Ok(());
        };
        let (keys, values) = &mut **entry;
        json.enter()?;
        let mut is_first = true;
        while json.has_part(b'}', is_first)? {
            is_first = false;
            reading.take_values(keys.width + values.width)?;
            let key = json.string(reading.scratch)?;
            if !keys.push_key(key, reading.dialect) {
                return Err(Fault::misfit(&shown(Scalar::String(key)), &keys.type_));
            }
            json.expect(b':', "expected :")?;
            values.read(json, reading)?;
            values.check_present()?;
        }
        self.push_nested();
        Ok(())
    }

    /// A map's key, which JSON has as a string whatever its type.
    fn push_key(&mut self, key: &str, dialect: &Dialect) -> bool {
        let lowered = (dialect.is_open_x && dialect.lowers_keys).then(|| lower_case(key));
        let key = lowered.as_deref().unwrap_or(key);
        match self.type_ {
            HiveType::TinyInt
            | HiveType::SmallInt
            | HiveType::Int
            | HiveType::BigInt
            | HiveType::Float
            | HiveType::Double => self.push(Scalar::Number(key), dialect),
            _ => self.push(Scalar::String(key), dialect),
        }
    }

    /// Where a struct or a map is expected, null is one of it; to OpenX so are `""` and `[]`.
    fn read_in_place_of_object(
        &mut self,
        json: &mut Scanner<'_>,
        reading: &mut Reading<'_>,
    ) -> Result<(), Fault> {
        let scalar = json.scalar(reading.scratch)?;
        let is_null = scalar == Scalar::Null || reading.dialect.is_open_x && is_blank(scalar);
        if !is_null {
            return Err(Fault::misfit(&shown(scalar), &self.type_));
        }
        self.push_null();
        Ok(())
    }
}

/// Nothing but spaces in quotes or square brackets.
fn is_blank(scalar: Scalar<'_>) -> bool {
    match scalar {
        Scalar::String(text) => text.trim_ascii().is_empty(),
        Scalar::Nested(text) => {
            let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
            inner.is_some_and(|inner| inner.trim_ascii().is_empty())
        }
        _ => false,
    }
}

fn shown(scalar: Scalar<'_>) -> String {
    let cut = |text: &str| match text.char_indices().nth(SHOWN_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    };
    match scalar {
        Scalar::Null => "null".to_owned(),
        Scalar::Bool(value) => value.to_string(),
        Scalar::Number(text) | Scalar::Nested(text) => cut(text),
        Scalar::String(text) => format!("{:?}", cut(text)),
    }
}
