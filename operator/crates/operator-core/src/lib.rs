//! What custom resources mean, as pure functions: no client, no clock, no file.

mod decide;
mod delivery;
mod difference;
mod manifest;
pub mod manifests;
pub mod names;
mod placement;
mod topology;
mod unreadable;
mod validate;

pub use decide::{
    Answer, Ask, Claims, Finalizer, Observed, Outcome, Removal, Request, SHARDS_FIELDS, SpecEdit,
    Step, decide, is_owner, not_accepted, owners,
};
pub use delivery::{
    Delivery, DeliveryObserved, consumer_name, decide_delivery, delivery_conditions,
    delivery_members, delivery_namesake, destination_digest, destination_version, is_remembered,
    secret_names, status_patch,
};
pub use difference::first_difference;
pub use manifest::{Manifest, ManifestError, parse_manifests};
pub use topology::{
    Topology, TopologyError, decode_boundaries, encode_boundaries, stream_uid, uid,
};
pub use unreadable::unreadable;
pub use validate::{
    SpecError, ValidMode, ValidStream, fixed_in_delivery_stream, validate, validate_analytics_app,
    validate_delivery_stream, validate_video_stream,
};
