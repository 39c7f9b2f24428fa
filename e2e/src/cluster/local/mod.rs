//! The provider for machines without Docker: a real Kubernetes from its own programs, as root, with
//! everything it keeps below one directory and every process known by its id.
//!
//! It deliberately does not share a machine with another Kubernetes (a kubelet or kube-proxy of
//! someone else's would fight over the same tables), and does not keep a cluster over `down`, or
//! over the end of all its processes.
//! What `down` leaves behind: logs, and the kernel settings that a kubelet and kube-proxy change
//! (forwarding, overcommitment, what a panic does).

mod binaries;
mod control;
mod network;
mod node;
mod pki;
mod process;

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::geteuid;

use self::binaries::Binaries;
use self::node::{Node, PAUSE_IMAGE};
use self::pki::Pki;
use self::process::Processes;
use super::command::{output_of, wait, with_input};
use super::{image, provisioner};

pub(crate) use self::binaries::kubectl;

/// Names the directory of the cluster that this machine runs: two would share addresses and tables.
const OWNER: &str = "/run/leat-e2e-cluster";
/// Addresses are made from a node's number, and each takes memory.
const NODES_MAX: u8 = 9;
const NODES_READY_MAX: Duration = Duration::from_secs(180);
const DNS_READY_MAX: Duration = Duration::from_secs(120);
const METRICS_READY_MAX: Duration = Duration::from_secs(120);

/// A local cluster, running or not.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    state: PathBuf,
    nodes: Vec<Node>,
    processes: Processes,
    binaries: Binaries,
    pki: Pki,
}

impl Local {
    pub(crate) fn open(state: &Path, nodes: u8) -> anyhow::Result<Local> {
        ensure!((1..=NODES_MAX).contains(&nodes), "from 1 to {NODES_MAX} nodes");
        Ok(Local {
            state: state.to_owned(),
            nodes: (1..=nodes).map(|number| Node::new(state, number)).collect(),
            processes: Processes::below(state),
            binaries: Binaries::new()?,
            pki: Pki::open(state.join("pki"))?,
        })
    }

    /// Makes sure that this machine is this cluster's. When all processes of the last one ended without a
    /// `down` (the machine's restart, a session that was cut), what it left is taken away, whichever
    /// tree it was of: the cables of its pods hold addresses that the next pods get, too.
    pub(crate) fn claim_machine(state: &Path) -> anyhow::Result<()> {
        ensure!(geteuid().is_root(), "the local provider needs root: use sudo, or --provider kind");
        let last = fs::read_to_string(OWNER).map_or_else(|_| state.to_owned(), PathBuf::from);
        for left in [last.as_path(), state] {
            let processes = Processes::below(left);
            let names = processes.names();
            if names.iter().any(|name| processes.pid(name).is_some()) {
                let advice = "end it first, with e2e/cluster.sh down in that tree";
                let whose = left.display();
                ensure!(left == state, "this machine runs the cluster of {whose}: {advice}");
            } else if !names.is_empty() {
                // Of one that was never started nothing is there: that would be somebody else's.
                Local::open(left, NODES_MAX)?.down()?;
            }
        }
        fs::write(OWNER, state.as_os_str().as_encoded_bytes()).context(OWNER)
    }

    /// Builds, writes, starts and waits, each only as far as needed. The machine has been claimed.
    pub(crate) fn up(&self) -> anyhow::Result<()> {
        let started = Instant::now();
        let say = |what: &str| eprintln!("{:5.1} s  {what}", started.elapsed().as_secs_f32());
        self.binaries.ensure()?;
        say("programs are there");
        network::up(u8::try_from(self.nodes.len())?)?;
        control::credentials(&self.state, &self.pki)?;
        for node in &self.nodes {
            node.prepare(&self.pki).with_context(|| node.name().to_owned())?;
        }
        say("network and certificates are there");
        self.start_etcd()?;
        self.start_api_server()?;
        say("the API server serves");
        self.processes.ensure(&control::controllers(&self.state, &self.binaries, &self.pki))?;
        self.processes.ensure(&control::scheduler(&self.state, &self.binaries))?;
        self.start_provisioner()?;
        for node in &self.nodes {
            node.start(&self.processes, &self.binaries)?;
        }
        self.system_images()?;
        say("the nodes' programs run");
        self.apply(provisioner::STORAGE_CLASS)?;
        let dns = include_str!("coredns.yaml").replace("IMAGE", &coredns_tag());
        self.apply(&dns.replace("ADDRESS", network::DNS_SERVICE))?;
        for node in &self.nodes {
            self.wait_ready(node)?;
        }
        say("the nodes are ready");
        let dns = ["-n", "kube-system", "rollout", "status", "deployment/coredns"];
        let timeout = format!("--timeout={}s", DNS_READY_MAX.as_secs());
        self.kubectl(&[&dns[..], &[&timeout]].concat()).with_context(|| self.why_no_dns())?;
        say("DNS answers");
        Ok(())
    }

    fn why_no_dns(&self) -> String {
        let look = |words: &[&str]| {
            let said = self.kubectl(&[&["-n", "kube-system"], words].concat());
            said.unwrap_or_else(|error| format!("{error:#}"))
        };
        let pods = look(&["describe", "pods"]);
        let logs = look(&["logs", "deployment/coredns", "--tail=20"]);
        format!("DNS does not become ready:\n{pods}\n{logs}")
    }

    /// A copy of this very program: a new build of it must not disturb the running one.
    fn start_provisioner(&self) -> anyhow::Result<()> {
        let daemon = control::provisioner(&self.state, &self.binaries);
        if self.processes.pid(&daemon.name).is_none() {
            let folder = self.state.join("bin");
            fs::create_dir_all(&folder)?;
            // Not over it: it may be running still, unknown to us.
            let fresh = folder.join("fresh");
            // By this name it is found even when a build has just replaced it.
            fs::copy("/proc/self/exe", &fresh)?;
            fs::rename(fresh, folder.join("cluster"))?;
        }
        self.processes.ensure(&daemon)
    }

    fn system_images(&self) -> anyhow::Result<()> {
        self.system_image(&self.binaries.pause, "pause", PAUSE_IMAGE)?;
        self.system_image(&self.binaries.coredns, "coredns", &coredns_tag())
    }

    /// An image of one static program on every node, unless it is there.
    fn system_image(&self, program: &Path, name: &str, tag: &str) -> anyhow::Result<()> {
        let folder = self.state.join("images");
        fs::create_dir_all(&folder)?;
        let archive = folder.join(format!("{name}.tar"));
        if archive.exists() {
            return Ok(());
        }
        let path = format!("/{name}");
        let mut config = image::Config::new(tag, &path);
        // DNS has a port below 1024, and the right to it comes to root only.
        config.user = 0;
        let unfinished = archive.with_extension("unfinished");
        image::build(&unfinished, &config, &[image::Entry::file(program, &path, 0o755)])?;
        self.load(&unfinished)?;
        // Its being there says that it is loaded, too.
        fs::rename(unfinished, archive)?;
        Ok(())
    }

    /// Starts what autoscalers read, and waits until it has something to say.
    pub(crate) fn start_metrics(&self) -> anyhow::Result<()> {
        self.binaries.ensure_metrics()?;
        let tag = format!("leat.dev/metrics-server:{}", binaries::METRICS);
        self.system_image(&self.binaries.metrics, "metrics-server", &tag)?;
        self.apply(&include_str!("metrics.yaml").replace("IMAGE", &tag))?;
        wait("metrics of every node", METRICS_READY_MAX, || {
            let listed = self.kubectl(&["get", "nodes.metrics.k8s.io", "-o", "name"])?;
            Ok((listed.lines().count() == self.nodes.len()).then_some(()))
        })
    }

    fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(self.binaries.kubernetes("kubectl"));
        output_of(command.env("KUBECONFIG", self.state.join("kubeconfig")).args(arguments))
    }

    fn apply(&self, yaml: &str) -> anyhow::Result<()> {
        let mut command = Command::new(self.binaries.kubernetes("kubectl"));
        command.env("KUBECONFIG", self.state.join("kubeconfig")).args(["apply", "-f", "-"]);
        with_input(&mut command, yaml.as_bytes()).map(|_| ())
    }

    fn wait_ready(&self, node: &Node) -> anyhow::Result<()> {
        let path = "jsonpath={.status.conditions[?(@.type=='Ready')].status}";
        let what = format!("{} to be Ready", node.name());
        let health = format!("/api/v1/nodes/{}/proxy/healthz", node.name());
        let look = || {
            // Ready may be from before it was killed: so the kubelet itself is asked, too.
            self.kubectl(&["get", "--raw", &health])?;
            let status = self.kubectl(&["get", "node", node.name(), "-o", path])?;
            Ok((status == "True").then_some(()))
        };
        self.wait_for(&format!("kubelet.{}", node.name()), &what, NODES_READY_MAX, look)
    }

    /// Waits for something that a process does; not when it has ended.
    fn wait_for(
        &self,
        process: &str,
        what: &str,
        timeout: Duration,
        mut look: impl FnMut() -> anyhow::Result<Option<()>>,
    ) -> anyhow::Result<()> {
        let lives = wait(what, timeout, || match self.processes.pid(process) {
            Some(_) => Ok(look()?.map(|()| true)),
            None => Ok(Some(false)),
        });
        lives
            .and_then(|lives| lives.then_some(()).context("it ended by itself"))
            .with_context(|| format!("{what}; {}", self.processes.log_tail(process)))
    }

    fn start_etcd(&self) -> anyhow::Result<()> {
        let daemon = control::etcd(&self.state);
        self.processes.ensure(&daemon)?;
        self.wait_for(&daemon.name, "etcd to listen", control::ETCD_START_MAX, || {
            Ok(TcpStream::connect(control::ETCD_ADDRESS).map(drop).map(Some)?)
        })
    }

    pub(crate) fn start_api_server(&self) -> anyhow::Result<()> {
        let daemon = control::api_server(&self.binaries, &self.pki);
        self.processes.ensure(&daemon)?;
        let what = "the API server to be ready";
        self.wait_for(&daemon.name, what, control::API_START_MAX, || {
            self.kubectl(&["get", "--raw", "/readyz"]).map(|_| Some(()))
        })
    }

    pub(crate) fn stop_api_server(&self) -> anyhow::Result<()> {
        self.processes.end("kube-apiserver")
    }

    fn node(&self, name: &str) -> anyhow::Result<&Node> {
        let found = self.nodes.iter().find(|node| node.name() == name);
        found.with_context(|| format!("there is no node {name}"))
    }

    pub(crate) fn kill_node(&self, name: &str) -> anyhow::Result<()> {
        self.node(name)?.kill(&self.processes)
    }

    pub(crate) fn start_node(&self, name: &str) -> anyhow::Result<()> {
        let node = self.node(name)?;
        node.start(&self.processes, &self.binaries)?;
        self.wait_ready(node)
    }

    pub(crate) fn set_link(&self, name: &str, state: &str) -> anyhow::Result<()> {
        network::set_link(self.node(name)?.number(), state)
    }

    pub(crate) fn install_seccomp(&self, file: &str, profile: &str) -> anyhow::Result<()> {
        for node in &self.nodes {
            fs::write(node.seccomp_folder().join(file), profile)?;
        }
        Ok(())
    }

    pub(crate) fn helm(&self) -> PathBuf {
        self.binaries.helm.clone()
    }

    /// SIGKILL to the processes of a pod of ours, which know its name and namespace.
    pub(crate) fn kill_pod(namespace: &str, pod: &str) -> anyhow::Result<()> {
        let (name, home) = (format!("POD_NAME={pod}"), format!("POD_NAMESPACE={namespace}"));
        let pids = process::with_environment(&[&name, &home]);
        ensure!(!pids.is_empty(), "no process of pod {namespace}/{pod}");
        pids.into_iter().for_each(process::kill);
        Ok(())
    }

    /// Where `helm` is once a cluster has been up.
    pub(crate) fn helm_program() -> anyhow::Result<PathBuf> {
        Ok(Binaries::new()?.helm)
    }

    pub(crate) fn load(&self, archive: &Path) -> anyhow::Result<()> {
        self.nodes.iter().try_for_each(|node| node.load(archive))
    }

    /// Each process and whether it runs.
    pub(crate) fn status(&self) -> String {
        let line = |name: String| match self.processes.pid(&name) {
            Some(pid) => format!("{name}: runs, process {pid}\n"),
            None => format!("{name}: DEAD, see {}\n", self.processes.log_of(&name).display()),
        };
        self.processes.names().into_iter().map(line).collect()
    }

    /// Ends and removes all of it but the logs. Goes on after what does not work, and says it.
    pub(crate) fn down(&self) -> anyhow::Result<()> {
        for name in self.processes.names().iter().filter(|name| !name.contains(".node-")) {
            self.processes.end(name)?;
        }
        for node in &self.nodes {
            node.kill(&self.processes)?;
        }
        unmount_below(&self.state)?;
        for node in &self.nodes {
            node.remove_cgroups();
        }
        network::down();
        remove_log_links(&self.state)?;
        for entry in fs::read_dir(&self.state)? {
            let path = entry?.path();
            let removed = match path.is_dir() && !path.is_symlink() {
                true if path.ends_with("logs") => Ok(()),
                true => fs::remove_dir_all(&path),
                false => fs::remove_file(&path),
            };
            removed.with_context(|| format!("remove {}", path.display()))?;
        }
        Ok(())
    }
}

fn coredns_tag() -> String {
    format!("leat.dev/coredns:{}", binaries::COREDNS)
}

/// What kubelets and containers have mounted, innermost first.
fn unmount_below(state: &Path) -> anyhow::Result<()> {
    let mounted = || -> anyhow::Result<Vec<String>> {
        let text = fs::read_to_string("/proc/self/mountinfo")?;
        let points = text.lines().filter_map(|line| line.split_whitespace().nth(4));
        // The kernel writes a blank as \040: with one in the path of the tree nothing would be
        // found.
        let points: Vec<String> = points.map(|point| point.replace("\\040", " ")).collect();
        Ok(points.into_iter().filter(|point| Path::new(point).starts_with(state)).collect())
    };
    for point in mounted()?.iter().rev() {
        // Lazily: its last user may be on the way out.
        output_of(Command::new("umount").args(["--lazy", point]))?;
    }
    match mounted()?.first() {
        Some(left) => bail!("{left} is still mounted"),
        None => Ok(()),
    }
}

/// Kubelets leave links to pods' logs in a directory whose path is fixed.
fn remove_log_links(state: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir("/var/log/containers").into_iter().flatten().flatten() {
        let link = entry.path();
        if fs::read_link(&link).is_ok_and(|target| target.starts_with(state)) {
            fs::remove_file(link)?;
        }
    }
    Ok(())
}
