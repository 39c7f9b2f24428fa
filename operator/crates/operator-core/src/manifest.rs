//! YAML files of resources, as `kubectl apply -f` takes them.

use k8s_openapi::api::core::v1::Secret;
use operator_api::{API_VERSION, AnalyticsApp, DeliveryStream, Stream, VideoStream};
use serde::Deserialize;
use serde_yaml::Value;

use crate::validate::{
    SpecError, validate, validate_analytics_app, validate_delivery_stream, validate_video_stream,
};

/// The largest file that is read.
const BYTES_MAX: usize = 1 << 20;

/// What is wrong with one document of a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Larger than a manifest ever is.
    #[error("the file has {0} bytes; a manifest has at most {BYTES_MAX}")]
    TooLarge(usize),
    /// Not YAML, or not of the resource's schema.
    #[error("document {document}: {what}")]
    Malformed {
        /// Counted from 1.
        document: usize,
        /// Where and why.
        what: String,
    },
    /// A resource of another group, version or kind.
    #[error(
        "document {document}: {api_version} {kind} is not supported by this version; supported: \
         {API_VERSION} Stream, DeliveryStream, AnalyticsApp, VideoStream, and v1 Secret"
    )]
    Unknown {
        /// Counted from 1.
        document: usize,
        /// Its group and version.
        api_version: String,
        /// Its kind.
        kind: String,
    },
}

/// One resource of a file.
#[derive(Clone, Debug)]
pub enum Manifest {
    /// A data stream.
    Stream(Box<Stream>),
    /// A delivery stream.
    DeliveryStream(Box<DeliveryStream>),
    /// An analytics application.
    AnalyticsApp(Box<AnalyticsApp>),
    /// A video stream.
    VideoStream(Box<VideoStream>),
    /// What resources refer to.
    Secret(Box<Secret>),
}

impl Manifest {
    /// The resource's kind in lower case, as `kubectl` writes it before a name.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Manifest::Stream(_) => "stream",
            Manifest::DeliveryStream(_) => "deliverystream",
            Manifest::AnalyticsApp(_) => "analyticsapp",
            Manifest::VideoStream(_) => "videostream",
            Manifest::Secret(_) => "secret",
        }
    }

    /// The resource's name; empty where it has none.
    #[must_use]
    pub fn name(&self) -> &str {
        let metadata = match self {
            Manifest::Stream(stream) => &stream.metadata,
            Manifest::DeliveryStream(stream) => &stream.metadata,
            Manifest::AnalyticsApp(app) => &app.metadata,
            Manifest::VideoStream(stream) => &stream.metadata,
            Manifest::Secret(secret) => &secret.metadata,
        };
        metadata.name.as_deref().unwrap_or_default()
    }

    /// Checks the resource.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn validate(&self) -> Result<(), Vec<SpecError>> {
        match self {
            Manifest::Stream(stream) => validate(stream).map(drop),
            Manifest::DeliveryStream(stream) => validate_delivery_stream(stream),
            Manifest::AnalyticsApp(app) => validate_analytics_app(app),
            Manifest::VideoStream(stream) => validate_video_stream(stream),
            Manifest::Secret(_) => Ok(()),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TypeMeta {
    api_version: String,
    kind: String,
}

/// The resources in a file of one or more YAML documents; empty documents do not matter.
///
/// # Errors
/// Everything that is wrong, document by document.
pub fn parse_manifests(yaml: &str) -> Result<Vec<Manifest>, Vec<ManifestError>> {
    if BYTES_MAX < yaml.len() {
        return Err(vec![ManifestError::TooLarge(yaml.len())]);
    }
    let mut manifests = Vec::new();
    let mut errors = Vec::new();
    for (at, document) in serde_yaml::Deserializer::from_str(yaml).enumerate() {
        match parse_document(at + 1, Value::deserialize(document)) {
            Ok(manifest) => manifests.extend(manifest),
            Err(error) => {
                let is_syntax = matches!(error, ManifestError::Malformed { .. });
                errors.push(error);
                // Behind a syntax error the parser may repeat it for ever.
                if is_syntax {
                    break;
                }
            }
        }
    }
    if errors.is_empty() { Ok(manifests) } else { Err(errors) }
}

fn parse_document(
    document: usize,
    parsed: Result<Value, serde_yaml::Error>,
) -> Result<Option<Manifest>, ManifestError> {
    let malformed =
        |error: serde_yaml::Error| ManifestError::Malformed { document, what: error.to_string() };
    let value = parsed.map_err(malformed)?;
    if value.is_null() {
        return Ok(None);
    }
    let TypeMeta { api_version, kind } = TypeMeta::deserialize(&value).map_err(malformed)?;
    let parsed = match (api_version.as_str(), kind.as_str()) {
        (API_VERSION, "Stream") => Stream::deserialize(&value).map(Box::new).map(Manifest::Stream),
        (API_VERSION, "DeliveryStream") => {
            DeliveryStream::deserialize(&value).map(Box::new).map(Manifest::DeliveryStream)
        }
        (API_VERSION, "AnalyticsApp") => {
            AnalyticsApp::deserialize(&value).map(Box::new).map(Manifest::AnalyticsApp)
        }
        (API_VERSION, "VideoStream") => {
            VideoStream::deserialize(&value).map(Box::new).map(Manifest::VideoStream)
        }
        ("v1", "Secret") => Secret::deserialize(&value).map(Box::new).map(Manifest::Secret),
        _ => return Err(ManifestError::Unknown { document, api_version, kind }),
    };
    parsed.map(Some).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn check(yaml: &str, want: &str) {
        let got = match parse_manifests(yaml) {
            Ok(manifests) => manifests.iter().map(Manifest::name).collect::<Vec<_>>().join(" "),
            Err(errors) => errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | "),
        };
        assert!(got.starts_with(want), "{got}");
    }

    #[test]
    fn files_of_several_documents_are_understood() {
        let stream = |name: &str| {
            format!(
                "apiVersion: leat.dev/v1alpha1\nkind: Stream\nmetadata:\n  name: {name}\nspec: {{}}\n"
            )
        };
        check("", "");
        check(&stream("clicks"), "clicks");
        check(&format!("---\n{}---\n---\n{}", stream("a"), stream("b")), "a b");
        let unknown = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: x\n";
        check(
            &format!("{}---\n{unknown}", stream("a")),
            "document 2: v1 Pod is not supported by this version; supported: leat.dev/v1alpha1 Stream",
        );
        check("a: [", "document 1: ");
        check("kind: Stream", "document 1: missing field `apiVersion`");
        let misspelt = stream("a").replace("{}", "{shardsCount: 2}");
        check(&misspelt, "document 1: unknown field `shardsCount`");
        check(&"#".repeat(BYTES_MAX + 1), "the file has 1048577 bytes");
    }

    #[test]
    fn the_manifests_of_the_pages_about_destinations_are_valid() {
        let pages =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../../dataplane/crates/delivery/destinations");
        let mut count = 0;
        for entry in std::fs::read_dir(pages).unwrap() {
            let page = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            for block in page.split("```yaml\n").skip(1) {
                let (yaml, _) = block.split_once("```").unwrap();
                let manifests = parse_manifests(yaml).unwrap();
                assert!(manifests.iter().any(|it| it.kind() == "deliverystream"), "{yaml}");
                for manifest in manifests {
                    manifest.validate().unwrap_or_else(|errors| panic!("{yaml}: {errors:#?}"));
                    count += 1;
                }
            }
        }
        assert!(5 < count, "the pages were not found");
    }

    #[test]
    fn the_examples_are_valid() {
        let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../crds/examples");
        let mut kinds = BTreeSet::new();
        for entry in std::fs::read_dir(examples).unwrap() {
            let path = entry.unwrap().path();
            let yaml = std::fs::read_to_string(&path).unwrap();
            assert!(yaml.starts_with("# "), "{}: say on top what it shows", path.display());
            for manifest in parse_manifests(&yaml).unwrap() {
                let name = manifest.name();
                manifest.validate().unwrap_or_else(|errors| {
                    panic!("{}: {name}: {errors:#?}", path.display());
                });
                kinds.insert(manifest.kind());
            }
        }
        assert_eq!(kinds.len(), 4, "an example of each kind: {kinds:?}");
    }
}
