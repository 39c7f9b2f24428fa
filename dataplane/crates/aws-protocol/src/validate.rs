//! Constraints of the service model, with AWS's words for their violation.
//!
//! The violations of a request are collected and reported in one ValidationException.
//! Of a request with very many, the first ten: what else is wrong costs neither time nor memory.
//!
//! ```text
//! 2 validation errors detected: Value 'a b' at 'streamName' failed to satisfy constraint: Member
//! must satisfy regular expression pattern: [a-zA-Z0-9_.-]+; Value null at 'shardCount' ...
//! ```

use std::fmt::{self, Display, Write};
use std::ops::RangeInclusive;

use crate::error::{ApiError, ErrorCode};

/// Violations met so far. Empty, it has taken no memory.
#[derive(Debug, Default)]
pub struct Violations {
    messages: Vec<String>,
}

/// What a map consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapPart {
    /// Its keys.
    Keys,
    /// Its values.
    Values,
}

impl MapPart {
    fn name(self) -> &'static str {
        match self {
            MapPart::Keys => "keys",
            MapPart::Values => "values",
        }
    }
}

/// What AWS looks for at the most: of more violations than this it counts no further.
const REPORTED_MAX: usize = 10;

impl Violations {
    /// None so far.
    #[must_use]
    pub fn new() -> Violations {
        Violations::default()
    }

    /// The member's value, which must be there. `None` is a violation, and the caller goes on with
    /// the next member.
    pub fn required<T>(&mut self, path: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.add("null", path, "Member must not be null");
        }
        value
    }

    /// A text's length in characters.
    pub fn length(&mut self, path: &str, value: Option<&str>, range: RangeInclusive<usize>) {
        let Some(text) = value else { return };
        // A character takes one to four bytes, which settles most lengths without counting.
        if *range.start() <= text.len().div_ceil(4) && text.len() <= *range.end() {
            return;
        }
        self.size(path, text, text.chars().count(), range);
    }

    /// The length in characters of a text that is nobody's business.
    pub fn secret_length(&mut self, path: &str, value: &str, range: RangeInclusive<usize>) {
        self.size(path, SECRET, value.chars().count(), range);
    }

    /// A text that is nobody's business and that some pattern describes; whether it matches is for the
    /// caller to say.
    pub fn secret_pattern(&mut self, path: &str, pattern: &str, matches: bool) {
        self.pattern(path, Some(SECRET), pattern, matches);
    }

    /// A blob's length in bytes.
    pub fn blob_length(&mut self, path: &str, length: usize, range: RangeInclusive<usize>) {
        let shown = format_args!("java.nio.HeapByteBuffer[pos=0 lim={length} cap={length}]");
        self.size(path, shown, length, range);
    }

    /// A list's length.
    pub fn list_length(&mut self, path: &str, length: usize, range: RangeInclusive<usize>) {
        self.size(path, format_args!("[{length} members]"), length, range);
    }

    /// The lengths of a map's keys or values, which are reported together.
    pub fn map_lengths<'a>(
        &mut self,
        path: &str,
        part: MapPart,
        mut texts: impl Iterator<Item = &'a String>,
        range: RangeInclusive<usize>,
    ) {
        if texts.all(|text| range.contains(&text.chars().count())) {
            return;
        }
        let (part, least, most) = (part.name(), range.start(), range.end());
        let constraint = format!(
            "Map {part} must satisfy constraint: [Member must have length less than or equal to {most}, Member must have length greater than or equal to {least}]"
        );
        self.add_value(format_args!("{{{part}}}"), path, &constraint);
    }

    /// A number's value.
    pub fn range<T: Display + PartialOrd>(
        &mut self,
        path: &str,
        value: Option<T>,
        range: RangeInclusive<T>,
    ) {
        let Some(number) = value else { return };
        if number < *range.start() {
            let constraint =
                format!("Member must have value greater than or equal to {}", range.start());
            self.add_value(number, path, &constraint);
        } else if *range.end() < number {
            let constraint =
                format!("Member must have value less than or equal to {}", range.end());
            self.add_value(number, path, &constraint);
        }
    }

    /// A text that some pattern describes; whether it matches is for the caller to say.
    pub fn pattern(&mut self, path: &str, value: Option<&str>, pattern: &str, matches: bool) {
        if let (Some(text), false) = (value, matches) {
            let constraint = format!("Member must satisfy regular expression pattern: {pattern}");
            self.add_value(text, path, &constraint);
        }
    }

    /// A text that is one of a set.
    pub fn one_of<T: Copy>(
        &mut self,
        path: &str,
        value: Option<&str>,
        set: &[(&str, T)],
    ) -> Option<T> {
        let text = value?;
        let found = set.iter().find(|(name, _)| *name == text).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let names: Vec<&str> = set.iter().map(|(name, _)| *name).collect();
            let constraint = format!("Member must satisfy enum value set: [{}]", names.join(", "));
            self.add_value(text, path, &constraint);
        }
        found
    }

    /// The error that reports them all, if there are any.
    ///
    /// # Errors
    /// `ValidationException`.
    pub fn finish(self) -> Result<(), ApiError> {
        let count = self.messages.len();
        if count == 0 {
            return Ok(());
        }
        let errors = if count == 1 { "error" } else { "errors" };
        let reported = self.messages.join("; ");
        let message = format!("{count} validation {errors} detected: {reported}");
        Err(ApiError::new(ErrorCode::ValidationException, message))
    }

    fn size(
        &mut self,
        path: &str,
        shown: impl Display,
        length: usize,
        range: RangeInclusive<usize>,
    ) {
        if length < *range.start() {
            let least = range.start();
            let constraint = format!("Member must have length greater than or equal to {least}");
            self.add_value(shown, path, &constraint);
        } else if *range.end() < length {
            let most = range.end();
            let constraint = format!("Member must have length less than or equal to {most}");
            self.add_value(shown, path, &constraint);
        }
    }

    fn add_value(&mut self, value: impl Display, path: &str, constraint: &str) {
        let mut shown = Shown(String::new());
        // An error means that it has been shown as far as it is.
        let _ = write!(shown, "{value}");
        self.add(format_args!("'{}'", shown.0), path, constraint);
    }

    fn add(&mut self, value: impl Display, path: &str, constraint: &str) {
        if self.messages.len() == REPORTED_MAX {
            return;
        }
        let message =
            format!("Value {value} at '{path}' failed to satisfy constraint: {constraint}");
        self.messages.push(message);
    }
}

/// The longest part of a wrong value that is shown: a value may be as large as a request.
const SHOWN_BYTES_MAX: usize = 512;
/// What is shown of a secret.
const SECRET: &str = "***";

/// The beginning of a text.
struct Shown(String);

impl fmt::Write for Shown {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = SHOWN_BYTES_MAX.saturating_sub(self.0.len());
        let shown = &text[..text.floor_char_boundary(room)];
        self.0.push_str(shown);
        if shown.len() == text.len() {
            return Ok(());
        }
        self.0.push_str("...");
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(collect: impl FnOnce(&mut Violations), want: &str) {
        let mut violations = Violations::new();
        collect(&mut violations);
        let got = violations.finish().map_or_else(|error| error.message, |()| String::new());
        assert_eq!(got, want);
    }

    #[test]
    fn violations_are_told_in_the_words_of_aws() {
        check(|_| {}, "");
        check(
            |v| {
                v.required::<i64>("streamName", None);
            },
            "1 validation error detected: Value null at 'streamName' failed to satisfy constraint: Member must not be null",
        );
        check(
            |v| {
                v.length("streamName", Some(""), 1..=128);
                v.pattern("streamName", Some("a b"), "[a-zA-Z0-9_.-]+", false);
            },
            "2 validation errors detected: Value '' at 'streamName' failed to satisfy constraint: Member must have length greater than or equal to 1; Value 'a b' at 'streamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
        );
        check(
            |v| v.range("limit", Some(10_001), 1..=10_000),
            "1 validation error detected: Value '10001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 10000",
        );
        check(
            |v| {
                v.one_of("scalingType", Some("X"), &[("UNIFORM_SCALING", ())]);
            },
            "1 validation error detected: Value 'X' at 'scalingType' failed to satisfy constraint: Member must satisfy enum value set: [UNIFORM_SCALING]",
        );
    }

    #[test]
    fn secrets_are_not_shown() {
        check(
            |v| {
                v.secret_length("password", "hunter2", 8..=512);
                v.secret_length("password", "hunter2", 1..=512);
                v.secret_pattern("privateKey", "[a-z]*", false);
            },
            "2 validation errors detected: Value '***' at 'password' failed to satisfy constraint: Member must have length greater than or equal to 8; Value '***' at 'privateKey' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-z]*",
        );
    }

    #[test]
    fn lengths_of_texts_are_in_characters() {
        check(|v| v.length("partitionKey", Some(&"é".repeat(256)), 1..=256), "");
        check(|v| v.length("partitionKey", Some("x"), 1..=256), "");
        check(|v| v.length("x", Some("\u{1f600}"), 1..=1), "");
        check(
            |v| v.length("x", Some("\u{1f600}"), 2..=9),
            "1 validation error detected: Value '\u{1f600}' at 'x' failed to satisfy constraint: Member must have length greater than or equal to 2",
        );
        check(
            |v| v.length("x", Some("abc"), 1..=2),
            "1 validation error detected: Value 'abc' at 'x' failed to satisfy constraint: Member must have length less than or equal to 2",
        );
    }

    #[test]
    fn at_most_ten_are_reported() {
        check(
            |v| {
                for at in 0..12 {
                    v.required::<i64>(&format!("x.{at}.member"), None);
                }
            },
            &format!(
                "10 validation errors detected: {}",
                (0..10)
                    .map(|at| format!("Value null at 'x.{at}.member' failed to satisfy constraint: Member must not be null"))
                    .collect::<Vec<_>>()
                    .join("; ")
            ),
        );
    }
}
