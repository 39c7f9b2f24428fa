//! Leat on the cluster, as a user gets it there: an image with both programs, and the chart.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use sha2::{Digest, Sha256};

use super::image::{self, Config, Entry};
use super::local::Local;
use super::{Cluster, Namespace};

/// Where the chart is installed unless a test needs another place.
pub const NAMESPACE: &str = "leat-system";
const REPOSITORY: &str = "leat.dev/leat";
/// Two images are unpacked, and gateways wait for the operator's first certificates.
const INSTALL_MAX: &str = "180s";

/// An AWS access key, as a client needs it.
#[derive(Clone, Debug)]
pub struct AccessKey {
    /// Names it.
    pub id: String,
    /// Signs with it.
    pub secret: String,
}

/// Writes the image of these two programs to `target`, as the Dockerfile's but FROM scratch: they
/// bring their libraries along. Its tag is of their content, so that an upgrade to others rolls pods.
///
/// # Errors
/// A program is not there, or a library of it.
pub fn build_image(leat: &Path, operator: &Path, target: &Path) -> anyhow::Result<()> {
    let config = Config {
        env: vec!["PATH=/usr/local/bin".to_owned()],
        ..Config::new(
            &format!("{REPOSITORY}:{}", digest(&[leat, operator])?),
            "/usr/local/bin/leat",
        )
    };
    let mut entries: Vec<Entry> = Vec::new();
    let mut there: BTreeSet<String> = BTreeSet::new();
    for (program, path) in
        [(leat, "/usr/local/bin/leat"), (operator, "/usr/local/bin/leat-operator")]
    {
        // Most libraries are those of both.
        let new = image::with_libraries(program, path)?;
        entries.extend(new.into_iter().filter(|entry| there.insert(entry.path().to_owned())));
    }
    image::build(target, &config, &entries)
}

/// Twelve hex digits of what is in files.
fn digest(files: &[&Path]) -> anyhow::Result<String> {
    let mut hasher = Sha256::new();
    for file in files {
        let content = std::fs::read(file);
        let content =
            content.with_context(|| format!("{} is not there: build it first", file.display()))?;
        hasher.update(content);
    }
    let digest: [u8; 32] = hasher.finalize().into();
    Ok(digest[..6].iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Puts the image on every node and installs the chart, or upgrades to it; when this returns, its
/// pods are ready. `values` are `key=value`.
///
/// # Errors
/// A node does not take the image, or helm fails; with what it said.
pub fn install(
    cluster: &Cluster,
    image: &Path,
    namespace: &str,
    values: &[&str],
) -> anyhow::Result<()> {
    cluster.load(image)?;
    let chart = chart();
    // Helm leaves definitions that exist as they are.
    let definitions = chart.join("crds");
    let definitions = definitions.to_str().context("a path in UTF-8")?;
    cluster.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", definitions])?;
    let name = image::tag_of(image)?;
    let (repository, tag) = name.rsplit_once(':').context("an image has a tag")?;
    let repository = format!("image.repository={repository}");
    let tag = format!("image.tag={tag}");
    let chart = chart.to_str().context("a path in UTF-8")?;
    let mut arguments = vec!["upgrade", "--install", "leat", chart];
    arguments.extend(["--namespace", namespace, "--create-namespace"]);
    arguments.extend(["--wait", "--timeout", INSTALL_MAX]);
    let ours = [repository.as_str(), tag.as_str(), "image.pullPolicy=Never"];
    arguments.extend(ours.iter().chain(values).flat_map(|value| ["--set", *value]));
    cluster.helm(&arguments)?;
    Ok(())
}

/// Installs what cargo has built, of the profile that `LEAT_PROFILE` names (else `debug`), into
/// [`NAMESPACE`]; returns the AWS endpoint, as nodes reach it.
///
/// # Errors
/// It is not built, or as [`install`].
pub fn install_built(cluster: &Cluster, values: &[&str]) -> anyhow::Result<String> {
    let programs = programs()?;
    let image = programs.join("leat-image.tar");
    build_image(&programs.join("leat"), &programs.join("leat-operator"), &image)?;
    install(cluster, &image, NAMESPACE, values)?;
    let path = "jsonpath={.spec.clusterIP}";
    let address = cluster.kubectl(&["get", "service", "leat", "-n", NAMESPACE, "-o", path])?;
    Ok(format!("http://{}:4567", address.trim()))
}

/// Where cargo puts programs of the profile that `LEAT_PROFILE` names, else of `debug`.
///
/// # Errors
/// There are none.
pub fn programs() -> anyhow::Result<PathBuf> {
    let profile = std::env::var("LEAT_PROFILE").unwrap_or_else(|_| "debug".to_owned());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target").join(profile);
    folder.canonicalize().with_context(|| format!("{}: build first", folder.display()))
}

/// Makes a ServiceAccount `name` that has a role, as in `ClusterRole/leat-edit`, in the namespace,
/// and an access key for it.
///
/// # Errors
/// The API server refused it.
pub fn access_key(namespace: &Namespace, name: &str, role: &str) -> anyhow::Result<AccessKey> {
    let (kind, role) = role.split_once('/').context("a role is KIND/NAME")?;
    let key = AccessKey {
        id: format!("LEAT{:016X}", rand::random::<u64>()),
        secret: format!("{:032x}", rand::random::<u128>()),
    };
    let (id, secret, home) = (&key.id, &key.secret, namespace.name());
    namespace.apply(&format!(
        r#"
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {name}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: {name}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: {kind}, name: {role}}}
subjects: [{{kind: ServiceAccount, name: {name}, namespace: {home}}}]
---
apiVersion: v1
kind: Secret
metadata:
  name: {name}
  labels: {{leat.dev/access-key: "true"}}
  annotations: {{leat.dev/service-account: {name}}}
stringData: {{aws_access_key_id: "{id}", aws_secret_access_key: "{secret}"}}
"#
    ))?;
    Ok(key)
}

/// The chart's folder.
#[must_use]
pub fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/leat")
}

/// `helm`: the one that `e2e/cluster.sh up` built, else the machine's.
///
/// # Errors
/// There is none.
pub fn helm() -> anyhow::Result<PathBuf> {
    let built = Local::helm_program()?;
    let of_path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(built)
        .chain(std::env::split_paths(&of_path).map(|folder| folder.join("helm")));
    all.into_iter()
        .find(|program| program.is_file())
        .context("no helm: e2e/cluster.sh up builds it once")
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn the_image_has_both_programs_and_each_library_once() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("leat.tar");
        let program = std::env::current_exe().unwrap();
        build_image(&program, &program, &target).unwrap();
        let tag = format!("leat.dev/leat:{}", digest(&[&program, &program]).unwrap());
        assert_eq!(image::tag_of(&target).unwrap(), tag);

        let mut layer = Vec::new();
        let mut archive = tar::Archive::new(File::open(&target).unwrap());
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            if entry.path().unwrap().ends_with("layer.tar") {
                std::io::Read::read_to_end(&mut entry, &mut layer).unwrap();
            }
        }
        let mut archive = tar::Archive::new(&layer[..]);
        let path = |entry: tar::Entry<'_, _>| entry.path().unwrap().display().to_string();
        let mut paths: Vec<String> =
            archive.entries().unwrap().map(|entry| path(entry.unwrap())).collect();
        assert!(paths.contains(&"usr/local/bin/leat".to_owned()));
        assert!(paths.contains(&"usr/local/bin/leat-operator".to_owned()));
        paths.sort_unstable();
        let count = paths.len();
        paths.dedup();
        assert_eq!(paths.len(), count);
    }
}
