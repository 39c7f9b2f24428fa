//! Time as a value, so that a test or a simulator can make one.

use std::fmt;
use std::time::Duration;

/// Milliseconds since the Unix epoch, the resolution of an arrival timestamp in the AWS API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// The moment `duration` later; stays at the end of time instead of wrapping.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> UnixMillis {
        UnixMillis(self.0.saturating_add(millis(duration)))
    }

    /// The moment `duration` earlier; stays at the epoch instead of wrapping.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> UnixMillis {
        UnixMillis(self.0.saturating_sub(millis(duration)))
    }

    /// How long after `earlier` this is; zero when it is not after.
    #[must_use]
    pub fn since(self, earlier: UnixMillis) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Whole seconds since the epoch.
    #[must_use]
    pub fn as_seconds(self) -> u64 {
        self.0 / 1_000
    }
}

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What tells the wall-clock time. The system's implementation is in `shard`; tests bring their own.
pub trait Clock: Send + Sync {
    /// The current wall-clock time. It may step backwards, as the host's does.
    fn now(&self) -> UnixMillis;
}
