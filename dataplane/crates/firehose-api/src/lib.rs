//! Data Firehose, as AWS's service model 2015-08-04 has it: one file for each operation.
//!
//! A delivery stream is the spec of the resource `DeliveryStream`, so that what is made by a call and
//! what is made by `kubectl apply` are the same. What AWS calls things is declared once, with its
//! constraints ([`shape`]); each kind of destination says how its shape becomes a part of the spec and
//! how the spec is described ([`destination`]).
//!
//! ```text
//!  body ─► shapes ─► all violations of the model at once ─► Draft: spec, secrets, what is only AWS's
//!       ─► the rules of the resource (operator-core) ─► catalog
//!  catalog ─► Told ─► the same shapes, with AWS's defaults ─► body
//! ```
//!
//! It does not know sockets, signatures, or what holds the records that are put.

mod api;
mod backup;
mod buffering;
mod conversion;
mod destination;
mod draft;
mod errors;
mod intake;
mod ops;
mod processing;
mod rights;
mod secrets;
mod shape;
mod source;
mod sse;
mod texts;

pub use api::{Api, ApiOptions, Check, HasKey, Identity, OPERATIONS};
pub use intake::{Intake, PutError, Puts, RecordId};
pub use rights::{Allowed, Right, Rights};
