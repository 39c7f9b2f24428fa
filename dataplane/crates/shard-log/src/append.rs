//! The writer: appending, syncing, rolling over to the next segment.

use std::cell::RefMut;
use std::io;
use std::ops::Range;
use std::rc::Rc;

use bytes::Bytes;
use model::{Offset, UnixMillis};
use storage::{BLOCK_BYTES, LogFile, Storage};

use crate::Options;
use crate::batch::Batch;
use crate::error::AppendError;
use crate::format::{
    BATCH_BYTES_MAX, BatchHeader, BatchKind, HARD_STATE_BYTES_MAX, HEADER_BYTES, IMAGE_BYTES_MAX,
    LogId, PreviousSegment, SegmentHead, encode_batch, padded,
};
use crate::prepare::{Leaving, Preparer};
use crate::segment::{End, Segment};
use crate::state::{Shared, State};

/// The one writer of a log.
///
/// Everything it appends is *written* on return; only [`sync`](Self::sync) makes it *durable*.
pub struct Writer<S: Storage> {
    pub(crate) shared: Rc<Shared<S>>,
    pub(crate) options: Options,
    pub(crate) preparer: Preparer<S>,
    pub(crate) leaving: Leaving,
    /// The position in the active segment below which everything is durable.
    pub(crate) durable_position: u64,
    /// What the next segment's head will carry.
    pub(crate) hard_state: Vec<u8>,
    pub(crate) image_index: u64,
    pub(crate) image: Vec<u8>,
    /// The image index in the active segment's head: older entries may be trimmed.
    pub(crate) head_image_index: u64,
    /// Whether the last batch is a durable mark that has been synced.
    pub(crate) marked: bool,
    /// What went wrong, or is under way and would be unknown if its future were dropped.
    pub(crate) fenced: Option<&'static str>,
}

/// An entry to append. Its payload is `parts`, one behind the other.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Records, or a command.
    pub kind: EntryKind,
    /// The term of the leader that proposed it.
    pub term: u64,
    /// When it arrived. The log keeps the latest timestamp so far if that is later.
    pub timestamp: UnixMillis,
    /// The payload.
    pub parts: &'a [&'a [u8]],
}

/// What an entry holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// This many records, at least one, as [`RecordBuffer`](crate::RecordBuffer) encodes them.
    Records(u32),
    /// This many records, at least one, encoded and then encrypted.
    SealedRecords(u32),
    /// A command of the shard's state machine, opaque here.
    Command,
}

/// Where an entry went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The offsets of its records; empty for a command.
    pub offsets: Range<Offset>,
    /// Its index.
    pub index: u64,
    /// The timestamp it was given.
    pub timestamp: UnixMillis,
}

impl<S: Storage> Writer<S> {
    /// Appends an entry. On return it is written, not durable.
    ///
    /// # Errors
    /// `NextSegment`: nothing was written; try again when there is space. `Fenced`: the tail is
    /// unknown; drop the log and open it again.
    ///
    /// # Panics
    /// When the entry is longer than [`BATCH_BYTES_MAX`] or says that it has no records.
    ///
    /// # Cancel safety
    /// Dropping the future fences the log.
    pub async fn append(&mut self, entry: Entry<'_>) -> Result<Appended, AppendError> {
        self.append_entry(entry, Durability::Later).await
    }

    /// Appends an entry and makes it, and everything before it, durable: as
    /// [`append`](Self::append) and [`sync`](Self::sync), in one operation of the disk when all
    /// before it is durable already.
    ///
    /// # Errors
    /// As those of the two.
    ///
    /// # Panics
    /// As [`append`](Self::append).
    ///
    /// # Cancel safety
    /// Dropping the future fences the log.
    pub async fn append_durable(&mut self, entry: Entry<'_>) -> Result<Appended, AppendError> {
        self.append_entry(entry, Durability::Now).await
    }

    async fn append_entry(
        &mut self,
        entry: Entry<'_>,
        durability: Durability,
    ) -> Result<Appended, AppendError> {
        let (kind, record_count) = match entry.kind {
            EntryKind::Records(0) | EntryKind::SealedRecords(0) => {
                panic!("the group commit never forms an empty batch")
            }
            EntryKind::Records(count) => (BatchKind::Records, count),
            EntryKind::SealedRecords(count) => (BatchKind::SealedRecords, count),
            EntryKind::Command => (BatchKind::Command, 0),
        };
        let new = New { kind, record_count, term: entry.term, timestamp: entry.timestamp };
        let header = self.put(new, entry.parts, durability).await?;
        Ok(Appended {
            offsets: header.base_offset..header.end_offset(),
            index: header.index,
            timestamp: header.timestamp,
        })
    }

    /// Records the replication group's hard state; the latest one is found again at open.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    ///
    /// # Panics
    /// When it is longer than [`HARD_STATE_BYTES_MAX`].
    ///
    /// # Cancel safety
    /// Dropping the future fences the log.
    pub async fn append_hard_state(&mut self, hard_state: &[u8]) -> Result<(), AppendError> {
        assert!(hard_state.len() <= HARD_STATE_BYTES_MAX, "a hard state is a few numbers");
        self.put(self.no_entry(BatchKind::HardState), &[hard_state], Durability::Later).await?;
        self.hard_state = hard_state.to_vec();
        Ok(())
    }

    /// Makes everything written durable.
    ///
    /// # Errors
    /// `Fenced`. What was written since the last sync may or may not be on disk, and the call must
    /// not be repeated: drop the log and open it again.
    ///
    /// # Cancel safety
    /// Dropping the future fences the log.
    pub async fn sync(&mut self) -> Result<(), AppendError> {
        self.check_fence()?;
        let (file, end_position) = {
            let state = self.state();
            (active_file(state.active()), state.active().end_position)
        };
        if end_position == self.durable_position {
            return Ok(());
        }
        self.fenced = Some("sync");
        file.sync().await.map_err(fenced("sync"))?;
        self.fenced = None;
        self.advance_durable();
        Ok(())
    }

    /// Everything written has become durable.
    fn advance_durable(&mut self) {
        let (end, end_position) = {
            let state = self.state();
            (state.active().end, state.active().end_position)
        };
        self.durable_position = end_position;
        self.state().durable = end;
    }

    /// Leaves word behind the last batch that all of it is durable, so that later damage to it is
    /// not taken for a torn tail. For a log that goes idle or is closed. Does nothing when that has
    /// been done since the last batch.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    ///
    /// # Cancel safety
    /// Dropping the future fences the log.
    pub async fn mark_durable(&mut self) -> Result<(), AppendError> {
        if self.marked {
            return self.check_fence();
        }
        // Before the mark is written, so that it speaks the truth.
        self.sync().await?;
        self.put(self.no_entry(BatchKind::DurableMark), &[], Durability::Now).await?;
        self.marked = true;
        Ok(())
    }

    /// Whether a durable mark is the last thing in the log.
    #[must_use]
    pub fn is_marked(&self) -> bool {
        self.marked
    }

    /// Hands over the state machine's image as of `index`, for the heads of segments to come. The
    /// commands up to `index` are not replayed again once such a segment is the oldest.
    ///
    /// # Panics
    /// When it is longer than [`IMAGE_BYTES_MAX`].
    pub fn set_image(&mut self, index: u64, image: Vec<u8>) {
        assert!(image.len() <= IMAGE_BYTES_MAX, "the state machine bounds its image");
        self.image_index = index;
        self.image = image;
    }

    /// Says that the image handed over last still holds at `index`: no command came since.
    pub fn confirm_image(&mut self, index: u64) {
        self.image_index = index;
    }

    /// Changes how much memory the tail may hold.
    pub fn set_tail_bytes_max(&mut self, bytes_max: usize) {
        self.options.tail_bytes_max = bytes_max;
        self.state().tail.set_bytes_max(bytes_max);
    }

    /// What the log takes on disk.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.state().size_bytes()
    }

    /// What tells this log from all others.
    #[must_use]
    pub fn log_id(&self) -> LogId {
        self.shared.log_id
    }

    /// The index of the last durable entry.
    #[must_use]
    pub fn durable_index(&self) -> u64 {
        self.state().durable.index
    }

    /// Marks the log durable and lets go of its files.
    ///
    /// # Errors
    /// As [`append`](Self::append); the files are let go of in any case.
    pub async fn close(mut self) -> Result<(), AppendError> {
        let marked = match self.check_fence() {
            Ok(()) => self.mark_durable().await,
            fenced => fenced,
        };
        self.abandon().await;
        marked
    }

    /// Lets go of the log's files as they are, and waits until nothing touches its directory any
    /// more: the way to reopen a fenced log.
    pub async fn abandon(mut self) {
        // Whatever was being prepared is thrown away by recovery.
        self.preparer.settle().await;
    }

    pub(crate) fn state(&self) -> RefMut<'_, State<S::File>> {
        self.shared.state.borrow_mut()
    }

    pub(crate) fn check_fence(&self) -> Result<(), AppendError> {
        match self.fenced {
            None => Ok(()),
            Some(action) => Err(AppendError::Fenced { action, source: None }),
        }
    }

    /// A batch that is no entry repeats the last entry's term and timestamp.
    fn no_entry(&self, kind: BatchKind) -> New {
        let end = self.state().written();
        New { kind, record_count: 0, term: end.term, timestamp: end.timestamp }
    }

    /// Writes one batch behind the last one, in a new segment if need be.
    async fn put(
        &mut self,
        new: New,
        parts: &[&[u8]],
        durability: Durability,
    ) -> Result<BatchHeader, AppendError> {
        self.check_fence()?;
        let length = HEADER_BYTES + parts.iter().map(|part| part.len()).sum::<usize>();
        assert!(length <= BATCH_BYTES_MAX, "the group commit keeps batches under the limit");
        if self.state().active().free_bytes() < padded(length) as u64 {
            self.roll(padded(length)).await?;
        }
        let (file, position, header) = {
            let state = self.state();
            let active = state.active();
            let header = self.header(&new, active.number, active.end);
            (active_file(active), active.end_position, header)
        };
        let (header, buffer) = encode_batch(&header, parts);

        let all_durable = position == self.durable_position;
        self.fenced = Some("write"); // An error or a dropped future leaves the tail unknown.
        let (written, buffer) = match durability {
            Durability::Now if all_durable => file.write_durable_at(buffer, position).await,
            Durability::Now | Durability::Later => file.write_at(buffer, position).await,
        };
        written.map_err(fenced("write"))?;
        self.fenced = None;
        self.marked = false;
        {
            let mut state = self.state();
            state.active_mut().push(&header);
            if header.kind.is_entry() {
                state.tail.push(Batch::from_encoded(header, &Bytes::from_owner(buffer)));
            }
        }
        self.prepare_next();
        match durability {
            Durability::Now if all_durable => self.advance_durable(),
            Durability::Now => self.sync().await?,
            Durability::Later => {}
        }
        Ok(header)
    }

    fn header(&self, new: &New, segment: u64, end: End) -> BatchHeader {
        BatchHeader {
            checksum: 0,
            length: 0,
            record_count: new.record_count,
            kind: new.kind,
            previous_checksum: end.checksum,
            log_id: self.shared.log_id,
            segment,
            base_offset: end.offset,
            index: end.index + u64::from(new.kind.is_entry()),
            term: new.term,
            timestamp: new.timestamp.max(end.timestamp),
            durable_end: self.durable_position,
        }
    }

    /// Seals the active segment at its end and starts the next one with room for `bytes`.
    async fn roll(&mut self, bytes: usize) -> Result<(), AppendError> {
        // The next head says where this segment ends: that must be true after any crash.
        self.sync().await?;
        let (previous, end) = {
            let state = self.state();
            let active = state.active();
            let previous = PreviousSegment {
                number: active.number,
                end_position: active.end_position,
                index: active.index.entries().to_vec(),
            };
            (previous, active.end)
        };
        self.start_segment(previous, end, bytes).await
    }

    /// Makes a durable head that names `previous`, and the segment behind it the active one.
    pub(crate) async fn start_segment(
        &mut self,
        previous: PreviousSegment,
        end: End,
        bytes: usize,
    ) -> Result<(), AppendError> {
        let head = SegmentHead {
            previous: Some(previous),
            hard_state: self.hard_state.clone(),
            image_index: self.image_index,
            image: self.image.clone(),
        };
        let payload = head.encode();
        let head_bytes = padded(HEADER_BYTES + payload.len());
        let number = self.state().active().number + 1;
        let size_bytes = self.next_size_bytes();
        let prepared = self
            .preparer
            .take(number, (head_bytes + bytes) as u64, size_bytes)
            .await
            .map_err(AppendError::NextSegment)?;

        self.durable_position = 0;
        let new = New {
            kind: BatchKind::Head,
            record_count: 0,
            term: end.term,
            timestamp: end.timestamp,
        };
        let header = self.header(&new, number, end);
        let (header, buffer) = encode_batch(&header, &[&payload]);
        self.fenced = Some("start the next segment");
        let (written, _) = prepared.file.write_durable_at(buffer, 0).await;
        written.map_err(fenced("start the next segment"))?;
        self.fenced = None;

        let segment = Segment::new(prepared.file, prepared.size_bytes, &header);
        self.durable_position = segment.end_position;
        self.head_image_index = self.image_index;
        self.state().segments.push_back(segment);
        Ok(())
    }

    /// Has the next segment made once the active one is half full.
    fn prepare_next(&mut self) {
        let (number, half_full) = {
            let state = self.state();
            let active = state.active();
            (active.number + 1, active.size_bytes <= active.end_position * 2)
        };
        if half_full {
            let size_bytes = self.next_size_bytes();
            self.preparer.start(number, size_bytes);
        }
    }

    pub(crate) fn next_size_bytes(&self) -> u64 {
        segment_size_bytes(&self.options, self.state().size_bytes())
    }
}

/// When a batch has to be durable.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Durability {
    /// On return.
    Now,
    /// With the next sync.
    Later,
}

/// What a new batch says about itself; the rest follows from its place.
#[derive(Clone, Copy)]
struct New {
    kind: BatchKind,
    record_count: u32,
    term: u64,
    timestamp: UnixMillis,
}

/// Up to this size segments are half of the log: making one disturbs appends for a few milliseconds, so
/// a log that is written to should soon need few.
const HALF_UNTIL_BYTES: u64 = 4 << 20;

/// A segment's size: from there on an eighth of the log, so that scanning the active one at open stays a
/// small part of it; in powers of two and within the configured bounds.
fn segment_size_bytes(options: &Options, log_bytes: u64) -> u64 {
    let wanted = (log_bytes / 2).min(HALF_UNTIL_BYTES).max(log_bytes / 8);
    let wanted = wanted.checked_next_power_of_two().unwrap_or(u64::MAX);
    let size_bytes = wanted.min(options.segment_bytes_max).max(options.segment_bytes_min);
    size_bytes.next_multiple_of(BLOCK_BYTES as u64)
}

fn active_file<F>(active: &Segment<F>) -> Rc<F> {
    Rc::clone(active.file.as_ref().expect("the active segment's file stays open"))
}

fn fenced(action: &'static str) -> impl FnOnce(io::Error) -> AppendError {
    move |source| AppendError::Fenced { action, source: Some(source) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_grow_with_the_log_within_bounds() {
        let options = Options::standard();
        let size_kib = |log_mib: u64| segment_size_bytes(&options, log_mib << 20) >> 10;
        assert_eq!(size_kib(0), 256);
        assert_eq!(size_kib(1), 512);
        assert_eq!(size_kib(4), 2 << 10);
        assert_eq!(size_kib(16), 4 << 10);
        assert_eq!(size_kib(64), 8 << 10);
        assert_eq!(size_kib(1 << 20), 64 << 10);
    }
}
