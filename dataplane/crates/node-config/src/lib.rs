//! The file by which the operator tells a data-plane pod what it is: written by `operator-core`, read
//! by the roles of `leat`.
//!
//! It holds what stays as it is while the pod runs. Streams, shards and their settings are not in it:
//! those the pod learns from the catalog.

use serde::{Deserialize, Serialize};

/// The version of this file's form. A pod refuses another one.
pub const FORMAT: u32 = 1;
/// The name of the file, in the ConfigMap and in the pod.
pub const FILE: &str = "node.json";
/// The port of the node-to-node protocol.
pub const WIRE_PORT: u16 = 7400;
/// The port of metrics and health.
pub const ADMIN_PORT: u16 = 8080;
/// The port of the AWS endpoint.
pub const AWS_PORT: u16 = 4567;

/// In the certificates of the operator and of gateways: whom pods let do everything.
pub const CONTROL_HOST: &str = "control.leat.dev";

/// In the certificates of the pods of a namespace that deliver: whom pods of that namespace let read and put.
#[must_use]
pub fn delivery_host(namespace: &str) -> String {
    format!("delivery.{namespace}.svc")
}

/// What a pod is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeConfig {
    /// [`FORMAT`].
    pub format: u32,
    /// The StatefulSet whose pod this is: it holds the shards whose stream names it.
    pub stateful_set: String,
    /// Where records are kept.
    pub data_dir: String,
    /// Certificate, key and authorities of the node-to-node protocol: `tls.crt`, `tls.key`, `ca.crt`.
    pub tls_dir: String,
    /// The file of master keys that data keys are encrypted under.
    pub encryption_key_file: String,
    /// Memory, in MiB.
    pub memory: Memory,
}

/// Budgets, in MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Memory {
    /// For recent records, from which readers at the tip are served.
    pub tail: usize,
    /// For reads of older records that are under way.
    pub reads: usize,
}

/// Why a file is no node configuration.
#[derive(Debug, thiserror::Error)]
pub enum NodeConfigError {
    /// Not of this form; the message names the field.
    #[error("node configuration")]
    Malformed(#[from] serde_json::Error),
    /// Of another version.
    #[error(
        "node configuration of format {0}; this version reads {FORMAT}: the operator and its pods are of different versions"
    )]
    Format(u32),
}

impl NodeConfig {
    /// Reads the file's text.
    ///
    /// # Errors
    /// See [`NodeConfigError`].
    pub fn parse(text: &str) -> Result<NodeConfig, NodeConfigError> {
        let config: NodeConfig = serde_json::from_str(text)?;
        match config.format {
            FORMAT => Ok(config),
            other => Err(NodeConfigError::Format(other)),
        }
    }

    /// The file's text.
    #[must_use]
    pub fn render(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain data has a JSON form")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let config = NodeConfig {
            format: FORMAT,
            stateful_set: "clicks-stream".into(),
            data_dir: "/data".into(),
            tls_dir: "/tls".into(),
            encryption_key_file: "/tls/encryption.keys".into(),
            memory: Memory { tail: 64, reads: 64 },
        };
        assert_eq!(NodeConfig::parse(&config.render()).unwrap(), config);
        let newer = NodeConfig { format: 2, ..config.clone() }.render();
        assert!(NodeConfig::parse(&newer).unwrap_err().to_string().contains("format 2"));
        let misspelt = config.render().replace("dataDir", "datadir");
        assert!(NodeConfig::parse(&misspelt).is_err());
    }
}
