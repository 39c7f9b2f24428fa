//! Readers: ranges of records, from the tail in memory or from segments.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use model::{Offset, UnixMillis};
use storage::Storage;

use crate::batch::Batch;
use crate::cursor::{Cursor, CursorError};
use crate::error::{Corruption, ReadError};
use crate::segment;
use crate::state::Shared;

/// What a cold read asks of the disk at a time, at the most.
const CHUNK_BYTES_MAX: usize = 1 << 20;
/// Where recent readers stopped, so that the next call of each finds its place without a scan.
const RESUME_POINTS_MAX: usize = 64;

/// Reads a log while its one writer appends. Cheap to clone, bound to the log's thread.
pub struct Reader<S: Storage> {
    pub(crate) shared: Rc<Shared<S>>,
    pub(crate) resume: Rc<RefCell<VecDeque<ResumePoint>>>,
}

impl<S: Storage> Clone for Reader<S> {
    fn clone(&self) -> Self {
        Reader { shared: Rc::clone(&self.shared), resume: Rc::clone(&self.resume) }
    }
}

/// A range of records and how much of it to return at once.
#[derive(Clone, Copy, Debug)]
pub struct ReadRequest {
    /// The first record wanted.
    pub from: Offset,
    /// The record after the last one that may be returned: what is committed, for the caller knows.
    pub end: Offset,
    /// Stop after the batch with which the payload reaches this many bytes.
    pub bytes_max: usize,
    /// Stop after the batch with which there are this many records from `from` on.
    pub records_max: usize,
}

/// Where a batch stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResumePoint {
    offset: Offset,
    segment: u64,
    position: u64,
}

impl<S: Storage> Reader<S> {
    /// The offset of the oldest record, or of the next one in an empty log.
    #[must_use]
    pub fn start_offset(&self) -> Offset {
        self.shared.state.borrow().start_offset()
    }

    /// The offset that the next record will be given.
    #[must_use]
    pub fn written_end(&self) -> Offset {
        self.shared.state.borrow().written().offset
    }

    /// The offset after the last durable record.
    #[must_use]
    pub fn durable_end(&self) -> Offset {
        self.shared.state.borrow().durable.offset
    }

    /// The last timestamp in the oldest segment that could be trimmed; `None` when there is none.
    #[must_use]
    pub fn oldest_sealed_timestamp(&self) -> Option<UnixMillis> {
        let state = self.shared.state.borrow();
        let is_sealed = 1 < state.segments.len();
        is_sealed.then(|| state.segments.front().map(|oldest| oldest.end.timestamp))?
    }

    /// The timestamp of the last batch.
    #[must_use]
    pub fn last_timestamp(&self) -> UnixMillis {
        self.shared.state.borrow().written().timestamp
    }

    /// The bytes of all segments up to their ends.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.shared.state.borrow().size_bytes()
    }

    /// The memory that [`read`](Self::read) would take beyond what the tail holds anyway.
    #[must_use]
    pub fn read_cost_bytes(&self, request: &ReadRequest) -> usize {
        let state = self.shared.state.borrow();
        if request.end <= request.from || state.tail.starting_at(request.from).is_some() {
            return 0;
        }
        let behind = state.segments.iter().filter(|segment| request.from < segment.end.offset);
        let bytes = behind.map(|segment| segment.end_position).sum::<u64>();
        usize::try_from(bytes).unwrap_or(usize::MAX).min(request.bytes_max + CHUNK_BYTES_MAX)
    }

    /// The batches with the records of `[from, end)`, oldest first, as far as the limits allow; at
    /// least one when there is any. The first may begin before `from` and the last may end behind
    /// `end`: use [`Batch::records_from`] and stop at `end`.
    ///
    /// # Errors
    /// See [`ReadError`].
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn read(&self, request: &ReadRequest) -> Result<Vec<Batch>, ReadError> {
        let start = self.start_offset();
        if request.from < start {
            return Err(ReadError::Trimmed { start });
        }
        let mut taken = Taken::new(request);
        if taken.is_complete() || self.take_from_tail(&mut taken) {
            return Ok(taken.batches);
        }
        while !taken.is_complete() {
            let next = taken.next;
            self.take_from_segment(&mut taken).await?;
            // The rest may have come into the tail, or been there all along.
            if next == taken.next || self.take_from_tail(&mut taken) {
                break;
            }
        }
        Ok(taken.batches)
    }

    /// The offset of the first record with a timestamp of `timestamp` or later; that of the next
    /// record when there is none.
    ///
    /// # Errors
    /// See [`ReadError`].
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn offset_at(&self, timestamp: UnixMillis) -> Result<Offset, ReadError> {
        let place = {
            let state = self.shared.state.borrow();
            let Some(segment) = state.reaching(timestamp) else {
                return Ok(state.written().offset);
            };
            if timestamp <= segment.start.timestamp {
                return Ok(segment.start.offset);
            }
            let noted = segment.index.before_timestamp(timestamp);
            let (offset, position) =
                noted.map_or((segment.start.offset, 0), |entry| (entry.offset, entry.position));
            ResumePoint { offset, segment: segment.number, position }
        };
        let Some(mut batches) = self.walk(place, CHUNK_BYTES_MAX).await? else {
            return Err(ReadError::Trimmed { start: self.start_offset() });
        };
        let mut offset = place.offset;
        while let Some((batch, _)) = batches.next(self).await? {
            offset = batch.header().base_offset;
            if timestamp <= batch.header().timestamp {
                return Ok(offset);
            }
            offset = batch.header().end_offset();
        }
        Ok(offset)
    }

    /// Takes what the tail holds from `taken.next` on; whether it reaches back that far.
    fn take_from_tail(&self, taken: &mut Taken) -> bool {
        let state = self.shared.state.borrow();
        let Some(batches) = state.tail.starting_at(taken.next) else {
            return false;
        };
        for batch in batches {
            if taken.is_complete() {
                break;
            }
            taken.push(batch.clone());
        }
        true
    }

    /// Takes from the segment that holds `taken.next`, to its end at most.
    async fn take_from_segment(&self, taken: &mut Taken) -> Result<(), ReadError> {
        let place = self.place_of(taken.next);
        let chunk_bytes = taken.bytes_left.clamp(64 << 10, CHUNK_BYTES_MAX);
        let Some(mut batches) = self.walk(place, chunk_bytes).await? else {
            return Err(ReadError::Trimmed { start: self.start_offset() });
        };
        let mut last = None;
        while !taken.is_complete() {
            let Some((batch, position)) = batches.next(self).await? else {
                break;
            };
            last = Some(ResumePoint { offset: batch.header().base_offset, position, ..place });
            taken.push(batch);
        }
        if let Some(last) = last {
            self.remember(last);
        }
        Ok(())
    }

    /// The nearest known batch at or before the one that holds `offset`.
    fn place_of(&self, offset: Offset) -> ResumePoint {
        let state = self.shared.state.borrow();
        let segment = state.holding_offset(offset);
        let noted = segment.index.at_offset(offset);
        let (noted_offset, position) =
            noted.map_or((segment.start.offset, 0), |entry| (entry.offset, entry.position));
        let place = ResumePoint { offset: noted_offset, segment: segment.number, position };
        let resume = self.resume.borrow();
        let candidates = resume.iter().filter(|point| {
            point.segment == place.segment
                && point.offset <= offset
                && place.position < point.position
        });
        candidates.max_by_key(|point| point.position).copied().unwrap_or(place)
    }

    fn remember(&self, point: ResumePoint) {
        let mut resume = self.resume.borrow_mut();
        let is_point = |known: &ResumePoint| {
            (known.segment, known.position) == (point.segment, point.position)
        };
        if resume.iter().any(is_point) {
            return;
        }
        if resume.len() == RESUME_POINTS_MAX {
            resume.pop_front();
        }
        resume.push_back(point);
    }

    /// A walk over the batches of a segment from `place` on; `None` when it was trimmed meanwhile.
    async fn walk(
        &self,
        place: ResumePoint,
        chunk_bytes: usize,
    ) -> Result<Option<Walk<S>>, ReadError> {
        let Some(file) = self.shared.file(place.segment).await.map_err(ReadError::Io)? else {
            return Ok(None);
        };
        let Some(end_position) =
            self.shared.state.borrow_mut().by_number(place.segment).map(|s| s.end_position)
        else {
            return Ok(None);
        };
        let cursor = Cursor::new(file, place.position, end_position, chunk_bytes);
        Ok(Some(Walk { cursor, segment: place.segment }))
    }
}

/// A cursor over one segment of a live log, which tells damage from trimming.
struct Walk<S: Storage> {
    cursor: Cursor<S::File>,
    segment: u64,
}

impl<S: Storage> Walk<S> {
    /// The next batch and its position.
    async fn next(&mut self, reader: &Reader<S>) -> Result<Option<(Batch, u64)>, ReadError> {
        let position = self.cursor.position();
        let what = match self.cursor.next().await {
            Ok(None) => return Ok(None),
            Ok(Some(batch)) => {
                let header = batch.header();
                if header.segment == self.segment && header.log_id == reader.shared.log_id {
                    return Ok(Some((batch, position)));
                }
                format!("a batch of segment {} of log {:x}", header.segment, header.log_id.0)
            }
            Err(CursorError::Io(error)) => return Err(ReadError::Io(error)),
            Err(CursorError::Bad(error)) => error.to_string(),
        };
        // The file may have been recycled under the cursor.
        if reader.shared.state.borrow_mut().by_number(self.segment).is_none() {
            return Err(ReadError::Trimmed { start: reader.start_offset() });
        }
        let path = segment::path(&reader.shared.directory, self.segment);
        Err(ReadError::Corrupt(Corruption { path, position, what }))
    }
}

/// Batches taken so far against the request's limits.
struct Taken {
    batches: Vec<Batch>,
    next: Offset,
    end: Offset,
    bytes_left: usize,
    records_left: u64,
}

impl Taken {
    fn new(request: &ReadRequest) -> Taken {
        Taken {
            batches: Vec::new(),
            next: request.from,
            end: request.end,
            bytes_left: request.bytes_max.max(1),
            records_left: (request.records_max as u64).max(1),
        }
    }

    fn is_complete(&self) -> bool {
        self.end <= self.next || self.bytes_left == 0 || self.records_left == 0
    }

    /// Takes a batch unless it ends before what is wanted, or holds no records.
    fn push(&mut self, batch: Batch) {
        let header = batch.header();
        let end_offset = header.end_offset();
        if !header.kind.has_records() || end_offset <= self.next {
            return;
        }
        let records = end_offset.0 - self.next.0;
        self.records_left = self.records_left.saturating_sub(records);
        self.bytes_left = self.bytes_left.saturating_sub(batch.payload().len());
        self.next = end_offset;
        self.batches.push(batch);
    }
}
