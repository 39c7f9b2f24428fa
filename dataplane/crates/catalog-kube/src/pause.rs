//! How long a watch that was lost waits before it is begun again.

use std::time::Duration;

use kube::runtime::utils::Backoff;
use kube::runtime::watcher::DefaultBackoff;

/// The data plane waits no longer: meanwhile it knows nothing of new streams and keys, and all it asks
/// of the API server is a list.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// As kube-rs' own, but capped.
#[derive(Default)]
pub struct WatchPause(DefaultBackoff);

impl Iterator for WatchPause {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next().map(|pause| pause.min(PAUSE_MAX))
    }
}

impl Backoff for WatchPause {
    fn reset(&mut self) {
        self.0.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_cap_and_begin_again() {
        let mut pauses = WatchPause::default();
        let first = pauses.next().unwrap();
        assert!(first < PAUSE_MAX);
        assert_eq!(pauses.nth(10), Some(PAUSE_MAX));
        pauses.reset();
        assert!(pauses.next().unwrap() < PAUSE_MAX);
    }
}
