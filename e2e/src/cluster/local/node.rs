//! One node: containerd, kubelet and kube-proxy, with roots, sockets, certificates, a cgroup and
//! (but for node-1) a network namespace of their own; so that one node can die while the others
//! live.
//!
//! What the nodes deliberately share is the machine's file system, its kernel and its process ids.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::binaries::Binaries;
use super::network::{self, DNS_SERVICE, PODS};
use super::pki::{Pki, Subject};
use super::process::{self, Daemon, Processes};
use crate::cluster::command::{output_of, wait};

const CGROUPS: &str = "/sys/fs/cgroup";
const CONTAINERD_START_MAX: Duration = Duration::from_secs(60);
/// The kernel's limit on a socket's path is 108 bytes with its end.
const SOCKET_PATH_MAX: usize = 107;
pub(crate) const PAUSE_IMAGE: &str = "leat.dev/pause:1";

/// A node of the local provider, by its number from 1.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    number: u8,
    name: String,
    folder: PathBuf,
    state: PathBuf,
}

impl Node {
    pub(crate) fn new(state: &Path, number: u8) -> Node {
        let name = network::node_name(number);
        Node { number, folder: state.join(&name), name, state: state.to_owned() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn number(&self) -> u8 {
        self.number
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("containerd.sock")
    }

    fn text(&self, path: &str) -> String {
        self.folder.join(path).to_string_lossy().into_owned()
    }

    /// Where the kubelet looks for seccomp profiles of type Localhost.
    pub(crate) fn seccomp_folder(&self) -> PathBuf {
        self.folder.join("kubelet/seccomp")
    }

    fn cgroup(&self) -> String {
        format!("leat-{}", self.name)
    }

    /// Writes the files that its programs read.
    pub(crate) fn prepare(&self, pki: &Pki) -> anyhow::Result<()> {
        for folder in ["cni", "kubelet", "kubelet/seccomp", "volumes"] {
            fs::create_dir_all(self.folder.join(folder))?;
        }
        // Pods run as any user, and their volumes are mounted from here.
        fs::set_permissions(self.folder.join("volumes"), fs::Permissions::from_mode(0o755))?;
        let socket = self.text("containerd.sock").len();
        ensure!(socket <= SOCKET_PATH_MAX, "{}: too long for a socket", self.text(""));
        self.make_cgroups()?;
        let file = format!("kubelet-{}", self.name);
        let subject = Subject {
            file: &file,
            common_name: &format!("system:node:{}", self.name),
            organization: "system:nodes",
            serves: &format!("IP:{}", network::node_address(self.number)),
        };
        let kubeconfig = self.folder.join("kubelet.kubeconfig");
        pki.kubeconfig(&kubeconfig, &subject, &super::control::server())?;
        fs::write(self.folder.join("containerd.toml"), self.containerd_config())?;
        fs::write(self.folder.join("cni/10-pods.conflist"), self.cni_config())?;
        fs::write(self.folder.join("kubelet.yaml"), self.kubelet_config(pki))?;
        // Names outside the cluster do not resolve: nothing outside it is to be talked to.
        fs::write(self.folder.join("resolv.conf"), "")?;
        Ok(())
    }

    /// The kubelet makes everything below its `cgroupRoot`, but not that itself.
    fn make_cgroups(&self) -> anyhow::Result<()> {
        ensure!(
            !Path::new(CGROUPS).join("cgroup.controllers").exists(),
            "this machine has cgroup v2 only, which the local provider has never been tried on: \
             use --provider kind"
        );
        for entry in fs::read_dir(CGROUPS)? {
            let controller = entry?.path();
            let folder = controller.join(self.cgroup());
            if controller.is_symlink() || folder.exists() {
                continue;
            }
            fs::create_dir(&folder).with_context(|| format!("create {}", folder.display()))?;
            // A new cpuset is empty, and a process cannot be put into an empty one.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if let Ok(all) = fs::read(controller.join(file)) {
                    fs::write(folder.join(file), all)?;
                }
            }
        }
        Ok(())
    }

    fn containerd_config(&self) -> String {
        format!(
            r#"version = 2
root = "{root}"
state = "{state}"
[grpc]
  address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{opt}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Without CAP_SYS_RESOURCE a negative oom_score_adj is refused, and no pod starts.
  restrict_oom_score_adj = true
  # Then all mounts of ours are below one directory, and can be found again.
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{cni}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"#,
            root = self.text("containerd"),
            state = self.text("containerd-state"),
            socket = self.text("containerd.sock"),
            opt = self.text("containerd-opt"),
            cni = self.text("cni"),
        )
    }

    /// Each pod on a cable of its own, routed: on a bridge, packets between two pods of one node
    /// would pass by the tables that turn a Service's address back.
    fn cni_config(&self) -> String {
        format!(
            r#"{{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {{"type": "ptp", "ipMasq": false,
    "ipam": {{"type": "host-local", "dataDir": "{leases}",
      "ranges": [[{{"subnet": "{subnet}"}}]], "routes": [{{"dst": "0.0.0.0/0"}}]}}}},
  {{"type": "portmap", "capabilities": {{"portMappings": true}}}}
]}}
"#,
            leases = self.text("cni-leases"),
            subnet = network::pod_subnet(self.number),
        )
    }

    fn kubelet_config(&self, pki: &Pki) -> String {
        format!(
            r#"apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: {address}
authentication:
  anonymous: {{enabled: false}}
  webhook: {{enabled: true}}
  x509: {{clientCAFile: {ca}}}
authorization: {{mode: Webhook}}
tlsCertFile: {certificate}
tlsPrivateKeyFile: {key}
clusterDNS: [{DNS_SERVICE}]
clusterDomain: cluster.local
resolvConf: {resolv}
containerRuntimeEndpoint: unix://{socket}
cgroupDriver: cgroupfs
cgroupRoot: /{cgroup}
failCgroupV1: false
failSwapOn: false
podLogsDir: {logs}
volumePluginDir: {plugins}
# The disk is not the cluster's own: how full it is says nothing about the cluster.
evictionHard: {{memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}}
imageGCHighThresholdPercent: 100
# With the controller manager's grace period: a dead node is noticed soon.
nodeStatusUpdateFrequency: 4s
nodeLeaseDurationSeconds: 16
"#,
            address = network::node_address(self.number),
            ca = pki.text("ca.crt"),
            certificate = pki.text(&format!("kubelet-{}.crt", self.name)),
            key = pki.text(&format!("kubelet-{}.key", self.name)),
            resolv = self.text("resolv.conf"),
            socket = self.text("containerd.sock"),
            cgroup = self.cgroup(),
            logs = self.text("pod-logs"),
            plugins = self.text("kubelet/plugins-exec"),
        )
    }

    fn daemon(&self, program: &str, command: &[String]) -> Daemon {
        Daemon {
            name: format!("{program}.{}", self.name),
            command: command.to_vec(),
            netns: network::netns(self.number),
            env: Vec::new(),
        }
    }

    fn containerd(&self) -> Daemon {
        let config = self.text("containerd.toml");
        self.daemon("containerd", &["/usr/bin/containerd".to_owned(), "-c".to_owned(), config])
    }

    fn kubelet(&self, binaries: &Binaries) -> Daemon {
        let command = [
            binaries.kubernetes("kubelet").to_string_lossy().into_owned(),
            format!("--config={}", self.text("kubelet.yaml")),
            format!("--kubeconfig={}", self.text("kubelet.kubeconfig")),
            format!("--root-dir={}", self.text("kubelet")),
            format!("--hostname-override={}", self.name),
            format!("--node-ip={}", network::node_address(self.number)),
        ];
        self.daemon("kubelet", &command)
    }

    fn proxy(&self, binaries: &Binaries) -> Daemon {
        let address = network::node_address(self.number);
        let command = [
            binaries.kubernetes("kube-proxy").to_string_lossy().into_owned(),
            format!("--kubeconfig={}", self.state.join("proxy.kubeconfig").display()),
            format!("--hostname-override={}", self.name),
            "--proxy-mode=iptables".to_owned(),
            format!("--cluster-cidr={PODS}"),
            format!("--healthz-bind-address={address}:10256"),
            "--nodeport-addresses=primary".to_owned(),
            // Otherwise it wants to change a limit of the whole machine, and ends when it may not.
            "--conntrack-max-per-core=0".to_owned(),
        ];
        self.daemon("kube-proxy", &command)
    }

    /// Starts its programs; those that run are left alone.
    pub(crate) fn start(&self, processes: &Processes, binaries: &Binaries) -> anyhow::Result<()> {
        let containerd = self.containerd();
        processes.ensure(&containerd)?;
        let started =
            wait("containerd to answer", CONTAINERD_START_MAX, || self.ctr(&["version"]).map(Some));
        started.with_context(|| processes.log_tail(&containerd.name))?;
        processes.ensure(&self.kubelet(binaries))?;
        processes.ensure(&self.proxy(binaries))
    }

    /// Puts an image into its containerd.
    pub(crate) fn load(&self, archive: &Path) -> anyhow::Result<()> {
        let archive = archive.to_string_lossy();
        let loaded = self.ctr(&["-n", "k8s.io", "images", "import", &archive]);
        loaded.map(|_| ()).with_context(|| format!("load {archive} on {}", self.name))
    }

    fn ctr(&self, arguments: &[&str]) -> anyhow::Result<String> {
        output_of(Command::new("ctr").arg("--address").arg(self.socket()).args(arguments))
    }

    /// Ends everything that runs on it at once, as when its power is cut. What pods wrote stays.
    pub(crate) fn kill(&self, processes: &Processes) -> anyhow::Result<()> {
        // First what would start pods again.
        for program in ["kubelet", "kube-proxy", "containerd"] {
            processes.end(&format!("{program}.{}", self.name))?;
        }
        // A shim carries its containerd's socket on its command line.
        wait("the pods' processes to end", Duration::from_secs(20), || {
            let mut left = process::with_argument(&self.text("containerd.sock"));
            left.extend(self.in_cgroups());
            left.iter().for_each(|pid| process::kill(*pid));
            Ok(left.is_empty().then_some(()))
        })
    }

    /// The processes of its pods: whatever is below its cgroup, in one controller as in all.
    fn in_cgroups(&self) -> Vec<u32> {
        let mut open = vec![Path::new(CGROUPS).join("pids").join(self.cgroup())];
        let mut found = Vec::new();
        while let Some(folder) = open.pop() {
            let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            found.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
            let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
            open.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
        }
        // A zombie stays listed until its parent looks; it is nobody's work any more.
        found.retain(|pid| process::start_time(*pid).is_some());
        found
    }

    /// Takes away the cgroups, innermost first. The node must have been killed.
    pub(crate) fn remove_cgroups(&self) {
        let entries = fs::read_dir(CGROUPS).into_iter().flatten().flatten();
        for controller in entries.map(|entry| entry.path()).filter(|path| !path.is_symlink()) {
            let mut folders = vec![controller.join(self.cgroup())];
            let mut at = 0;
            while let Some(folder) = folders.get(at) {
                let inner = fs::read_dir(folder).into_iter().flatten().flatten();
                let inner: Vec<PathBuf> =
                    inner.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
                folders.extend(inner);
                at += 1;
            }
            // Those of a controller that this machine does not have are not there.
            folders.iter().rev().for_each(|folder| drop(fs::remove_dir(folder)));
        }
    }
}
