//! What is refused of video streams, and in which words.

use crate::{Manifest, parse_manifests};

fn check(spec: &str, want: &str) {
    let yaml = format!(
        "apiVersion: leat.dev/v1alpha1\nkind: VideoStream\nmetadata: {{name: gate}}\n\
         spec: {{{spec}}}"
    );
    let manifest = parse_manifests(&yaml).unwrap().remove(0);
    assert!(matches!(manifest, Manifest::VideoStream(_)));
    let got = match manifest.validate() {
        Ok(()) => "valid".to_owned(),
        Err(errors) => errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | "),
    };
    assert_eq!(got, want);
}

/// A video stream with one detector, whose detections have a place.
fn check_detector(detector: &str, want: &str) {
    check(
        &format!("notifications: {{stream: {{name: e}}}}, detectors: [{{name: d, {detector}}}]"),
        want,
    );
}

#[test]
fn nothing_needs_to_be_said() {
    check("", "valid");
}

#[test]
fn numbers_stay_within_bounds() {
    check(
        "retentionHours: 87601, mediaType: video, \
         imageGeneration: {s3: {bucket: b}, samplingIntervalMilliseconds: 199, widthPixels: 3841}",
        "spec.imageGeneration.s3.bucket: 1 characters; use 3 to 63 | \
         spec.imageGeneration.samplingIntervalMilliseconds: 199; set 200 to 20000 | \
         spec.imageGeneration.widthPixels: 3841; set 1 to 3840 | \
         spec.mediaType: \"video\"; write it as \
         ^[\\w.+-]+/[\\w.+-]+(,[\\w.+-]+/[\\w.+-]+)*$ | \
         spec.retentionHours: 87601; set 0 to 87600",
    );
    check("pods: {resources: {requests: {cpu: 500m, memory: 1Gi}}}", "valid");
    check(
        "pods: {resources: {limits: {memory: 1GB}}}",
        "spec.pods.resources.limits.memory: \"1GB\"; write it as \
         ^[0-9]+(\\.[0-9]+)?([KMGTPE]i|[numkMGTPE]|[eE][0-9]+)?$",
    );
    check(
        "retentionSizeMiB: 64",
        "spec.retentionSizeMiB: nothing is kept; set spec.retentionHours too",
    );
    check(
        "pods: {seccompProfile: Localhost}, storage: {size: '10'}",
        "spec.pods.seccompProfile: \"Localhost\"; write it as \
         ^(RuntimeDefault|Unconfined|Localhost/[^/].*)$ | \
         spec.storage.size: \"10\"; write it as ^[1-9][0-9]*(Mi|Gi|Ti|Pi|M|G|T|P)$",
    );
}

#[test]
fn tracks_have_numbers_and_codecs_of_their_kind() {
    check(
        "tracks: [{number: 1, type: Video, codecId: A_AAC}, {number: 1, type: Audio}]",
        "spec.tracks[1].number: \"1\" is also spec.tracks[0].number; give each its own | \
         spec.tracks[0].codecId: \"A_AAC\"; codecs of type Video start with V_",
    );
}

#[test]
fn cameras_keep_their_password() {
    check("ingest: {rtsp: {url: 'rtsps://c/1', tls: {}}}", "valid");
    check(
        "ingest: {rtsp: {url: 'rtsp://admin:secret@c/1', tls: {}}}",
        "spec.ingest.rtsp.url: holds a password for all to read; move it to a Secret, and set \
         credentials | spec.ingest.rtsp.tls: the connection is in plain text; write the url as \
         rtsps://",
    );
    check(
        "ingest: {rtsp: {url: 'http://c/1'}}",
        "spec.ingest.rtsp.url: \"http://c/1\"; write it as ^rtsps?://",
    );
}

#[test]
fn detections_have_a_stream() {
    check_detector("motion: {}", "valid");
    check("detectors: [{name: d, motion: {}, stream: {name: e}}]", "valid");
    check(
        "detectors: [{name: d, motion: {}}]",
        "spec.detectors[0].stream: detections need a Stream; set it, or spec.notifications.stream \
         for all",
    );
    check("notifications: {}", "spec.notifications: nothing is set; set stream, webhook or both");
    check(
        "notifications: {stream: {name: e}}, \
         detectors: [{name: d, motion: {}}, {name: d, motion: {}}]",
        "spec.detectors[1].name: \"d\" is also spec.detectors[0].name; give each its own",
    );
}

#[test]
fn a_detector_is_of_one_kind() {
    let model = "openInference: {url: 'http://t', model: m}";
    check_detector(model, "valid");
    check_detector(
        &format!("motion: {{}}, {model}"),
        "spec.detectors[0]: motion, openInference are set; set one of motion or openInference",
    );
    check_detector(
        "motion: {areaPercentMin: 95}",
        "spec.detectors[0].motion.areaPercentMin: 95; set at most areaPercentMax, which is 90",
    );
    check_detector(
        "motion: {}, sampling: {intervalMilliseconds: 5, keyFramesOnly: true}",
        "spec.detectors[0].sampling.keyFramesOnly: set this or intervalMilliseconds, not both",
    );
}

#[test]
fn a_model_has_labels_and_outputs_that_fit() {
    check_detector(
        "openInference: {url: 'http://t', model: m, labels: [cat], classes: [cat, dog], \
         output: {format: BoxesScoresClasses, scoresName: s}}",
        "spec.detectors[0].openInference.classes[1]: \"dog\" is no label of the model; add it to \
         labels, or remove it | spec.detectors[0].openInference.output.classesName: goes with \
         format BoxesScoresClasses; set both or neither",
    );
}

#[test]
fn zones_have_an_area() {
    let zone = |name: &str, third: &str| {
        format!(
            "{{name: {name}, polygon: [{{xPercent: 0, yPercent: 0}}, {{xPercent: 9, yPercent: 9}}, \
             {{{third}}}]}}"
        )
    };
    let right = zone("a", "xPercent: 9, yPercent: 0");
    check_detector(&format!("motion: {{}}, zones: [{right}]"), "valid");
    let line = zone("a", "xPercent: 50, yPercent: 50");
    check_detector(
        &format!("motion: {{}}, zones: [{right}, {line}]"),
        "spec.detectors[0].zones[1].name: \"a\" is also spec.detectors[0].zones[0].name; give each \
         its own | spec.detectors[0].zones[1].polygon: has no area; give corners that are not in \
         a line",
    );
}

#[test]
fn only_a_jpeg_has_a_quality() {
    check(
        "imageGeneration: {s3: {bucket: images}, format: PNG, jpegQuality: 9}",
        "spec.imageGeneration.jpegQuality: is for format JPEG; remove it",
    );
}
