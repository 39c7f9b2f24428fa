//! Whether a stream has room in its status for what a reshard leaves in it: the shards that it makes, and those
//! that it closes, which stay until their records expire.
//!
//! It is found out before the reshard begins. One that had begun and could not be written down to its end
//! would keep records waiting for ever.

use model::{Boundaries, Offset, ShardState, UnixMillis};
use operator_api::{Stream, StreamStatus};
use serde::Serialize;

use crate::names;
use crate::topology::{Topology, encode_boundaries};

/// The most bytes of a stream, as JSON. Of an object etcd takes 1.5 MiB; the rest is for what is added to
/// this one while a reshard is under way, as consumers, data keys and tags are, and for managed fields.
const STREAM_BYTES_MAX: usize = 1280 << 10;
/// What conditions may grow by.
const CONDITIONS_BYTES: usize = 16 << 10;
/// No pod's ordinal has more digits.
const ORDINAL_MAX: u32 = 99_999;

/// The size of the stream when all waves towards `desired` are done: at no time before it is larger.
/// Of what is not known yet, as where shards will end, the longest is counted.
fn bytes_when_done(
    stream: &Stream,
    status: &StreamStatus,
    topology: &Topology,
    desired: &Boundaries,
    set_name: &str,
) -> usize {
    let mut done = topology.clone();
    loop {
        let wave = model::plan(&done.shards, desired);
        if wave.is_empty() {
            break;
        }
        wave.iter().for_each(|reshard| done.shards.begin(reshard, UnixMillis(u64::MAX / 2)));
        let closing = done.shards.shards().iter().filter(|s| s.state == ShardState::Closing);
        let end = |shard: &model::Shard| (shard.id, Offset(u64::MAX), UnixMillis(u64::MAX));
        let closed: Vec<_> = closing.map(end).collect();
        done.shards.finish(&closed);
    }
    for shard in done.shards.shards() {
        let pod = || names::pod(set_name, ORDINAL_MAX);
        done.pods.entry(shard.id).or_insert_with(pod);
    }
    let mut after =
        StreamStatus { desired_boundaries: encode_boundaries(desired), ..status.clone() };
    done.tell(&mut after);
    size(&after) + size(&stream.metadata) + size(&stream.spec) + CONDITIONS_BYTES
}

fn size(part: &impl Serialize) -> usize {
    serde_json::to_vec(part).expect("a part of a resource has a JSON form").len()
}

/// Why a reshard to so many shards does not begin, and what helps; `None` when there is room for it.
pub(super) fn no_room(
    stream: &Stream,
    status: &StreamStatus,
    topology: &Topology,
    desired: &Boundaries,
    set_name: &str,
) -> Option<String> {
    let bytes = bytes_when_done(stream, status, topology, desired, set_name);
    if bytes <= STREAM_BYTES_MAX {
        return None;
    }
    let mut fresh = topology.clone();
    fresh.shards.forget_closed_before(UnixMillis(u64::MAX));
    let fits_later = bytes_when_done(stream, status, &fresh, desired, set_name) <= STREAM_BYTES_MAX;
    let when = match fits_later {
        true => "It begins when enough closed shards have expired (retentionPeriodHours). Sooner",
        false => "It never fits",
    };
    let (open, wanted) = (topology.shards.owners().len(), desired.starting().len());
    let (bytes, max) = (bytes.div_ceil(1024), STREAM_BYTES_MAX / 1024);
    Some(format!(
        "from {open} to {wanted} shards, the resource would have, with those that are closed on the way, \
         {bytes} KiB; there is room for {max} KiB. {when}: split or merge fewer at a time \
         (shardBoundaries, SplitShard, MergeShards), or use several Streams"
    ))
}
