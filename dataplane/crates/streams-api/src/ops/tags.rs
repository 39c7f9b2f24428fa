//! What the operations on tags share.

use std::collections::BTreeMap;

use aws_protocol::ApiError;
use aws_protocol::validate::Violations;
use model::limits::{TAG_KEY_CHARS_MAX, TAG_VALUE_CHARS_MAX, TAGS_MAX};

use crate::errors::invalid_argument;

/// The constraints on each tag.
pub(super) fn check(checks: &mut Violations, tags: &BTreeMap<String, String>) {
    checks.list_length("tags", tags.len(), 0..=200);
    for (key, value) in tags {
        checks.length("tags.key", Some(key), 1..=TAG_KEY_CHARS_MAX);
        checks.length("tags.value", Some(value), 0..=TAG_VALUE_CHARS_MAX);
    }
}

/// The limit on the tags of one stream.
pub(super) fn check_count(count: usize) -> Result<(), ApiError> {
    if count <= TAGS_MAX {
        return Ok(());
    }
    Err(invalid_argument(format!("A stream can have at most {TAGS_MAX} tags, not {count}.")))
}
