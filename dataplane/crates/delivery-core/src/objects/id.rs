//! What an object is named by, and all that looks random in its name: derived, so that an object
//! written again after a crash has the name it had before.

use std::collections::BTreeMap;

use model::{Offset, ShardId};
use sha2::{Digest, Sha256};

use crate::guid::{guid, half};

/// The partition keys that a record's object is chosen by, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionKeys {
    /// What the query found: `!{partitionKeyFromQuery:name}`.
    pub from_query: BTreeMap<String, String>,
    /// What the function answered: `!{partitionKeyFromLambda:name}`.
    pub from_lambda: BTreeMap<String, String>,
}

/// What tells an object from all others of all delivery streams, and is the same when a window of
/// records is delivered again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectId<'a> {
    /// The delivery stream: unlike its name, never given to another.
    pub stream_uid: u64,
    /// What is done with its records before they are in an object: other records under the same name would
    /// replace them.
    pub recipe: u128,
    /// Counts its configurations, from 1: the one by which the window was begun.
    pub version: u64,
    /// The shard the records came from.
    pub shard: ShardId,
    /// The first offset of the window of records.
    pub first_offset: Offset,
    /// Counts the objects of a window and partition, from 0.
    pub part: u32,
    /// The partition.
    pub keys: &'a PartitionKeys,
}

/// Random to look at, the same for the same object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seed([u8; 32]);

/// AWS's random strings are that long.
const RANDOM_CHARS: usize = 11;

impl Seed {
    /// `purpose` keeps the names of a window's objects apart: records, and each kind of refused
    /// ones.
    pub(super) fn of(id: &ObjectId<'_>, purpose: &str) -> Seed {
        let mut hash = Sha256::new();
        // Each text with its length before it, so that no two ids give the same bytes.
        let text = |hash: &mut Sha256, text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        };
        text(&mut hash, "leat object v2");
        text(&mut hash, purpose);
        hash.update(id.stream_uid.to_be_bytes());
        hash.update(id.recipe.to_be_bytes());
        hash.update(id.shard.0.to_be_bytes());
        hash.update(id.first_offset.0.to_be_bytes());
        hash.update(id.part.to_be_bytes());
        for keys in [&id.keys.from_query, &id.keys.from_lambda] {
            hash.update((keys.len() as u64).to_be_bytes());
            for (name, value) in keys {
                text(&mut hash, name);
                text(&mut hash, value);
            }
        }
        Seed(hash.finalize().into())
    }

    /// A UUID of version 8, whose bits are the maker's own.
    pub(super) fn uuid(&self) -> String {
        guid(half(&self.0))
    }

    /// The `index`th random string of a name: hexadecimal digits.
    pub(super) fn random_string(&self, index: u32) -> String {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(index.to_be_bytes());
        let mut text = format!("{:032x}", half(&hash.finalize()));
        text.truncate(RANDOM_CHARS);
        text
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn keys(from_query: &[(&str, &str)], from_lambda: &[(&str, &str)]) -> PartitionKeys {
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        PartitionKeys { from_query: map(from_query), from_lambda: map(from_lambda) }
    }

    #[test]
    fn names_made_of_an_id_never_change() {
        // Other names would leave the objects of a retry beside those of the first attempt.
        let keys = keys(&[("customer", "42")], &[]);
        let id = ObjectId {
            stream_uid: 7,
            recipe: 1,
            version: 1,
            shard: ShardId(3),
            first_offset: Offset(1_000),
            part: 0,
            keys: &keys,
        };
        let seed = Seed::of(&id, "");
        expect!["18a04430-bc3d-8c60-b5aa-5e0a6935f303"].assert_eq(&seed.uuid());
        expect!["9ec5c93e8e7"].assert_eq(&seed.random_string(0));
        expect!["ce2ae1f80bd"].assert_eq(&seed.random_string(1));
    }

    #[test]
    fn every_part_of_an_id_makes_another_name() {
        let none = PartitionKeys::default();
        let all = [
            keys(&[("a", "b")], &[]),
            keys(&[], &[("a", "b")]),
            keys(&[("ab", "")], &[]),
            keys(&[("a", "b"), ("c", "d")], &[]),
            keys(&[("a", "bcd")], &[]),
            keys(&[("a", "b")], &[("c", "d")]),
        ];
        let id = ObjectId {
            stream_uid: 1,
            recipe: 1,
            version: 1,
            shard: ShardId(1),
            first_offset: Offset(1),
            part: 1,
            keys: &none,
        };
        let mut ids = vec![
            id,
            ObjectId { stream_uid: 2, ..id },
            ObjectId { recipe: 2, ..id },
            ObjectId { shard: ShardId(2), ..id },
            ObjectId { first_offset: Offset(2), ..id },
            ObjectId { part: 2, ..id },
        ];
        ids.extend(all.iter().map(|keys| ObjectId { keys, ..id }));
        let mut names: Vec<String> = ids.iter().map(|id| Seed::of(id, "").uuid()).collect();
        names.push(Seed::of(&id, "processing-failed").uuid());
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn uuids_are_of_version_8_and_random_strings_of_11_characters() {
        let none = PartitionKeys::default();
        for part in 0..100 {
            let id = ObjectId {
                stream_uid: 1,
                recipe: 1,
                version: 1,
                shard: ShardId(0),
                first_offset: Offset(0),
                part,
                keys: &none,
            };
            let seed = Seed::of(&id, "");
            let uuid = seed.uuid();
            assert_eq!((uuid.len(), &uuid[14..15]), (36, "8"), "{uuid}");
            assert!(matches!(&uuid[19..20], "8" | "9" | "a" | "b"), "{uuid}");
            assert_eq!(seed.random_string(part).len(), 11);
            assert_ne!(seed.random_string(part), seed.random_string(part + 1));
        }
    }
}
