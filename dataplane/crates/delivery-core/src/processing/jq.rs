//! jq programs: compiled once, run on a record at a time, and stopped when they run on.
//!
//! The interpreter knows no limits of its own. It does ask [`Limits`] for each term that it
//! evaluates, so that is where one is counted and where it is left, by unwinding. So `def f: f; f` and
//! `def f: [f]; f` both end. What generates without evaluating terms (`range`) is ours. Not part of the
//! language here: whatever is not made of the record, which is the clock, the environment, local time,
//! the log, and `halt`, for that ends the process.
//!
//! A single step can take much: `"x" * .count`. The values are ours, [`Value`], for that: what they
//! hold, how deep they are nested, and the work it is to go through them has a bound, and a program
//! that comes to it ends the same way.
//!
//! What is not bounded well is time. A value that is generated deep in a recursion passes through all
//! of it, and a regular expression with the flag `g` can go through the rest of the text at each match:
//! both are counted for less than the worst they can take, which is a minute.

use std::fmt::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

use jaq_core::data::HasLut;
use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, DataT, Exn, Filter, Lut, Vars};
use jaq_json::{Val, read};

use self::meter::Stopped;
use self::value::NUMBER_BYTES_MAX;
use super::StartError;

mod functions;
mod json;
mod meter;
mod number;
mod pattern;
mod text;
mod value;

pub(super) use json::{Out, write_record};
pub(super) use number::number_text;
pub(super) use value::Value;

/// Terms that a program evaluates for one record: about a tenth of a second.
const STEPS_MAX: usize = 1_000_000;
/// And one more for so many bytes of the record, so that large ones can be gone through.
const BYTES_PER_STEP: usize = 2;
/// Levels of a record. As jq 1.6.
const DEPTH_MAX: usize = 256;
/// But never more than these. What the interpreter makes for a step is not metered: it takes up to some
/// 500 bytes, and may be freed by recursion.
const STEPS_FOR_BYTES_MAX: usize = 500_000;
/// Values in a record, names among them: while it is read, the meter does not see what they take.
const VALUES_MAX: usize = 1 << 20;
/// Words and signs of a program. Each may be a level deeper than the one before it, and reading one
/// recurses: a chain of 65,536 minus signs would not fit the stack.
const PROGRAM_WORDS_MAX: usize = 16_384;
/// Bytes of a message that says what went wrong: it may quote the record.
const MESSAGE_BYTES_MAX: usize = 400;

/// What the interpreter makes to evaluate a program can be as deep as the program takes steps, and is
/// freed level by level, on the stack. Memory is taken only for what is used of it: less than 300 bytes a
/// step, and some 600 when it is not optimized.
const STACK_BYTES: usize = if cfg!(debug_assertions) { 2 << 30 } else { 1 << 30 };

/// What we add in jq itself.
const LANGUAGE: &str = include_str!("jq/language.jq");
/// Names that are left out.
const WITHOUT: [&str; 10] = [
    "debug",
    "debug_empty",
    "env",
    "halt",
    "halt_error",
    "localtime",
    "now",
    "stderr",
    "stderr_empty",
    "strflocaltime",
];
/// A program.
pub(super) struct Program(Filter<Language>);

/// The language: our values, and [`Limits`] as what evaluation carries along.
struct Language;

impl DataT for Language {
    type V<'a> = Value;
    type Data<'a> = &'a Limits<'a>;
}

/// What is asked for each term.
struct Limits<'a>(&'a Lut<Language>);

impl<'a> HasLut<'a, Language> for &'a Limits<'a> {
    fn lut(&self) -> &'a Lut<Language> {
        meter::step();
        self.0
    }
}

/// Runs `work` where [`Program`]'s methods may be called: on a stack of their own.
///
/// # Errors
/// The system has no thread to give. Nothing was done.
pub(super) fn on_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, StartError> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("jq".to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, work)
            .map_err(StartError)?;
        thread.join().map_or_else(|panic| resume_unwind(panic), Ok)
    })
}

impl Program {
    /// Compiles `text`.
    ///
    /// # Errors
    /// What is wrong with it, or that there is no thread to compile it on.
    pub(super) fn new(text: &str) -> Result<Program, String> {
        if text.contains(functions::UNGUARDED) {
            return Err(format!("holds {}, which is not for programs", functions::UNGUARDED));
        }
        if PROGRAM_WORDS_MAX < count_words(text) {
            return Err(format!("has more than {PROGRAM_WORDS_MAX} words and signs"));
        }
        on_deep_stack(|| compile(text)).map_err(|error| error.to_string())?.map(Program)
    }

    /// Runs it on `data`, which is one JSON value, and gives what it makes to `each`.
    ///
    /// # Errors
    /// A sentence: from `data`, the program, or `each`.
    pub(super) fn run(
        &self,
        data: &[u8],
        each: impl FnMut(Value) -> Result<(), String>,
    ) -> Result<(), String> {
        let input = parse(data)?;
        meter::start(STEPS_MAX + (data.len() / BYTES_PER_STEP).min(STEPS_FOR_BYTES_MAX));
        let run = AssertUnwindSafe(|| self.evaluate(Value::take(input), each));
        catch_unwind(run).unwrap_or_else(|panic| match panic.downcast::<Stopped>() {
            Ok(stopped) => Err(stopped.0.to_owned()),
            // The interpreter has places where it asserts what a program can break.
            Err(_) => Err("the program cannot be run on this record".to_owned()),
        })
    }

    fn evaluate(
        &self,
        input: Value,
        mut each: impl FnMut(Value) -> Result<(), String>,
    ) -> Result<(), String> {
        let limits = Limits(&self.0.lut);
        let context = Ctx::<Language>::new(&limits, Vars::new([]));
        for output in self.0.id.run((context, input)) {
            match output.map_err(Exn::get_err) {
                Ok(value) => each(value)?,
                Err(Ok(error)) => return Err(short(&error)),
                Err(Err(_)) => return Err("break outside of its label".to_owned()),
            }
        }
        Ok(())
    }
}

/// One JSON value.
fn parse(data: &[u8]) -> Result<Val, String> {
    check(data)?;
    read::parse_single(data).map_err(|error| format!("the record is not one JSON value: {error}"))
}

/// What has to hold before the interpreter's reader, which recurses, sees `data`.
fn check(data: &[u8]) -> Result<(), String> {
    let mut depth = 0_usize;
    let mut values = 0_usize;
    let mut number_bytes = 0;
    let mut bytes = data.iter();
    while let Some(byte) = bytes.next() {
        number_bytes = if byte.is_ascii_digit() { number_bytes + 1 } else { 0 };
        if NUMBER_BYTES_MAX < number_bytes {
            return Err(format!("a number of more than {NUMBER_BYTES_MAX} digits"));
        }
        match byte {
            // To the end of the string, past what is escaped in it.
            b'"' => {
                while let Some(byte) = bytes.next().filter(|byte| **byte != b'"') {
                    if *byte == b'\\' {
                        bytes.next();
                    }
                }
            }
            // A comment, which the reader skips.
            b'#' => {
                bytes.find(|byte| **byte == b'\n');
            }
            b'[' | b'{' => {
                depth += 1;
                values += 1;
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' | b':' => values += 1,
            _ => {}
        }
        if VALUES_MAX < values {
            return Err(format!("JSON of more than {VALUES_MAX} values"));
        }
        if DEPTH_MAX < depth {
            return Err(format!("JSON that is nested deeper than {DEPTH_MAX} levels"));
        }
    }
    Ok(())
}

/// No less than the tokens of `text`.
fn count_words(text: &str) -> usize {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut in_word = false;
    let begins = |byte: &u8| {
        let was_in_word = std::mem::replace(&mut in_word, is_word(*byte));
        !(byte.is_ascii_whitespace() || in_word && was_in_word)
    };
    text.as_bytes().iter().copied().filter(begins).count()
}

fn compile(text: &str) -> Result<Filter<Language>, String> {
    let ours_in_jq = jaq_core::load::parse(LANGUAGE, |parser| parser.defs()).unwrap_or_default();
    let definitions =
        jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs()).chain(ours_in_jq);
    let functions = jaq_core::funs().chain(jaq_std::funs());
    let arena = Arena::default();
    let modules = Loader::new(definitions.filter(|it| !WITHOUT.contains(&it.name)))
        .load(&arena, File { code: text, path: () })
        .map_err(|errors| describe_load(text, &errors))?;
    // A module would be refused by the loader; data is only noticed when the program runs.
    jaq_core::load::import(&modules, |_| Err(String::new()))
        .map_err(|_| "import: there are no files to import from".to_owned())?;
    let functions = functions
        .filter(|(name, ..)| !WITHOUT.contains(name) && !functions::OURS.contains(name))
        .map(|(name, arguments, function)| (functions::guarded_name(name), arguments, function))
        .chain(functions::all());
    Compiler::default().with_funs(functions).compile(modules).map_err(|errors| {
        let mut undefined = errors.iter().flat_map(|(_, errors)| errors);
        match undefined.next() {
            Some((name, kind)) => format!("undefined {}: {}", kind.as_str(), short(name)),
            None => "the program does not compile".to_owned(),
        }
    })
}

fn describe_load(text: &str, errors: &jaq_core::load::Errors<&str, ()>) -> String {
    use jaq_core::load::{Error, span};
    let Some((_, error)) = errors.first() else {
        return "the program cannot be read".to_owned();
    };
    let (expected, found) = match error {
        Error::Io(_) => return "include and import: there are no files to take from".to_owned(),
        Error::Lex(errors) => match errors.first() {
            Some((expected, found)) => (expected.as_str(), *found),
            None => ("something else", ""),
        },
        Error::Parse(errors) => match errors.first() {
            Some((expected, found)) => (expected.as_str(), *found),
            None => ("something else", ""),
        },
    };
    format!("expected {} at byte {}", expected, span(text, found).start)
}

/// The start of what `value` is as a text.
fn short(value: &impl fmt::Display) -> String {
    struct Short(String);
    impl fmt::Write for Short {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let room = MESSAGE_BYTES_MAX - self.0.len();
            let end = text.floor_char_boundary(room.min(text.len()));
            self.0.push_str(&text[..end]);
            if end < text.len() { Err(fmt::Error) } else { Ok(()) }
        }
    }
    let mut out = Short(String::new());
    if write!(out, "{value}").is_err() {
        out.0.push_str("...");
    }
    out.0
}

#[cfg(test)]
mod tests;
