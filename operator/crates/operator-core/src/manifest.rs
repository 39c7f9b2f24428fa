//! YAML files of resources, as `kubectl apply -f` takes them.

use operator_api::{API_VERSION, Stream};
use serde::Deserialize;
use serde_yaml::Value;

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
        "document {document}: {api_version} {kind} is not supported by this version; supported: {API_VERSION} Stream"
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TypeMeta {
    api_version: String,
    kind: String,
}

/// The streams in a file of one or more YAML documents; empty documents do not matter.
///
/// # Errors
/// Everything that is wrong, document by document.
pub fn parse_manifests(yaml: &str) -> Result<Vec<Stream>, Vec<ManifestError>> {
    if BYTES_MAX < yaml.len() {
        return Err(vec![ManifestError::TooLarge(yaml.len())]);
    }
    let mut streams = Vec::new();
    let mut errors = Vec::new();
    for (at, document) in serde_yaml::Deserializer::from_str(yaml).enumerate() {
        match parse_document(at + 1, Value::deserialize(document)) {
            Ok(stream) => streams.extend(stream),
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
    if errors.is_empty() { Ok(streams) } else { Err(errors) }
}

fn parse_document(
    document: usize,
    parsed: Result<Value, serde_yaml::Error>,
) -> Result<Option<Stream>, ManifestError> {
    let malformed =
        |error: serde_yaml::Error| ManifestError::Malformed { document, what: error.to_string() };
    let value = parsed.map_err(malformed)?;
    if value.is_null() {
        return Ok(None);
    }
    let TypeMeta { api_version, kind } = TypeMeta::deserialize(&value).map_err(malformed)?;
    if api_version != API_VERSION || kind != "Stream" {
        return Err(ManifestError::Unknown { document, api_version, kind });
    }
    Stream::deserialize(&value).map(Some).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(yaml: &str, want: &str) {
        let got = match parse_manifests(yaml) {
            Ok(streams) => {
                let names: Vec<_> = streams.into_iter().filter_map(|s| s.metadata.name).collect();
                names.join(" ")
            }
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
    fn the_examples_are_valid() {
        let examples = [include_str!("../../../../crds/examples/stream.yaml")];
        for example in examples {
            for stream in parse_manifests(example).unwrap() {
                crate::validate(&stream).unwrap();
            }
        }
    }
}
