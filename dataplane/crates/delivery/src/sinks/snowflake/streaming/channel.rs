//! What is known of a shard's channel, from one attempt to the next.

use model::UnixMillis;

use super::judge::ChannelStatus;
use super::progress::{Place, Progress, Run};

/// For how many rounds it is remembered that rows were refused.
const CAREFUL_ROUNDS: u32 = 16;

/// A shard's channel.
#[derive(Debug, Default)]
pub(super) struct Channel {
    /// What the next request is to have; `None` when it has to be opened.
    pub(super) continuation: Option<String>,
    /// Whether it was opened before.
    is_known: bool,
    committed: Option<Progress>,
    /// Up to here some committed rows were refused. Whether they are in the backup is not known here, so
    /// what is read again up to here is sent again.
    doubtful: Option<Place>,
    /// Where the run begins of records that are all committed; `None` when with the next one.
    first: Option<Place>,
    /// The first record that was given back and may come again.
    owed: Option<Place>,
    /// Rows that were refused so far.
    errors: u64,
    attempt: u64,
    careful_rounds: u32,
}

impl Channel {
    pub(super) fn opened(&mut self, status: &ChannelStatus, now: UnixMillis) {
        // After a crash the number is another one, too.
        self.attempt = now.0.max(self.attempt + 1);
        self.errors = status.errors();
        self.committed = status.committed.as_deref().and_then(|token| token.parse().ok());
        if 0 < self.errors {
            let bound = status.error_bound.as_deref();
            let bound = bound.and_then(|token| token.parse::<Progress>().ok());
            let bound = bound.as_ref().or(self.committed.as_ref());
            self.doubtful = self.doubtful.max(bound.map(|bound| bound.newest().last));
        }
        if !self.is_known {
            // What was given up between then and now is in the backup, or comes again in its place.
            let first = self.committed.as_ref().map(|committed| committed.newest().first);
            self.first = first.filter(|first| self.doubtful < Some(*first));
        }
        self.is_known = true;
    }

    /// Whether the record is in the table, or was refused and is in the backup.
    pub(super) fn has(&self, place: Place) -> bool {
        let is_committed = self.committed.as_ref().is_some_and(|it| it.covers(place));
        is_committed && self.doubtful < Some(place)
    }

    /// The token of a request with the records from `first` to `last`.
    pub(super) fn progress(&mut self, first: Place, last: Place) -> Progress {
        if self.owed.take().is_some_and(|owed| owed != first) {
            // Whoever was given it back did not try again.
            self.has_gap();
        }
        // What was given up may come again before what is committed.
        let first = self.first.filter(|begun| *begun <= first).unwrap_or(first);
        self.first = Some(first);
        Progress::with(self.committed.as_ref(), Run { first, last }, self.attempt)
    }

    /// A record was refused, and it is not known to be in the backup.
    pub(super) fn has_gap(&mut self) {
        self.first = None;
    }

    pub(super) fn owes(&mut self, first: Option<Place>) {
        self.owed = first;
    }

    pub(super) fn is_careful(&self) -> bool {
        0 < self.careful_rounds
    }

    /// Rows that were refused since it was last asked.
    pub(super) fn new_errors(&mut self, status: &ChannelStatus) -> u64 {
        let before = std::mem::replace(&mut self.errors, status.errors());
        self.errors.saturating_sub(before)
    }

    pub(super) fn committed(&mut self, progress: Progress, has_refused: bool) {
        if has_refused {
            self.doubtful = Some(progress.newest().last);
            self.careful_rounds = CAREFUL_ROUNDS;
            self.has_gap();
        } else {
            self.careful_rounds = self.careful_rounds.saturating_sub(1);
        }
        self.committed = Some(progress);
    }
}

#[cfg(test)]
mod tests;
