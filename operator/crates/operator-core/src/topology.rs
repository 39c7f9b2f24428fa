//! A stream's shards as its resource's status tells them: the shard map, and which pod holds what.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use model::{
    Boundaries, HashKey, HashKeyRange, Offset, Shard, ShardId, ShardMap, ShardState, UnixMillis,
};
use operator_api::{Stream, StreamShard, StreamShardState, StreamStatus};

use crate::names;
use crate::placement::Held;

/// The shards of a stream and where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// The shards.
    pub shards: ShardMap,
    /// The pod that holds each.
    pub pods: BTreeMap<ShardId, String>,
}

/// A status that no operator has written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("status.shards: {0}; restore the status, the shards' logs are not touched")]
pub struct TopologyError(String);

impl Topology {
    /// What a status says; `None` before there are shards.
    ///
    /// # Errors
    /// What contradicts itself.
    pub fn of(status: &StreamStatus) -> Result<Option<Topology>, TopologyError> {
        if status.shards.is_empty() {
            return Ok(None);
        }
        let shards = status.shards.iter().map(decode).collect::<Result<Vec<_>, _>>();
        let shards = shards.map_err(TopologyError)?;
        let pods = shards.iter().zip(&status.shards).map(|(shard, s)| (shard.id, s.pod.clone()));
        let pods = pods.collect();
        let shards = ShardMap::from_parts(shards, status.next_shard)
            .map_err(|error| TopologyError(error.to_string()))?;
        Ok(Some(Topology { shards, pods }))
    }

    /// Puts it into a status.
    pub fn tell(&self, status: &mut StreamStatus) {
        let pod = |id| self.pods.get(&id).cloned().unwrap_or_default();
        let shards = self.shards.shards().iter();
        status.shards = shards.map(|shard| encode(shard, pod(shard.id))).collect();
        status.next_shard = self.shards.next_id();
        let open = u32::try_from(self.shards.owners().len());
        status.open_shard_count = Some(open.unwrap_or(u32::MAX));
    }

    /// Gives every shard that has no pod yet one of the first `pods` pods of a set, where `held`
    /// counts what the set's pods hold already; and forgets where shards were that are gone.
    pub fn place(&mut self, stateful_set: &str, held: &mut Held, pods: u32) {
        self.pods.retain(|id, _| self.shards.get(*id).is_some());
        for shard in self.shards.shards() {
            self.pods.entry(shard.id).or_insert_with(|| names::pod(stateful_set, held.place(pods)));
        }
    }

    /// Counts what the pods of a set hold of this stream.
    pub fn count(&self, stateful_set: &str, held: &mut Held) {
        for shard in self.shards.shards() {
            let pod = self.pods.get(&shard.id);
            if let Some(ordinal) = pod.and_then(|pod| names::ordinal(stateful_set, pod)) {
                // One that closes makes room for those that it becomes.
                let is_open = matches!(shard.state, ShardState::Pending | ShardState::Open);
                held.add(ordinal, is_open);
            }
        }
    }
}

/// A stream's identity between nodes: the first half of the uid that Kubernetes gave it. `None`
/// before it has one.
#[must_use]
pub fn stream_uid(stream: &Stream) -> Option<u64> {
    uid(&stream.metadata)
}

/// The same of any resource.
#[must_use]
pub fn uid(metadata: &ObjectMeta) -> Option<u64> {
    let uid = metadata.uid.as_deref()?;
    let digits: String = uid.chars().filter(|c| *c != '-').take(16).collect();
    let is_hex = digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u64::from_str_radix(&digits, 16).ok()).flatten()
}

/// Boundaries as a status tells them.
#[must_use]
pub fn encode_boundaries(boundaries: &Boundaries) -> Vec<String> {
    boundaries.starting().iter().map(HashKey::to_string).collect()
}

/// Boundaries as a spec or a status tells them.
///
/// # Errors
/// What is wrong with them.
pub fn decode_boundaries(texts: &[String]) -> Result<Boundaries, String> {
    let keys = texts.iter().map(|text| hash_key(text)).collect::<Result<Vec<_>, _>>()?;
    Boundaries::new(keys).map_err(|error| error.to_string())
}

fn encode(shard: &Shard, pod: String) -> StreamShard {
    let (state, closed_ms, end_offset) = match shard.state {
        ShardState::Pending => (StreamShardState::Pending, None, None),
        ShardState::Open => (StreamShardState::Open, None, None),
        ShardState::Closing => (StreamShardState::Closing, None, None),
        ShardState::Closed { at, end } => (StreamShardState::Closed, Some(at.0), Some(end.0)),
    };
    StreamShard {
        shard_id: shard.id.to_string(),
        starting_hash_key: shard.range.starting().to_string(),
        ending_hash_key: shard.range.ending().to_string(),
        state,
        pod,
        created_ms: shard.created.0,
        parent_shard_id: shard.parent.map(|id| id.to_string()),
        adjacent_parent_shard_id: shard.adjacent_parent.map(|id| id.to_string()),
        closed_ms,
        end_offset,
    }
}

fn decode(shard: &StreamShard) -> Result<Shard, String> {
    let id = |text: &String| text.parse::<ShardId>().map_err(|error| format!("{text}: {error}"));
    let name = &shard.shard_id;
    let range =
        HashKeyRange::new(hash_key(&shard.starting_hash_key)?, hash_key(&shard.ending_hash_key)?);
    Ok(Shard {
        id: id(name)?,
        range: range.ok_or_else(|| format!("{name}: its hash keys are the wrong way round"))?,
        parent: shard.parent_shard_id.as_ref().map(id).transpose()?,
        adjacent_parent: shard.adjacent_parent_shard_id.as_ref().map(id).transpose()?,
        created: UnixMillis(shard.created_ms),
        state: match (shard.state, shard.closed_ms, shard.end_offset) {
            (StreamShardState::Pending, ..) => ShardState::Pending,
            (StreamShardState::Open, ..) => ShardState::Open,
            (StreamShardState::Closing, ..) => ShardState::Closing,
            (StreamShardState::Closed, Some(at), Some(end)) => {
                ShardState::Closed { at: UnixMillis(at), end: Offset(end) }
            }
            (StreamShardState::Closed, ..) => {
                return Err(format!("{name} is Closed without closedMs and endOffset"));
            }
        },
    })
}

fn hash_key(text: &str) -> Result<HashKey, String> {
    text.parse().map_err(|error: model::ParseHashKeyError| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_streams_identity_is_the_first_half_of_its_uid() {
        let identity = |uid: Option<&str>| {
            let mut stream = Stream::new("clicks", operator_api::StreamSpec::default());
            stream.metadata.uid = uid.map(str::to_owned);
            stream_uid(&stream)
        };
        let uid = "6f9619ff-8b86-d011-b42d-00cf4fc964ff";
        assert_eq!(identity(Some(uid)), Some(0x6f96_19ff_8b86_d011));
        for none in [None, Some(""), Some("6f9619ff-8b86"), Some("+f9619ff-8b86-d011-b42d")] {
            assert_eq!(identity(none), None, "{none:?}");
        }
    }
}
