//! What a node answers.

use bytes::{BufMut, Bytes};
use model::{Offset, ShardLoad, UnixMillis};

use crate::body::{
    Progress, ReceivedBatch, Refusal, get_bytes, get_hash_key, get_offset, get_progress,
    get_refusal, get_u8, get_u16, get_u32, get_u64, put_bytes, put_progress, put_refusal,
};
use crate::{DecodeError, begin, end};

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The version that is spoken from now on.
    Hello(u16),
    /// To `Append`: they are durable.
    Appended {
        /// The offset of the first; the others follow densely.
        first: Offset,
        /// The arrival timestamp all of them were given.
        timestamp: UnixMillis,
    },
    /// To `Read`.
    Records(Records),
    /// To `OffsetAt` and `StartOffset`.
    Offset(Offset),
    /// To `Follow`, again and again.
    Progress(Progress),
    /// To `Close`, and again the same when it was closed already.
    Closed {
        /// The offset after the last record.
        end: Offset,
        /// When.
        at: UnixMillis,
    },
    /// To `Look`.
    Node {
        /// Whether io_uring is refused there, and blocking calls are used instead.
        is_io_uring_refused: bool,
    },
    /// To `Load`; `None` when it was never asked before, so that no rate can be told.
    Load(Option<ShardLoad>),
    /// To `Claim`: the lease is the caller's.
    Claimed {
        /// Whether somebody else has claimed it since it was last renewed.
        is_wanted: bool,
    },
    /// To `Checkpoint`; `None` when there is none.
    Checkpoint(Option<Offset>),
    /// It is as asked.
    Done,
    /// It was not done.
    Refused(Refusal),
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Records {
    /// Where reading started.
    pub from: Offset,
    /// Behind the last offset that may be given to readers.
    pub end: Offset,
    /// How far the shard had come.
    pub progress: Progress,
    /// The batches, in order; the first may begin before `from`.
    pub batches: Vec<ReceivedBatch>,
}

mod kind {
    pub(super) const HELLO: u8 = 129;
    pub(super) const APPENDED: u8 = 130;
    pub(super) const RECORDS: u8 = 131;
    pub(super) const OFFSET: u8 = 132;
    pub(super) const PROGRESS: u8 = 133;
    pub(super) const CLOSED: u8 = 134;
    pub(super) const DONE: u8 = 135;
    pub(super) const REFUSED: u8 = 136;
    pub(super) const NODE: u8 = 137;
    pub(super) const LOAD: u8 = 138;
    pub(super) const CLAIMED: u8 = 139;
    pub(super) const CHECKPOINT: u8 = 140;
}

/// Room for everything but records.
const BODY_BYTES: usize = 64;
/// What stands around a batch.
const BATCH_HEAD_BYTES: usize = 8 + 8 + 1 + 4;

impl Reply {
    /// The frame of this reply to the call of this id.
    #[must_use]
    pub fn encode(&self, id: u64) -> Bytes {
        let frame = |kind| begin(id, kind, BODY_BYTES);
        let body = match self {
            Reply::Hello(version) => {
                let mut body = frame(kind::HELLO);
                body.put_u16_le(*version);
                body
            }
            Reply::Appended { first, timestamp } => {
                let mut body = frame(kind::APPENDED);
                body.put_u64_le(first.0);
                body.put_u64_le(timestamp.0);
                body
            }
            Reply::Records(records) => encode_records(id, records),
            Reply::Offset(offset) => {
                let mut body = frame(kind::OFFSET);
                body.put_u64_le(offset.0);
                body
            }
            Reply::Progress(progress) => {
                let mut body = frame(kind::PROGRESS);
                put_progress(&mut body, progress);
                body
            }
            Reply::Closed { end, at } => {
                let mut body = frame(kind::CLOSED);
                body.put_u64_le(end.0);
                body.put_u64_le(at.0);
                body
            }
            Reply::Node { is_io_uring_refused } => {
                let mut body = frame(kind::NODE);
                body.put_u8(u8::from(*is_io_uring_refused));
                body
            }
            Reply::Load(load) => {
                let mut body = frame(kind::LOAD);
                if let Some(load) = load {
                    body.put_u64_le(load.bytes_per_second);
                    body.put_u64_le(load.records_per_second);
                    body.put_u8(u8::from(load.is_settled));
                    if let Some(median) = load.median {
                        body.put_u128_le(median.0);
                    }
                }
                body
            }
            Reply::Claimed { is_wanted } => {
                let mut body = frame(kind::CLAIMED);
                body.put_u8(u8::from(*is_wanted));
                body
            }
            Reply::Checkpoint(next) => {
                let mut body = frame(kind::CHECKPOINT);
                if let Some(next) = next {
                    body.put_u64_le(next.0);
                }
                body
            }
            Reply::Done => frame(kind::DONE),
            Reply::Refused(refusal) => {
                let mut body = frame(kind::REFUSED);
                put_refusal(&mut body, refusal);
                body
            }
        };
        end(body, 0)
    }
}

fn encode_records(id: u64, records: &Records) -> bytes::BytesMut {
    let bytes = |batch: &ReceivedBatch| BATCH_HEAD_BYTES + batch.payload.len();
    let total: usize = records.batches.iter().map(bytes).sum();
    let mut body = begin(id, kind::RECORDS, BODY_BYTES + total);
    body.put_u64_le(records.from.0);
    body.put_u64_le(records.end.0);
    put_progress(&mut body, &records.progress);
    body.put_u32_le(u32::try_from(records.batches.len()).expect("fewer batches than bytes"));
    for batch in &records.batches {
        body.put_u64_le(batch.base_offset.0);
        body.put_u64_le(batch.timestamp.0);
        body.put_u8(u8::from(batch.is_sealed));
        put_bytes(&mut body, &batch.payload);
    }
    body
}

pub(crate) fn decode(kind: u8, mut body: Bytes) -> Result<Reply, DecodeError> {
    if !(kind::HELLO..=kind::CHECKPOINT).contains(&kind) {
        return Err(DecodeError::Kind(kind));
    }
    let reply = decode_body(kind, &mut body);
    reply.filter(|_| body.is_empty()).ok_or(DecodeError::Malformed(kind))
}

fn decode_body(kind: u8, body: &mut Bytes) -> Option<Reply> {
    Some(match kind {
        kind::HELLO => Reply::Hello(get_u16(body)?),
        kind::APPENDED => {
            Reply::Appended { first: get_offset(body)?, timestamp: UnixMillis(get_u64(body)?) }
        }
        kind::RECORDS => Reply::Records(decode_records(body)?),
        kind::OFFSET => Reply::Offset(get_offset(body)?),
        kind::PROGRESS => Reply::Progress(get_progress(body)?),
        kind::CLOSED => Reply::Closed { end: get_offset(body)?, at: UnixMillis(get_u64(body)?) },
        kind::DONE => Reply::Done,
        kind::NODE => Reply::Node { is_io_uring_refused: get_u8(body)? != 0 },
        kind::REFUSED => Reply::Refused(get_refusal(body)?),
        kind::CLAIMED => Reply::Claimed { is_wanted: get_u8(body)? != 0 },
        kind::CHECKPOINT if body.is_empty() => Reply::Checkpoint(None),
        kind::CHECKPOINT => Reply::Checkpoint(Some(get_offset(body)?)),
        kind::LOAD if body.is_empty() => Reply::Load(None),
        kind::LOAD => Reply::Load(Some(ShardLoad {
            bytes_per_second: get_u64(body)?,
            records_per_second: get_u64(body)?,
            is_settled: get_u8(body)? != 0,
            median: if body.is_empty() { None } else { Some(get_hash_key(body)?) },
        })),
        _ => return None,
    })
}

fn decode_records(body: &mut Bytes) -> Option<Records> {
    let (from, end) = (get_offset(body)?, get_offset(body)?);
    let progress = get_progress(body)?;
    let count = get_u32(body)? as usize;
    // Announced, but not there: no memory is taken for it.
    if body.len() / BATCH_HEAD_BYTES < count {
        return None;
    }
    let mut batches = Vec::with_capacity(count);
    for _ in 0..count {
        batches.push(ReceivedBatch {
            base_offset: get_offset(body)?,
            timestamp: UnixMillis(get_u64(body)?),
            is_sealed: get_u8(body)? != 0,
            payload: get_bytes(body)?,
        });
    }
    Some(Records { from, end, progress, batches })
}
