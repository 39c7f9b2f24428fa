//! Video streams: what the parts of a spec must say together.

use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use kube_core::CustomResourceExt;
use operator_api::VideoStream;
use operator_api::video_stream::{
    Detector, ImageFormat, ImageGeneration, Ingest, ModelOutputFormat, MotionDetector,
    Notifications, OpenInferenceDetector, Sampling, Track, TrackType, Zone,
};

use super::{Refusals, SpecError, bounds};

#[cfg(test)]
mod tests;

static SCHEMA: LazyLock<JSONSchemaProps> =
    LazyLock::new(|| bounds::spec_schema(VideoStream::crd()));

/// Checks a video stream.
///
/// # Errors
/// All that is wrong with it.
pub fn validate_video_stream(stream: &VideoStream) -> Result<(), Vec<SpecError>> {
    let mut refusals = Refusals::default();
    let name = stream.metadata.name.as_deref().unwrap_or_default();
    refusals.stream_name("metadata.name", name);
    let spec = &stream.spec;
    bounds::check(&SCHEMA, spec, &mut refusals);
    refusals.refuse_if(
        spec.retention_size_mib.is_some() && spec.retention_hours.unwrap_or(0) == 0,
        "spec.retentionSizeMiB",
        "nothing is kept; set spec.retentionHours too",
    );
    check_tracks(spec.tracks.as_deref().unwrap_or_default(), &mut refusals);
    spec.ingest.iter().for_each(|ingest| check_ingest(ingest, &mut refusals));
    spec.notifications.iter().for_each(|it| check_notifications(it, &mut refusals));
    let detectors = spec.detectors.as_deref().unwrap_or_default();
    let field = |at| format!("spec.detectors[{at}].name");
    refusals.unique(field, detectors.iter().map(|detector| detector.name.as_str()));
    let has_stream = spec.notifications.as_ref().is_some_and(|it| it.stream.is_some());
    for (at, detector) in detectors.iter().enumerate() {
        check_detector(&format!("spec.detectors[{at}]"), detector, has_stream, &mut refusals);
    }
    spec.image_generation.iter().for_each(|images| check_images(images, &mut refusals));
    refusals.into_result()
}

fn check_tracks(tracks: &[Track], refusals: &mut Refusals) {
    let numbers: Vec<String> = tracks.iter().map(|track| track.number.to_string()).collect();
    let field = |at| format!("spec.tracks[{at}].number");
    refusals.unique(field, numbers.iter().map(String::as_str));
    for (at, track) in tracks.iter().enumerate() {
        let (start, kind) = match track.type_ {
            TrackType::Video => ("V_", "Video"),
            TrackType::Audio => ("A_", "Audio"),
        };
        if let Some(codec) = track.codec_id.as_ref().filter(|codec| !codec.starts_with(start)) {
            let what = format!("{codec:?}; codecs of type {kind} start with {start}");
            refusals.refuse(format!("spec.tracks[{at}].codecId"), what);
        }
    }
}

fn check_ingest(ingest: &Ingest, refusals: &mut Refusals) {
    const URL: &str = "spec.ingest.rtsp.url";
    let rtsp = &ingest.rtsp;
    let authority = rtsp.url.split("://").nth(1).and_then(|rest| rest.split('/').next());
    refusals.refuse_if(
        authority.is_some_and(|authority| authority.contains('@')),
        URL,
        "holds a password for all to read; move it to a Secret, and set credentials",
    );
    refusals.refuse_if(
        rtsp.tls.is_some() && !rtsp.url.starts_with("rtsps:"),
        "spec.ingest.rtsp.tls",
        "the connection is in plain text; write the url as rtsps://",
    );
}

fn check_notifications(notifications: &Notifications, refusals: &mut Refusals) {
    refusals.refuse_if(
        notifications.stream.is_none() && notifications.webhook.is_none(),
        "spec.notifications",
        "nothing is set; set stream, webhook or both",
    );
    if let Some(stream) = &notifications.stream {
        refusals.stream_name("spec.notifications.stream.name", &stream.name);
    }
}

fn check_detector(path: &str, detector: &Detector, has_stream: bool, refusals: &mut Refusals) {
    let parts = [
        ("motion", detector.motion.is_some()),
        ("openInference", detector.open_inference.is_some()),
    ];
    refusals.exactly_one(path, &parts);
    let stream = format!("{path}.stream");
    match &detector.stream {
        Some(named) => refusals.stream_name(&format!("{stream}.name"), &named.name),
        None => refusals.refuse_if(
            !has_stream,
            &stream,
            "detections need a Stream; set it, or spec.notifications.stream for all",
        ),
    }
    detector.motion.iter().for_each(|motion| check_motion(path, motion, refusals));
    detector.open_inference.iter().for_each(|model| check_model(path, model, refusals));
    detector.sampling.iter().for_each(|sampling| check_sampling(path, sampling, refusals));
    check_zones(path, detector.zones.as_deref().unwrap_or_default(), refusals);
}

fn check_motion(path: &str, motion: &MotionDetector, refusals: &mut Refusals) {
    let (min, max) = (motion.area_percent_min.unwrap_or(1), motion.area_percent_max.unwrap_or(90));
    if max < min {
        let what = format!("{min}; set at most areaPercentMax, which is {max}");
        refusals.refuse(format!("{path}.motion.areaPercentMin"), what);
    }
}

fn check_model(path: &str, model: &OpenInferenceDetector, refusals: &mut Refusals) {
    let labels = model.labels.as_deref().unwrap_or_default();
    for (at, class) in model.classes.iter().flatten().enumerate() {
        if !labels.is_empty() && !labels.contains(class) {
            let what =
                format!("{class:?} is no label of the model; add it to labels, or remove it");
            refusals.refuse(format!("{path}.openInference.classes[{at}]"), what);
        }
    }
    let Some(output) = &model.output else { return };
    let is_three = output.format == Some(ModelOutputFormat::BoxesScoresClasses);
    for (name, value) in
        [("scoresName", &output.scores_name), ("classesName", &output.classes_name)]
    {
        refusals.refuse_if(
            is_three != value.is_some(),
            &format!("{path}.openInference.output.{name}"),
            "goes with format BoxesScoresClasses; set both or neither",
        );
    }
}

fn check_sampling(path: &str, sampling: &Sampling, refusals: &mut Refusals) {
    refusals.refuse_if(
        sampling.interval_milliseconds.is_some() && sampling.key_frames_only == Some(true),
        &format!("{path}.sampling.keyFramesOnly"),
        "set this or intervalMilliseconds, not both",
    );
}

fn check_zones(path: &str, zones: &[Zone], refusals: &mut Refusals) {
    let field = |at| format!("{path}.zones[{at}].name");
    refusals.unique(field, zones.iter().map(|zone| zone.name.as_str()));
    for (at, zone) in zones.iter().enumerate() {
        let is_flat = 3 <= zone.polygon.len() && twice_area(zone) == 0;
        let field = format!("{path}.zones[{at}].polygon");
        refusals.refuse_if(is_flat, &field, "has no area; give corners that are not in a line");
    }
}

/// Twice the area of a zone, by the shoelace formula.
fn twice_area(zone: &Zone) -> i64 {
    let corners = &zone.polygon;
    let next = corners.iter().cycle().skip(1);
    let cross = corners.iter().zip(next).map(|(a, b)| {
        i64::from(a.x_percent) * i64::from(b.y_percent)
            - i64::from(b.x_percent) * i64::from(a.y_percent)
    });
    cross.sum()
}

fn check_images(images: &ImageGeneration, refusals: &mut Refusals) {
    refusals.refuse_if(
        images.jpeg_quality.is_some() && images.format == Some(ImageFormat::Png),
        "spec.imageGeneration.jpegQuality",
        "is for format JPEG; remove it",
    );
}
