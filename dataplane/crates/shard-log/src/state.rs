//! What the writer and the readers of one log share. All on one thread, so a `RefCell` guards it;
//! nobody holds a borrow across an await.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::Rc;

use model::{Offset, UnixMillis};
use storage::Storage;

use crate::format::LogId;
use crate::segment::{self, End, Segment};
use crate::tail::Tail;

/// Sealed segments whose files stay open for readers.
const SEALED_FILES_OPEN_MAX: usize = 4;

pub(crate) struct Shared<S: Storage> {
    pub(crate) storage: S,
    pub(crate) directory: PathBuf,
    pub(crate) log_id: LogId,
    pub(crate) state: RefCell<State<S::File>>,
}

/// Invariants: at least one segment; numbers increase; each segment starts where the one before
/// ended; `durable <= written`, both within the log; the tail is a suffix of what was written.
pub(crate) struct State<F> {
    /// Oldest first; the last one is active.
    pub(crate) segments: VecDeque<Segment<F>>,
    pub(crate) tail: Tail,
    pub(crate) durable: End,
}

impl<F> State<F> {
    pub(crate) fn active(&self) -> &Segment<F> {
        self.segments.back().expect("a log has at least one segment")
    }

    pub(crate) fn active_mut(&mut self) -> &mut Segment<F> {
        self.segments.back_mut().expect("a log has at least one segment")
    }

    pub(crate) fn start_offset(&self) -> Offset {
        self.segments.front().expect("a log has at least one segment").start.offset
    }

    pub(crate) fn written(&self) -> End {
        self.active().end
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.end_position).sum()
    }

    pub(crate) fn by_number(&mut self, number: u64) -> Option<&mut Segment<F>> {
        let at = self.segments.binary_search_by_key(&number, |segment| segment.number).ok()?;
        self.segments.get_mut(at)
    }

    /// The segment that holds `offset`, or the active one for an offset past the end.
    pub(crate) fn holding_offset(&self, offset: Offset) -> &Segment<F> {
        let before_end = self.segments.partition_point(|segment| segment.end.offset <= offset);
        self.segments.get(before_end).unwrap_or_else(|| self.active())
    }

    /// The first segment with a batch of `timestamp` or later, if any.
    pub(crate) fn reaching(&self, timestamp: UnixMillis) -> Option<&Segment<F>> {
        let at = self.segments.partition_point(|segment| segment.end.timestamp < timestamp);
        self.segments.get(at)
    }

    /// Closes the files of sealed segments beyond the newest few, except `number`'s.
    fn close_idle_files(&mut self, number: u64) {
        let sealed = self.segments.len() - 1;
        let open = self.segments.iter_mut().take(sealed).filter(|s| s.file.is_some());
        let mut others: Vec<_> = open.filter(|segment| segment.number != number).collect();
        let excess = others.len().saturating_sub(SEALED_FILES_OPEN_MAX - 1);
        for segment in &mut others[..excess] {
            segment.file = None;
        }
    }
}

impl<S: Storage> Shared<S> {
    /// The file of segment `number`, opened if need be; `None` when it was trimmed meanwhile.
    pub(crate) async fn file(&self, number: u64) -> std::io::Result<Option<Rc<S::File>>> {
        match self.state.borrow_mut().by_number(number) {
            None => return Ok(None),
            Some(Segment { file: Some(file), .. }) => return Ok(Some(Rc::clone(file))),
            Some(Segment { file: None, .. }) => {}
        }
        let opened = self.storage.open(&segment::path(&self.directory, number)).await;
        let mut state = self.state.borrow_mut();
        if state.by_number(number).is_none() {
            return Ok(None);
        }
        let file = Rc::new(opened?);
        state.close_idle_files(number);
        if let Some(segment) = state.by_number(number) {
            segment.file = Some(Rc::clone(&file));
        }
        Ok(Some(file))
    }
}
