//! Opening a log: the only way to get at one, after a crash or a clean stop alike.
//!
//! First the heads of all segments are read, and each file is given a verdict by the table in
//! `recover/judge.rs`: part of the log, left over, or damaged.
//!
//! Sealed segments are taken at their successor's word; damage in them is met by readers. The active
//! one is scanned to its first position `p` without a batch that continues the log. Everything from
//! `p` on is cut as a torn tail, unless some later batch says that the log was durable beyond `p`:
//! then what is missing had been acknowledged, and the log is refused.
//!
//! The head of what was cut is cleared: with the sectors of what is written there next, if that is torn too
//! and much the same (a client's retry), it could become whole, and come back.
//!
//! What was found beyond the last sync is synced before anybody may read it: it may have been
//! acknowledged, and must not be shown and then vanish.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bytes::Bytes;
use storage::{AlignedBuffer, BLOCK_BYTES, LogFile, Storage};

use crate::Options;
use crate::append::Writer;
use crate::batch::Batch;
use crate::cursor::{Cursor, CursorError};
use crate::error::{Corruption, OpenError};
use crate::format::{
    BatchHeader, BatchKind, DecodeError, IMAGE_BYTES_MAX, LogId, PreviousSegment, SegmentHead,
    encode_batch,
};
use crate::index::SparseIndex;
use crate::prepare::{Leaving, Preparer};
use crate::read::Reader;
use crate::segment::{self, End, Segment};
use crate::state::{Shared, State};
use crate::tail::Tail;
use judge::{Found, Head, Verdicts, judge};

mod judge;

/// What is read of a segment at a time.
const SCAN_CHUNK_BYTES: usize = 1 << 20;
/// What is read of a segment to see its head: most fit.
const HEAD_CHUNK_BYTES: usize = 16 << 10;
/// How far behind a damaged head its first batch can start.
const HEAD_BYTES_MAX: u64 = 2 * IMAGE_BYTES_MAX as u64;

/// What to do when there is no log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Create it, under this id.
    Create(LogId),
    /// Refuse: there must be one.
    Existing,
}

/// A log that is ready.
pub struct Opened<S: Storage> {
    /// The only writer.
    pub writer: Writer<S>,
    /// To be cloned as needed.
    pub reader: Reader<S>,
    /// What the log says beside its records.
    pub recovered: Recovered,
}

/// What recovery found. The state machine is its image with the commands applied on top.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The latest hard state, empty when there is none.
    pub hard_state: Vec<u8>,
    /// The state machine's image, empty when there is none.
    pub image: Vec<u8>,
    /// The commands after the image, oldest first.
    pub commands: Vec<Command>,
    /// The term of the last entry.
    pub last_term: u64,
    /// The index of the last entry.
    pub last_index: u64,
    /// The torn tail that was cut, if any.
    pub cut: Option<Cut>,
}

/// A command found in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its index.
    pub index: u64,
    /// Its payload.
    pub payload: Bytes,
}

/// A torn tail: begun, never acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The segment's number.
    pub segment: u64,
    /// Where the torn batch started.
    pub position: u64,
}

/// Opens the log in `directory`, or creates it.
///
/// # Errors
/// See [`OpenError`].
///
/// # Cancel safety
/// Dropping the future is like a crash: opening again continues.
pub async fn open<S: Storage>(
    storage: S,
    directory: &Path,
    mode: OpenMode,
    options: Options,
) -> Result<Opened<S>, OpenError> {
    let recovery = Recovery { storage, directory: directory.to_owned(), options };
    if let OpenMode::Create(_) = mode {
        recovery.storage.create_dir_all(directory).await.map_err(recovery.io("create"))?;
    }
    let found = recovery.read_heads().await?;
    let verdicts = judge(&found).map_err(|damage| damage.at(directory))?;
    recovery.remove_leftovers(&found, &verdicts).await?;
    match (verdicts.chain.is_empty(), mode) {
        (false, _) => recovery.open_chain(found, verdicts.chain).await,
        (true, OpenMode::Create(log_id)) => recovery.create(log_id).await,
        (true, OpenMode::Existing) => Err(OpenError::Missing { directory: directory.to_owned() }),
    }
}

struct Recovery<S> {
    storage: S,
    directory: PathBuf,
    options: Options,
}

impl<S: Storage> Recovery<S> {
    fn io(&self, action: &'static str) -> impl FnOnce(io::Error) -> OpenError + use<S> {
        let directory = self.directory.clone();
        move |source| OpenError::Io { action, directory, source }
    }

    async fn read_heads(&self) -> Result<Vec<Found<S::File>>, OpenError> {
        let entries = match self.storage.list(&self.directory).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            listed => listed.map_err(self.io("list"))?,
        };
        let mut numbers: Vec<u64> =
            entries.iter().filter_map(|entry| segment::parse_file_name(&entry.name)).collect();
        numbers.sort_unstable();
        let mut found = Vec::with_capacity(numbers.len());
        for number in numbers {
            let path = segment::path(&self.directory, number);
            let file = self.storage.open(&path).await.map_err(self.io("open a segment"))?;
            found.push(self.read_head(number, file).await?);
        }
        // Without a later valid head, an invalid one is either unused or damaged.
        for segment in found.iter_mut().rev().take_while(|segment| segment.head.is_none()) {
            segment.holds_batches = self.holds_batches(segment).await?;
        }
        Ok(found)
    }

    async fn read_head(&self, number: u64, file: S::File) -> Result<Found<S::File>, OpenError> {
        let file = Rc::new(file);
        let size_bytes = file.size_bytes();
        let mut cursor = Cursor::new(Rc::clone(&file), 0, size_bytes, HEAD_CHUNK_BYTES);
        let head = match cursor.next().await {
            Ok(Some(batch)) => decode_head(number, &batch),
            Ok(None) | Err(CursorError::Bad(_)) => None,
            Err(CursorError::Io(error)) => return Err(self.io("read a segment's head")(error)),
        };
        drop(cursor);
        let file = Rc::into_inner(file).expect("the cursor is gone");
        Ok(Found { number, file, head, holds_batches: false })
    }

    /// Whether a batch that was written to this segment is where its first one may start.
    async fn holds_batches(&self, segment: &Found<S::File>) -> Result<bool, OpenError> {
        let path = segment::path(&self.directory, segment.number);
        let file = Rc::new(self.storage.open(&path).await.map_err(self.io("open a segment"))?);
        let size_bytes = file.size_bytes();
        let mut cursor = Cursor::new(file, 0, size_bytes, SCAN_CHUNK_BYTES);
        while cursor.position() < size_bytes.min(HEAD_BYTES_MAX) {
            match cursor.peek().await {
                Ok(batch) if batch.header().segment == segment.number => return Ok(true),
                Ok(batch) => cursor.skip(batch.header().padded_bytes()),
                Err(CursorError::Bad(_)) => cursor.skip(BLOCK_BYTES),
                Err(CursorError::Io(error)) => return Err(self.io("read a segment")(error)),
            }
        }
        Ok(false)
    }

    async fn remove_leftovers(
        &self,
        found: &[Found<S::File>],
        verdicts: &Verdicts,
    ) -> Result<(), OpenError> {
        for segment in found.iter().filter(|segment| verdicts.removed.contains(&segment.number)) {
            let path = segment::path(&self.directory, segment.number);
            self.storage.remove(&path).await.map_err(self.io("remove an unused segment"))?;
        }
        if !verdicts.removed.is_empty() {
            self.storage.sync_dir(&self.directory).await.map_err(self.io("sync"))?;
        }
        Ok(())
    }

    /// Makes a log of one empty segment.
    async fn create(self, log_id: LogId) -> Result<Opened<S>, OpenError> {
        const FIRST: u64 = 1;
        let head = SegmentHead::default();
        let (header, buffer) = encode_batch(&first_head(log_id, FIRST), &[&head.encode()]);
        let mut preparer = Preparer::new(self.storage.clone(), self.directory.clone());
        let prepared = preparer.take(FIRST, 0, self.options.segment_bytes_min).await;
        let prepared = prepared.map_err(self.io("create the first segment"))?;
        let (written, _) = prepared.file.write_durable_at(buffer, 0).await;
        written.map_err(self.io("write the first segment"))?;
        let segment = Segment::new(prepared.file, prepared.size_bytes, &header);
        Ok(self.assemble(log_id, VecDeque::from([segment]), head, Scan::default()))
    }

    async fn open_chain(
        self,
        found: Vec<Found<S::File>>,
        chain: Vec<u64>,
    ) -> Result<Opened<S>, OpenError> {
        let members = found.into_iter().filter(|segment| chain.contains(&segment.number));
        let (mut segments, head) = link(members);
        let active = segments.back().expect("the chain is not empty");
        let log_id = head.0;
        let mut scan = self.scan(log_id, active).await?;
        if head.1.image_index < active.start.index {
            scan.commands_before = self.commands_of(&segments, head.1.image_index).await?;
        }
        let active = segments.back_mut().expect("the chain is not empty");
        for header in &scan.headers {
            active.push(header);
        }
        let file = active.file.as_ref().expect("just opened");
        if let Some(cut) = &scan.cut {
            let (cleared, _) =
                file.write_at(AlignedBuffer::zeroed(BLOCK_BYTES), cut.position).await;
            cleared.map_err(self.io("clear a torn tail"))?;
        }
        file.sync().await.map_err(self.io("sync what was found"))?;
        Ok(self.assemble(log_id, segments, head.1, scan))
    }

    /// Reads the active segment to its end, and refuses it when that is not where the log ended.
    async fn scan(&self, log_id: LogId, active: &Segment<S::File>) -> Result<Scan, OpenError> {
        let file = Rc::clone(active.file.as_ref().expect("just opened"));
        let mut cursor =
            Cursor::new(file, active.end_position, active.size_bytes, SCAN_CHUNK_BYTES);
        let mut scan = Scan::default();
        let mut end = active.end;
        let stop = loop {
            match cursor.peek().await {
                Ok(batch) if continues(batch.header(), log_id, active.number, &end) => {
                    end = End::after(batch.header());
                    cursor.skip(batch.header().padded_bytes());
                    scan.push(batch);
                }
                Ok(_) => break DecodeError::NotABatch,
                Err(CursorError::Bad(error)) => break error,
                Err(CursorError::Io(error)) => return Err(self.io("scan a segment")(error)),
            }
            if active.size_bytes <= cursor.position() {
                return Ok(scan);
            }
        };
        let position = cursor.position();
        if stop != DecodeError::NotABatch {
            scan.cut = Some(Cut { segment: active.number, position });
        }
        let durable_at = |header: &BatchHeader| {
            header.log_id == log_id
                && header.segment == active.number
                && position < header.durable_end
        };
        let Some(evidence) = self.find(&mut cursor, active.size_bytes, durable_at).await? else {
            return Ok(scan);
        };
        let path = segment::path(&self.directory, active.number);
        let what = format!("{stop}; the batch at byte {evidence} shows that this had been durable");
        Err(Corruption { path, position, what }.into())
    }

    /// The position of the first batch from the cursor on for which `matches` holds.
    async fn find(
        &self,
        cursor: &mut Cursor<S::File>,
        end_position: u64,
        matches: impl Fn(&BatchHeader) -> bool,
    ) -> Result<Option<u64>, OpenError> {
        while cursor.position() < end_position {
            match cursor.peek().await {
                Ok(batch) if matches(batch.header()) => return Ok(Some(cursor.position())),
                Ok(batch) => cursor.skip(batch.header().padded_bytes()),
                Err(CursorError::Bad(_)) => cursor.skip(BLOCK_BYTES),
                Err(CursorError::Io(error)) => return Err(self.io("scan a segment")(error)),
            }
        }
        Ok(None)
    }

    /// The commands after `index` in sealed segments: those that no head's image reflects yet.
    async fn commands_of(
        &self,
        segments: &VecDeque<Segment<S::File>>,
        index: u64,
    ) -> Result<Vec<Command>, OpenError> {
        let mut commands = Vec::new();
        let sealed = segments.iter().take(segments.len() - 1);
        for segment in sealed.filter(|segment| index < segment.end.index) {
            let path = segment::path(&self.directory, segment.number);
            let file = self.storage.open(&path).await.map_err(self.io("open a segment"))?;
            let start = segment.index.before_index(index + 1).map_or(0, |entry| entry.position);
            let mut cursor =
                Cursor::new(Rc::new(file), start, segment.end_position, SCAN_CHUNK_BYTES);
            loop {
                let position = cursor.position();
                match cursor.next().await {
                    Ok(None) => break,
                    Ok(Some(batch)) if batch.header().index <= index => {}
                    Ok(Some(batch)) => commands.extend(Command::of(&batch)),
                    Err(CursorError::Io(error)) => return Err(self.io("read a segment")(error)),
                    Err(CursorError::Bad(error)) => {
                        return Err(Corruption { path, position, what: error.to_string() }.into());
                    }
                }
            }
        }
        Ok(commands)
    }

    fn assemble(
        self,
        log_id: LogId,
        segments: VecDeque<Segment<S::File>>,
        head: SegmentHead,
        scan: Scan,
    ) -> Opened<S> {
        let active = segments.back().expect("a log has at least one segment");
        let (end, end_position) = (active.end, active.end_position);
        let hard_state = scan.hard_state.unwrap_or(head.hard_state);
        let mut commands = scan.commands_before;
        commands.extend(scan.commands);
        let recovered = Recovered {
            hard_state: hard_state.clone(),
            image: head.image.clone(),
            commands,
            last_term: end.term,
            last_index: end.index,
            cut: scan.cut,
        };
        let tail = Tail::new(self.options.tail_bytes_max);
        let state = RefCell::new(State { segments, tail, durable: end });
        let preparer = Preparer::new(self.storage.clone(), self.directory.clone());
        let shared =
            Rc::new(Shared { storage: self.storage, directory: self.directory, log_id, state });
        let writer = Writer {
            shared: Rc::clone(&shared),
            options: self.options,
            preparer,
            leaving: Leaving::default(),
            durable_position: end_position,
            hard_state,
            image_index: head.image_index,
            image: head.image,
            head_image_index: head.image_index,
            marked: scan.marked,
            fenced: None,
        };
        Opened { writer, reader: Reader { shared, resume: Rc::default() }, recovered }
    }
}

/// What the active segment holds behind its head.
#[derive(Default)]
struct Scan {
    headers: Vec<BatchHeader>,
    hard_state: Option<Vec<u8>>,
    commands_before: Vec<Command>,
    commands: Vec<Command>,
    /// Whether the last batch is a durable mark.
    marked: bool,
    cut: Option<Cut>,
}

impl Scan {
    fn push(&mut self, batch: Batch) {
        let kind = batch.header().kind;
        self.marked = kind == BatchKind::DurableMark;
        if kind == BatchKind::HardState {
            self.hard_state = Some(batch.payload().to_vec());
        }
        self.commands.extend(Command::of(&batch));
        self.headers.push(*batch.header());
    }
}

impl Command {
    fn of(batch: &Batch) -> Option<Command> {
        let header = batch.header();
        (header.kind == BatchKind::Command).then(|| Command {
            index: header.index,
            // A copy: the payload's own bytes would keep the whole chunk in memory.
            payload: Bytes::copy_from_slice(batch.payload()),
        })
    }
}

fn decode_head(number: u64, batch: &Batch) -> Option<Head> {
    let header = *batch.header();
    if header.kind != BatchKind::Head || header.segment != number {
        return None;
    }
    Some(Head { header, payload: SegmentHead::decode(batch.payload())? })
}

fn first_head(log_id: LogId, segment: u64) -> BatchHeader {
    BatchHeader {
        checksum: 0,
        length: 0,
        record_count: 0,
        kind: BatchKind::Head,
        previous_checksum: 0,
        log_id,
        segment,
        base_offset: model::Offset::FIRST,
        index: 0,
        term: 0,
        timestamp: model::UnixMillis(0),
        durable_end: 0,
    }
}

/// Whether a batch is the next one of the log, and not what an earlier life of the file left there.
fn continues(header: &BatchHeader, log_id: LogId, segment: u64, end: &End) -> bool {
    header.log_id == log_id
        && header.segment == segment
        && header.kind != BatchKind::Head
        && header.previous_checksum == end.checksum
        && header.base_offset == end.offset
        && header.index == end.index + u64::from(header.kind.is_entry())
        && end.timestamp <= header.timestamp
}

/// Segments from the chain's heads: each sealed one ends where its successor says. Also the log's
/// id and the active segment's head.
fn link<F: LogFile>(
    members: impl Iterator<Item = Found<F>>,
) -> (VecDeque<Segment<F>>, (LogId, SegmentHead)) {
    let mut segments: VecDeque<Segment<F>> = VecDeque::new();
    let mut last = (LogId(0), SegmentHead::default());
    for member in members {
        let Head { header, payload } = member.head.expect("every member of the chain has a head");
        let size_bytes = member.file.size_bytes();
        if let (Some(sealed), Some(previous)) = (segments.back_mut(), &payload.previous) {
            seal(sealed, previous, &header);
        }
        segments.push_back(Segment::new(member.file, size_bytes, &header));
        last = (header.log_id, payload);
    }
    (segments, last)
}

fn seal<F>(sealed: &mut Segment<F>, previous: &PreviousSegment, next: &BatchHeader) {
    sealed.file = None;
    sealed.end_position = previous.end_position;
    sealed.index = SparseIndex::from_entries(previous.index.clone());
    sealed.end = End {
        offset: next.base_offset,
        index: next.index,
        term: next.term,
        timestamp: next.timestamp,
        checksum: next.previous_checksum,
    };
}
