//! What the operations on tags share.

use std::collections::BTreeMap;

use aws_protocol::ApiError;
use aws_protocol::validate::{MapPart, Violations};
use model::limits::{TAG_KEY_CHARS_MAX, TAG_VALUE_CHARS_MAX, TAGS_MAX};
use serde::Serialize;

use crate::errors::invalid_argument;

type Tags = BTreeMap<String, String>;

/// As the service model's Tag.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Tag {
    key: String,
    value: String,
}

impl Tag {
    pub(super) fn of((key, value): (&String, &String)) -> Tag {
        Tag { key: key.clone(), value: value.clone() }
    }
}

/// The constraints on tags to add, when there are any.
pub(super) fn check(checks: &mut Violations, tags: Option<&Tags>) {
    let Some(tags) = tags else { return };
    checks.list_length("tags", tags.len(), 1..=200);
    checks.map_lengths("tags", MapPart::Keys, tags.keys(), 1..=TAG_KEY_CHARS_MAX);
    checks.map_lengths("tags", MapPart::Values, tags.values(), 0..=TAG_VALUE_CHARS_MAX);
}

/// What the service model does not say of tags to add: their characters, and whose prefix `aws:` is.
fn check_text(tags: &Tags) -> Result<(), ApiError> {
    let is_allowed = |c: char| c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@%".contains(c);
    for text in tags.iter().flat_map(|(key, value)| [key, value]) {
        if !text.chars().all(is_allowed) {
            return Err(invalid_argument(format!(
                "Tag {text} has characters that are not allowed; allowed are letters, digits, white space and _ . : / = + - @ %"
            )));
        }
    }
    let is_reserved = |key: &&String| key.get(..4).is_some_and(|s| s.eq_ignore_ascii_case("aws:"));
    match tags.keys().find(is_reserved) {
        None => Ok(()),
        Some(key) => {
            Err(invalid_argument(format!("Tag key {key} begins with aws:, which is reserved.")))
        }
    }
}

/// The constraints on keys of tags to remove.
pub(super) fn check_keys<'a>(checks: &mut Violations, keys: Option<&'a [String]>) -> &'a [String] {
    let Some(keys) = checks.required("tagKeys", keys) else {
        return &[];
    };
    checks.list_length("tagKeys", keys.len(), 1..=TAGS_MAX);
    for (at, key) in keys.iter().enumerate() {
        let path = format!("tagKeys.{}.member", at + 1);
        checks.length(&path, Some(key), 1..=TAG_KEY_CHARS_MAX);
    }
    keys
}

/// The tags of a new resource.
pub(super) fn check_new(tags: &Tags) -> Result<(), ApiError> {
    check_text(tags)?;
    check_count(tags.len())
}

/// The limit on the tags of one resource.
fn check_count(count: usize) -> Result<(), ApiError> {
    if count <= TAGS_MAX {
        return Ok(());
    }
    Err(invalid_argument(format!("A resource can have at most {TAGS_MAX} tags, not {count}.")))
}

/// Adds tags, or gives those that are there new values; whether that changes anything.
pub(super) fn add(tags: &mut Tags, added: &Tags) -> Result<bool, ApiError> {
    check_text(added)?;
    let before = tags.clone();
    tags.extend(added.clone());
    check_count(tags.len())?;
    Ok(*tags != before)
}

/// Removes tags; whether that changes anything.
pub(super) fn remove(tags: &mut Tags, keys: &[String]) -> bool {
    let before = tags.len();
    tags.retain(|key, _| !keys.contains(key));
    tags.len() != before
}
