//! What serde_json does not bound.

/// Whether a JSON text holds more than `values_max` values: all but the first of each list and
/// object come after a comma, and the parser bounds how deep those are nested.
pub(super) fn has_too_many_values(body: &[u8], values_max: usize) -> bool {
    // A value and its comma take two bytes.
    if body.len() / 2 <= values_max {
        return false;
    }
    let mut commas = 0;
    let mut rest = body;
    while let Some(at) = memchr::memchr2(b',', b'"', rest) {
        let (found, after) = (rest[at], &rest[at + 1..]);
        rest = if found == b'"' { after_text(after) } else { after };
        commas += usize::from(found == b',');
        if values_max < commas {
            return true;
        }
    }
    false
}

/// What follows a text whose opening quote has been passed.
fn after_text(mut rest: &[u8]) -> &[u8] {
    while let Some(at) = memchr::memchr2(b'"', b'\\', rest) {
        if rest[at] == b'"' {
            return &rest[at + 1..];
        }
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    &[]
}
