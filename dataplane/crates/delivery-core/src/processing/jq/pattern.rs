//! Regular expressions.
//!
//! The library compiles one each time that it is used, and to any size: what is held for one grows
//! with its size times its groups. Here both have a bound, and what is compiled is kept for a while.

use std::cell::RefCell;
use std::rc::Rc;

use jaq_core::{Cv, ValT as _};
use jaq_std::ValT as _;
use regex_bites::bytes::{Regex, RegexBuilder};

use super::value::{Error, Value, ValueR};
use super::{Language, meter, text};

/// Bytes of an expression, compiled.
const COMPILED_KIB_MAX: usize = 128;
const GROUPS_MAX: usize = 64;
/// Steps for compiling one.
const COMPILE_STEPS: usize = 256;
/// Expressions that are kept.
const KEPT_MAX: usize = 8;

thread_local! {
    static KEPT: RefCell<Vec<Rc<Pattern>>> = const { RefCell::new(Vec::new()) };
}

struct Pattern {
    text: String,
    flags: String,
    regex: Regex,
    compiled_kib: usize,
    all: bool,
    with_empty: bool,
}

/// Applies an expression with flags, both bound in that order: gives what is between its matches, or
/// what they are, or one after the other.
pub(super) fn run(mut cv: Cv<'_, Language>, between: bool, matches: bool) -> ValueR {
    let flags = cv.0.pop_var();
    let pattern = cv.0.pop_var();
    let pattern = kept(as_str(&pattern)?, as_str(&flags)?)?;
    let bytes = cv.1.try_as_utf8_bytes()?;
    let (mut out, mut end) = (Vec::new(), 0);
    let mut chars = Chars { bytes, at: 0, count: 0 };
    // Each state of it may be at each byte, though few mostly are.
    meter::work(bytes.len().saturating_mul(8 * pattern.compiled_kib));
    for found in pattern.regex.captures_iter(bytes) {
        let Some(whole) = found.get(0) else { continue };
        // Before it is known where a match ends, what is behind it may have been gone through.
        meter::work(meter::STEP + (bytes.len() - whole.end()) / 32);
        if !pattern.with_empty && whole.as_bytes().is_empty() {
            continue;
        }
        if between {
            out.push(Value::string(&bytes[end..whole.start()], true));
            end = whole.end();
        }
        if matches {
            chars.move_to(whole.start());
            let groups = found.iter().zip(pattern.regex.capture_names());
            let groups = groups.filter_map(|(group, name)| Some((group?, name)));
            let describe = |(group, name): (regex_bites::bytes::Match<'_>, Option<&str>)| {
                describe(chars.count + chars.up_to(group.start()), group.as_bytes(), name)
            };
            out.push(groups.map(describe).collect::<Result<Value, Error>>()?);
        }
        if !pattern.all {
            break;
        }
    }
    if between {
        out.push(Value::string(&bytes[end..], true));
    }
    Ok(out.into_iter().collect())
}

/// What a match is.
fn describe(offset: usize, found: &[u8], name: Option<&str>) -> ValueR {
    let length = text::char_starts(found).count();
    let fields = [
        ("offset", Value::from(offset)),
        ("length", Value::from(length)),
        ("string", Value::string(found, true)),
    ];
    let name = name.map(|name| ("name", Value::text(name)));
    let fields = fields.into_iter().chain(name);
    Value::from_map(fields.map(|(name, value)| (Value::text(name), value)))
}

/// How many characters there are up to a place that only moves on.
struct Chars<'a> {
    bytes: &'a [u8],
    at: usize,
    count: usize,
}

impl Chars<'_> {
    fn move_to(&mut self, at: usize) {
        self.count += self.up_to(at);
        self.at = at;
    }

    /// From that place.
    fn up_to(&self, at: usize) -> usize {
        meter::read(at - self.at);
        text::char_starts(&self.bytes[self.at..at]).count()
    }
}

fn kept(text: &str, flags: &str) -> Result<Rc<Pattern>, Error> {
    let is_it = |it: &Rc<Pattern>| it.text == text && it.flags == flags;
    if let Some(pattern) = KEPT.with_borrow(|kept| kept.iter().find(|it| is_it(it)).cloned()) {
        return Ok(pattern);
    }
    meter::work(meter::STEP * COMPILE_STEPS + text.len() * 64);
    let pattern = Rc::new(compile(text, flags)?);
    KEPT.with_borrow_mut(|kept| {
        if kept.len() == KEPT_MAX {
            kept.remove(0);
        }
        kept.push(Rc::clone(&pattern));
    });
    Ok(pattern)
}

fn compile(text: &str, flags: &str) -> Result<Pattern, Error> {
    let mut builder = RegexBuilder::new(text);
    let (mut all, mut with_empty) = (false, true);
    for flag in flags.chars() {
        match flag {
            'g' => all = true,
            'n' => with_empty = false,
            'i' => {
                builder.case_insensitive(true);
            }
            'm' => {
                builder.multi_line(true);
            }
            's' => {
                builder.dot_matches_new_line(true);
            }
            'l' => {
                builder.swap_greed(true);
            }
            'x' => {
                builder.ignore_whitespace(true);
            }
            'p' => {
                builder.multi_line(true).dot_matches_new_line(true);
            }
            flag => return Err(Error::str(format_args!("invalid regex flag: {flag}"))),
        }
    }
    let (regex, compiled_kib) = build(&mut builder)?;
    if GROUPS_MAX < regex.captures_len() {
        let message = format_args!("invalid regex: it has more than {GROUPS_MAX} groups");
        return Err(Error::str(message));
    }
    Ok(Pattern {
        text: text.to_owned(),
        flags: flags.to_owned(),
        regex,
        compiled_kib,
        all,
        with_empty,
    })
}

/// What it is compiled to, and about how large that is: it does not say, but is refused when too large.
fn build(builder: &mut RegexBuilder) -> Result<(Regex, usize), Error> {
    let mut kib = 1;
    loop {
        match builder.size_limit(kib << 10).build() {
            Ok(regex) => return Ok((regex, kib)),
            Err(_) if kib < COMPILED_KIB_MAX => kib *= 2,
            Err(error) => return Err(Error::str(format_args!("invalid regex: {error}"))),
        }
    }
}

fn as_str(value: &Value) -> Result<&str, Error> {
    std::str::from_utf8(value.try_as_utf8_bytes()?).map_err(Error::str)
}
