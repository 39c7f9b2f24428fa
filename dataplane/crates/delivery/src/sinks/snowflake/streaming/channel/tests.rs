use model::{DeliveryRecord, UnixMillis};

use super::*;
use crate::sinks::testing::{NOW, record};

fn place(offset: u64) -> Place {
    let DeliveryRecord { origin, .. } = record(offset, "");
    Place::of(&origin)
}

fn progress(first: u64, last: u64) -> Progress {
    Progress::with(None, Run { first: place(first), last: place(last) }, 1)
}

/// Where the last run of a token begins.
fn begins(progress: &Progress) -> Place {
    progress.newest().first
}

fn status(committed: Option<Progress>, errors: u64, bound: Option<Progress>) -> ChannelStatus {
    let text = |of: Option<Progress>| of.map(|of| of.to_string());
    let (committed, bound) = (text(committed), text(bound));
    serde_json::from_value(serde_json::json!({
        "last_committed_offset_token": committed,
        "rows_error_count": errors,
        "last_error_offset_upper_bound": bound,
    }))
    .unwrap()
}

fn opened(status: &ChannelStatus) -> Channel {
    let mut channel = Channel::default();
    channel.opened(status, NOW);
    channel
}

/// Which of the first ten records are known to be there.
fn known(channel: &Channel) -> Vec<u64> {
    (0..10).filter(|offset| channel.has(place(*offset))).collect()
}

#[test]
fn after_a_crash_what_is_committed_is_known() {
    assert_eq!(known(&opened(&status(None, 0, None))), [] as [u64; 0]);
    let mut channel = opened(&status(Some(progress(2, 5)), 0, None));
    assert_eq!(known(&channel), [2, 3, 4, 5]);
    // And the run goes on.
    let next = channel.progress(place(6), place(7));
    let Run { first, last } = next.newest();
    assert_eq!((first, last), (place(2), place(7)));
    assert!(next.to_string().ends_with(&format!("-{}", NOW.0)));
}

#[test]
fn what_may_have_been_refused_is_sent_again() {
    let channel = opened(&status(Some(progress(2, 8)), 3, Some(progress(2, 6))));
    assert_eq!(known(&channel), [7, 8]);
    let mut channel = opened(&status(Some(progress(2, 8)), 3, None));
    assert_eq!(known(&channel), [] as [u64; 0]);
    assert_eq!(begins(&channel.progress(place(2), place(3))), place(2));
    // Refused before the run began.
    let channel = opened(&status(Some(progress(4, 8)), 3, Some(progress(1, 3))));
    assert_eq!(known(&channel), [4, 5, 6, 7, 8]);
}

#[test]
fn a_run_begins_anew_after_records_that_were_given_up() {
    let mut channel = opened(&status(None, 0, None));
    let first = channel.progress(place(0), place(1));
    channel.committed(first, false);
    channel.owes(Some(place(2)));
    // They come again.
    let second = channel.progress(place(2), place(3));
    assert_eq!(begins(&second), place(0));
    channel.committed(second, false);
    channel.owes(Some(place(4)));
    // Not these: somebody else is to keep them, and may not have done so yet.
    let third = channel.progress(place(6), place(7));
    assert_eq!(begins(&third), place(6));
    channel.committed(third, false);
    assert_eq!(known(&channel), [0, 1, 2, 3, 6, 7]);
}

#[test]
fn what_comes_again_before_what_is_committed_is_a_run_of_its_own() {
    let mut channel = opened(&status(Some(progress(4, 5)), 0, None));
    let again = channel.progress(place(0), place(1));
    channel.committed(again, false);
    assert_eq!(known(&channel), [0, 1, 4, 5]);
    let again = channel.progress(place(2), place(3));
    channel.committed(again, false);
    assert_eq!(known(&channel), [0, 1, 2, 3, 4, 5]);
    // It goes on behind.
    let next = channel.progress(place(6), place(7));
    assert_eq!(begins(&next), place(0));
    channel.committed(next, false);
    assert_eq!(known(&channel), [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_run_begins_anew_after_rows_that_were_refused() {
    let mut channel = opened(&status(None, 1, None));
    let first = channel.progress(place(0), place(3));
    assert_eq!(channel.new_errors(&status(None, 3, None)), 2);
    channel.committed(first, true);
    assert!(channel.is_careful());
    assert_eq!(known(&channel), [] as [u64; 0]);
    let second = channel.progress(place(4), place(5));
    assert_eq!(begins(&second), place(4));
    assert_eq!(channel.new_errors(&status(None, 3, None)), 0);
    channel.committed(second.clone(), false);
    assert_eq!(known(&channel), [4, 5]);
    for _ in 0..CAREFUL_ROUNDS {
        channel.committed(second.clone(), false);
    }
    assert!(!channel.is_careful());
}

#[test]
fn no_two_tokens_are_the_same() {
    let mut channel = opened(&status(None, 0, None));
    let first = channel.progress(place(0), place(1));
    channel.opened(&status(None, 0, None), NOW);
    let second = channel.progress(place(0), place(1));
    assert_ne!(first.to_string(), second.to_string());
    let mut channel = Channel::default();
    channel.opened(&status(None, 0, None), UnixMillis(NOW.0 + 9));
    assert_ne!(channel.progress(place(0), place(1)).to_string(), second.to_string());
}
