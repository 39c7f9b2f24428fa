//! Which process reads a shard for a consumer, when several could: one at a time.
//!
//! A lease is in memory only. It ends by itself when nobody renews it, and with the shard's process: then
//! whoever claims it first has it. What it guards is the consumer's checkpoints, which are taken from its
//! holder alone (a fencing token, as Chubby's sequencers), so that a reader which was given up for dead, and
//! is not, cannot set back what its successor has remembered.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::machine::{CONSUMERS_MAX, is_of};

/// How long a lease counts that nobody renews.
pub const LEASE: Duration = Duration::from_secs(10);

/// A consumer, and the process that reads for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The consumer. The lease is for checkpoints of this name, and of names below it (`NAME/...`).
    pub consumer: String,
    /// The process: a number that no other has.
    pub holder: u64,
}

impl Lease {
    /// Whether a checkpoint of this name is the consumer's.
    pub(crate) fn covers(&self, name: &str) -> bool {
        is_of(name, &self.consumer)
    }
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The lease is the claimer's, for [`LEASE`] from now.
    Granted {
        /// Whether somebody else has claimed it since it was last renewed.
        is_wanted: bool,
    },
    /// It is somebody else's, or not vacant for long enough.
    Held,
}

/// The leases of one shard.
pub(crate) struct Leases {
    /// When nobody had any.
    since: Instant,
    taken: HashMap<String, Taken>,
}

struct Taken {
    /// The last that had it.
    holder: u64,
    until: Instant,
    is_wanted: bool,
}

impl Leases {
    pub(crate) fn new(now: Instant) -> Leases {
        Leases { since: now, taken: HashMap::new() }
    }

    /// Claims or renews a lease: one that is somebody else's only when it has been vacant for so long.
    pub(crate) fn claim(&mut self, lease: &Lease, vacant_for: Duration, now: Instant) -> Claim {
        let until = now + LEASE;
        if CONSUMERS_MAX <= self.taken.len() {
            self.taken.retain(|_, taken| now < taken.until);
        }
        let Some(taken) = self.taken.get_mut(&lease.consumer) else {
            if now < self.since + vacant_for || CONSUMERS_MAX <= self.taken.len() {
                return Claim::Held;
            }
            let taken = Taken { holder: lease.holder, until, is_wanted: false };
            self.taken.insert(lease.consumer.clone(), taken);
            return Claim::Granted { is_wanted: false };
        };
        if taken.holder != lease.holder && now < taken.until + vacant_for {
            // Who would wait for it to be vacant does not ask for it.
            taken.is_wanted |= vacant_for.is_zero();
            return Claim::Held;
        }
        let is_wanted = taken.holder == lease.holder && taken.is_wanted;
        *taken = Taken { holder: lease.holder, until, is_wanted: false };
        Claim::Granted { is_wanted }
    }

    /// Gives a lease up. One that is somebody else's stays so.
    pub(crate) fn release(&mut self, lease: &Lease, now: Instant) {
        let taken = self.taken.get_mut(&lease.consumer);
        if let Some(taken) = taken.filter(|taken| taken.holder == lease.holder) {
            taken.until = taken.until.min(now);
        }
    }

    /// Whether somebody has a lease, which has not run out, that covers checkpoints of this name.
    pub(crate) fn is_taken(&self, name: &str, now: Instant) -> bool {
        self.taken.iter().any(|(consumer, taken)| {
            now < taken.until && Lease { consumer: consumer.clone(), holder: 0 }.covers(name)
        })
    }

    /// Whether nobody else has had the lease since this one had it, though it may have run out.
    pub(crate) fn is_held(&self, lease: &Lease) -> bool {
        self.taken.get(&lease.consumer).is_some_and(|taken| taken.holder == lease.holder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRANTED: Claim = Claim::Granted { is_wanted: false };

    fn of(holder: u64) -> Lease {
        Lease { consumer: "delivery".to_owned(), holder }
    }

    #[test]
    fn a_lease_is_one_holders_until_it_runs_out_or_is_given_up() {
        let start = Instant::now();
        let mut leases = Leases::new(start);
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let now = Duration::ZERO;
        assert!(!leases.is_held(&of(1)));
        assert_eq!(leases.claim(&of(1), now, at(0)), GRANTED);
        assert_eq!(leases.claim(&of(2), now, at(9)), Claim::Held);
        assert_eq!(leases.claim(&of(1), now, at(9)), Claim::Granted { is_wanted: true });
        assert_eq!(leases.claim(&of(1), now, at(9)), GRANTED);
        assert_eq!(leases.claim(&of(2), now, at(18)), Claim::Held);
        assert!(leases.is_held(&of(1)), "it may be renewed late");
        assert_eq!(leases.claim(&of(2), now, at(19)), GRANTED);
        assert!(leases.is_held(&of(2)) && !leases.is_held(&of(1)));
        leases.release(&of(1), at(20));
        assert_eq!(leases.claim(&of(1), now, at(20)), Claim::Held);
        assert!(leases.is_taken("delivery/intent", at(20)) && !leases.is_taken("other", at(20)));
        leases.release(&of(2), at(20));
        assert!(!leases.is_taken("delivery/intent", at(20)));
        assert_eq!(leases.claim(&of(1), now, at(20)), GRANTED);
    }

    #[test]
    fn who_may_only_stand_in_waits_until_a_lease_was_vacant_for_long() {
        let start = Instant::now();
        let mut leases = Leases::new(start);
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let long = Duration::from_secs(30);
        assert_eq!(leases.claim(&of(2), long, at(29)), Claim::Held);
        assert_eq!(leases.claim(&of(1), Duration::ZERO, at(29)), GRANTED);
        assert_eq!(leases.claim(&of(2), long, at(68)), Claim::Held);
        assert_eq!(leases.claim(&of(1), Duration::ZERO, at(38)), GRANTED, "and it is not wanted");
        assert_eq!(leases.claim(&of(2), long, at(78)), GRANTED);
        assert_eq!(leases.claim(&of(2), long, at(79)), GRANTED, "it is renewed at once");
    }

    #[test]
    fn a_lease_is_for_the_checkpoints_of_its_consumer() {
        let names = ["delivery", "delivery/intent", "delivery2", "deliver", ""];
        let covered: Vec<_> = names.iter().filter(|name| of(1).covers(name)).collect();
        assert_eq!(covered, [&"delivery", &"delivery/intent"]);
    }

    #[test]
    fn leases_that_ran_out_make_room() {
        let start = Instant::now();
        let mut leases = Leases::new(start);
        let of = |number: usize| Lease { consumer: number.to_string(), holder: 1 };
        for number in 0..CONSUMERS_MAX {
            assert_eq!(leases.claim(&of(number), Duration::ZERO, start), GRANTED);
        }
        assert_eq!(leases.claim(&of(CONSUMERS_MAX), Duration::ZERO, start), Claim::Held);
        assert_eq!(leases.claim(&of(CONSUMERS_MAX), Duration::ZERO, start + LEASE), GRANTED);
    }
}
