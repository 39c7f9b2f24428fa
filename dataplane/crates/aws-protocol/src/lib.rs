//! What is common to all AWS services of this family on the wire.
//!
//! ```text
//!  method, path, headers ─► dispatch ─► which service, operation and encoding; or AWS's refusal
//!  body ─► codec::decode ─► a raw shape: every member optional, types checked
//!       ─► validate      ─► a request whose every field is right; or all violations in one error
//!  reply or ApiError ─► codec::encode, ApiError::body
//!  a reply that goes on ─► event_stream: one message for each event
//! ```
//!
//! Bytes in, bytes out: no sockets, no clock, and it does not know what an operation does. Shapes are
//! serde structs that do not say how blobs and timestamps are encoded ([`Blob`], [`Timestamp`]), so
//! that a further encoding is a further arm in `codec`.

pub mod codec;
pub mod dispatch;
mod error;
pub mod event_stream;
mod request_id;
mod shape;
pub mod validate;

pub use codec::Encoding;
pub use error::{ApiError, ErrorCode};
pub use request_id::RequestId;
pub use shape::{Blob, EMPTY_BLOB, Text, Timestamp, displayed};
