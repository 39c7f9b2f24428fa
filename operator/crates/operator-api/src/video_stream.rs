//! `VideoStream`: a Kinesis video stream.

mod detectors;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use detectors::*;

use crate::Encryption;
use crate::analytics_app::S3Location;
use crate::pods::{ClientTls, PodSettings, SecretRef, StreamRef, UserCredentials, VolumeSettings};

/// A Kinesis video stream: media from a producer or a camera, kept for a time, played back and
/// looked at.
#[derive(CustomResource, JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "leat.dev",
    version = "v1alpha1",
    kind = "VideoStream",
    namespaced,
    category = "leat",
    shortname = "vstream",
    doc = "A Kinesis video stream.",
    status = "VideoStreamStatus",
    printcolumn = r#"{"name": "Ready", "type": "string",
        "jsonPath": ".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string",
        "jsonPath": ".status.conditions[?(@.type=='Ready')].reason"}"#,
    printcolumn = r#"{"name": "Retention", "type": "integer",
        "jsonPath": ".spec.retentionHours"}"#,
    printcolumn = r#"{"name": "Last Fragment", "type": "date",
        "jsonPath": ".status.lastFragmentTime"}"#,
    printcolumn = r#"{"name": "Age", "type": "date",
        "jsonPath": ".metadata.creationTimestamp"}"#,
    crates(kube_core = "::kube_core")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "has(self.storage) == has(oldSelf.storage) && \
            (!has(self.storage) || self.storage == oldSelf.storage)",
        "message": "storage cannot be changed: create another VideoStream"
    },
    {
        "rule": "has(self.pool) == has(oldSelf.pool) && \
            (!has(self.pool) || self.pool == oldSelf.pool)",
        "message": "pool cannot be changed, for what is stored would stay behind: \
            create another VideoStream"
    },
    {
        "rule": "!has(self.detectors) || \
            (has(self.notifications) && has(self.notifications.stream)) || \
            self.detectors.all(detector, has(detector.stream))",
        "message": "detections need a Stream: set notifications.stream, or stream of each detector"
    }
]))]
pub struct VideoStreamSpec {
    /// How long fragments are kept, in hours; 0 keeps none, and only GetMedia can follow. 0 when
    /// not set.
    #[schemars(range(min = 0, max = 87600))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_hours: Option<u32>,

    /// The oldest fragments are removed, before their time, while all take more than this, in MiB.
    /// Unlimited when not set.
    #[schemars(range(min = 64, max = 1073741824))]
    #[serde(rename = "retentionSizeMiB", skip_serializing_if = "Option::is_none")]
    pub retention_size_mib: Option<u64>,

    /// What the media is, as in video/h264,audio/aac. Told to who asks, not checked.
    #[schemars(
        length(min = 1, max = 128),
        extend("pattern" = r"^[\w.+-]+/[\w.+-]+(,[\w.+-]+/[\w.+-]+)*$")
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,

    /// The tracks a producer must send. Any up to three when not set.
    #[schemars(length(min = 1, max = 3))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracks: Option<Vec<Track>>,

    /// Media that is fetched. Producers can call PutMedia either way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingest: Option<Ingest>,

    /// Who looks at the pictures.
    #[schemars(length(max = 16))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detectors: Option<Vec<Detector>>,

    /// Pictures written to a bucket, of fragments tagged for it. Off when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_generation: Option<ImageGeneration>,

    /// Who is told of detections and of fragments tagged for it. Nobody when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notifications: Option<Notifications>,

    /// Encrypts fragments on disk. They are not encrypted when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,

    /// The shared StatefulSet to run on. One of its own when not set. It cannot be
    /// changed.
    #[schemars(
        length(min = 1, max = 40),
        extend("pattern" = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,

    /// How the pods run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods: Option<PodSettings>,

    /// The persistent volume of each pod. It cannot be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<VolumeSettings>,
}

/// A track of the media.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Track {
    /// Its number in the media.
    #[schemars(range(min = 1, max = 127))]
    pub number: u32,

    /// Its kind.
    #[serde(rename = "type")]
    pub type_: TrackType,

    /// Its codec as Matroska names it, as in V_MPEG4/ISO/AVC or A_AAC. Any when not set.
    #[schemars(length(min = 1, max = 64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codec_id: Option<String>,
}

/// The kind of a track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TrackType {
    /// Pictures.
    #[default]
    Video,
    /// Sound.
    Audio,
}

/// Media that is fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ingest {
    /// From a camera.
    pub rtsp: Rtsp,
}

/// A camera.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rtsp {
    /// Its address, as in rtsp://camera:554/stream1, without a password.
    #[schemars(length(max = 2048), extend("pattern" = "^rtsps?://"))]
    pub url: String,

    /// Who to log in as. Nobody when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<UserCredentials>,

    /// How media comes. TCP when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<RtspTransport>,

    /// How long fragments are, at least, in seconds; they begin at key frames. 2 when not set.
    #[schemars(range(min = 1, max = 10))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fragment_seconds: Option<u32>,

    /// Whether sound is left out. false when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_only: Option<bool>,

    /// How the camera's certificate is checked, with rtsps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ClientTls>,
}

/// How media comes from a camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum RtspTransport {
    /// In the connection itself.
    Tcp,
    /// In datagrams beside it.
    Udp,
}

/// Pictures written to a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.jpegQuality) || !has(self.format) || self.format == 'JPEG'",
    "message": "jpegQuality is for format JPEG: remove it"
}]))]
pub struct ImageGeneration {
    /// Whether they are. true when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,

    /// Where they go.
    pub s3: S3Location,

    /// JPEG when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<ImageFormat>,

    /// How good a JPEG is, 1 to 100. 80 when not set.
    #[schemars(range(min = 1, max = 100))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jpeg_quality: Option<u32>,

    /// The time between pictures, in milliseconds. 3000 when not set.
    #[schemars(range(min = 200, max = 20000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampling_interval_milliseconds: Option<u32>,

    /// Whose clock tells that time. PRODUCER_TIMESTAMP when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_selector_type: Option<ImageSelectorType>,

    /// The width, in pixels. That of the video, or what keeps its shape, when not set.
    #[schemars(range(min = 1, max = 3840))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width_pixels: Option<u32>,

    /// The height, in pixels. That of the video, or what keeps its shape, when not set.
    #[schemars(range(min = 1, max = 2160))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height_pixels: Option<u32>,
}

/// The form of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ImageFormat {
    /// Small.
    Jpeg,
    /// Exact.
    Png,
}

/// Whose clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ImageSelectorType {
    /// The server's.
    ServerTimestamp,
    /// The producer's.
    ProducerTimestamp,
}

/// Who is told of detections and of tagged fragments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.stream) || has(self.webhook)",
    "message": "set stream, webhook or both"
}]))]
pub struct Notifications {
    /// A Stream of the same namespace: a record for each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamRef>,

    /// A service: a POST for each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
}

/// A service that is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Webhook {
    /// Its address.
    #[schemars(length(max = 1000), extend("pattern" = "^https?://"))]
    pub url: String,

    /// The bearer token to send, in a Secret. None when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_ref: Option<SecretRef>,

    /// How the server's certificate is checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ClientTls>,
}

/// What has become of a video stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VideoStreamStatus {
    /// The generation of the spec that this status reflects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// CREATING, ACTIVE, UPDATING or DELETING, as AWS's Status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,

    /// When the newest fragment came, RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_fragment_time: Option<String>,

    /// What holds: Accepted, Ready, Progressing, Degraded.
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
