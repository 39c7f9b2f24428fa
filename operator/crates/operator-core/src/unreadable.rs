//! What a resource is told that this version does not read, as when a newer one has fields it does not know.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use model::UnixMillis;
use operator_api::conditions::{self, Says, reasons, types};
use serde_json::{Value, json};

use crate::decide::time;

/// The change of its status, as a merge patch; `None` when it says so already. Whatever else is there stays
/// as it is, read or not.
#[must_use]
pub fn unreadable(object: &Value, error: &str, now: UnixMillis) -> Option<Value> {
    let told = object["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    let (ours, mut others): (Vec<Value>, Vec<Value>) =
        told.iter().cloned().partition(|condition| condition["type"] == types::ACCEPTED);
    let before: Vec<Condition> =
        ours.iter().filter_map(|ours| serde_json::from_value(ours.clone()).ok()).collect();
    let message =
        format!("this version of the operator does not read it, and leaves it alone: {error}");
    let says =
        [Says { condition: types::ACCEPTED, holds: false, reason: reasons::UNREADABLE, message }];
    let generation = object["metadata"]["generation"].as_i64().unwrap_or_default();
    let after = conditions::update(&before, &says, generation, &time(now));
    if before == after {
        return None;
    }
    others.insert(0, json!(after[0]));
    Some(json!({
        "metadata": {"resourceVersion": object["metadata"]["resourceVersion"]},
        "status": {"conditions": others},
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_told_once_and_nothing_else_is_touched() {
        let ready = json!({"type": "Ready", "status": "True", "newer": {"than": "we"}});
        let mut object = json!({
            "metadata": {"generation": 3, "resourceVersion": "7"},
            "spec": {"newer": 1},
            "status": {
                "phase": "ACTIVE",
                "conditions": [ready, {"type": "Accepted", "status": "True"}],
            },
        });
        let now = UnixMillis(1_700_000_000_000);
        let patch = unreadable(&object, "unknown field `newer`", now).unwrap();
        let accepted = json!({
            "type": "Accepted",
            "status": "False",
            "reason": "Unreadable",
            "message": "this version of the operator does not read it, and leaves it alone: unknown \
                        field `newer`",
            "observedGeneration": 3,
            "lastTransitionTime": "2023-11-14T22:13:20Z",
        });
        let wanted = json!({
            "metadata": {"resourceVersion": "7"},
            "status": {"conditions": [accepted, ready]},
        });
        assert_eq!(patch, wanted);
        object["status"]["conditions"] = patch["status"]["conditions"].clone();
        let later = UnixMillis(now.0 + 60_000);
        assert_eq!(unreadable(&object, "unknown field `newer`", later), None);
        let other = unreadable(&object, "unknown field `newest`", later).unwrap();
        let accepted = &other["status"]["conditions"][0];
        assert_eq!(accepted["lastTransitionTime"], "2023-11-14T22:13:20Z");
        assert!(unreadable(&json!({}), "x", now).is_some());
    }
}
