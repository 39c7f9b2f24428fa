//! Who looks at the pictures.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::pods::{ClientTls, SecretRef, StreamRef};

/// Looks at pictures and puts what it finds into a Stream, a record for each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.motion), has(self.openInference)].exists_one(set, set)",
    "message": "set exactly one kind of detector: motion or openInference"
}]))]
pub struct Detector {
    /// Its name, which its detections bear.
    #[schemars(length(min = 1, max = 63), extend("pattern" = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,

    /// Pictures that differ from those before: built in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub motion: Option<MotionDetector>,

    /// A model on a server that speaks the Open Inference Protocol, version 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_inference: Option<OpenInferenceDetector>,

    /// Which pictures it looks at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampling: Option<Sampling>,

    /// The areas it looks at. The whole picture when not set.
    #[schemars(length(min = 1, max = 16))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zones: Option<Vec<Zone>>,

    /// How long it is quiet after a detection of a class in a zone, in seconds. 0 when not set.
    #[schemars(range(min = 0, max = 3600))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooldown_seconds: Option<u32>,

    /// The Stream its detections go to. notifications.stream when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamRef>,
}

/// Pictures that differ from those before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.areaPercentMin) || !has(self.areaPercentMax) || \
        self.areaPercentMin <= self.areaPercentMax",
    "message": "areaPercentMin is more than areaPercentMax: lower it"
}]))]
pub struct MotionDetector {
    /// How little a pixel must change to count, 1 to 100: 100 sees the most. 50 when not set.
    #[schemars(range(min = 1, max = 100))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sensitivity_percent: Option<u32>,

    /// How much of the area must change, at least, in percent. 1 when not set.
    #[schemars(range(min = 0, max = 100))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub area_percent_min: Option<u32>,

    /// How much may change, at most, in percent: more is light, not motion. 90 when not set.
    #[schemars(range(min = 1, max = 100))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub area_percent_max: Option<u32>,
}

/// A model on a server that speaks the Open Inference Protocol, version 2.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OpenInferenceDetector {
    /// The server's address, as in http://triton:8000, or grpc://triton:8001.
    #[schemars(length(max = 1000), extend("pattern" = "^(https?|grpcs?)://"))]
    pub url: String,

    /// The model's name.
    #[schemars(length(min = 1, max = 255))]
    pub model: String,

    /// The model's version. The server's choice when not set.
    #[schemars(length(min = 1, max = 64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_version: Option<String>,

    /// The bearer token to send, in a Secret. None when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_ref: Option<SecretRef>,

    /// How the server's certificate is checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ClientTls>,

    /// How long to wait for the answer, in milliseconds. 1000 when not set.
    #[schemars(range(min = 10, max = 60000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_milliseconds: Option<u32>,

    /// How a picture is put to the model. What the model's metadata says when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<ModelInput>,

    /// How the model's answer is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<ModelOutput>,

    /// The names of the model's classes, in its order. Numbers when not set.
    #[schemars(length(min = 1, max = 2000), inner(length(min = 1, max = 128)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,

    /// The classes to tell of, by name. All when not set.
    #[schemars(length(min = 1, max = 2000), inner(length(min = 1, max = 128)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,

    /// How sure the model must be, in percent. 50 when not set.
    #[schemars(range(min = 0, max = 100))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence_percent_min: Option<u32>,

    /// How much two boxes of a class may overlap, in percent, before the less sure one is left out.
    /// 45 when not set.
    #[schemars(range(min = 0, max = 100))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlap_percent_max: Option<u32>,
}

/// How a picture is put to the model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelInput {
    /// The tensor's name. The model's only input when not set.
    #[schemars(length(min = 1, max = 255))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,

    /// The width, in pixels.
    #[schemars(range(min = 1, max = 4096))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width_pixels: Option<u32>,

    /// The height, in pixels.
    #[schemars(range(min = 1, max = 4096))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height_pixels: Option<u32>,

    /// The order of dimensions. NCHW when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<TensorLayout>,

    /// The type of elements: UINT8 takes 0 to 255, floats 0 to 1. FP32 when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_type: Option<TensorType>,

    /// What happens to the picture's shape. Letterbox when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fit: Option<Fit>,
}

/// The order of a tensor's dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum TensorLayout {
    /// Colours, then rows.
    Nchw,
    /// Rows, then colours.
    Nhwc,
}

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum TensorType {
    /// Bytes.
    Uint8,
    /// Floats of 16 bits.
    Fp16,
    /// Floats of 32 bits.
    Fp32,
}

/// What happens to a picture's shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Fit {
    /// It is kept; bars fill the rest.
    Letterbox,
    /// It is lost.
    Stretch,
}

/// How the model's answer is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelOutput {
    /// Its form. Yolo when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<ModelOutputFormat>,

    /// The tensor of boxes, or of everything. The model's first output when not set.
    #[schemars(length(min = 1, max = 255))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boxes_name: Option<String>,

    /// The tensor of scores, for BoxesScoresClasses.
    #[schemars(length(min = 1, max = 255))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scores_name: Option<String>,

    /// The tensor of classes, for BoxesScoresClasses.
    #[schemars(length(min = 1, max = 255))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes_name: Option<String>,
}

/// The form of a model's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ModelOutputFormat {
    /// One tensor: centre, size and a score for each class, of each candidate.
    Yolo,
    /// Three tensors: corners from 0 to 1, scores, and classes.
    BoxesScoresClasses,
    /// One tensor of scores for the whole picture.
    Classification,
}

/// Which pictures a detector looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!(has(self.intervalMilliseconds) && has(self.keyFramesOnly) && self.keyFramesOnly)",
    "message": "set intervalMilliseconds or keyFramesOnly, not both"
}]))]
pub struct Sampling {
    /// The time between pictures, in milliseconds; 0 looks at all. 500 when not set.
    #[schemars(range(min = 0, max = 3600000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_milliseconds: Option<u32>,

    /// Whether only key frames are looked at, which costs the least. false when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_frames_only: Option<bool>,
}

/// An area of the picture.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Zone {
    /// Its name, which detections in it bear.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,

    /// Its corners, in turn.
    #[schemars(length(min = 3, max = 32))]
    pub polygon: Vec<Point>,

    /// Whether it is left out instead of looked at. false when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude: Option<bool>,
}

/// A point of the picture.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Point {
    /// From the left edge, in percent of the width.
    #[schemars(range(min = 0, max = 100))]
    pub x_percent: u32,

    /// From the upper edge, in percent of the height.
    #[schemars(range(min = 0, max = 100))]
    pub y_percent: u32,
}
