//! What is asked of a node.

use bytes::buf::Chain;
use bytes::{Buf, BufMut, Bytes};
use model::{Offset, Passed, UnixMillis};

use crate::body::{
    ShardRef, get_bytes, get_hash_key, get_offset, get_shard, get_text, get_u8, get_u16, get_u32,
    get_u64, put_bytes, put_bytes_length, put_shard,
};
use crate::{DecodeError, begin, end};

/// The longest name of a consumer.
const CONSUMER_BYTES_MAX: usize = 128;

/// Something asked of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Which versions the caller speaks, both ends inclusive.
    Hello {
        /// The oldest.
        oldest: u16,
        /// The newest.
        newest: u16,
    },
    /// Append records, as one piece.
    Append {
        /// To this shard.
        shard: ShardRef,
        /// How many.
        record_count: u32,
        /// They, as they are encoded on disk.
        records: Bytes,
    },
    /// Read committed records.
    Read(Read),
    /// The offset of the first record that arrived then or later.
    OffsetAt {
        /// In this shard.
        shard: ShardRef,
        /// When.
        timestamp: UnixMillis,
    },
    /// The offset of the oldest record that can be read.
    StartOffset(ShardRef),
    /// Tell how far the shard has come, now and whenever that changes.
    Follow(ShardRef),
    /// Let a process read for a consumer, and nobody else, for a while.
    Claim {
        /// This shard.
        shard: ShardRef,
        /// The consumer.
        consumer: String,
        /// The process.
        holder: u64,
        /// How long, in milliseconds, nobody else must have.
        vacant_for: u64,
    },
    /// Let others read for a consumer.
    Release {
        /// This shard.
        shard: ShardRef,
        /// The consumer.
        consumer: String,
        /// The process that has read.
        holder: u64,
    },
    /// Tell a checkpoint.
    Checkpoint {
        /// Of this shard.
        shard: ShardRef,
        /// Its name.
        name: String,
    },
    /// Remember how far a consumer has come.
    SetCheckpoint {
        /// In this shard.
        shard: ShardRef,
        /// Who.
        consumer: String,
        /// The process that reads for it.
        holder: u64,
        /// The checkpoint's name.
        name: String,
        /// The offset it stands for.
        next: Offset,
    },
    /// Forget a consumer: checkpoints of its name, and of names below it.
    ForgetConsumer {
        /// In this shard.
        shard: ShardRef,
        /// Whom.
        consumer: String,
    },
    /// Make the shard's log, if it is not there, and take records.
    Open(ShardRef),
    /// Take no more records, for good.
    Close {
        /// This shard.
        shard: ShardRef,
        /// The time that is remembered, if it is not closed already.
        at: UnixMillis,
    },
    /// Remove the shard's log, with all its records.
    Remove(ShardRef),
    /// Tell how the node itself is.
    Look,
    /// Count what a gateway has passed on to the shard of an on-demand stream.
    Passed {
        /// To this shard.
        shard: ShardRef,
        /// At most [`SAMPLES_MAX`] samples of it.
        passed: Passed,
    },
    /// Tell what the shard was asked to take since this was last asked.
    Load {
        /// This shard.
        shard: ShardRef,
        /// How long, in milliseconds, it must have been quiet to be settled.
        quiet_for: u64,
    },
}

/// The most hash keys that one `Passed` carries.
pub const SAMPLES_MAX: usize = 512;

/// What to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// From this shard.
    pub shard: ShardRef,
    /// The first record wanted.
    pub from: Offset,
    /// Payload bytes after which to stop, at a record.
    pub bytes_max: u32,
    /// Records after which to stop.
    pub records_max: u32,
    /// Whether the shard's shared read throughput is charged.
    pub is_charged: bool,
}

mod kind {
    pub(super) const HELLO: u8 = 1;
    pub(super) const APPEND: u8 = 2;
    pub(super) const READ: u8 = 3;
    pub(super) const OFFSET_AT: u8 = 4;
    pub(super) const START_OFFSET: u8 = 5;
    pub(super) const FOLLOW: u8 = 6;
    pub(super) const SET_CHECKPOINT: u8 = 7;
    pub(super) const FORGET_CONSUMER: u8 = 8;
    pub(super) const OPEN: u8 = 9;
    pub(super) const CLOSE: u8 = 10;
    pub(super) const REMOVE: u8 = 11;
    pub(super) const LOOK: u8 = 12;
    pub(super) const PASSED: u8 = 13;
    pub(super) const LOAD: u8 = 14;
    pub(super) const CLAIM: u8 = 15;
    pub(super) const RELEASE: u8 = 16;
    pub(super) const CHECKPOINT: u8 = 17;
}

/// Room for everything but records.
const BODY_BYTES: usize = 64;
/// A hash key.
const KEY_BYTES: usize = 16;

impl Call {
    /// The frame of this call. Records are not copied into it: they are its second part.
    #[must_use]
    pub fn encode(&self, id: u64) -> Chain<Bytes, Bytes> {
        let frame = |kind| begin(id, kind, BODY_BYTES);
        let of = |kind, shard: &ShardRef| {
            let mut body = frame(kind);
            put_shard(&mut body, *shard);
            body
        };
        let mut carried = Bytes::new();
        let body = match self {
            Call::Hello { oldest, newest } => {
                let mut body = frame(kind::HELLO);
                body.put_u16_le(*oldest);
                body.put_u16_le(*newest);
                body
            }
            Call::Append { shard, record_count, records } => {
                let mut body = of(kind::APPEND, shard);
                body.put_u32_le(*record_count);
                put_bytes_length(&mut body, records.len());
                carried = records.clone();
                body
            }
            Call::Read(read) => {
                let mut body = of(kind::READ, &read.shard);
                body.put_u64_le(read.from.0);
                body.put_u32_le(read.bytes_max);
                body.put_u32_le(read.records_max);
                body.put_u8(u8::from(read.is_charged));
                body
            }
            Call::OffsetAt { shard, timestamp } => {
                let mut body = of(kind::OFFSET_AT, shard);
                body.put_u64_le(timestamp.0);
                body
            }
            Call::StartOffset(shard) => of(kind::START_OFFSET, shard),
            Call::Follow(shard) => of(kind::FOLLOW, shard),
            Call::Claim { shard, consumer, holder, vacant_for } => {
                let mut body = of(kind::CLAIM, shard);
                put_bytes(&mut body, consumer.as_bytes());
                body.put_u64_le(*holder);
                body.put_u64_le(*vacant_for);
                body
            }
            Call::Release { shard, consumer, holder } => {
                let mut body = of(kind::RELEASE, shard);
                put_bytes(&mut body, consumer.as_bytes());
                body.put_u64_le(*holder);
                body
            }
            Call::Checkpoint { shard, name } => {
                let mut body = of(kind::CHECKPOINT, shard);
                put_bytes(&mut body, name.as_bytes());
                body
            }
            Call::SetCheckpoint { shard, consumer, holder, name, next } => {
                let mut body = of(kind::SET_CHECKPOINT, shard);
                put_bytes(&mut body, consumer.as_bytes());
                body.put_u64_le(*holder);
                put_bytes(&mut body, name.as_bytes());
                body.put_u64_le(next.0);
                body
            }
            Call::ForgetConsumer { shard, consumer } => {
                let mut body = of(kind::FORGET_CONSUMER, shard);
                put_bytes(&mut body, consumer.as_bytes());
                body
            }
            Call::Open(shard) => of(kind::OPEN, shard),
            Call::Close { shard, at } => {
                let mut body = of(kind::CLOSE, shard);
                body.put_u64_le(at.0);
                body
            }
            Call::Remove(shard) => of(kind::REMOVE, shard),
            Call::Look => frame(kind::LOOK),
            Call::Passed { shard, passed } => {
                let samples = &passed.samples[..passed.samples.len().min(SAMPLES_MAX)];
                let mut body = begin(id, kind::PASSED, BODY_BYTES + samples.len() * KEY_BYTES);
                put_shard(&mut body, *shard);
                body.put_u64_le(passed.bytes);
                body.put_u64_le(passed.records);
                body.put_u16_le(samples.len() as u16);
                samples.iter().for_each(|key| body.put_u128_le(key.0));
                body
            }
            Call::Load { shard, quiet_for } => {
                let mut body = of(kind::LOAD, shard);
                body.put_u64_le(*quiet_for);
                body
            }
        };
        end(body, carried.len()).chain(carried)
    }
}

pub(crate) fn decode(kind: u8, mut body: Bytes) -> Result<Call, DecodeError> {
    if !(kind::HELLO..=kind::CHECKPOINT).contains(&kind) {
        return Err(DecodeError::Kind(kind));
    }
    let call = decode_body(kind, &mut body);
    call.filter(|_| body.is_empty()).ok_or(DecodeError::Malformed(kind))
}

fn decode_body(kind: u8, body: &mut Bytes) -> Option<Call> {
    if kind == kind::HELLO {
        return Some(Call::Hello { oldest: get_u16(body)?, newest: get_u16(body)? });
    }
    if kind == kind::LOOK {
        return Some(Call::Look);
    }
    let shard = get_shard(body)?;
    Some(match kind {
        kind::APPEND => {
            Call::Append { shard, record_count: get_u32(body)?, records: get_bytes(body)? }
        }
        kind::READ => Call::Read(Read {
            shard,
            from: get_offset(body)?,
            bytes_max: get_u32(body)?,
            records_max: get_u32(body)?,
            is_charged: get_u8(body)? != 0,
        }),
        kind::OFFSET_AT => Call::OffsetAt { shard, timestamp: UnixMillis(get_u64(body)?) },
        kind::START_OFFSET => Call::StartOffset(shard),
        kind::FOLLOW => Call::Follow(shard),
        kind::SET_CHECKPOINT => {
            let (consumer, holder) = (get_text(body, CONSUMER_BYTES_MAX)?, get_u64(body)?);
            let name = get_text(body, CONSUMER_BYTES_MAX)?;
            Call::SetCheckpoint { shard, consumer, holder, name, next: get_offset(body)? }
        }
        kind::FORGET_CONSUMER => {
            Call::ForgetConsumer { shard, consumer: get_text(body, CONSUMER_BYTES_MAX)? }
        }
        kind::OPEN => Call::Open(shard),
        kind::CLOSE => Call::Close { shard, at: UnixMillis(get_u64(body)?) },
        kind::REMOVE => Call::Remove(shard),
        kind::PASSED => {
            let (bytes, records) = (get_u64(body)?, get_u64(body)?);
            let count = usize::from(get_u16(body)?);
            if SAMPLES_MAX < count {
                return None;
            }
            let samples = (0..count).map(|_| get_hash_key(body)).collect::<Option<_>>()?;
            Call::Passed { shard, passed: Passed { bytes, records, samples } }
        }
        kind::LOAD => Call::Load { shard, quiet_for: get_u64(body)? },
        kind::CLAIM => {
            let (consumer, holder) = (get_text(body, CONSUMER_BYTES_MAX)?, get_u64(body)?);
            Call::Claim { shard, consumer, holder, vacant_for: get_u64(body)? }
        }
        kind::RELEASE => {
            let consumer = get_text(body, CONSUMER_BYTES_MAX)?;
            Call::Release { shard, consumer, holder: get_u64(body)? }
        }
        kind::CHECKPOINT => Call::Checkpoint { shard, name: get_text(body, CONSUMER_BYTES_MAX)? },
        _ => return None,
    })
}
