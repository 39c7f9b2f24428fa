//! Volumes for claims, as a storage vendor's provisioner makes them; here a directory on the node
//! that the scheduler has chosen for the first pod, bound to that node. It runs beside the cluster,
//! as the process `cluster provisioner`, and uses `kubectl`.
//!
//! It deliberately does not limit sizes, grow volumes or make snapshots.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use super::command::{output_of, with_input};

const NAME: &str = "leat.dev/directories";
/// Longest time between two looks, should a watch have missed something.
const LOOK_EVERY_MAX: Duration = Duration::from_secs(30);
/// Before a watch that ended is begun again: the API server may be starting.
const WATCH_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The default StorageClass. Waiting for the first consumer, because the volume is bound to a node.
pub(crate) const STORAGE_CLASS: &str = "apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: directories
  annotations: {storageclass.kubernetes.io/is-default-class: 'true'}
provisioner: leat.dev/directories
volumeBindingMode: WaitForFirstConsumer
reclaimPolicy: Delete
";

/// Serves claims until it is killed.
///
/// # Errors
/// None that it could go on after: those are printed.
pub fn run(state: &Path) -> anyhow::Result<()> {
    // One place is enough: it says that there is something to look at, not what.
    let (wake, woken) = sync_channel(1);
    for kind in ["persistentvolumeclaims", "persistentvolumes"] {
        let wake = wake.clone();
        std::thread::spawn(move || watch(kind, &wake));
    }
    loop {
        if let Err(error) = reconcile(state) {
            eprintln!("{error:#}");
        }
        // Over time or woken: either way it looks again.
        let _ = woken.recv_timeout(LOOK_EVERY_MAX);
    }
}

fn kubectl() -> Command {
    Command::new(std::env::var_os("KUBECTL").unwrap_or_else(|| "kubectl".into()))
}

/// Wakes at every change of such an object, forever.
fn watch(kind: &str, wake: &SyncSender<()>) {
    loop {
        let mut command = kubectl();
        command.args(["get", kind, "--all-namespaces", "--watch", "--output", "name"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        if let Ok(mut child) = command.spawn() {
            let lines = child.stdout.take().map(|stdout| BufReader::new(stdout).lines());
            for _ in lines.into_iter().flatten().map_while(Result::ok) {
                // Full: it has been woken and has not looked yet.
                let _ = wake.try_send(());
            }
            let _ = child.wait();
        }
        std::thread::sleep(WATCH_AGAIN_AFTER);
    }
}

fn list(kind: &str) -> anyhow::Result<Vec<Value>> {
    let text = output_of(kubectl().args(["get", kind, "--all-namespaces", "--output", "json"]))?;
    let mut list: Value = serde_json::from_str(&text)?;
    Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
}

fn reconcile(state: &Path) -> anyhow::Result<()> {
    let volumes = list("persistentvolumes")?;
    let names: BTreeSet<&str> =
        volumes.iter().filter_map(|volume| volume["metadata"]["name"].as_str()).collect();
    for claim in list("persistentvolumeclaims")? {
        let missing = wanted(&claim).filter(|wanted| !names.contains(&*wanted.name));
        if let Some(wanted) = missing {
            create(state, &wanted, &claim).with_context(|| wanted.name.clone())?;
        }
    }
    for volume in volumes.iter().filter(|volume| is_released(volume)) {
        remove(state, volume)?;
    }
    Ok(())
}

struct Wanted {
    name: String,
    node: String,
}

/// The volume this claim waits for, once a node is chosen.
fn wanted(claim: &Value) -> Option<Wanted> {
    let annotations = &claim["metadata"]["annotations"];
    let ours = annotations["volume.kubernetes.io/storage-provisioner"] == NAME;
    if !ours || claim["spec"]["volumeName"].is_string() {
        return None;
    }
    let node = annotations["volume.kubernetes.io/selected-node"].as_str()?.to_owned();
    Some(Wanted { name: format!("pvc-{}", claim["metadata"]["uid"].as_str()?), node })
}

fn folder(state: &Path, node: &str, name: &str) -> PathBuf {
    state.join(node).join("volumes").join(name)
}

fn create(state: &Path, wanted: &Wanted, claim: &Value) -> anyhow::Result<()> {
    let folder = folder(state, &wanted.node, &wanted.name);
    fs::create_dir_all(&folder)?;
    // It belongs to root, and a pod runs as a user that only the pod knows.
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777))?;
    let metadata = &claim["metadata"];
    let volume = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": wanted.name,
            "annotations": { "pv.kubernetes.io/provisioned-by": NAME },
        },
        "spec": {
            "capacity": { "storage": claim["spec"]["resources"]["requests"]["storage"] },
            "accessModes": claim["spec"]["accessModes"],
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": claim["spec"]["storageClassName"],
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
            "local": { "path": folder },
            "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": [{
                "key": "kubernetes.io/hostname",
                "operator": "In",
                "values": [wanted.node],
            }] }] } },
        },
    });
    with_input(kubectl().args(["create", "-f", "-"]), &serde_json::to_vec(&volume)?)?;
    eprintln!("created {} on {}", wanted.name, wanted.node);
    Ok(())
}

fn is_released(volume: &Value) -> bool {
    volume["metadata"]["annotations"]["pv.kubernetes.io/provisioned-by"] == NAME
        && volume["metadata"]["deletionTimestamp"].is_null()
        && volume["status"]["phase"] == "Released"
        && volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
}

/// Its claim is gone, and so are the claim's pods: the directory is nobody's.
fn remove(state: &Path, volume: &Value) -> anyhow::Result<()> {
    let path = volume["spec"]["local"]["path"].as_str().map(Path::new).context("no path")?;
    let ours =
        path.starts_with(state) && path.components().any(|part| part.as_os_str() == "volumes");
    anyhow::ensure!(ours, "{} is none of ours", path.display());
    if path.exists() {
        fs::remove_dir_all(path).with_context(|| format!("remove {}", path.display()))?;
    }
    let name = volume["metadata"]["name"].as_str().context("no name")?;
    output_of(kubectl().args(["delete", "persistentvolume", name, "--wait=false"]))?;
    eprintln!("removed {name}");
    Ok(())
}
