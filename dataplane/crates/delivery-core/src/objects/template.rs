//! Prefixes of keys with expressions in them, `!{namespace:value}`: parsed once, evaluated for each
//! object.
//!
//! What the operator takes for a prefix parses here, but for what it does not look at: patterns of
//! times that mean nothing, prefixes longer than [`PREFIX_CHARS_MAX`], and `.` or `..` between
//! slashes.

use std::fmt;

use model::UnixMillis;

use super::id::{ObjectId, Seed};
use super::pattern::{Pattern, PatternProblem};
use super::refused::ErrorOutputType;
use super::time::{Moment, Zone};

/// The longest prefix in characters, as written and as evaluated: AWS's limit.
pub const PREFIX_CHARS_MAX: usize = 512;

/// What follows a prefix without a time.
const DEFAULT_TIME: &str = "!{timestamp:yyyy/MM/dd/HH/}";
const DEFAULT_ERROR_TIME: &str = "!{firehose:error-output-type}/!{timestamp:yyyy/MM/dd/HH/}";

/// A prefix, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Time(Pattern),
    RandomString,
    ErrorOutputType,
    Key { source: KeySource, name: String },
}

/// Who makes partition keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The query of metadataExtraction.
    Query,
    /// The function or webhook of transform.
    Lambda,
}

/// Why a text is no prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("character {position}: {problem}")]
pub struct TemplateError {
    /// The character it is about, counted from 1.
    pub position: usize,
    /// What is wrong.
    pub problem: TemplateProblem,
}

/// What is wrong in a prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateProblem {
    /// Longer than any key may begin.
    #[error("the prefix is longer than {PREFIX_CHARS_MAX} characters; shorten it")]
    TooLong,
    /// `!{` without `}`.
    #[error("the expression has no end; add a '}}'")]
    NoEnd,
    /// A namespace or value that means nothing.
    #[error(
        "!{{{inside}}} means nothing; use timestamp:FORMAT, firehose:random-string, \
         firehose:error-output-type, partitionKeyFromQuery:KEY or partitionKeyFromLambda:KEY"
    )]
    Unknown {
        /// What stands between the braces.
        inside: String,
    },
    /// A part between slashes that means another directory in many stores, which refuse it.
    #[error("'.' or '..' stands between slashes; remove it")]
    Dots,
    /// A pattern of times that means nothing.
    #[error("{0}")]
    Time(PatternProblem),
    /// Where records go that were not refused.
    #[error("error-output-type is for errorOutputPrefix; remove it")]
    ErrorOutputType,
    /// Where refused records go.
    #[error("partition keys are not known of refused records; remove them")]
    PartitionKey,
    /// Expressions, but none that tells the kinds of refused records apart.
    #[error("there are expressions but not !{{firehose:error-output-type}}; add it")]
    NoErrorOutputType,
}

/// Why a prefix has no value for an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The record has no such partition key, or an empty one, as AWS forbids.
    #[error("partition key {name} from the {maker}: it is missing or empty")]
    NoPartitionKey {
        /// Who should have made it.
        maker: KeySource,
        /// Its name.
        name: String,
    },
    /// A partition key that no object store takes in a name.
    #[error("partition key {name}: it holds a control character")]
    ControlCharacter {
        /// Its name.
        name: String,
    },
    /// A part of the key between slashes that means another directory in many stores.
    #[error("prefix {prefix:?}: '.' or '..' stands between slashes")]
    Dots {
        /// The prefix as evaluated.
        prefix: String,
    },
    /// Longer than AWS allows.
    #[error("prefix of more than {PREFIX_CHARS_MAX} characters once evaluated")]
    PrefixTooLong,
    /// Longer than object stores take.
    #[error("key of {bytes} bytes; at most 1024 are allowed")]
    KeyTooLong {
        /// Its length.
        bytes: usize,
    },
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KeySource::Query => "query",
            KeySource::Lambda => "function",
        })
    }
}

/// What a prefix is evaluated for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Evaluation<'a> {
    pub(super) id: &'a ObjectId<'a>,
    pub(super) seed: Seed,
    pub(super) moment: &'a Moment,
    /// Of refused records.
    pub(super) output: Option<ErrorOutputType>,
}

impl Template {
    /// Takes a prefix apart, with any expressions.
    ///
    /// # Errors
    /// What is wrong first, where it is and what to do.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        Ok(Template { parts: parts(text)?.into_iter().map(|(_, part)| part).collect() })
    }

    /// The prefix of objects: without a time in it, `yyyy/MM/dd/HH/` follows.
    ///
    /// # Errors
    /// As [`parse`](Template::parse), and expressions that only refused records have.
    pub fn of_objects(prefix: Option<&str>) -> Result<Template, TemplateError> {
        let parts = parts(prefix.unwrap_or_default())?;
        let problem = TemplateProblem::ErrorOutputType;
        refuse(&parts, problem, |part| matches!(part, Part::ErrorOutputType))?;
        let has_time = parts.iter().any(|(_, part)| matches!(part, Part::Time(_)));
        Template::with(parts, if has_time { "" } else { DEFAULT_TIME })
    }

    /// The prefix of refused records: as written where it has expressions, else with the kind of
    /// refusal and the time after it. Without one, `fallback` serves, the prefix of objects without
    /// expressions.
    ///
    /// # Errors
    /// As [`parse`](Template::parse), and expressions that refused records have no values for.
    pub fn of_errors(prefix: Option<&str>, fallback: &str) -> Result<Template, TemplateError> {
        let parts = parts(prefix.unwrap_or(fallback))?;
        let problem = TemplateProblem::PartitionKey;
        refuse(&parts, problem, |part| matches!(part, Part::Key { .. }))?;
        if parts.iter().all(|(_, part)| matches!(part, Part::Text(_))) {
            return Template::with(parts, DEFAULT_ERROR_TIME);
        }
        if !parts.iter().any(|(_, part)| matches!(part, Part::ErrorOutputType)) {
            return Err(TemplateError { position: 1, problem: TemplateProblem::NoErrorOutputType });
        }
        Template::with(parts, "")
    }

    fn with(before: Vec<(usize, Part)>, after: &str) -> Result<Template, TemplateError> {
        let parts = before.into_iter().chain(parts(after)?).map(|(_, part)| part).collect();
        Ok(Template { parts })
    }

    /// Whether anything in it depends on the object.
    #[must_use]
    pub fn has_expressions(&self) -> bool {
        self.parts.iter().any(|part| !matches!(part, Part::Text(_)))
    }

    /// The partition keys it asks for.
    pub fn partition_keys(&self) -> impl Iterator<Item = (KeySource, &str)> {
        self.parts.iter().filter_map(|part| match part {
            Part::Key { source, name } => Some((*source, name.as_str())),
            _ => None,
        })
    }

    /// The prefix of an object whose oldest record arrived at `arrival`. `output` tells why records
    /// were refused; it is empty text when not set.
    ///
    /// # Errors
    /// The object has no key, now or when tried again: its records count as refused.
    pub fn evaluate(
        &self,
        id: &ObjectId<'_>,
        arrival: UnixMillis,
        zone: &Zone,
        output: Option<ErrorOutputType>,
    ) -> Result<String, KeyError> {
        let purpose = output.map_or("", ErrorOutputType::name);
        let moment = Moment::new(arrival, zone);
        self.value(&Evaluation { id, seed: Seed::of(id, purpose), moment: &moment, output })
    }

    pub(super) fn value(&self, of: &Evaluation<'_>) -> Result<String, KeyError> {
        let mut prefix = String::new();
        let mut random_strings = 0;
        for part in &self.parts {
            match part {
                Part::Text(text) => prefix.push_str(text),
                Part::Time(pattern) => pattern.format(of.moment, &mut prefix),
                Part::RandomString => {
                    prefix.push_str(&of.seed.random_string(random_strings));
                    random_strings += 1;
                }
                Part::ErrorOutputType => {
                    prefix.push_str(of.output.map_or("", ErrorOutputType::name));
                }
                Part::Key { source, name } => prefix.push_str(partition_key(of.id, *source, name)?),
            }
            if prefix.chars().nth(PREFIX_CHARS_MAX).is_some() {
                return Err(KeyError::PrefixTooLong);
            }
        }
        if prefix.split('/').any(is_dots) {
            return Err(KeyError::Dots { prefix });
        }
        Ok(prefix)
    }
}

/// The parts of a prefix, each with the character it begins at, counted from 1.
fn parts(text: &str) -> Result<Vec<(usize, Part)>, TemplateError> {
    if text.chars().nth(PREFIX_CHARS_MAX).is_some() {
        let problem = TemplateProblem::TooLong;
        return Err(TemplateError { position: PREFIX_CHARS_MAX + 1, problem });
    }
    let mut parts = Vec::new();
    let mut position = 1;
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("!{") {
        push_text(&mut parts, position, before)?;
        position += before.chars().count();
        // An expression holds no other.
        let end = after.find('}').filter(|end| !after[..*end].contains("!{"));
        let Some(end) = end else {
            return Err(TemplateError { position, problem: TemplateProblem::NoEnd });
        };
        let part = expression(&after[..end])
            .map_err(|(offset, problem)| TemplateError { position: position + offset, problem })?;
        parts.push((position, part));
        position += "!{}".len() + after[..end].chars().count();
        rest = &after[end + 1..];
    }
    push_text(&mut parts, position, rest)?;
    Ok(parts)
}

fn push_text(
    parts: &mut Vec<(usize, Part)>,
    position: usize,
    text: &str,
) -> Result<(), TemplateError> {
    if text.is_empty() {
        return Ok(());
    }
    // What stands before the first slash may go on from an expression, and after the last into one.
    let mut whole: Vec<&str> = text.split('/').collect();
    whole.pop();
    let skipped = usize::from(!parts.is_empty()).min(whole.len());
    if whole[skipped..].iter().any(|part| is_dots(part)) {
        return Err(TemplateError { position, problem: TemplateProblem::Dots });
    }
    parts.push((position, Part::Text(text.to_owned())));
    Ok(())
}

fn is_dots(part: &str) -> bool {
    matches!(part, "." | "..")
}

/// Refuses the first part that `is_wrong`.
fn refuse(
    parts: &[(usize, Part)],
    problem: TemplateProblem,
    is_wrong: impl Fn(&Part) -> bool,
) -> Result<(), TemplateError> {
    match parts.iter().find(|(_, part)| is_wrong(part)) {
        Some((position, _)) => Err(TemplateError { position: *position, problem }),
        None => Ok(()),
    }
}

/// What stands between the braces, taken apart; or what is wrong, so many characters after the `!`.
fn expression(inside: &str) -> Result<Part, (usize, TemplateProblem)> {
    let (namespace, value) = inside.split_once(':').unwrap_or((inside, ""));
    let key = |source| Part::Key { source, name: value.to_owned() };
    match (namespace, value) {
        ("firehose", "random-string") => Ok(Part::RandomString),
        ("firehose", "error-output-type") => Ok(Part::ErrorOutputType),
        ("timestamp", pattern) if !pattern.is_empty() => match Pattern::parse(pattern) {
            Ok(pattern) => Ok(Part::Time(pattern)),
            Err(error) => {
                let offset = "!{timestamp:".len() + error.position;
                Err((offset, TemplateProblem::Time(error.problem)))
            }
        },
        ("partitionKeyFromQuery", name) if !name.is_empty() => Ok(key(KeySource::Query)),
        ("partitionKeyFromLambda", name) if !name.is_empty() => Ok(key(KeySource::Lambda)),
        _ => Err((0, TemplateProblem::Unknown { inside: inside.to_owned() })),
    }
}

/// The value of a partition key, of a length that a prefix may have.
fn partition_key<'a>(
    id: &ObjectId<'a>,
    source: KeySource,
    name: &str,
) -> Result<&'a str, KeyError> {
    let keys = match source {
        KeySource::Query => &id.keys.from_query,
        KeySource::Lambda => &id.keys.from_lambda,
    };
    let Some(value) = keys.get(name).filter(|value| !value.is_empty()) else {
        return Err(KeyError::NoPartitionKey { maker: source, name: name.to_owned() });
    };
    if value.chars().nth(PREFIX_CHARS_MAX).is_some() {
        return Err(KeyError::PrefixTooLong);
    }
    if value.chars().any(char::is_control) {
        return Err(KeyError::ControlCharacter { name: name.to_owned() });
    }
    Ok(value)
}

#[cfg(test)]
mod tests;
