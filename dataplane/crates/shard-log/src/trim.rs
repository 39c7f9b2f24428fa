//! Shortening the log: trimming its head (retention), truncating its tail (replication).
//!
//! Trimming removes whole segments, oldest first, each durably before the next, so that after any
//! crash what is left is a gapless suffix. Truncating overwrites nothing: a new segment whose head
//! names an earlier end takes effect at once, when that head is durable; the segments it cut off
//! are removed afterwards, or by recovery.

use std::io;
use std::rc::Rc;

use model::{Offset, UnixMillis};
use storage::Storage;

use crate::append::Writer;
use crate::cursor::{Cursor, CursorError};
use crate::error::{AppendError, Corruption, ReadError, TrimError};
use crate::format::PreviousSegment;
use crate::segment::{self, End};
use crate::state::Shared;

impl<S: Storage> Writer<S> {
    /// Removes the segments all of whose records are older than `horizon`, except the active one,
    /// and returns the offset of the oldest record left.
    ///
    /// # Errors
    /// See [`TrimError`]. The log stays usable.
    ///
    /// # Cancel safety
    /// Dropping the future leaves a shorter log, as after a crash: nothing else changes.
    pub async fn trim_before(&mut self, horizon: UnixMillis) -> Result<Offset, TrimError> {
        let expired = |writer: &Self| {
            writer.state().segments.front().is_some_and(|oldest| oldest.end.timestamp < horizon)
        };
        while expired(self) && self.remove_oldest().await? {}
        Ok(self.state().start_offset())
    }

    /// Removes the oldest segments until the log takes at most `bytes_max`, or consists of the
    /// active segment, and returns the offset of the oldest record left.
    ///
    /// # Errors
    /// As [`trim_before`](Self::trim_before).
    ///
    /// # Cancel safety
    /// As [`trim_before`](Self::trim_before).
    pub async fn trim_to_size(&mut self, bytes_max: u64) -> Result<Offset, TrimError> {
        while bytes_max < self.state().size_bytes() && self.remove_oldest().await? {}
        Ok(self.state().start_offset())
    }

    /// Drops every entry after `index`, durably. Readers must not have been shown any of them.
    ///
    /// # Errors
    /// As [`append`](Self::append); reading what is kept may fail too.
    ///
    /// # Panics
    /// When `index` lies before the log's start, or before the image handed over: what is in the
    /// image was committed, and what was committed is never dropped.
    ///
    /// # Cancel safety
    /// Dropping the future fences the log.
    pub async fn truncate_suffix(&mut self, index: u64) -> Result<(), TruncateError> {
        self.check_fence()?;
        assert!(self.image_index <= index, "what is in the image was committed");
        if self.state().written().index <= index {
            return Ok(());
        }
        // The next head says where what is kept ends: that must be true after any crash.
        self.sync().await?;
        let (number, end_position, end) = self.end_of_entry(index).await?;
        let previous = {
            let mut state = self.state();
            let kept = state.by_number(number).expect("only the writer removes segments");
            let mut sparse = kept.index.clone();
            sparse.truncate(end_position);
            PreviousSegment { number, end_position, index: sparse.entries().to_vec() }
        };
        self.start_segment(previous, end, 0).await?;
        self.forget_suffix(number, end_position, end).await.map_err(TruncateError::Remove)
    }

    /// Removes the oldest segment, if there is another and its commands are in the carried image.
    /// Its file becomes the next segment if one is wanted and nobody reads it.
    async fn remove_oldest(&mut self) -> Result<bool, TrimError> {
        self.finish_removal().await?;
        let removed = {
            let mut state = self.state();
            let oldest = state.segments.front().expect("a log has at least one segment");
            if state.segments.len() == 1 || self.head_image_index < oldest.end.index {
                return Ok(false);
            }
            state.segments.pop_front().expect("just seen")
        };
        self.leaving.set(Some(removed.number));
        let is_read = removed.file.is_some_and(|file| 1 < Rc::strong_count(&file));
        let is_large_enough = self.next_size_bytes() <= removed.size_bytes;
        if is_large_enough && !is_read && self.preparer.is_idle() {
            let next = self.state().active().number + 1;
            self.preparer.recycle(removed.number, next, &self.leaving);
        } else {
            self.finish_removal().await?;
        }
        Ok(true)
    }

    /// Makes it durable that the segment removed last is gone: before the next one goes, or a crash
    /// could leave a gap.
    async fn finish_removal(&mut self) -> Result<(), TrimError> {
        if self.leaving.get().is_some() {
            self.preparer.settle().await;
        }
        if let Some(number) = self.leaving.get() {
            self.remove_file(number).await?;
            self.leaving.set(None);
        }
        Ok(())
    }

    async fn remove_file(&self, number: u64) -> Result<(), TrimError> {
        let Shared { storage, directory, .. } = &*self.shared;
        match storage.remove(&segment::path(directory, number)).await {
            // It has another name by now, or the sync failed the last time.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed.map_err(failed("remove an expired segment"))?,
        }
        storage.sync_dir(directory).await.map_err(failed("sync the log's directory"))
    }

    /// Where entry `index` ends: its segment, the position behind it and the state of the log there.
    async fn end_of_entry(&self, index: u64) -> Result<(u64, u64, End), ReadError> {
        let (number, end_position, mut end, mut position) = {
            let state = self.state();
            let holding = state.segments.iter().rfind(|segment| segment.start.index <= index);
            let segment = holding.expect("an entry before the log's start is never dropped");
            if segment.end.index <= index {
                return Ok((segment.number, segment.end_position, segment.end));
            }
            (segment.number, segment.end_position, segment.start, 0)
        };
        let file = self.shared.file(number).await.map_err(ReadError::Io)?;
        let file = file.expect("only the writer removes segments");
        let mut batches = Cursor::new(file, 0, end_position, 1 << 20);
        loop {
            match batches.next().await {
                Ok(Some(batch)) if batch.header().index <= index => {
                    end = End::after(batch.header());
                    position = batches.position();
                }
                Ok(_) => return Ok((number, position, end)),
                Err(CursorError::Io(error)) => return Err(ReadError::Io(error)),
                Err(CursorError::Bad(error)) => {
                    let path = segment::path(&self.shared.directory, number);
                    let position = batches.position();
                    return Err(Corruption { path, position, what: error.to_string() }.into());
                }
            }
        }
    }

    /// Brings memory and directory in line with a head that cut the log at `end`.
    async fn forget_suffix(
        &mut self,
        number: u64,
        end_position: u64,
        end: End,
    ) -> Result<(), TrimError> {
        let cut_off: Vec<u64> = {
            let mut state = self.state();
            let kept = state.by_number(number).expect("only the writer removes segments");
            kept.end_position = end_position;
            kept.end = end;
            kept.index.truncate(end_position);
            let active = state.segments.pop_back().expect("the head was just written");
            let first_cut = state.segments.partition_point(|segment| segment.number <= number);
            let cut_off = state.segments.split_off(first_cut);
            state.segments.push_back(active);
            state.tail.truncate(end.index);
            state.durable = end;
            cut_off.iter().map(|segment| segment.number).collect()
        };
        for number in cut_off {
            self.remove_file(number).await?;
        }
        Ok(())
    }
}

fn failed(action: &'static str) -> impl FnOnce(io::Error) -> TrimError {
    move |source| TrimError { action, source }
}

/// Why a suffix was not dropped, or not entirely.
#[derive(Debug, thiserror::Error)]
pub enum TruncateError {
    /// Nothing was dropped.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// Nothing was dropped: what is to be kept could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The suffix is gone; files of it are left and are removed at the next open.
    #[error(transparent)]
    Remove(TrimError),
}
