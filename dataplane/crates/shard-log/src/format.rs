//! The bytes of a shard log, version 1. All integers little-endian.
//!
//! A segment is a sequence of batches, each starting on a block of [`BLOCK_BYTES`] and padded with
//! zeros to one. The first is the segment's head. A batch is a header and a payload:
//!
//! ```text
//!  position bytes  field
//!   0       4      magic              "LtB1"
//!   4       4      checksum           CRC32C of bytes 8..length
//!   8       4      length             header and payload, without the padding
//!  12       4      record_count
//!  16       1      kind               1 head, 2 records, 3 command, 4 hard state, 5 durable mark,
//!                                  6 sealed records
//!  17       3      zero
//!  20       4      previous_checksum  of the batch before, across segments; 0 for the very first
//!  24       8      log_id             random, fixed when the log is created
//!  32       8      segment            number of the segment this was written to
//!  40       8      base_offset        of the first record; without records, of the next one
//!  48       8      index              entries (records, command) count 1, 2, ..; others repeat the last
//!  56       8      term               of the entry; others repeat the last
//!  64       8      timestamp          Unix milliseconds, never before its predecessor's
//!  72       8      durable_end        position in this segment below which all was synced when
//!                                     this batch was written
//! ```
//!
//! A records payload is, for each record: partition key length (2), data length (4), partition key
//! (UTF-8), data. A key length of 0 means that the record has no partition key.
//!
//! A sealed records payload is such a payload, encrypted by whoever appended it; opaque here.
//!
//! A head's payload is a [`SegmentHead`]. Command and hard-state payloads are opaque here.
//!
//! Decoding never panics and never trusts a length before comparing it with a bound.

use std::iter;

use model::{Offset, UnixMillis};
use storage::{AlignedBuffer, BLOCK_BYTES};

use crate::index::IndexEntry;

/// Size of a batch header.
pub const HEADER_BYTES: usize = 80;
/// The longest batch, header included: an AWS request of 10 MiB and everything around it.
pub const BATCH_BYTES_MAX: usize = 16 << 20;
/// The longest hard state a segment head carries.
pub const HARD_STATE_BYTES_MAX: usize = 4 << 10;
/// The longest state-machine image a segment head carries.
pub const IMAGE_BYTES_MAX: usize = 256 << 10;
/// What precedes the partition key and data of a record.
pub const RECORD_HEADER_BYTES: usize = 6;

const MAGIC: [u8; 4] = *b"LtB1";
/// The checksum covers everything from here to the batch's end.
const CHECKSUM_START: usize = 8;
const INDEX_ENTRY_BYTES: usize = 32;
/// Entries are at least one interval apart and a segment ends after its largest batch.
const INDEX_ENTRIES_MAX: usize = 4096;

/// Tells one log's batches from any other's. Drawn at random when the log is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub u64);

/// What a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BatchKind {
    /// The first batch of a segment.
    Head = 1,
    /// An entry with user records.
    Records = 2,
    /// An entry for the shard's state machine.
    Command = 3,
    /// The replication group's hard state; the latest one counts. Not an entry.
    HardState = 4,
    /// Nothing but the statement that all before it was durable. Not an entry.
    DurableMark = 5,
    /// An entry with encrypted user records.
    SealedRecords = 6,
}

impl BatchKind {
    fn decode(byte: u8) -> Option<BatchKind> {
        match byte {
            1 => Some(BatchKind::Head),
            2 => Some(BatchKind::Records),
            3 => Some(BatchKind::Command),
            4 => Some(BatchKind::HardState),
            5 => Some(BatchKind::DurableMark),
            6 => Some(BatchKind::SealedRecords),
            _ => None,
        }
    }

    /// Whether it has an index of its own.
    pub(crate) fn is_entry(self) -> bool {
        matches!(self, BatchKind::Records | BatchKind::SealedRecords | BatchKind::Command)
    }

    /// Whether it holds user records.
    pub(crate) fn has_records(self) -> bool {
        matches!(self, BatchKind::Records | BatchKind::SealedRecords)
    }
}

/// A batch's header as it is on disk, except for the magic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// CRC32C of everything behind it.
    pub checksum: u32,
    /// Header and payload in bytes, without padding.
    pub length: u32,
    /// Records in the payload; 0 unless the kind is `Records` or `SealedRecords`.
    pub record_count: u32,
    /// What the payload is.
    pub kind: BatchKind,
    /// Checksum of the batch before.
    pub previous_checksum: u32,
    /// The log this belongs to.
    pub log_id: LogId,
    /// The segment this was written to.
    pub segment: u64,
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Index of the entry.
    pub index: u64,
    /// Term of the entry.
    pub term: u64,
    /// When its records arrived.
    pub timestamp: UnixMillis,
    /// The position in this segment below which everything was durable when this was written.
    pub durable_end: u64,
}

impl BatchHeader {
    /// The offset after the last record.
    #[must_use]
    pub fn end_offset(&self) -> Offset {
        Offset(self.base_offset.0.saturating_add(u64::from(self.record_count)))
    }

    /// The bytes the batch occupies in its segment.
    #[must_use]
    pub fn padded_bytes(&self) -> usize {
        padded(self.length as usize)
    }
}

/// Why bytes are not a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No magic here: free space, or damage.
    #[error("no batch starts here")]
    NotABatch,
    /// The header promises `needed` bytes and the input has fewer.
    #[error("batch of {needed} bytes, of which {found} are there")]
    Incomplete {
        /// Length of the whole batch.
        needed: usize,
        /// Length of the input.
        found: usize,
    },
    /// The header cannot be true, whatever the payload.
    #[error("implausible batch header")]
    Implausible,
    /// Something under the checksum changed.
    #[error("checksum {found:#010x}, want {want:#010x}")]
    Checksum {
        /// As computed from the bytes.
        found: u32,
        /// As stored.
        want: u32,
    },
}

/// `length` rounded up to whole blocks.
#[must_use]
pub const fn padded(length: usize) -> usize {
    length.div_ceil(BLOCK_BYTES) * BLOCK_BYTES
}

/// A batch of `parts` as it will lie on disk, padded, and its header with `checksum` and `length`
/// as computed: those of `header` are not read.
///
/// # Panics
/// When the batch is longer than [`BATCH_BYTES_MAX`].
#[must_use]
pub fn encode_batch(header: &BatchHeader, parts: &[&[u8]]) -> (BatchHeader, AlignedBuffer) {
    let length = HEADER_BYTES + parts.iter().map(|part| part.len()).sum::<usize>();
    assert!(length <= BATCH_BYTES_MAX, "the group commit never forms a batch above the limit");
    let length_field = u32::try_from(length).expect("BATCH_BYTES_MAX fits u32");

    let mut head = [0; HEADER_BYTES];
    head[0..4].copy_from_slice(&MAGIC);
    head[8..12].copy_from_slice(&length_field.to_le_bytes());
    head[12..16].copy_from_slice(&header.record_count.to_le_bytes());
    head[16] = header.kind as u8;
    head[20..24].copy_from_slice(&header.previous_checksum.to_le_bytes());
    head[24..32].copy_from_slice(&header.log_id.0.to_le_bytes());
    head[32..40].copy_from_slice(&header.segment.to_le_bytes());
    head[40..48].copy_from_slice(&header.base_offset.0.to_le_bytes());
    head[48..56].copy_from_slice(&header.index.to_le_bytes());
    head[56..64].copy_from_slice(&header.term.to_le_bytes());
    head[64..72].copy_from_slice(&header.timestamp.0.to_le_bytes());
    head[72..80].copy_from_slice(&header.durable_end.to_le_bytes());

    let all_parts: Vec<&[u8]> = iter::once(&head[..]).chain(parts.iter().copied()).collect();
    let mut encoded = AlignedBuffer::concat(&all_parts);
    let checksum = crc32c::crc32c(&encoded[CHECKSUM_START..length]);
    encoded[4..8].copy_from_slice(&checksum.to_le_bytes());
    (BatchHeader { checksum, length: length_field, ..*header }, encoded)
}

/// Reads the batch at the start of `bytes` and verifies its checksum. Bytes behind it are ignored.
///
/// # Errors
/// See [`DecodeError`]; `Incomplete` means that more input could help, all others are final.
pub fn decode_batch(bytes: &[u8]) -> Result<BatchHeader, DecodeError> {
    let header = decode_header(bytes)?;
    let length = header.length as usize;
    let Some(batch) = bytes.get(..length) else {
        return Err(DecodeError::Incomplete { needed: length, found: bytes.len() });
    };
    let found = crc32c::crc32c(&batch[CHECKSUM_START..]);
    if found != header.checksum {
        return Err(DecodeError::Checksum { found, want: header.checksum });
    }
    Ok(header)
}

fn decode_header(bytes: &[u8]) -> Result<BatchHeader, DecodeError> {
    let Some(fixed) = bytes.first_chunk::<HEADER_BYTES>() else {
        return Err(DecodeError::Incomplete { needed: HEADER_BYTES, found: bytes.len() });
    };
    let mut fields = Fields { bytes: fixed };
    if fields.array() != Some(MAGIC) {
        return Err(DecodeError::NotABatch);
    }
    fields.header().ok_or(DecodeError::Implausible)
}

/// What a segment's first batch says beside its header.
///
/// It carries forward what would be forgotten when the segments before it are trimmed, and what is
/// known about its predecessor for good, so that opening a log does not scan sealed segments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentHead {
    /// The segment before; absent in a log's first.
    pub previous: Option<PreviousSegment>,
    /// The latest hard state, empty when there was none.
    pub hard_state: Vec<u8>,
    /// The index up to which `image` reflects the commands of the log.
    pub image_index: u64,
    /// The state machine's image, empty when there was none.
    pub image: Vec<u8>,
}

/// A sealed segment as its successor remembers it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreviousSegment {
    /// Its number.
    pub number: u64,
    /// Where its last batch ended; what is behind that is not part of the log.
    pub end_position: u64,
    /// Its sparse index.
    pub index: Vec<IndexEntry>,
}

impl SegmentHead {
    /// The payload of a head batch.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match &self.previous {
            None => bytes.push(0),
            Some(previous) => {
                bytes.push(1);
                bytes.extend(previous.number.to_le_bytes());
                bytes.extend(previous.end_position.to_le_bytes());
                put_length(&mut bytes, previous.index.len());
                for entry in &previous.index {
                    bytes.extend(entry.position.to_le_bytes());
                    bytes.extend(entry.offset.0.to_le_bytes());
                    bytes.extend(entry.index.to_le_bytes());
                    bytes.extend(entry.timestamp.0.to_le_bytes());
                }
            }
        }
        put_length(&mut bytes, self.hard_state.len());
        bytes.extend(&self.hard_state);
        bytes.extend(self.image_index.to_le_bytes());
        put_length(&mut bytes, self.image.len());
        bytes.extend(&self.image);
        bytes
    }

    /// The inverse of [`encode`](Self::encode); `None` for anything else.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<SegmentHead> {
        let mut fields = Fields { bytes };
        let previous = match fields.u8()? {
            0 => None,
            1 => Some(fields.previous_segment()?),
            _ => return None,
        };
        let hard_state = fields.bytes_up_to(HARD_STATE_BYTES_MAX)?.to_vec();
        let image_index = fields.u64()?;
        let image = fields.bytes_up_to(IMAGE_BYTES_MAX)?.to_vec();
        fields.bytes.is_empty().then_some(SegmentHead { previous, hard_state, image_index, image })
    }
}

fn put_length(bytes: &mut Vec<u8>, length: usize) {
    bytes.extend(u32::try_from(length).expect("all parts of a head are bounded").to_le_bytes());
}

/// One record as it lies in a payload, and what follows it.
pub(crate) fn decode_record(payload: &[u8]) -> Option<(&str, &[u8], &[u8])> {
    let mut fields = Fields { bytes: payload };
    let key_bytes = usize::from(fields.u16()?);
    let data_bytes = fields.u32()? as usize;
    let key = str::from_utf8(fields.take(key_bytes)?).ok()?;
    let data = fields.take(data_bytes)?;
    Some((key, data, fields.bytes))
}

/// Appends one record to a payload, but for its data, of which there will be so many bytes.
pub(crate) fn encode_record_head(partition_key: &str, data_bytes: usize, payload: &mut Vec<u8>) {
    let key_bytes = u16::try_from(partition_key.len()).expect("a partition key is at most 1 KiB");
    payload.reserve(RECORD_HEADER_BYTES + partition_key.len() + data_bytes);
    let data_bytes = u32::try_from(data_bytes).expect("a record is at most 10 MiB");
    payload.extend(key_bytes.to_le_bytes());
    payload.extend(data_bytes.to_le_bytes());
    payload.extend(partition_key.as_bytes());
}

/// Takes little-endian fields off the front of a slice.
struct Fields<'a> {
    bytes: &'a [u8],
}

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn bytes_up_to(&mut self, bytes_max: usize) -> Option<&'a [u8]> {
        let length = self.u32()? as usize;
        if bytes_max < length {
            return None;
        }
        self.take(length)
    }

    /// A header behind its magic; `None` when a field cannot be true.
    fn header(&mut self) -> Option<BatchHeader> {
        let checksum = self.u32()?;
        let length = self.u32()?;
        let record_count = self.u32()?;
        let kind = BatchKind::decode(self.u8()?)?;
        let zero: [u8; 3] = self.array()?;
        let header = BatchHeader {
            checksum,
            length,
            record_count,
            kind,
            previous_checksum: self.u32()?,
            log_id: LogId(self.u64()?),
            segment: self.u64()?,
            base_offset: Offset(self.u64()?),
            index: self.u64()?,
            term: self.u64()?,
            timestamp: UnixMillis(self.u64()?),
            durable_end: self.u64()?,
        };
        let length_fits = (HEADER_BYTES..=BATCH_BYTES_MAX).contains(&(length as usize));
        let count_fits = kind.has_records() == (record_count != 0);
        (length_fits && count_fits && zero == [0; 3]).then_some(header)
    }

    fn previous_segment(&mut self) -> Option<PreviousSegment> {
        let number = self.u64()?;
        let end_position = self.u64()?;
        let count = self.u32()? as usize;
        if INDEX_ENTRIES_MAX < count || self.bytes.len() < count * INDEX_ENTRY_BYTES {
            return None;
        }
        let index = (0..count).map(|_| self.index_entry()).collect::<Option<Vec<_>>>()?;
        Some(PreviousSegment { number, end_position, index })
    }

    fn index_entry(&mut self) -> Option<IndexEntry> {
        Some(IndexEntry {
            position: self.u64()?,
            offset: Offset(self.u64()?),
            index: self.u64()?,
            timestamp: UnixMillis(self.u64()?),
        })
    }
}

#[cfg(test)]
mod tests;
