//! The provider for people with Docker: `kind` (Kubernetes in Docker), by its command line.
//!
//! It deliberately does nothing that `kind` does by itself: a default StorageClass, DNS and the
//! network come with it. Faults of nodes are the local provider's.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::bail;

use super::command::{output_of, run_long};

const NAME: &str = "leat-e2e";

/// Makes the cluster unless it is there, and writes `state/kubeconfig`.
pub(crate) fn up(state: &Path, nodes: u8) -> anyhow::Result<()> {
    let kubeconfig = state.join("kubeconfig");
    if output_of(Command::new("kind").args(["get", "clusters"]))?.lines().any(|it| it == NAME) {
        let mut command = Command::new("kind");
        command.args(["export", "kubeconfig", "--name", NAME, "--kubeconfig"]).arg(&kubeconfig);
        return output_of(&mut command).map(|_| ());
    }
    let mut config = String::from(
        "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n- role: control-plane\n",
    );
    for _ in 1..nodes {
        writeln!(config, "- role: worker")?;
    }
    let path = state.join("kind.yaml");
    fs::write(&path, config)?;
    let mut command = Command::new("kind");
    command.args(["create", "cluster", "--name", NAME, "--wait", "300s", "--config"]).arg(path);
    command.arg("--kubeconfig").arg(&kubeconfig);
    run_long("kind create cluster", &mut command, &state.join("kind.log"))?;
    // Where there are workers, kind keeps pods off the control plane; here it is one of the nodes.
    let mut command = Command::new("kubectl");
    command.env("KUBECONFIG", &kubeconfig).args(["taint", "nodes", "--all"]);
    let untainted = output_of(command.arg("node-role.kubernetes.io/control-plane-"));
    match untainted {
        Err(error) if !format!("{error:#}").contains("not found") => bail!(error),
        _ => Ok(()),
    }
}

/// Puts an image on every node.
pub(crate) fn load(archive: &Path) -> anyhow::Result<()> {
    let mut command = Command::new("kind");
    command.args(["load", "image-archive", "--name", NAME]).arg(archive);
    output_of(&mut command).map(|_| ())
}

/// Takes the cluster away.
pub(crate) fn down() -> anyhow::Result<()> {
    output_of(Command::new("kind").args(["delete", "cluster", "--name", NAME])).map(|_| ())
}
