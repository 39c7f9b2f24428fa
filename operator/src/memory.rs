//! What the operator remembers of streams between looks. All of it can be lost: it is asked again.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::{ShardId, ShardLoad};
use operator_api::Stream;
use operator_core::Answer;

const BACKOFF_MIN: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// By the streams' uids.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    streams: Mutex<HashMap<String, Remembered>>,
}

#[derive(Debug, Default)]
struct Remembered {
    /// As it was last written here: the local copy is behind for a moment.
    written: Option<Stream>,
    /// To what pods were last asked.
    answers: BTreeMap<ShardId, Answer>,
    is_asking: bool,
    failures: u32,
    /// For which form of the pods it is known in which of them io_uring is refused.
    looked_at: Option<String>,
    io_uring_refused: Vec<String>,
    /// What pods told of the load, and when they were asked.
    loads: BTreeMap<ShardId, ShardLoad>,
    weighed: Option<Instant>,
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Remembered>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, stream: &Stream, act: impl FnOnce(&mut Remembered) -> T) -> T {
        let uid = stream.metadata.uid.clone().unwrap_or_default();
        act(self.lock().entry(uid).or_default())
    }

    pub(crate) fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// Remembers what the API server has of a stream, as it just said.
    pub(crate) fn written(&self, stream: Stream) {
        self.with(&stream.clone(), |remembered| remembered.written = Some(stream));
    }

    /// The newer of a stream in the local copy and the same stream as it was last written.
    pub(crate) fn newest(&self, cached: &Stream) -> Stream {
        self.with(cached, |remembered| match &remembered.written {
            Some(written) if version(cached) < version(written) => written.clone(),
            _ => {
                remembered.written = None;
                cached.clone()
            }
        })
    }

    pub(crate) fn answers(&self, stream: &Stream) -> BTreeMap<ShardId, Answer> {
        self.with(stream, |remembered| remembered.answers.clone())
    }

    /// Forgets answers: nothing is to be asked any more.
    pub(crate) fn clear_answers(&self, stream: &Stream) {
        self.with(stream, |remembered| remembered.answers.clear());
    }

    /// Whether nobody asks for this stream yet; from now on, somebody does.
    pub(crate) fn begin_asking(&self, stream: &Stream) -> bool {
        self.with(stream, |remembered| !std::mem::replace(&mut remembered.is_asking, true))
    }

    pub(crate) fn end_asking(&self, stream: &Stream, answers: BTreeMap<ShardId, Answer>) {
        self.with(stream, |remembered| {
            remembered.is_asking = false;
            remembered.answers = answers;
        });
    }

    pub(crate) fn io_uring_refused(&self, stream: &Stream) -> Vec<String> {
        self.with(stream, |remembered| remembered.io_uring_refused.clone())
    }

    /// Whether nobody has looked at pods of this form; from now on, somebody does.
    pub(crate) fn begin_looking(&self, stream: &Stream, form: &str) -> bool {
        self.with(stream, |remembered| {
            let is_new = remembered.looked_at.as_deref() != Some(form);
            remembered.looked_at = Some(form.to_owned());
            is_new
        })
    }

    /// What was seen; nothing, when somebody has to look again.
    pub(crate) fn end_looking(&self, stream: &Stream, refused: Option<Vec<String>>) {
        self.with(stream, |remembered| match refused {
            Some(refused) => remembered.io_uring_refused = refused,
            None => remembered.looked_at = None,
        });
    }

    pub(crate) fn loads(&self, stream: &Stream) -> BTreeMap<ShardId, ShardLoad> {
        self.with(stream, |remembered| remembered.loads.clone())
    }

    /// Whether the load was not asked for lately; from now on, it is.
    pub(crate) fn begin_weighing(&self, stream: &Stream, every: Duration, now: Instant) -> bool {
        self.with(stream, |remembered| {
            let is_due = remembered.weighed.is_none_or(|at| every <= now.duration_since(at));
            if is_due {
                remembered.weighed = Some(now);
            }
            is_due
        })
    }

    pub(crate) fn end_weighing(&self, stream: &Stream, loads: BTreeMap<ShardId, ShardLoad>) {
        self.with(stream, |remembered| remembered.loads = loads);
    }

    pub(crate) fn succeeded(&self, stream: &Stream) {
        self.with(stream, |remembered| remembered.failures = 0);
    }

    /// How long to wait after one more failure.
    pub(crate) fn failed(&self, stream: &Stream) -> Duration {
        self.with(stream, |remembered| {
            let pause = backoff(remembered.failures);
            remembered.failures = remembered.failures.saturating_add(1);
            pause
        })
    }
}

/// Resource versions grow; one that is no number is older than all.
fn version(stream: &Stream) -> Option<u64> {
    stream.metadata.resource_version.as_deref()?.parse().ok()
}

fn backoff(failures: u32) -> Duration {
    BACKOFF_MIN.saturating_mul(1 << failures.min(16)).min(BACKOFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newer_of_copy_and_written_counts() {
        let stream = |version: &str| {
            let mut stream = Stream::new("clicks", operator_api::StreamSpec::default());
            stream.metadata.uid = Some("uid-1".into());
            stream.metadata.resource_version = Some(version.into());
            stream
        };
        let memory = Memory::default();
        let check = |cached: &str, want: &str| {
            let newest = memory.newest(&stream(cached)).metadata.resource_version;
            assert_eq!(newest.as_deref(), Some(want), "{cached}");
        };
        check("7", "7");
        memory.written(stream("10"));
        check("9", "10");
        check("11", "11");
        // What is older than the copy is of no more use.
        check("9", "9");
    }

    #[test]
    fn the_load_is_asked_for_now_and_then() {
        let memory = Memory::default();
        let stream = Stream::new("clicks", operator_api::StreamSpec::default());
        let (every, start) = (Duration::from_secs(15), Instant::now());
        let begins = [0, 14, 15, 29, 30];
        let begins =
            begins.map(|at| memory.begin_weighing(&stream, every, start + Duration::from_secs(at)));
        assert_eq!(begins, [true, false, true, false, true]);
    }

    #[test]
    fn one_asks_at_a_time_and_failures_are_further_and_further_apart() {
        let memory = Memory::default();
        let stream = Stream::new("clicks", operator_api::StreamSpec::default());
        assert!(memory.begin_asking(&stream));
        assert!(!memory.begin_asking(&stream));
        memory.end_asking(&stream, [(ShardId(0), Answer::Opened)].into());
        assert_eq!(memory.answers(&stream).len(), 1);
        assert!(memory.begin_asking(&stream));
        assert_eq!(memory.failed(&stream), Duration::from_millis(200));
        assert_eq!(memory.failed(&stream), Duration::from_millis(400));
        memory.succeeded(&stream);
        assert_eq!(memory.failed(&stream), Duration::from_millis(200));
        assert_eq!(backoff(u32::MAX), BACKOFF_MAX);
    }
}
