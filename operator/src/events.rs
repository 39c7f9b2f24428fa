//! Events: what `kubectl describe` tells of a resource beside its conditions.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource;
use kube::runtime::events::{Event, EventType, Recorder};
use operator_api::conditions::{reasons, types};
use operator_core::Step;

/// The API server takes notes of up to 1 KiB.
const NOTE_BYTES_MAX: usize = 1000;

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    is_warning: bool,
    reason: &'static str,
    text: String,
}

impl Note {
    /// That something in the spec is wrong, or that the API server refuses what follows from it.
    pub(crate) fn invalid(text: String) -> Note {
        Note { is_warning: true, reason: reasons::INVALID, text }
    }
}

/// What was applied.
pub(crate) fn of_steps(steps: &[Step]) -> Option<Note> {
    let texts: Vec<&str> = steps.iter().map(|step| step.reason.as_str()).collect();
    let text = texts.join("; ");
    (!texts.is_empty()).then_some(Note { is_warning: false, reason: reasons::ROLLING_OUT, text })
}

/// What conditions say that they did not say before.
pub(crate) fn of_conditions(before: &[Condition], after: &[Condition]) -> Vec<Note> {
    let find = |conditions: &[Condition], type_: &str| {
        conditions.iter().find(|condition| condition.type_ == type_).cloned()
    };
    let mut notes = Vec::new();
    let (was, is) = (find(before, types::ACCEPTED), find(after, types::ACCEPTED));
    let told = |was: &Option<Condition>, is: &Condition| {
        was.as_ref().is_some_and(|was| was.status == is.status && was.message == is.message)
    };
    if let Some(is) = is.filter(|is| is.status == "False" && !told(&was, is)) {
        notes.push(Note::invalid(is.message));
    }
    let is_resharding = |condition: &Option<Condition>| {
        condition.as_ref().is_some_and(|condition| condition.reason == reasons::RESHARDING)
    };
    let (was, is) = (find(before, types::PROGRESSING), find(after, types::PROGRESSING));
    match (is_resharding(&was), is_resharding(&is)) {
        (false, true) => notes.push(Note {
            is_warning: false,
            reason: reasons::RESHARDING,
            text: is.map(|is| is.message).unwrap_or_default(),
        }),
        (true, false) => notes.push(Note {
            is_warning: false,
            reason: reasons::UP_TO_DATE,
            text: "all shards are where they should be".to_owned(),
        }),
        _ => {}
    }
    notes
}

/// Tells it. An event that gets lost changes nothing.
pub(crate) async fn publish<K>(recorder: &Recorder, about: &K, notes: Vec<Note>)
where
    K: Resource<DynamicType = ()>,
{
    let reference = about.object_ref(&());
    for note in notes {
        let event = Event {
            type_: if note.is_warning { EventType::Warning } else { EventType::Normal },
            reason: note.reason.to_owned(),
            note: Some(shortened(note.text)),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        if let Err(error) = recorder.publish(&event, &reference).await {
            tracing::debug!(%error, "an event got lost");
        }
    }
}

fn shortened(mut text: String) -> String {
    if NOTE_BYTES_MAX < text.len() {
        text.truncate(text.floor_char_boundary(NOTE_BYTES_MAX));
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Condition {
        Condition {
            type_: type_.into(),
            status: status.into(),
            reason: reason.into(),
            message: message.into(),
            observed_generation: None,
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        }
    }

    #[test]
    fn what_changes_is_told_once() {
        let right = condition(types::ACCEPTED, "True", reasons::VALID, "");
        let wrong = condition(types::ACCEPTED, "False", reasons::INVALID, "spec.x: no");
        let busy = condition(types::PROGRESSING, "True", reasons::RESHARDING, "1 of 2");
        let busier = condition(types::PROGRESSING, "True", reasons::RESHARDING, "2 of 2");
        let done = condition(types::PROGRESSING, "False", reasons::UP_TO_DATE, "");
        let check = |before: &[&Condition], after: &[&Condition], want: &[&str]| {
            let list = |all: &[&Condition]| all.iter().copied().cloned().collect::<Vec<_>>();
            let notes = of_conditions(&list(before), &list(after));
            let got: Vec<&str> = notes.iter().map(|note| note.reason).collect();
            assert_eq!(got, want);
        };
        check(&[], &[&right, &done], &[]);
        check(&[&right], &[&wrong], &["Invalid"]);
        check(&[&wrong], &[&wrong], &[]);
        check(&[&right, &done], &[&right, &busy], &["Resharding"]);
        check(&[&right, &busy], &[&right, &busier], &[]);
        check(&[&right, &busy], &[&right, &done], &["UpToDate"]);
    }

    #[test]
    fn notes_fit() {
        assert!(shortened("ä".repeat(2000)).len() < 1024);
        assert_eq!(shortened("short".into()), "short");
    }
}
