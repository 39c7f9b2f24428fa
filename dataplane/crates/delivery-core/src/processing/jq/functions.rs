//! Functions that the library has for its own values only, or without a bound.

use std::cmp::Ordering::{Equal, Greater, Less};

use jaq_core::native::{self, bome, unary, v};
use jaq_core::{Exn, RunPtr, ValX};
use jaq_json::Num;
use jaq_std::ValT as _;

use super::value::{Error, STRING_BYTES_MAX, Value, ValueR};
use super::{Language, meter, parse, pattern, text};

type Function = native::Filter<RunPtr<Language>>;

/// Of these there are others in the library.
pub(super) const OURS: [&str; 4] = ["matches", "range", "split_", "split_matches"];
/// These go by another name, and `language.jq` calls them when what they are given has a bound.
const GUARDED: [(&str, &str); 3] =
    [("jn", "unguarded_jn"), ("strftime", "unguarded_strftime"), ("yn", "unguarded_yn")];
/// How those names begin.
pub(super) const UNGUARDED: &str = "unguarded_";

pub(super) fn guarded_name(name: &'static str) -> &'static str {
    GUARDED.iter().find(|it| it.0 == name).map_or(name, |it| it.1)
}

pub(super) fn all() -> impl Iterator<Item = native::Fun<Language>> {
    let functions: [Function; 12] = [
        ("fromjson", v(0), |cv| bome(from_json(&cv.1))),
        ("tojson", v(0), |cv| bome(Ok(text::to_json(&cv.1)))),
        ("tobytes", v(0), |cv| bome(to_bytes(&cv.1))),
        ("length", v(0), |cv| bome(length(&cv.1))),
        ("contains", v(1), |cv| unary(cv, |it, part| Ok(contains(&it, &part).into()))),
        ("has", v(1), |cv| unary(cv, |it, key| it.get(&key).map(|it| it.is_some().into()))),
        ("indices", v(1), |cv| {
            unary(cv, |it, of| it.indices(&of).map(|it| it.into_iter().map(Value::from).collect()))
        }),
        ("bsearch", v(1), |cv| unary(cv, |it, of| search(it, &of))),
        ("range", v(3), |mut cv| {
            let by = cv.0.pop_var();
            let to = cv.0.pop_var();
            let from = cv.0.pop_var();
            Box::new(range(from, to, by))
        }),
        ("matches", [two(), two()].into(), |cv| bome(pattern::run(cv, false, true))),
        ("split_matches", [two(), two()].into(), |cv| bome(pattern::run(cv, true, true))),
        ("split_", [two(), two()].into(), |cv| bome(pattern::run(cv, true, false))),
    ];
    functions.into_iter().map(native::run::<Language>)
}

fn two() -> jaq_core::Bind<()> {
    jaq_core::Bind::Var(())
}

fn from_json(value: &Value) -> ValueR {
    let text = value.try_as_utf8_bytes()?;
    meter::read(text.len() * 4);
    parse(text).map(Value::take).map_err(Error::str)
}

fn to_bytes(value: &Value) -> ValueR {
    fn put(value: &Value, out: &mut Vec<u8>) -> Result<(), Error> {
        meter::work(4);
        match value {
            Value::Num(number) if let Some(Ok(byte)) = number.as_isize().map(u8::try_from) => {
                out.push(byte);
            }
            Value::Str(string) => {
                if STRING_BYTES_MAX - out.len() < string.bytes().len() {
                    meter::stop("the program makes a string that is too long");
                }
                meter::copy(string.bytes().len());
                out.extend_from_slice(string.bytes());
            }
            Value::Arr(array) => array.items().iter().try_for_each(|item| put(item, out))?,
            it => return Err(Error::str(format_args!("cannot convert {it} to bytes"))),
        }
        Ok(())
    }
    let mut out = Vec::new();
    put(value, &mut out)?;
    Ok(Value::string(&out, false))
}

fn length(value: &Value) -> ValueR {
    match value {
        Value::Null => Ok(Value::from(0_usize)),
        Value::Bool(_) => Err(Error::str(format_args!("{value} has no length"))),
        Value::Num(number) => Ok(Value::Num(number_length(number))),
        Value::Str(string) if string.is_text() => {
            meter::read(string.bytes().len());
            Ok(Value::from(text::char_starts(string.bytes()).count()))
        }
        Value::Str(string) => Ok(Value::from(string.bytes().len())),
        Value::Arr(array) => Ok(Value::from(array.items().len())),
        Value::Obj(object) => Ok(Value::from(object.fields().count())),
    }
}

fn number_length(number: &Num) -> Num {
    match number {
        Num::Dec(digits) => number_length(&Num::from_dec_str(digits)),
        Num::Float(number) => Num::Float(number.abs()),
        number if number < &Num::Int(0) => -number.clone(),
        number => number.clone(),
    }
}

/// Whether all of `part` is in `value`: in a part of a string, in an item for each item, in a field
/// of the same name for each field.
fn contains(value: &Value, part: &Value) -> bool {
    meter::work(2);
    match (value, part) {
        (Value::Str(it), Value::Str(part)) if it.is_text() == part.is_text() => {
            meter::read(it.bytes().len() + part.bytes().len());
            memchr::memmem::find(it.bytes(), part.bytes()).is_some()
        }
        (Value::Arr(it), Value::Arr(part)) => {
            part.items().iter().all(|part| it.items().iter().any(|it| contains(it, part)))
        }
        (Value::Obj(it), Value::Obj(part)) => part
            .fields()
            .all(|(name, part)| it.field(name).is_some_and(|value| contains(value, part))),
        (it, part) => it == part,
    }
}

impl Value {
    /// Where `of` is in it: a string's part, an array's part, or an array's item.
    pub(super) fn indices(&self, of: &Value) -> Result<Vec<usize>, Error> {
        match (self, of) {
            (Value::Str(it), Value::Str(of)) if it.is_text() == of.is_text() => {
                let (it, of, is_text) = (it.bytes(), of.bytes(), it.is_text());
                if of.is_empty() {
                    return Ok(Vec::new());
                }
                meter::read(it.len());
                let is_here = |at: usize| {
                    meter::copy(of.len());
                    it[at..].starts_with(of)
                };
                if is_text {
                    let starts = text::char_starts(it).enumerate();
                    return Ok(starts.filter(|(_, at)| is_here(*at)).map(|(n, _)| n).collect());
                }
                Ok((0..it.len()).filter(|at| is_here(*at)).collect())
            }
            (Value::Arr(it), Value::Arr(of)) => {
                let of = of.items();
                if of.is_empty() {
                    return Ok(Vec::new());
                }
                let windows = it.items().windows(of.len()).enumerate();
                Ok(windows.filter(|(_, it)| *it == of).map(|(index, _)| index).collect())
            }
            (Value::Arr(it), of) => {
                let items = it.items().iter().enumerate();
                Ok(items.filter(|(_, it)| *it == of).map(|(index, _)| index).collect())
            }
            (it, of) => Err(Error::index(it.clone(), of.clone())),
        }
    }
}

/// Where `of` is in a sorted array, or, as a negative number, where it would be.
fn search(value: Value, of: &Value) -> ValueR {
    let Value::Arr(array) = value else {
        return Err(Error::typ(value, "array"));
    };
    Ok(match array.items().binary_search(of) {
        Ok(at) => Value::from(at),
        Err(at) => (Value::from(-1_isize) - Value::from(at))?,
    })
}

/// `from`, and `by` more each time, until `to`.
fn range<'a>(from: Value, to: Value, by: Value) -> impl Iterator<Item = ValX<'a, Value>> {
    let direction = by.cmp(&Value::from(0_isize));
    let mut next = Some(Ok(from));
    std::iter::from_fn(move || {
        meter::work(meter::STEP);
        meter::generate();
        let here: Value = match next.take()? {
            Ok(here) => here,
            Err(error) => return Some(Err(Exn::from(error))),
        };
        let more = match direction {
            Greater => here < to,
            Less => to < here,
            Equal => here != to,
        };
        if !more {
            return None;
        }
        next = Some(here.clone() + by.clone());
        Some(Ok(here))
    })
}
