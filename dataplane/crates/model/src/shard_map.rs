//! The shards of one stream: which arc each owns, where it came from, and whether it is open.
//!
//! A reshard goes through three states, each a change of this value that is stored before the next:
//!
//! ```text
//!            begin                     finish
//!  parent    Open ──────► Closing ───────────────► Closed
//!  child                  Pending ───────────────► Open
//!                         (the parent's log is closed, which fixes where it ends)
//! ```
//!
//! At every moment the ring is owned exactly once, by the shards that are open or closing.

use crate::plan::{Boundaries, Reshard};
use crate::{HashKey, HashKeyRange, Offset, ShardId, UnixMillis};

/// One shard of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its id, never given again.
    pub id: ShardId,
    /// The arc it owns, or owned.
    pub range: HashKeyRange,
    /// The shard it was split off or, of two merged ones, the one with the lower arc.
    pub parent: Option<ShardId>,
    /// Of two merged parents, the one with the upper arc.
    pub adjacent_parent: Option<ShardId>,
    /// When it was created: at least a second after its parents.
    pub created: UnixMillis,
    /// How far it is in its life.
    pub state: ShardState,
}

/// A shard's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardState {
    /// Announced; its log may not exist yet.
    Pending,
    /// Takes records.
    Open,
    /// Takes records until its log is closed.
    Closing,
    /// Can be read until its records expire.
    Closed {
        /// When it was closed.
        at: UnixMillis,
        /// The offset after its last record.
        end: Offset,
    },
}

/// All shards of one stream, expired ones excepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardMap {
    /// By id.
    shards: Vec<Shard>,
    next_id: u32,
    /// The owning shards as indices into `shards`, by starting hash key. Derived.
    owners: Vec<usize>,
}

/// Why parts do not make a shard map.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShardMapError {
    /// Ids repeat, are out of order, or would be given again.
    #[error("shard ids are not increasing below the next one, {next_id}")]
    Ids {
        /// The id a new shard would get.
        next_id: u32,
    },
    /// Some hash key is owned by no shard, or by two.
    #[error("the ring is not owned exactly once around hash key {0}")]
    Ring(HashKey),
}

impl ShardMap {
    /// The map of a new stream: one pending shard for each arc.
    #[must_use]
    pub fn new(boundaries: &Boundaries, created: UnixMillis) -> ShardMap {
        let mut map = ShardMap { shards: Vec::new(), next_id: 0, owners: Vec::new() };
        for range in boundaries.ranges() {
            map.add(range, None, None, created);
        }
        map
    }

    /// The map with these shards, as they were stored.
    ///
    /// # Errors
    /// The parts contradict each other.
    pub fn from_parts(shards: Vec<Shard>, next_id: u32) -> Result<ShardMap, ShardMapError> {
        let increasing = shards.windows(2).all(|pair| pair[0].id < pair[1].id);
        let below_next = shards.last().is_none_or(|last| last.id.0 < next_id);
        if !increasing || !below_next {
            return Err(ShardMapError::Ids { next_id });
        }
        let mut map = ShardMap { shards, next_id, owners: Vec::new() };
        map.index_owners();
        map.check_ring()?;
        Ok(map)
    }

    /// The id the next new shard gets.
    #[must_use]
    pub fn next_id(&self) -> u32 {
        self.next_id
    }

    /// All shards by id.
    #[must_use]
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// A shard by its id.
    #[must_use]
    pub fn get(&self, id: ShardId) -> Option<&Shard> {
        let at = self.shards.binary_search_by_key(&id, |shard| shard.id).ok()?;
        self.shards.get(at)
    }

    /// The shards that own the ring now, by starting hash key.
    pub fn owners(&self) -> impl ExactSizeIterator<Item = &Shard> {
        self.owners.iter().map(|at| &self.shards[*at])
    }

    /// The shard that takes records for `key`. `None` while a new stream's shards are pending.
    #[must_use]
    pub fn route(&self, key: HashKey) -> Option<&Shard> {
        let behind = self.owners.partition_point(|at| self.shards[*at].range.starting() <= key);
        let owner = self.owners.get(behind.checked_sub(1)?)?;
        Some(&self.shards[*owner])
    }

    /// The starting hash keys of the owning shards; `None` while a new stream's are pending.
    #[must_use]
    pub fn boundaries(&self) -> Option<Boundaries> {
        Boundaries::new(self.owners().map(|shard| shard.range.starting()).collect()).ok()
    }

    /// The shards whose parent or adjacent parent is `id`.
    pub fn children(&self, id: ShardId) -> impl Iterator<Item = &Shard> {
        let is_child =
            move |shard: &&Shard| shard.parent == Some(id) || shard.adjacent_parent == Some(id);
        self.shards.iter().filter(is_child)
    }

    /// Whether some reshard, or the stream's creation, is under way.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        self.shards
            .iter()
            .any(|shard| matches!(shard.state, ShardState::Pending | ShardState::Closing))
    }

    /// Announces a reshard's children and marks its parents as closing.
    ///
    /// # Panics
    /// When the reshard is not one that [`plan`](crate::plan()) gave for this map.
    pub fn begin(&mut self, reshard: &Reshard, now: UnixMillis) {
        match *reshard {
            Reshard::Split { parent, at } => {
                let (range, created) = self.start_closing(parent);
                let (lower, upper) = range.split(at).expect("a planned split is inside the range");
                let created = after(created, now);
                self.add(lower, Some(parent), None, created);
                self.add(upper, Some(parent), None, created);
            }
            Reshard::Merge { lower, upper } => {
                let (lower_range, lower_created) = self.start_closing(lower);
                let (upper_range, upper_created) = self.start_closing(upper);
                let range =
                    lower_range.merge(upper_range).expect("a planned merge is of neighbours");
                let created = after(lower_created.max(upper_created), now);
                self.add(range, Some(lower), Some(upper), created);
            }
        }
        self.index_owners();
    }

    /// Takes note that these parents' logs are closed, and opens every pending shard whose parents
    /// all are. With no parents at all, this opens a new stream's shards.
    pub fn finish(&mut self, closed: &[(ShardId, Offset, UnixMillis)]) {
        for (id, end, at) in closed {
            if let Some(parent) = self.shards.iter_mut().find(|shard| shard.id == *id)
                && parent.state == ShardState::Closing
            {
                parent.state = ShardState::Closed { at: *at, end: *end };
            }
        }
        let is_closed = |id: Option<ShardId>| {
            let parent = id.and_then(|id| self.get(id));
            parent.is_none_or(|parent| matches!(parent.state, ShardState::Closed { .. }))
        };
        let ready: Vec<usize> = (0..self.shards.len())
            .filter(|at| {
                let shard = &self.shards[*at];
                let parents_closed = is_closed(shard.parent) && is_closed(shard.adjacent_parent);
                shard.state == ShardState::Pending && parents_closed
            })
            .collect();
        for at in ready {
            self.shards[at].state = ShardState::Open;
        }
        self.index_owners();
    }

    /// Forgets shards that were closed before `horizon`, and returns their ids. All their records
    /// have expired.
    pub fn forget_closed_before(&mut self, horizon: UnixMillis) -> Vec<ShardId> {
        let expired =
            |shard: &Shard| matches!(shard.state, ShardState::Closed { at, .. } if at < horizon);
        let forgotten = self.shards.iter().filter(|shard| expired(shard)).map(|s| s.id).collect();
        self.shards.retain(|shard| !expired(shard));
        self.index_owners();
        forgotten
    }

    fn add(
        &mut self,
        range: HashKeyRange,
        parent: Option<ShardId>,
        adjacent_parent: Option<ShardId>,
        created: UnixMillis,
    ) {
        let id = ShardId(self.next_id);
        self.next_id += 1;
        let state = ShardState::Pending;
        self.shards.push(Shard { id, range, parent, adjacent_parent, created, state });
    }

    fn start_closing(&mut self, id: ShardId) -> (HashKeyRange, UnixMillis) {
        let shard = self.shards.iter_mut().find(|shard| shard.id == id);
        let shard = shard.expect("a planned reshard is of shards in the map");
        assert!(shard.state == ShardState::Open, "a planned reshard is of open shards");
        shard.state = ShardState::Closing;
        (shard.range, shard.created)
    }

    fn index_owners(&mut self) {
        let owns = |shard: &Shard| matches!(shard.state, ShardState::Open | ShardState::Closing);
        self.owners = (0..self.shards.len()).filter(|at| owns(&self.shards[*at])).collect();
        let shards = &self.shards;
        self.owners.sort_by_key(|at| shards[*at].range.starting());
    }

    /// Owned exactly once, or not yet at all.
    fn check_ring(&self) -> Result<(), ShardMapError> {
        let mut covered: Option<HashKeyRange> = None;
        for shard in self.owners() {
            let next = match covered {
                None => Some(shard.range).filter(|range| range.starting() == HashKey::MIN),
                Some(covered) => covered.merge(shard.range),
            };
            covered = Some(next.ok_or(ShardMapError::Ring(shard.range.starting()))?);
        }
        match covered {
            None | Some(HashKeyRange::RING) => Ok(()),
            Some(covered) => Err(ShardMapError::Ring(covered.ending())),
        }
    }
}

/// A child's creation time: now, but in a later second than its parents', because that is what
/// makes its sequence numbers larger than theirs.
fn after(parents_created: UnixMillis, now: UnixMillis) -> UnixMillis {
    now.max(UnixMillis((parents_created.as_seconds() + 1) * 1_000))
}

#[cfg(test)]
mod tests;
