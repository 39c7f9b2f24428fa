//! Constraints of the service model, with AWS's words for their violation.
//!
//! All violations of a request are collected, and reported in one ValidationException:
//!
//! ```text
//! 2 validation errors detected: Value 'a b' at 'streamName' failed to satisfy constraint: Member
//! must satisfy regular expression pattern: [a-zA-Z0-9_.-]+; Value null at 'shardCount' ...
//! ```

use std::fmt::{Display, Write};
use std::ops::RangeInclusive;

use crate::error::{ApiError, ErrorCode};

/// Violations met so far. Empty, it has taken no memory.
#[derive(Debug, Default)]
pub struct Violations {
    messages: Vec<String>,
}

/// What AWS reports at the most.
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
        // Counting is not needed when the bytes are few enough.
        let length = if text.len() <= *range.start() { text.len() } else { text.chars().count() };
        self.size(path, text, length, range, "length");
    }

    /// A blob's length in bytes.
    pub fn blob_length(&mut self, path: &str, length: usize, range: RangeInclusive<usize>) {
        let shown = format_args!("java.nio.HeapByteBuffer[pos=0 lim={length} cap={length}]");
        self.size(path, shown, length, range, "length");
    }

    /// A list's length.
    pub fn list_length(&mut self, path: &str, length: usize, range: RangeInclusive<usize>) {
        self.size(path, format_args!("[{length} members]"), length, range, "length");
    }

    /// A number's value.
    pub fn range(&mut self, path: &str, value: Option<i64>, range: RangeInclusive<i64>) {
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
        let reported = self.messages[..count.min(REPORTED_MAX)].join("; ");
        let message = format!("{count} validation {errors} detected: {reported}");
        Err(ApiError::new(ErrorCode::ValidationException, message))
    }

    fn size(
        &mut self,
        path: &str,
        shown: impl Display,
        length: usize,
        range: RangeInclusive<usize>,
        what: &str,
    ) {
        if length < *range.start() {
            let constraint =
                format!("Member must have {what} greater than or equal to {}", range.start());
            self.add_value(shown, path, &constraint);
        } else if *range.end() < length {
            let constraint =
                format!("Member must have {what} less than or equal to {}", range.end());
            self.add_value(shown, path, &constraint);
        }
    }

    fn add_value(&mut self, value: impl Display, path: &str, constraint: &str) {
        self.add(format_args!("'{value}'"), path, constraint);
    }

    fn add(&mut self, value: impl Display, path: &str, constraint: &str) {
        let mut message = String::from("Value ");
        // Writing to a string does not fail.
        let _ = write!(message, "{value}");
        let _ = write!(message, " at '{path}' failed to satisfy constraint: {constraint}");
        self.messages.push(message);
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
            |v| drop(v.required::<i64>("streamName", None)),
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
            |v| drop(v.one_of("scalingType", Some("X"), &[("UNIFORM_SCALING", ())])),
            "1 validation error detected: Value 'X' at 'scalingType' failed to satisfy constraint: Member must satisfy enum value set: [UNIFORM_SCALING]",
        );
    }

    #[test]
    fn lengths_of_texts_are_in_characters() {
        check(|v| v.length("partitionKey", Some(&"é".repeat(256)), 1..=256), "");
        check(|v| v.length("partitionKey", Some("x"), 1..=256), "");
    }

    #[test]
    fn at_most_ten_are_reported() {
        check(
            |v| (0..12).for_each(|_| drop(v.required::<i64>("x", None))),
            &format!(
                "12 validation errors detected: {}",
                vec!["Value null at 'x' failed to satisfy constraint: Member must not be null"; 10]
                    .join("; ")
            ),
        );
    }
}
