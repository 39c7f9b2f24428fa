//! What the operations on tags share.

use std::collections::BTreeMap;

use aws_protocol::ApiError;
use aws_protocol::validate::Violations;
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

/// The constraints on each tag.
pub(super) fn check(checks: &mut Violations, tags: &Tags) {
    checks.list_length("tags", tags.len(), 0..=200);
    for (key, value) in tags {
        checks.length("tags.key", Some(key), 1..=TAG_KEY_CHARS_MAX);
        checks.length("tags.value", Some(value), 0..=TAG_VALUE_CHARS_MAX);
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

/// The limit on the tags of one resource.
pub(super) fn check_count(count: usize) -> Result<(), ApiError> {
    if count <= TAGS_MAX {
        return Ok(());
    }
    Err(invalid_argument(format!("A resource can have at most {TAGS_MAX} tags, not {count}.")))
}

/// Adds tags, or gives those that are there new values; whether that changes anything.
pub(super) fn add(tags: &mut Tags, added: &Tags) -> Result<bool, ApiError> {
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
