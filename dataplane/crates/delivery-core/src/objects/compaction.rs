//! Few large objects out of many small ones: which, and under what name.
//!
//! ```text
//!  objects, in the order of their keys ─► Planner ─► Merge: small ones, and the key of the large one
//!  Merge ─► journal ─► Merge, after a crash
//! ```
//!
//! Objects are merged that lie in the same folder and were written by the delivery stream as it is now, so
//! they have one form. An object is written again only into one that is at least half as large
//! again, so of a folder that grows each record is written a few times and not each time.

use serde::{Deserialize, Serialize};

use super::naming::Naming;
use crate::guid::{guid, guid_of};

/// Objects that are merged into one: so many names fit the journal.
pub const INPUTS_MAX: usize = 1_000;
/// The largest journal: all names, as long as they get.
pub const JOURNAL_BYTES_MAX: usize = INPUTS_MAX * 2 * super::KEY_BYTES_MAX;

/// An object as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// How large it is.
    pub bytes: u64,
}

/// Objects that become one. A merge that is done again is the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Merge {
    /// Counts the merges of a delivery stream: so a reader knows whether it has missed one.
    pub number: u64,
    /// The one: made of their keys, so that it replaces itself when it is written again.
    pub output: String,
    /// Those.
    pub inputs: Vec<String>,
}

impl Merge {
    /// What is kept in the bucket from before the merge until the next one.
    #[must_use]
    pub fn journal(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts are JSON")
    }

    /// Reads it back; `None` if it is no journal.
    #[must_use]
    pub fn from_journal(bytes: &[u8]) -> Option<Merge> {
        serde_json::from_slice(bytes).ok().filter(|merge: &Merge| merge.inputs.len() <= INPUTS_MAX)
    }

    /// Of some of these objects, which it gives, too; `None` where it is not worth it.
    #[must_use]
    pub fn of(
        naming: &Naming,
        number: u64,
        mut objects: Vec<Listed>,
    ) -> Option<(Merge, Vec<Listed>)> {
        // What is more than two thirds of all of it is left alone until there is more beside it.
        loop {
            let total: u64 = objects.iter().map(|object| object.bytes).sum();
            let largest = objects.iter().enumerate().max_by_key(|(_, object)| object.bytes)?;
            if largest.1.bytes.saturating_mul(3) <= total.saturating_mul(2) {
                break;
            }
            objects.remove(largest.0);
        }
        if objects.len() < 2 {
            return None;
        }
        let inputs: Vec<String> = objects.iter().map(|object| object.key.clone()).collect();
        let mut seed = Vec::from(*b"leat merge v1");
        for key in &inputs {
            // Each with its length before it, so that no two lists give the same bytes.
            seed.extend((key.len() as u64).to_be_bytes());
            seed.extend(key.as_bytes());
        }
        let first = naming.parse(&inputs[0])?;
        let output = first.renamed(&guid(guid_of(&seed)));
        Some((Merge { number, output, inputs }, objects))
    }
}

/// Groups objects, which come in the order of their keys.
pub struct Planner<'a> {
    naming: &'a Naming,
    bytes_max: u64,
    group: Vec<Listed>,
    bytes: u64,
}

impl Planner<'_> {
    /// For objects that get no larger than `bytes_max`.
    #[must_use]
    pub fn new(naming: &Naming, bytes_max: u64) -> Planner<'_> {
        Planner { naming, bytes_max, group: Vec::new(), bytes: 0 }
    }

    /// Takes the next object; gives the group before it, if that is complete. Objects that are not
    /// the delivery stream's by their name, and large ones, are passed over.
    pub fn push(&mut self, object: Listed) -> Option<Vec<Listed>> {
        let folder = self.naming.parse(&object.key)?.folder;
        if object.bytes == 0 || self.bytes_max < object.bytes.saturating_mul(2) {
            return None;
        }
        let fits = self.group.first().is_none_or(|first| {
            let is_beside = self.naming.parse(&first.key).is_some_and(|it| it.folder == folder);
            is_beside
                && self.group.len() < INPUTS_MAX
                && self.bytes + object.bytes <= self.bytes_max
        });
        let complete = if fits { None } else { self.end() };
        self.bytes += object.bytes;
        self.group.push(object);
        complete
    }

    /// The last group, if it is one.
    pub fn end(&mut self) -> Option<Vec<Listed>> {
        self.bytes = 0;
        let group = std::mem::take(&mut self.group);
        (2 <= group.len()).then_some(group)
    }
}

#[cfg(test)]
mod tests;
