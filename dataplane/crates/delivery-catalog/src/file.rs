//! The JSON form of a delivery stream on disk. Its spec is that of the resource, which has a version of
//! its own.

use std::collections::BTreeMap;

use model::{StreamName, UnixMillis};
use operator_api::DeliveryStreamSpec;
use serde::{Deserialize, Serialize};

use catalog::{Stored, StreamUid};

use crate::{DeliveryPhase, DeliveryStream};

const FORMAT: u32 = 1;

#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeliveryStreamFile {
    format: u32,
    name: String,
    uid: u64,
    version: u64,
    created_ms: u64,
    updated_ms: Option<u64>,
    phase: PhaseFile,
    destination_version: u64,
    secrets: BTreeMap<String, String>,
    aws_only: BTreeMap<String, String>,
    spec: DeliveryStreamSpec,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PhaseFile {
    Creating,
    Active,
    Deleting,
}

impl Stored for DeliveryStream {
    fn name(&self) -> &StreamName {
        &self.name
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn set_version(&mut self, version: u64) {
        self.version = version;
    }

    fn encode(&self) -> Vec<u8> {
        let file = DeliveryStreamFile {
            format: FORMAT,
            name: self.name.to_string(),
            uid: self.uid.0,
            version: self.version,
            created_ms: self.created.0,
            updated_ms: self.updated.map(|at| at.0),
            phase: match self.phase {
                DeliveryPhase::Creating => PhaseFile::Creating,
                DeliveryPhase::Active => PhaseFile::Active,
                DeliveryPhase::Deleting => PhaseFile::Deleting,
            },
            destination_version: self.destination_version,
            secrets: self.secrets.clone(),
            aws_only: self.aws_only.clone(),
            spec: self.spec.clone(),
        };
        serde_json::to_vec_pretty(&file).expect("plain data has a JSON form")
    }

    fn decode(bytes: &[u8]) -> Result<DeliveryStream, String> {
        let text = |error: serde_json::Error| error.to_string();
        let FormatOnly { format } = serde_json::from_slice(bytes).map_err(text)?;
        if format != FORMAT {
            return Err(format!("format {format}; this version reads {FORMAT}"));
        }
        let file: DeliveryStreamFile = serde_json::from_slice(bytes).map_err(text)?;
        Ok(DeliveryStream {
            name: file.name.parse().map_err(|error| format!("name: {error}"))?,
            uid: StreamUid(file.uid),
            version: file.version,
            created: UnixMillis(file.created_ms),
            updated: file.updated_ms.map(UnixMillis),
            phase: match file.phase {
                PhaseFile::Creating => DeliveryPhase::Creating,
                PhaseFile::Active => DeliveryPhase::Active,
                PhaseFile::Deleting => DeliveryPhase::Deleting,
            },
            spec: file.spec,
            destination_version: file.destination_version,
            secrets: file.secrets,
            aws_only: file.aws_only,
        })
    }
}
