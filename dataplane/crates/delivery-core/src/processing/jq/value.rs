//! The values that programs work with.
//!
//! They are those of `jaq_json`, but each that takes memory has taken it from the [meter](super::meter)
//! first, and none is nested deeper than [`DEPTH_MAX`]. So whatever makes values, an operator, a
//! function of the library or an assignment, is stopped before the process is short of memory, and
//! what goes through a value by recursion fits the stack. A value can share its parts many times, and
//! then takes much longer to go through than it is large: that is counted as work.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use jaq_core::val;
use jaq_json::{Num, Val};

use super::meter::{self, Held};
use super::text;

mod operators;
mod paths;

/// Levels of a value.
pub(super) const DEPTH_MAX: u32 = 1_000;
/// Bytes of a string.
pub(super) const STRING_BYTES_MAX: usize = 32 << 20;
/// Bits of an integer; a larger one is a float. Records hold none that is larger.
const INTEGER_BITS_MAX: u64 = 1_400;
/// Characters of a number: what is longer takes a time that grows with its square.
pub(super) const NUMBER_BYTES_MAX: usize = 400;

/// What there is around a string, an array, and an object.
const STRING_OVERHEAD_BYTES: usize = 64;
const ARRAY_OVERHEAD_BYTES: usize = 80;
const OBJECT_OVERHEAD_BYTES: usize = 160;
/// One of an array, and of an object.
const ITEM_BYTES: usize = size_of::<Value>();
const FIELD_BYTES: usize = 6 * size_of::<Value>();

/// As an object has them.
type Map = jaq_json::Map<Value, Value>;

pub(super) type Error = jaq_core::Error<Value>;
pub(super) type ValueR = jaq_core::ValR<Value>;
pub(super) type ValueX<'a> = jaq_core::ValX<'a, Value>;

/// A value.
#[derive(Debug, Default)]
pub(in crate::processing) enum Value {
    #[default]
    Null,
    Bool(bool),
    Num(Num),
    Str(Rc<Str>),
    Arr(Rc<Arr>),
    Obj(Rc<Obj>),
}

/// A string.
#[derive(Debug)]
pub(in crate::processing) struct Str {
    bytes: Vec<u8>,
    /// Whether it is a text. One may hold what is not UTF-8.
    is_text: bool,
    held: Held,
}

/// An array.
#[derive(Debug)]
pub(in crate::processing) struct Arr {
    items: Vec<Value>,
    depth: u32,
    held: Held,
}

/// An object.
#[derive(Debug)]
pub(in crate::processing) struct Obj {
    fields: Map,
    depth: u32,
    held: Held,
}

impl Str {
    fn new(is_text: bool) -> Str {
        Str { bytes: Vec::new(), is_text, held: Held::new(STRING_OVERHEAD_BYTES) }
    }

    pub(in crate::processing) fn is_text(&self) -> bool {
        self.is_text
    }

    pub(in crate::processing) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn push(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        meter::copy(bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    fn reserve(&mut self, more: usize) {
        let len = self.bytes.len().saturating_add(more);
        if STRING_BYTES_MAX < len {
            meter::stop("the program makes a string that is too long");
        }
        let capacity = self.bytes.capacity();
        if capacity < len {
            // Twice as much, so that adding often is not copying often.
            let grown = if self.bytes.is_empty() { len } else { len.max(capacity * 2) };
            self.held.grow(grown - capacity);
            meter::copy(self.bytes.len());
            self.bytes.reserve_exact(grown - self.bytes.len());
        }
    }
}

impl Clone for Str {
    fn clone(&self) -> Str {
        let mut string = Str::new(self.is_text);
        string.push(&self.bytes);
        string
    }
}

impl Arr {
    fn new() -> Arr {
        Arr { items: Vec::new(), depth: 1, held: Held::new(ARRAY_OVERHEAD_BYTES) }
    }

    pub(super) fn items(&self) -> &[Value] {
        &self.items
    }

    fn push(&mut self, item: Value) {
        if self.items.len() == self.items.capacity() {
            self.reserve(self.items.len().max(4));
        }
        meter::work(1);
        self.nest(&item);
        self.items.push(item);
    }

    fn reserve(&mut self, more: usize) {
        let grown = (self.items.len() + more).saturating_sub(self.items.capacity());
        self.held.grow(grown * ITEM_BYTES);
        meter::copy(self.items.len() * ITEM_BYTES);
        self.items.reserve_exact(more);
    }

    /// Before `item` becomes one of it.
    fn nest(&mut self, item: &Value) {
        self.depth = self.depth.max(one_deeper(item.depth()));
    }
}

impl Clone for Arr {
    fn clone(&self) -> Arr {
        let mut array = Arr::new();
        array.reserve(self.items.len());
        meter::work(self.items.len());
        array.items.extend(self.items.iter().map(Value::share));
        array.depth = self.depth;
        array
    }
}

impl Obj {
    fn new() -> Obj {
        Obj { fields: Map::default(), depth: 1, held: Held::new(OBJECT_OVERHEAD_BYTES) }
    }

    pub(in crate::processing) fn fields(&self) -> impl Iterator<Item = (&Value, &Value)> {
        self.fields.iter()
    }

    pub(super) fn field(&self, name: &Value) -> Option<&Value> {
        self.fields.get(name)
    }

    fn insert(&mut self, name: Value, value: Value) {
        if !self.fields.contains_key(&name) {
            self.grow();
        }
        self.nest(&name);
        self.nest(&value);
        self.fields.insert(name, value);
    }

    /// Before a field is added.
    fn grow(&mut self) {
        self.held.grow(FIELD_BYTES);
        meter::work(4);
    }

    /// Before `value` becomes a part of it.
    fn nest(&mut self, value: &Value) {
        self.depth = self.depth.max(one_deeper(value.depth()));
    }

    /// Its fields in the order of their names.
    fn sorted(&self) -> Vec<(&Value, &Value)> {
        let mut fields: Vec<_> = self.fields.iter().collect();
        fields.sort_by_key(|(name, _)| *name);
        fields
    }
}

impl Clone for Obj {
    fn clone(&self) -> Obj {
        let mut object = Obj::new();
        object.held.grow(self.fields.len() * FIELD_BYTES);
        meter::work(self.fields.len() * 4);
        let fields = self.fields.iter().map(|(name, value)| (name.share(), value.share()));
        object.fields = fields.collect();
        object.depth = self.depth;
        object
    }
}

fn one_deeper(depth: u32) -> u32 {
    if DEPTH_MAX <= depth {
        meter::stop("the program makes values that are nested too deep");
    }
    depth + 1
}

impl Clone for Value {
    /// Counted: whatever the interpreter makes to evaluate a term has a value with it, and a term can
    /// be written so that it makes much.
    fn clone(&self) -> Value {
        meter::work(meter::STEP / 4);
        self.share()
    }
}

impl Value {
    /// The same value once more.
    fn share(&self) -> Value {
        match self {
            Value::Null => Value::Null,
            Value::Bool(it) => Value::Bool(*it),
            Value::Num(number) => Value::Num(number.clone()),
            Value::Str(string) => Value::Str(Rc::clone(string)),
            Value::Arr(array) => Value::Arr(Rc::clone(array)),
            Value::Obj(object) => Value::Obj(Rc::clone(object)),
        }
    }

    /// A string.
    pub(super) fn string(bytes: &[u8], is_text: bool) -> Value {
        let mut string = Str::new(is_text);
        string.push(bytes);
        Value::Str(Rc::new(string))
    }

    pub(super) fn text(text: &str) -> Value {
        Value::string(text.as_bytes(), true)
    }

    /// A number that is not too large to calculate with.
    fn number(number: Num) -> Value {
        match &number {
            Num::BigInt(integer) if INTEGER_BITS_MAX < integer.bits() => {
                Value::Num(Num::Float(float(&number)))
            }
            _ => Value::Num(number),
        }
    }

    /// What was read.
    pub(super) fn take(read: Val) -> Value {
        match read {
            Val::Null => Value::Null,
            Val::Bool(it) => Value::Bool(it),
            Val::Num(number) => Value::Num(number),
            Val::TStr(bytes) => Value::string(&bytes, true),
            Val::BStr(bytes) => Value::string(&bytes, false),
            Val::Arr(items) => Rc::unwrap_or_clone(items).into_iter().map(Value::take).collect(),
            Val::Obj(fields) => {
                let fields = Rc::unwrap_or_clone(fields).into_iter();
                fields.map(|(name, value)| (Value::take(name), Value::take(value))).collect()
            }
        }
    }

    /// What it is, of a text.
    pub(in crate::processing) fn as_text(&self) -> Option<&[u8]> {
        match self {
            Value::Str(string) if string.is_text => Some(&string.bytes),
            _ => None,
        }
    }

    fn depth(&self) -> u32 {
        match self {
            Value::Arr(array) => array.depth,
            Value::Obj(object) => object.depth,
            _ => 0,
        }
    }
}

/// `number` as near as a float is.
pub(super) fn float(number: &Num) -> f64 {
    use jaq_std::ValT as _;
    Val::Num(number.clone()).as_f64().unwrap_or(f64::NAN)
}

impl From<bool> for Value {
    fn from(it: bool) -> Value {
        Value::Bool(it)
    }
}

impl From<isize> for Value {
    fn from(number: isize) -> Value {
        Value::Num(Num::Int(number))
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Value {
        Value::Num(Num::from_integral(number))
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Value {
        Value::Num(Num::Float(number))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::text(&text)
    }
}

impl From<val::Range<Value>> for Value {
    fn from(range: val::Range<Value>) -> Value {
        let bounds = [("start", range.start), ("end", range.end)];
        let fields = bounds.into_iter().filter_map(|(name, it)| Some((Value::text(name), it?)));
        fields.collect()
    }
}

impl FromIterator<Value> for Value {
    fn from_iter<I: IntoIterator<Item = Value>>(items: I) -> Value {
        let mut array = Arr::new();
        items.into_iter().for_each(|item| array.push(item));
        Value::Arr(Rc::new(array))
    }
}

impl FromIterator<(Value, Value)> for Value {
    fn from_iter<I: IntoIterator<Item = (Value, Value)>>(fields: I) -> Value {
        let mut object = Obj::new();
        fields.into_iter().for_each(|(name, value)| object.insert(name, value));
        Value::Obj(Rc::new(object))
    }
}

impl fmt::Display for Value {
    /// The start of it: it is for messages, which a program can catch and make longer each time.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&String::from_utf8_lossy(&text::start(self)))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        meter::work(1);
        match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(x), Value::Bool(y)) => x == y,
            (Value::Num(x), Value::Num(y)) => x == y,
            (Value::Str(x), Value::Str(y)) => {
                meter::copy(x.bytes.len().min(y.bytes.len()));
                x.bytes == y.bytes
            }
            (Value::Arr(x), Value::Arr(y)) => Rc::ptr_eq(x, y) || x.items == y.items,
            (Value::Obj(x), Value::Obj(y)) => Rc::ptr_eq(x, y) || x.fields == y.fields,
            _ => false,
        }
    }
}

impl Eq for Value {}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Value) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Value {
    /// As in jq: by their types first.
    fn cmp(&self, other: &Value) -> Ordering {
        meter::work(1);
        match (self, other) {
            (Value::Bool(x), Value::Bool(y)) => x.cmp(y),
            (Value::Num(x), Value::Num(y)) => x.cmp(y),
            (Value::Str(x), Value::Str(y)) => {
                meter::copy(x.bytes.len().min(y.bytes.len()));
                x.bytes.cmp(&y.bytes)
            }
            (Value::Arr(x), Value::Arr(y)) => x.items.cmp(&y.items),
            (Value::Obj(x), Value::Obj(y)) => {
                if x.fields.is_empty() || y.fields.is_empty() {
                    return x.fields.len().cmp(&y.fields.len());
                }
                meter::work(4 * (x.fields.len() + y.fields.len()));
                let (x, y) = (x.sorted(), y.sorted());
                let names = x.iter().map(|it| it.0).cmp(y.iter().map(|it| it.0));
                names.then_with(|| x.iter().map(|it| it.1).cmp(y.iter().map(|it| it.1)))
            }
            (x, y) => x.rank().cmp(&y.rank()),
        }
    }
}

impl Value {
    fn rank(&self) -> u8 {
        match self {
            Value::Null => 0,
            Value::Bool(_) => 1,
            Value::Num(_) => 2,
            Value::Str(_) => 3,
            Value::Arr(_) => 4,
            Value::Obj(_) => 5,
        }
    }
}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        meter::work(1);
        state.write_u8(self.rank());
        match self {
            Value::Null => {}
            Value::Bool(it) => it.hash(state),
            Value::Num(number) => number.hash(state),
            Value::Str(string) => {
                meter::copy(string.bytes.len());
                string.bytes.hash(state);
            }
            Value::Arr(array) => array.items.hash(state),
            Value::Obj(object) => object.sorted().hash(state),
        }
    }
}
