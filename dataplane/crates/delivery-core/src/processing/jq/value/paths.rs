//! Taking values apart, putting them together, and changing what is in them.

use std::rc::Rc;

use jaq_core::box_iter::{BoxIter, box_once};
use jaq_core::path::Opt;
use jaq_core::val::Range;
use jaq_core::{Exn, ValT};
use jaq_json::Num;

use super::super::{meter, text};
use super::{
    Arr, Error, Held, ITEM_BYTES, NUMBER_BYTES_MAX, Obj, Str, Value, ValueR, ValueX, float,
};

const NEITHER: &str = "iterable (array or object)";

impl ValT for Value {
    fn from_num(digits: &str) -> ValueR {
        if NUMBER_BYTES_MAX < digits.len() {
            meter::work(digits.len());
            return Ok(Value::Num(Num::from_dec_str(digits)));
        }
        let integer = Num::from_str_radix(digits, 10);
        Ok(Value::number(integer.unwrap_or_else(|| Num::Dec(Rc::new(digits.to_owned())))))
    }

    fn from_map<I: IntoIterator<Item = (Value, Value)>>(fields: I) -> ValueR {
        Ok(fields.into_iter().collect())
    }

    fn key_values(self) -> BoxIter<'static, Result<(Value, Value), Error>> {
        meter::work(16);
        match self {
            Value::Arr(array) => {
                let items = items(array).enumerate();
                Box::new(items.map(|(index, item)| Ok((Value::from(index), item))))
            }
            Value::Obj(object) => Box::new(fields(object).map(Ok)),
            it => box_once(Err(Error::typ(it, NEITHER))),
        }
    }

    fn values(self) -> Box<dyn Iterator<Item = ValueR>> {
        meter::work(16);
        match self {
            Value::Arr(array) => Box::new(items(array).map(Ok)),
            Value::Obj(object) => Box::new(fields(object).map(|(_, value)| Ok(value))),
            it => box_once(Err(Error::typ(it, NEITHER))),
        }
    }

    fn index(self, index: &Value) -> ValueR {
        self.get(index).map(Option::unwrap_or_default)
    }

    fn range(self, range: Range<&Value>) -> ValueR {
        meter::work(16);
        match self {
            Value::Str(string) => {
                let (start, end) = string_range(&string, &range)?;
                Ok(Value::string(&string.bytes[start..end], string.is_text))
            }
            Value::Arr(array) => {
                let (start, end) = bounds(&range, array.items.len())?;
                Ok(array.items[start..end].iter().map(Value::share).collect())
            }
            it => Err(Error::typ(it, "rangeable (array or string)")),
        }
    }

    fn map_values<'a, I: Iterator<Item = ValueX<'a>>>(
        self,
        opt: Opt,
        change: impl Fn(Value) -> I,
    ) -> ValueX<'a> {
        meter::work(16);
        match self {
            Value::Arr(array) => items(array).flat_map(change).collect(),
            Value::Obj(object) => fields(object)
                .filter_map(|(name, value)| Some(change(value).next()?.map(|it| (name, it))))
                .collect(),
            it => opt.fail(it, |it| Exn::from(Error::typ(it, NEITHER))),
        }
    }

    fn map_index<'a, I: Iterator<Item = ValueX<'a>>>(
        self,
        index: &Value,
        opt: Opt,
        change: impl Fn(Value) -> I,
    ) -> ValueX<'a> {
        meter::work(16);
        match (self, index) {
            (it @ (Value::Str(_) | Value::Arr(_)), Value::Obj(range)) => {
                it.map_range(named_range(range), opt, change)
            }
            (Value::Obj(mut object), _) => {
                change_field(Rc::make_mut(&mut object), index, change)?;
                Ok(Value::Obj(object))
            }
            (Value::Arr(mut array), _) => {
                let at = position(index).and_then(|at| {
                    let out = || Error::str(format_args!("index {index} out of bounds"));
                    at.within(array.items.len()).ok_or_else(out)
                });
                let at = match at {
                    Ok(at) => at,
                    Err(error) => return opt.fail(Value::Arr(array), |_| Exn::from(error)),
                };
                let inside = Rc::make_mut(&mut array);
                let before = std::mem::take(&mut inside.items[at]);
                if let Some(after) = change(before).next().transpose()? {
                    inside.nest(&after);
                    inside.items[at] = after;
                } else {
                    meter::copy((inside.items.len() - at) * ITEM_BYTES);
                    inside.items.remove(at);
                }
                Ok(Value::Arr(array))
            }
            (it, _) => opt.fail(it, |it| Exn::from(Error::typ(it, NEITHER))),
        }
    }

    fn map_range<'a, I: Iterator<Item = ValueX<'a>>>(
        self,
        range: Range<&Value>,
        opt: Opt,
        change: impl Fn(Value) -> I,
    ) -> ValueX<'a> {
        meter::work(16);
        match self {
            Value::Arr(array) => {
                let (start, end) = match bounds(&range, array.items.len()) {
                    Ok(bounds) => bounds,
                    Err(error) => return opt.fail(Value::Arr(array), |_| Exn::from(error)),
                };
                let before = array.items[start..end].iter().map(Value::share).collect();
                let after = match change(before).next().transpose()? {
                    None => Rc::new(Arr::new()),
                    Some(Value::Arr(after)) => after,
                    Some(it) => return Err(Exn::from(Error::typ(it, "array"))),
                };
                let (before, behind) = (array.items[..start].iter(), array.items[end..].iter());
                Ok(before.chain(&after.items).chain(behind).map(Value::share).collect())
            }
            Value::Str(string) => {
                let (start, end) = match string_range(&string, &range) {
                    Ok(bounds) => bounds,
                    Err(error) => return opt.fail(Value::Str(string), |_| Exn::from(error)),
                };
                let before = Value::string(&string.bytes[start..end], string.is_text);
                let mut out = Str::new(string.is_text);
                out.push(&string.bytes[..start]);
                match change(before).next().transpose()? {
                    None => {}
                    Some(Value::Str(after)) if after.is_text == string.is_text => {
                        out.push(&after.bytes);
                    }
                    Some(it) => return Err(Exn::from(Error::typ(it, "string"))),
                }
                out.push(&string.bytes[end..]);
                Ok(Value::Str(Rc::new(out)))
            }
            it => opt.fail(it, |it| Exn::from(Error::typ(it, "array"))),
        }
    }

    fn as_bool(&self) -> bool {
        !matches!(self, Value::Null | Value::Bool(false))
    }

    fn into_string(self) -> Value {
        match self {
            Value::Str(string) if string.is_text => Value::Str(string),
            Value::Str(string) => Value::string(&string.bytes, true),
            it => text::to_json(&it),
        }
    }
}

impl jaq_std::ValT for Value {
    fn into_seq<S: FromIterator<Value>>(self) -> Result<S, Value> {
        match self {
            Value::Arr(array) => {
                meter::work(array.items.len());
                // What it goes into is not metered, but is held next to it for a while at most.
                let _held = Held::new(array.items.len() * ITEM_BYTES);
                Ok(items(array).collect())
            }
            it => Err(it),
        }
    }

    fn is_int(&self) -> bool {
        matches!(self, Value::Num(Num::Int(_) | Num::BigInt(_)))
    }

    fn as_isize(&self) -> Option<isize> {
        match self {
            Value::Num(number) => number.as_isize(),
            _ => None,
        }
    }

    fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Num(number) => Some(float(number)),
            _ => None,
        }
    }

    fn is_utf8_str(&self) -> bool {
        matches!(self, Value::Str(string) if string.is_text)
    }

    fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Str(string) => {
                // Who asks goes through it.
                meter::read(string.bytes.len());
                Some(&string.bytes)
            }
            _ => None,
        }
    }

    /// A copy: a small part would keep all of a large string.
    fn as_sub_str(&self, part: &[u8]) -> Value {
        Value::string(part, jaq_std::ValT::is_utf8_str(self))
    }

    fn from_utf8_bytes(bytes: impl AsRef<[u8]> + Send + 'static) -> Value {
        Value::string(bytes.as_ref(), true)
    }
}

impl Value {
    /// What is at `index`, if there is something.
    pub(in super::super) fn get(self, index: &Value) -> Result<Option<Value>, Error> {
        meter::work(16);
        match (self, index) {
            (Value::Null, _) => Ok(None),
            (Value::Str(string), Value::Num(number @ (Num::Int(_) | Num::BigInt(_))))
                if !string.is_text =>
            {
                let at = Position::new(number).and_then(|at| at.within(string.bytes.len()));
                Ok(at.map(|at| Value::from(usize::from(string.bytes[at]))))
            }
            (Value::Arr(array), Value::Num(number @ (Num::Int(_) | Num::BigInt(_)))) => {
                let at = Position::new(number).and_then(|at| at.within(array.items.len()));
                Ok(at.map(|at| array.items[at].clone()))
            }
            (it @ Value::Arr(_), Value::Arr(_)) => {
                it.indices(index).map(|it| Some(it.into_iter().map(Value::from).collect()))
            }
            (Value::Obj(object), _) => Ok(object.fields.get(index).cloned()),
            (it @ (Value::Str(_) | Value::Arr(_)), Value::Obj(range)) => {
                it.range(named_range(range)).map(Some)
            }
            (it, _) => Err(Error::index(it, index.clone())),
        }
    }
}

/// The items, without a second list of them.
fn items(array: Rc<Arr>) -> Box<dyn Iterator<Item = Value>> {
    match Rc::try_unwrap(array) {
        Ok(Arr { items, held, .. }) => {
            let mut items = items.into_iter();
            Box::new(std::iter::from_fn(move || {
                let _ = &held;
                meter::generate();
                items.next()
            }))
        }
        Err(shared) => {
            let mut at = 0..;
            Box::new(std::iter::from_fn(move || {
                meter::generate();
                shared.items.get(at.next()?).map(Value::share)
            }))
        }
    }
}

/// The fields, without a second list of them.
fn fields(object: Rc<Obj>) -> Box<dyn Iterator<Item = (Value, Value)>> {
    match Rc::try_unwrap(object) {
        Ok(Obj { fields, held, .. }) => {
            let mut fields = fields.into_iter();
            Box::new(std::iter::from_fn(move || {
                let _ = &held;
                meter::generate();
                fields.next()
            }))
        }
        Err(shared) => {
            let mut at = 0..;
            Box::new(std::iter::from_fn(move || {
                meter::generate();
                let (name, value) = shared.fields.get_index(at.next()?)?;
                Some((name.share(), value.share()))
            }))
        }
    }
}

fn change_field<'a, I: Iterator<Item = ValueX<'a>>>(
    object: &mut Obj,
    name: &Value,
    change: impl Fn(Value) -> I,
) -> Result<(), Exn<'a, Value>> {
    match object.fields.get_mut(name).map(std::mem::take) {
        Some(before) => match change(before).next().transpose()? {
            Some(after) => object.insert(name.clone(), after),
            // It takes no time that grows with the object, and changes the order.
            None => drop(object.fields.swap_remove(name)),
        },
        None => {
            if let Some(after) = change(Value::Null).next().transpose()? {
                object.insert(name.clone(), after);
            }
        }
    }
    Ok(())
}

/// From the start, or from the end.
#[derive(Clone, Copy)]
enum Position {
    Start(usize),
    End(usize),
}

impl Position {
    fn new(number: &Num) -> Option<Position> {
        let number = match number {
            Num::Int(number) => *number,
            // It is beyond any end, and is cut to it.
            Num::BigInt(_) if number < &Num::Int(0) => isize::MIN,
            Num::BigInt(_) => isize::MAX,
            _ => return None,
        };
        let far = number.unsigned_abs();
        Some(if number < 0 { Position::End(far) } else { Position::Start(far) })
    }

    /// Of something that has `len`, if it is in it.
    fn within(self, len: usize) -> Option<usize> {
        match self {
            Position::Start(at) => Some(at),
            Position::End(at) => len.checked_sub(at),
        }
        .filter(|at| *at < len)
    }

    /// The same, moved to the nearest end.
    fn cut(self, len: usize) -> usize {
        match self {
            Position::Start(at) => at.min(len),
            Position::End(at) => len.saturating_sub(at),
        }
    }
}

fn position(value: &Value) -> Result<Position, Error> {
    let position = match value {
        Value::Num(number) => Position::new(number),
        _ => None,
    };
    position.ok_or_else(|| Error::typ(value.clone(), "integer"))
}

/// What `range` is of something that has `len`: no end before its start.
fn bounds(range: &Range<&Value>, len: usize) -> Result<(usize, usize), Error> {
    let bound = |value: Option<&Value>, none: usize| match value {
        None | Some(Value::Null) => Ok(none),
        Some(value) => position(value).map(|it| it.cut(len)),
    };
    let start = bound(range.start, 0)?;
    Ok((start, bound(range.end, len)?.max(start)))
}

/// The same in bytes; a text's is in characters.
fn string_range(string: &Str, range: &Range<&Value>) -> Result<(usize, usize), Error> {
    let bytes = &*string.bytes;
    if !string.is_text {
        return bounds(range, bytes.len());
    }
    meter::read(bytes.len());
    let (start, end) = bounds(range, text::char_starts(bytes).count())?;
    let mut starts = text::char_starts(bytes);
    let first = starts.nth(start).unwrap_or(bytes.len());
    if start == end {
        return Ok((first, first));
    }
    Ok((first, starts.nth(end - start - 1).unwrap_or(bytes.len())))
}

/// A range as an object.
fn named_range(object: &Obj) -> Range<&Value> {
    object.fields.get(&Value::text("start"))..object.fields.get(&Value::text("end"))
}
