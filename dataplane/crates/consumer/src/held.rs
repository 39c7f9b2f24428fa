//! A lease that is kept.

use std::time::Duration;

use shard::{AppendError, Claim, LEASE, Lease, ShardHandle};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// How often a lease is renewed: it outlives a renewal that fails.
const RENEW_PAUSE: Duration = Duration::from_secs(3);
const _: () = assert!(RENEW_PAUSE.as_secs() * 3 < LEASE.as_secs());

/// Whether this process should go on with what a lease is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Nobody else wants to.
    Ours,
    /// Another process asks for it: finish, and drop it, if that one has the better right.
    Wanted,
    /// Another process has it, or may.
    Lost,
}

/// A lease of a shard, renewed until it is dropped or somebody else has it.
#[derive(Debug)]
pub struct Held {
    handle: ShardHandle,
    lease: Lease,
    hold: watch::Receiver<Hold>,
    renewing: AbortHandle,
}

impl Held {
    /// Claims it; `None` when another process has it, or has had it within `vacant_for`.
    ///
    /// # Errors
    /// The shard cannot be asked.
    pub async fn claim(
        handle: ShardHandle,
        lease: Lease,
        vacant_for: Duration,
    ) -> Result<Option<Held>, AppendError> {
        let runs_out = Instant::now() + LEASE;
        if handle.claim(&lease, vacant_for).await? == Claim::Held {
            return Ok(None);
        }
        let (told, hold) = watch::channel(Hold::Ours);
        let renewing = tokio::spawn(renew(handle.clone(), lease.clone(), runs_out, told));
        Ok(Some(Held { handle, lease, hold, renewing: renewing.abort_handle() }))
    }

    /// Whether to go on, as it changes.
    #[must_use]
    pub fn hold(&self) -> watch::Receiver<Hold> {
        self.hold.clone()
    }

    pub(crate) fn lease(&self) -> &Lease {
        &self.lease
    }
}

impl Drop for Held {
    /// Lets others have it at once, if that can be said now: else it runs out.
    fn drop(&mut self) {
        self.renewing.abort();
        self.handle.release(&self.lease);
    }
}

/// Keeps a lease until somebody else has it, or may have it: it has run out, and the shard does not answer.
async fn renew(
    handle: ShardHandle,
    lease: Lease,
    mut runs_out: Instant,
    hold: watch::Sender<Hold>,
) {
    loop {
        tokio::time::sleep(RENEW_PAUSE).await;
        let asked = Instant::now();
        let claimed = tokio::time::timeout_at(runs_out, handle.claim(&lease, Duration::ZERO));
        let is_ours = match claimed.await {
            Ok(Ok(Claim::Granted { is_wanted })) => {
                hold.send_replace(if is_wanted { Hold::Wanted } else { Hold::Ours });
                runs_out = asked + LEASE;
                true
            }
            Ok(Ok(Claim::Held)) | Err(_) => false,
            Ok(Err(_)) => Instant::now() < runs_out,
        };
        if !is_ours {
            hold.send_replace(Hold::Lost);
            return;
        }
    }
}
