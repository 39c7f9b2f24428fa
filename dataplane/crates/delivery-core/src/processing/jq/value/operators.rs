//! Calculating.

use std::collections::BTreeSet;
use std::ops::{Add, Div, Mul, Neg, Rem, Sub};
use std::rc::Rc;

use jaq_core::ops::Math;
use jaq_json::Num;

use super::super::{meter, text};
use super::{Error, Obj, STRING_BYTES_MAX, Str, Value, ValueR};

impl Add for Value {
    type Output = ValueR;

    fn add(self, other: Value) -> ValueR {
        match (self, other) {
            (Value::Null, it) | (it, Value::Null) => Ok(it),
            (Value::Num(x), Value::Num(y)) => Ok(Value::number(x + y)),
            (Value::Str(mut x), Value::Str(y)) if x.is_text == y.is_text => {
                Rc::make_mut(&mut x).push(&y.bytes);
                Ok(Value::Str(x))
            }
            (Value::Arr(mut x), Value::Arr(y)) => {
                let array = Rc::make_mut(&mut x);
                y.items.iter().for_each(|item| array.push(item.share()));
                Ok(Value::Arr(x))
            }
            (Value::Obj(mut x), Value::Obj(y)) => {
                let object = Rc::make_mut(&mut x);
                let fields = y.fields.iter();
                fields.for_each(|(name, value)| object.insert(name.share(), value.share()));
                Ok(Value::Obj(x))
            }
            (x, y) => Err(Error::math(x, Math::Add, y)),
        }
    }
}

impl Sub for Value {
    type Output = ValueR;

    fn sub(self, other: Value) -> ValueR {
        match (self, other) {
            (Value::Num(x), Value::Num(y)) => Ok(Value::number(x - y)),
            (Value::Arr(mut x), Value::Arr(y)) => {
                let out: BTreeSet<_> = y.items.iter().collect();
                Rc::make_mut(&mut x).items.retain(|item| !out.contains(item));
                Ok(Value::Arr(x))
            }
            (x, y) => Err(Error::math(x, Math::Sub, y)),
        }
    }
}

impl Mul for Value {
    type Output = ValueR;

    fn mul(self, other: Value) -> ValueR {
        match (self, other) {
            (Value::Num(x), Value::Num(y)) => Ok(Value::number(x * y)),
            (Value::Str(string), Value::Num(times @ (Num::Int(_) | Num::BigInt(_))))
            | (Value::Num(times @ (Num::Int(_) | Num::BigInt(_))), Value::Str(string)) => {
                Ok(repeat(&string, &times))
            }
            (Value::Obj(mut x), Value::Obj(y)) => {
                merge(&mut x, &y);
                Ok(Value::Obj(x))
            }
            (x, y) => Err(Error::math(x, Math::Mul, y)),
        }
    }
}

/// `string` so many times; what is not even once is nothing.
fn repeat(string: &Str, times: &Num) -> Value {
    if times <= &Num::Int(0) {
        return Value::Null;
    }
    let mut out = Str::new(string.is_text);
    // More than can be counted is too many, but of nothing it is nothing.
    let times = times.as_isize().map_or(usize::MAX, isize::unsigned_abs);
    if !string.bytes.is_empty() {
        let len = string.bytes.len().saturating_mul(times).min(STRING_BYTES_MAX + 1);
        out.reserve(len);
        meter::copy(len);
        out.bytes.extend_from_slice(&string.bytes);
        while out.bytes.len() < len {
            let more = out.bytes.len().min(len - out.bytes.len());
            out.bytes.extend_from_within(..more);
        }
    }
    Value::Str(Rc::new(out))
}

/// Puts `from` into `into`, objects in objects.
fn merge(into: &mut Rc<Obj>, from: &Obj) {
    let into = Rc::make_mut(into);
    // No part becomes deeper than both were.
    into.depth = into.depth.max(from.depth);
    for (name, value) in &from.fields {
        match (into.fields.get_mut(name), value) {
            (Some(Value::Obj(into)), Value::Obj(from)) => merge(into, from),
            _ => into.insert(name.share(), value.share()),
        }
    }
}

impl Div for Value {
    type Output = ValueR;

    fn div(self, other: Value) -> ValueR {
        match (self, other) {
            (Value::Num(x), Value::Num(y)) => Ok(Value::number(x / y)),
            (Value::Str(x), Value::Str(y)) if x.is_text == y.is_text => {
                Ok(split(&x, &y.bytes).collect())
            }
            (x, y) => Err(Error::math(x, Math::Div, y)),
        }
    }
}

/// What is between the `separator`s; with none, each character.
fn split<'a>(string: &'a Str, separator: &'a [u8]) -> Box<dyn Iterator<Item = Value> + 'a> {
    let bytes = &*string.bytes;
    meter::read(bytes.len());
    let piece = |piece| Value::string(piece, string.is_text);
    if bytes.is_empty() {
        return Box::new(std::iter::empty());
    }
    if separator.is_empty() {
        let ends = text::char_starts(bytes).skip(1).chain([bytes.len()]);
        return Box::new(
            text::char_starts(bytes).zip(ends).map(move |it| piece(&bytes[it.0..it.1])),
        );
    }
    let mut start = 0;
    let ends = memchr::memmem::find_iter(bytes, separator).map(Some).chain([None]);
    Box::new(ends.map(move |end| {
        let next = end.map_or(bytes.len(), |end| end + separator.len());
        piece(&bytes[std::mem::replace(&mut start, next)..end.unwrap_or(bytes.len())])
    }))
}

impl Rem for Value {
    type Output = ValueR;

    fn rem(self, other: Value) -> ValueR {
        let is_int = |number: &Num| matches!(number, Num::Int(_) | Num::BigInt(_));
        match (self, other) {
            (Value::Num(x), Value::Num(y)) if !(is_int(&x) && is_int(&y) && y == Num::Int(0)) => {
                Ok(Value::number(x % y))
            }
            (x, y) => Err(Error::math(x, Math::Rem, y)),
        }
    }
}

impl Neg for Value {
    type Output = ValueR;

    fn neg(self) -> ValueR {
        match self {
            Value::Num(number) => Ok(Value::number(-number)),
            it => Err(Error::typ(it, "number")),
        }
    }
}
