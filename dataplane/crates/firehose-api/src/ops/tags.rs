//! What the operations on tags share.

use std::collections::BTreeMap;

use aws_protocol::ApiError;

use crate::errors::{invalid_argument, limit_exceeded};
use crate::shape::shapes;
use crate::texts::{TAG_KEY, TAG_VALUE};

/// The most tags of a delivery stream, and of a request.
pub(super) const MAX: usize = 50;

shapes! {
    /// As Tag.
    Tag {
        Key: String, Always, TAG_KEY;
        Value: String, Never, TAG_VALUE;
    }
}

/// Tags of a request. One without a value has an empty one.
pub(super) fn added(tags: &[Tag]) -> Result<BTreeMap<String, String>, ApiError> {
    let mut all = BTreeMap::new();
    for Tag { Key: key, Value: value } in tags {
        let key = key.clone().unwrap_or_default();
        if all.insert(key.clone(), value.clone().unwrap_or_default()).is_some() {
            return Err(invalid_argument(format!("Tag key {key} is given twice.")));
        }
    }
    Ok(all)
}

/// The limit on the tags of one delivery stream.
pub(super) fn check_count(count: usize) -> Result<(), ApiError> {
    if count <= MAX {
        return Ok(());
    }
    Err(limit_exceeded(format!("A Firehose can have at most {MAX} tags, not {count}.")))
}
