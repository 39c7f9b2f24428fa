//! Batches and records in memory: what a writer hands in and what a reader gets back.
//!
//! A [`Batch`] is a window on the bytes that were written or read; its records borrow from it and
//! nothing is copied.

use bytes::Bytes;
use model::{Offset, UnixMillis};

use crate::format::{self, BatchHeader, BatchKind, HEADER_BYTES, LogId, RECORD_HEADER_BYTES};

/// Records encoded as they will lie on disk, so that the thread that owns the log only copies.
#[derive(Clone, Debug, Default)]
pub struct RecordBuffer {
    payload: Vec<u8>,
    record_count: u32,
}

impl RecordBuffer {
    /// An empty buffer with room for `payload_bytes`, as [`encoded_bytes`](Self::encoded_bytes)
    /// counts them.
    #[must_use]
    pub fn with_capacity(payload_bytes: usize) -> RecordBuffer {
        RecordBuffer { payload: Vec::with_capacity(payload_bytes), record_count: 0 }
    }

    /// What a record takes in a payload.
    #[must_use]
    pub fn encoded_bytes(partition_key: &str, data_bytes: usize) -> usize {
        RECORD_HEADER_BYTES + partition_key.len() + data_bytes
    }

    /// Adds a record behind those already there. An empty key stands for no key.
    ///
    /// # Panics
    /// When the key is longer than 64 KiB or the data than 4 GiB: limits of the AWS API, checked
    /// long before.
    pub fn push(&mut self, partition_key: &str, data: &[u8]) {
        self.push_with(partition_key, data.len(), |payload| payload.extend_from_slice(data));
    }

    /// As [`push`](Self::push), for data that is appended by whoever has it in another form.
    ///
    /// # Panics
    /// As `push`; and when `append` appends more or less than it said.
    pub fn push_with(
        &mut self,
        partition_key: &str,
        data_bytes: usize,
        append: impl FnOnce(&mut Vec<u8>),
    ) {
        format::encode_record_head(partition_key, data_bytes, &mut self.payload);
        let end = self.payload.len() + data_bytes;
        append(&mut self.payload);
        assert_eq!(self.payload.len(), end, "a record's data is as long as its head says");
        self.record_count += 1;
    }

    /// What another process encoded; `None` when it is not exactly so many records.
    #[must_use]
    pub fn from_encoded(payload: Vec<u8>, record_count: u32) -> Option<RecordBuffer> {
        let mut rest = payload.as_slice();
        for _ in 0..record_count {
            (_, _, rest) = format::decode_record(rest)?;
        }
        let is_whole = rest.is_empty() && 0 < record_count;
        is_whole.then_some(RecordBuffer { payload, record_count })
    }

    /// How many records it holds.
    #[must_use]
    pub fn record_count(&self) -> u32 {
        self.record_count
    }

    /// The payload as it will be written.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The same, given away.
    #[must_use]
    pub fn into_payload(self) -> Vec<u8> {
        self.payload
    }
}

/// A verified batch of the log.
#[derive(Clone, Debug)]
pub struct Batch {
    header: BatchHeader,
    payload: Bytes,
    /// Whether it is encrypted on disk.
    is_sealed: bool,
}

/// One record of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it stands in its shard.
    pub offset: Offset,
    /// Its partition key; empty when it has none.
    pub partition_key: &'a str,
    /// What the producer sent.
    pub data: &'a [u8],
    /// Whether it is encrypted on disk.
    pub is_encrypted: bool,
}

impl Batch {
    /// The batch whose encoding starts `bytes`.
    ///
    /// # Errors
    /// As [`format::decode_batch`].
    pub fn decode(bytes: &Bytes) -> Result<Batch, format::DecodeError> {
        let header = format::decode_batch(bytes)?;
        Ok(Batch::from_encoded(header, bytes))
    }

    /// A batch that was just encoded at the start of `bytes` under `header`.
    pub(crate) fn from_encoded(header: BatchHeader, bytes: &Bytes) -> Batch {
        let is_sealed = header.kind == BatchKind::SealedRecords;
        let payload = bytes.slice(HEADER_BYTES..header.length as usize);
        Batch { header, payload, is_sealed }
    }

    /// A batch as another process sent it, which has verified it: readers see its records, nothing
    /// else of it is known here.
    #[must_use]
    pub fn received(
        base_offset: Offset,
        timestamp: UnixMillis,
        is_sealed: bool,
        payload: Bytes,
    ) -> Batch {
        let header = BatchHeader {
            checksum: 0,
            length: 0,
            record_count: 0,
            kind: BatchKind::Records,
            previous_checksum: 0,
            log_id: LogId(0),
            segment: 0,
            base_offset,
            index: 0,
            term: 0,
            timestamp,
            durable_end: 0,
        };
        Batch { header, payload, is_sealed }
    }

    /// Whether its records are encrypted on disk.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.is_sealed
    }

    /// Whether its records have to be decrypted before they can be read.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.header.kind == BatchKind::SealedRecords
    }

    /// The same batch with its records decrypted.
    #[must_use]
    pub fn opened(self, payload: Bytes) -> Batch {
        let header = BatchHeader { kind: BatchKind::Records, ..self.header };
        Batch { header, payload, is_sealed: true }
    }

    /// Its header.
    #[must_use]
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The payload, whatever its kind.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Its records from `from` on, in order; none when it holds no user records, or encrypted ones.
    ///
    /// The checksum has been verified, so a payload that does not parse was written by something
    /// that is not this program; iteration ends there.
    #[must_use]
    pub fn records_from(&self, from: Offset) -> Records<'_> {
        let payload: &[u8] = match self.header.kind {
            BatchKind::Records => &self.payload,
            _ => &[],
        };
        let is_encrypted = self.is_sealed;
        let mut records = Records { next: self.header.base_offset, payload, is_encrypted };
        while records.next < from && records.next().is_some() {}
        records
    }

    /// A part of a record of this batch, holding on to the memory it lies in.
    ///
    /// # Panics
    /// When it is not of this batch.
    #[must_use]
    pub fn slice(&self, part: &[u8]) -> Bytes {
        self.payload.slice_ref(part)
    }
}

/// Iterator over the records of a [`Batch`].
#[derive(Clone, Debug)]
pub struct Records<'a> {
    next: Offset,
    payload: &'a [u8],
    is_encrypted: bool,
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let (partition_key, data, rest) = format::decode_record(self.payload)?;
        let record =
            Record { offset: self.next, partition_key, data, is_encrypted: self.is_encrypted };
        self.next = self.next.advance(1);
        self.payload = rest;
        Some(record)
    }
}
