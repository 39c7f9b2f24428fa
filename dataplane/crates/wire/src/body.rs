//! What bodies are made of.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use model::{HashKey, Offset, ShardId, UnixMillis};

/// One shard of all there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ShardRef {
    /// Its stream's identity.
    pub stream: u64,
    /// Its id there.
    pub shard: ShardId,
}

/// How far a shard has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The offset after the last committed record.
    pub commit_end: Offset,
    /// When that record arrived.
    pub tip_timestamp: UnixMillis,
    /// When the shard was closed, if it was.
    pub closed_at: Option<UnixMillis>,
    /// Why it takes no records, if it takes none.
    pub unavailable: Option<Refusal>,
}

/// A batch of records, decrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedBatch {
    /// The offset of its first record.
    pub base_offset: Offset,
    /// When it arrived.
    pub timestamp: UnixMillis,
    /// Whether it is encrypted on disk.
    pub is_sealed: bool,
    /// Its records, as they are encoded on disk.
    pub payload: Bytes,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The shard was closed by a reshard.
    Closed,
    /// Over the shard's throughput; room again in so many milliseconds.
    Throttled(u64),
    /// No space on the node's disk.
    DiskFull,
    /// The shard failed, and why.
    Failed(String),
    /// The shard is not, or not yet, on this node.
    NotHere,
    /// A data key could not be unwrapped.
    NoKey(u32),
    /// Too many consumers have checkpoints.
    TooManyConsumers,
    /// The consumer's lease is somebody else's.
    NotHeld,
}

const REFUSAL_TEXT_BYTES_MAX: usize = 4096;

pub(crate) fn put_shard(body: &mut BytesMut, shard: ShardRef) {
    body.put_u64_le(shard.stream);
    body.put_u32_le(shard.shard.0);
}

pub(crate) fn get_shard(body: &mut Bytes) -> Option<ShardRef> {
    let stream = get_u64(body)?;
    Some(ShardRef { stream, shard: ShardId(get_u32(body)?) })
}

pub(crate) fn put_refusal(body: &mut BytesMut, refusal: &Refusal) {
    match refusal {
        Refusal::Closed => body.put_u8(1),
        Refusal::Throttled(millis) => {
            body.put_u8(2);
            body.put_u64_le(*millis);
        }
        Refusal::DiskFull => body.put_u8(3),
        Refusal::Failed(why) => {
            body.put_u8(4);
            let length = why.floor_char_boundary(REFUSAL_TEXT_BYTES_MAX);
            put_bytes(body, &why.as_bytes()[..length]);
        }
        Refusal::NotHere => body.put_u8(5),
        Refusal::NoKey(number) => {
            body.put_u8(6);
            body.put_u32_le(*number);
        }
        Refusal::TooManyConsumers => body.put_u8(7),
        Refusal::NotHeld => body.put_u8(8),
    }
}

pub(crate) fn get_refusal(body: &mut Bytes) -> Option<Refusal> {
    Some(match get_u8(body)? {
        1 => Refusal::Closed,
        2 => Refusal::Throttled(get_u64(body)?),
        3 => Refusal::DiskFull,
        4 => Refusal::Failed(get_text(body, REFUSAL_TEXT_BYTES_MAX)?),
        5 => Refusal::NotHere,
        6 => Refusal::NoKey(get_u32(body)?),
        7 => Refusal::TooManyConsumers,
        8 => Refusal::NotHeld,
        _ => return None,
    })
}

pub(crate) fn put_progress(body: &mut BytesMut, progress: &Progress) {
    body.put_u64_le(progress.commit_end.0);
    body.put_u64_le(progress.tip_timestamp.0);
    // No shard was closed in 1970.
    body.put_u64_le(progress.closed_at.map_or(0, |at| at.0));
    match &progress.unavailable {
        None => body.put_u8(0),
        Some(refusal) => put_refusal(body, refusal),
    }
}

pub(crate) fn get_progress(body: &mut Bytes) -> Option<Progress> {
    let (commit_end, tip_timestamp) = (get_offset(body)?, UnixMillis(get_u64(body)?));
    let closed_at = Some(get_u64(body)?).filter(|at| *at != 0).map(UnixMillis);
    let unavailable = match body.first()? {
        0 => {
            body.advance(1);
            None
        }
        _ => Some(get_refusal(body)?),
    };
    Some(Progress { commit_end, tip_timestamp, closed_at, unavailable })
}

/// Bytes with their number before them.
pub(crate) fn put_bytes(body: &mut BytesMut, bytes: &[u8]) {
    put_bytes_length(body, bytes.len());
    body.put_slice(bytes);
}

/// The number of bytes that come next.
pub(crate) fn put_bytes_length(body: &mut BytesMut, length: usize) {
    body.put_u32_le(u32::try_from(length).expect("a frame fits 4 GiB"));
}

/// A window on the body: nothing is copied, and what is announced but not there is refused.
pub(crate) fn get_bytes(body: &mut Bytes) -> Option<Bytes> {
    let length = get_u32(body)? as usize;
    (length <= body.len()).then(|| body.split_to(length))
}

pub(crate) fn get_text(body: &mut Bytes, bytes_max: usize) -> Option<String> {
    let bytes = get_bytes(body).filter(|bytes| bytes.len() <= bytes_max)?;
    String::from_utf8(bytes.into()).ok()
}

pub(crate) fn get_u8(body: &mut Bytes) -> Option<u8> {
    body.try_get_u8().ok()
}

pub(crate) fn get_u16(body: &mut Bytes) -> Option<u16> {
    body.try_get_u16_le().ok()
}

pub(crate) fn get_u32(body: &mut Bytes) -> Option<u32> {
    body.try_get_u32_le().ok()
}

/// The last that has a sequence number; what is counted on from it does not overflow.
const OFFSET_MAX: u64 = i64::MAX as u64;

pub(crate) fn get_offset(body: &mut Bytes) -> Option<Offset> {
    get_u64(body).filter(|offset| *offset <= OFFSET_MAX).map(Offset)
}

pub(crate) fn get_hash_key(body: &mut Bytes) -> Option<HashKey> {
    body.try_get_u128_le().ok().map(HashKey)
}

pub(crate) fn get_u64(body: &mut Bytes) -> Option<u64> {
    body.try_get_u64_le().ok()
}
