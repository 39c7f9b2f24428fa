//! The programs that no Debian package has: Kubernetes, CoreDNS, helm and the metrics server from
//! the Go module proxy, and the pause program. Built once and kept outside the tree, under a name
//! that has the version and a digest of what it was built from, so that `up` after a change builds
//! anew and otherwise does not.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use sha2::{Digest, Sha256};

use crate::cluster::command::{output_of, run_long};
use crate::cluster::image::hex;

const KUBERNETES: &str = "v1.34.4";
pub(crate) const COREDNS: &str = "v1.13.1";
const HELM: &str = "v3.22.0";
pub(crate) const METRICS: &str = "v0.8.0";
const PAUSE_SOURCE: &str = include_str!("pause.c");

/// The names under which the one Kubernetes binary is called.
const KUBERNETES_PROGRAMS: [&str; 6] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
];

/// Where they are.
#[derive(Clone, Debug)]
pub(crate) struct Binaries {
    kubernetes: PathBuf,
    pub(crate) coredns: PathBuf,
    pub(crate) helm: PathBuf,
    pub(crate) metrics: PathBuf,
    pub(crate) pause: PathBuf,
}

impl Binaries {
    /// Where they are or will be.
    pub(crate) fn new() -> anyhow::Result<Binaries> {
        let cache = cache()?;
        let sources = go_sources();
        let kubernetes = digest(&sources.join("server"), &["go.mod", "go.sum", "main.go"])?;
        let coredns = digest(&sources.join("coredns"), &["go.mod", "go.sum", "main.go"])?;
        let pause = &hex(&Sha256::digest(PAUSE_SOURCE))[..12];
        Ok(Binaries {
            kubernetes: cache.join(format!("kubernetes-{KUBERNETES}-{kubernetes}")),
            coredns: cache.join(format!("coredns-{COREDNS}-{coredns}/coredns")),
            helm: cache.join(format!("helm-{HELM}/helm")),
            metrics: cache.join(format!("metrics-server-{METRICS}/metrics-server")),
            pause: cache.join(format!("pause-{pause}/pause")),
        })
    }

    /// `kubelet` and its like.
    pub(crate) fn kubernetes(&self, program: &str) -> PathBuf {
        self.kubernetes.join(program)
    }

    /// Builds what is not there.
    pub(crate) fn ensure(&self) -> anyhow::Result<()> {
        ensure_in(&self.kubernetes, |folder| {
            let version = "k8s.io/component-base/version";
            let flags = format!(
                "-s -w -X {version}.gitVersion={KUBERNETES} -X {version}.gitMajor=1 \
                 -X {version}.gitMinor=34"
            );
            go_build("server", &flags, &folder.join("kubernetes"))?;
            for program in KUBERNETES_PROGRAMS {
                symlink("kubernetes", folder.join(program))?;
            }
            Ok(())
        })?;
        ensure_in(folder_of(&self.coredns)?, |folder| {
            go_build("coredns", "-s -w", &folder.join("coredns"))
        })?;
        let package = format!("helm.sh/helm/v3/cmd/helm@{HELM}");
        ensure_in(folder_of(&self.helm)?, |folder| go_install(&package, folder))?;
        ensure_in(folder_of(&self.pause)?, |folder| {
            let source = folder.join("pause.c");
            fs::write(&source, PAUSE_SOURCE)?;
            let mut command = Command::new("gcc");
            command.args(["-Os", "-static", "-s", "-o"]).arg(folder.join("pause")).arg(source);
            output_of(&mut command).map(|_| ())
        })
    }

    /// Builds the metrics server, which few tests need, unless it is there.
    pub(crate) fn ensure_metrics(&self) -> anyhow::Result<()> {
        let package = format!("sigs.k8s.io/metrics-server/cmd/metrics-server@{METRICS}");
        ensure_in(folder_of(&self.metrics)?, |folder| go_install(&package, folder))
    }
}

/// `kubectl` of the cluster's own version when it has been built, else the machine's.
pub(crate) fn kubectl() -> PathBuf {
    let built = Binaries::new().map(|binaries| binaries.kubernetes("kubectl"));
    built.ok().filter(|path| path.exists()).unwrap_or_else(|| PathBuf::from("kubectl"))
}

fn cache() -> anyhow::Result<PathBuf> {
    if let Some(cache) = std::env::var_os("LEAT_E2E_CACHE") {
        let cache = PathBuf::from(cache);
        ensure!(cache.is_absolute(), "LEAT_E2E_CACHE must be an absolute path");
        return Ok(cache);
    }
    let home = std::env::var_os("HOME").context("neither LEAT_E2E_CACHE nor HOME is set")?;
    Ok(Path::new(&home).join(".cache/leat-e2e"))
}

fn go_sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("kubernetes")
}

fn digest(folder: &Path, files: &[&str]) -> anyhow::Result<String> {
    let mut digest = Sha256::new();
    for file in files {
        let path = folder.join(file);
        digest.update(fs::read(&path).with_context(|| format!("read {}", path.display()))?);
    }
    Ok(hex(&digest.finalize())[..12].to_owned())
}

fn folder_of(program: &Path) -> anyhow::Result<&Path> {
    program.parent().context("a program in no folder")
}

/// Fills a folder beside its place and then renames it: half a build is never taken for a whole
/// one.
fn ensure_in(place: &Path, fill: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
    if place.exists() {
        return Ok(());
    }
    let unfinished = place.with_file_name(format!("unfinished-{}", std::process::id()));
    let _ = fs::remove_dir_all(&unfinished); // Of an earlier process with this id.
    fs::create_dir_all(&unfinished)?;
    let filled = fill(&unfinished);
    if filled.is_err() {
        let _ = fs::remove_dir_all(&unfinished);
    }
    filled?;
    fs::rename(&unfinished, place).with_context(|| format!("rename to {}", place.display()))
}

fn go() -> Command {
    let mut command = Command::new("go");
    // Static, so that they run in an image FROM scratch. No version stamp of our own repository.
    command.env("CGO_ENABLED", "0").env("GOFLAGS", "-buildvcs=false");
    command
}

fn go_build(folder: &str, flags: &str, target: &Path) -> anyhow::Result<()> {
    let mut command = go();
    command.current_dir(go_sources().join(folder));
    command.args(["build", "-trimpath", "-ldflags", flags, "-o"]).arg(target).arg(".");
    let log = target.with_extension("log");
    run_long(&format!("building {folder} from e2e/kubernetes (once, minutes)"), &mut command, &log)
}

fn go_install(package: &str, folder: &Path) -> anyhow::Result<()> {
    let mut command = go();
    command.env("GOBIN", folder);
    command.args(["install", "-trimpath", "-ldflags", "-s -w", package]);
    let log = folder.join("build.log");
    run_long(&format!("building {package} (once, minutes)"), &mut command, &log)
}
