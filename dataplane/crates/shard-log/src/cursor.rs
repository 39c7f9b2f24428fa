//! Reading the batches of one segment in order, from a position up to another.
//!
//! The only code that turns a file back into batches: recovery, readers and truncation use it.

use std::rc::Rc;

use bytes::Bytes;
use storage::{AlignedBuffer, BLOCK_BYTES, LogFile};

use crate::batch::Batch;
use crate::format::{DecodeError, padded};

/// Walks over `[position, end_position)` of a file.
pub(crate) struct Cursor<F> {
    file: Rc<F>,
    /// Where the next batch starts. A multiple of the block size.
    position: u64,
    end_position: u64,
    chunk_bytes: usize,
    /// What has been read of the file from `position` on.
    ahead: Bytes,
}

/// Why a cursor stopped. `Bad` leaves it where it was.
#[derive(Debug)]
pub(crate) enum CursorError {
    Io(std::io::Error),
    Bad(DecodeError),
}

impl<F: LogFile> Cursor<F> {
    /// Reads the file in chunks of `chunk_bytes`, rounded up to blocks; more where a batch is longer.
    pub(crate) fn new(file: Rc<F>, position: u64, end_position: u64, chunk_bytes: usize) -> Self {
        let chunk_bytes = padded(chunk_bytes.max(1));
        Cursor { file, position, end_position, chunk_bytes, ahead: Bytes::new() }
    }

    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The next batch, or `None` at the end position.
    pub(crate) async fn next(&mut self) -> Result<Option<Batch>, CursorError> {
        if self.end_position <= self.position {
            return Ok(None);
        }
        let batch = self.peek().await?;
        self.skip(batch.header().padded_bytes());
        Ok(Some(batch))
    }

    /// The batch at the cursor, which stays there.
    pub(crate) async fn peek(&mut self) -> Result<Batch, CursorError> {
        if self.ahead.is_empty() {
            self.fill(self.chunk_bytes).await?;
        }
        match Batch::decode(&self.ahead) {
            // Decoding has checked `needed` against the longest batch.
            Err(DecodeError::Incomplete { needed, .. }) if self.has_more(needed) => {
                self.fill(padded(needed).max(self.chunk_bytes)).await?;
                Batch::decode(&self.ahead).map_err(CursorError::Bad)
            }
            decoded => decoded.map_err(CursorError::Bad),
        }
    }

    /// Moves on by `bytes`, a multiple of the block size.
    pub(crate) fn skip(&mut self, bytes: usize) {
        debug_assert!(bytes.is_multiple_of(BLOCK_BYTES));
        self.position += bytes as u64;
        self.ahead = self.ahead.slice(bytes.min(self.ahead.len())..);
    }

    /// Whether reading on could provide `needed` bytes.
    fn has_more(&self, needed: usize) -> bool {
        let limit = self.end_position.min(self.file.size_bytes());
        self.ahead.len() < needed && self.position + needed as u64 <= limit
    }

    async fn fill(&mut self, bytes: usize) -> Result<(), CursorError> {
        let limit = self.end_position.min(self.file.size_bytes());
        let there = usize::try_from(limit.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let buffer = AlignedBuffer::zeroed(padded(bytes.min(there)).max(BLOCK_BYTES));
        let (result, buffer) = self.file.read_at(buffer, self.position).await;
        let read_bytes = result.map_err(CursorError::Io)?;
        self.ahead = Bytes::from_owner(buffer).slice(..read_bytes);
        Ok(())
    }
}
