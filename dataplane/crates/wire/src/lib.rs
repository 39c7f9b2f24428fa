//! The protocol between nodes: what gateways and the operator ask of the pods that hold shards, as
//! bytes and as types. Pure: no socket, no clock.
//!
//! ```text
//!  frame   length u32 │ id u64 │ kind u8 │ body          integers little-endian
//! ```
//!
//! `length` counts what is behind it. Ids are the caller's, and answers carry them back, in any order:
//! a connection takes many calls at a time. The first frame of a connection is a [`Call::Hello`], and
//! its answer settles the version of all that follows. `Follow` alone is answered more than once.

mod body;
mod call;
mod reply;

use bytes::{Buf, BufMut, Bytes, BytesMut};

pub use body::{Progress, ReceivedBatch, Refusal, ShardRef};
pub use call::{Call, Read, SAMPLES_MAX};
pub use reply::{Records, Reply};

/// The newest version this program speaks, and the oldest.
pub const VERSION: u16 = 1;
/// The largest frame: the largest request or reply of the AWS API, and what stands around it.
pub const FRAME_BYTES_MAX: usize = 40 << 20;

const LENGTH_BYTES: usize = 4;
const HEAD_BYTES: usize = LENGTH_BYTES + 8 + 1;

/// Why bytes are no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Longer than any frame is.
    #[error("a frame of {0} bytes; the longest has {FRAME_BYTES_MAX}")]
    TooLong(usize),
    /// Of a kind that this version does not know.
    #[error("a frame of kind {0}, which this version does not know")]
    Kind(u8),
    /// It ends early, goes on too long, or holds what cannot be.
    #[error("a frame of kind {0} does not parse")]
    Malformed(u8),
}

/// A frame's parts before its body is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The caller's number of the call.
    pub id: u64,
    kind: u8,
    body: Bytes,
}

impl Frame {
    /// Takes the first frame off `buffer`; `None` while some of it is missing.
    ///
    /// # Errors
    /// `TooLong`, before memory is taken for it. The connection is of no more use.
    pub fn take(buffer: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        let Some(mut length) = buffer.get(..LENGTH_BYTES) else {
            return Ok(None);
        };
        let length = length.get_u32_le() as usize;
        if FRAME_BYTES_MAX < length {
            return Err(DecodeError::TooLong(length));
        }
        let whole = LENGTH_BYTES + length;
        if buffer.len() < whole {
            buffer.reserve(whole - buffer.len());
            return Ok(None);
        }
        let mut frame = buffer.split_to(whole).freeze();
        if frame.len() < HEAD_BYTES {
            return Err(DecodeError::Malformed(0));
        }
        frame.advance(LENGTH_BYTES);
        let (id, kind) = (frame.get_u64_le(), frame.get_u8());
        Ok(Some(Frame { id, kind, body: frame }))
    }

    /// The call in it.
    ///
    /// # Errors
    /// `Kind`, `Malformed`.
    pub fn call(self) -> Result<Call, DecodeError> {
        call::decode(self.kind, self.body)
    }

    /// The reply in it.
    ///
    /// # Errors
    /// `Kind`, `Malformed`.
    pub fn reply(self) -> Result<Reply, DecodeError> {
        reply::decode(self.kind, self.body)
    }
}

/// Begins a frame, with room for `body_bytes`.
fn begin(id: u64, kind: u8, body_bytes: usize) -> BytesMut {
    let mut frame = BytesMut::with_capacity(HEAD_BYTES + body_bytes);
    frame.put_u32_le(0);
    frame.put_u64_le(id);
    frame.put_u8(kind);
    frame
}

/// Ends it: from now on its length is known. `more` bytes come behind it.
fn end(mut frame: BytesMut, more: usize) -> Bytes {
    let length = u32::try_from(frame.len() - LENGTH_BYTES + more).expect("a frame fits 4 GiB");
    frame[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    frame.freeze()
}

#[cfg(test)]
mod tests;
