//! A real Kubernetes on this machine, for tests: brought up by `e2e/cluster.sh up`, used through
//! [`Cluster`]. Two providers: `local` starts Kubernetes' own programs as root, `kind` asks Docker.
//!
//! It deliberately is no Kubernetes client: tests say what a person would say to `kubectl`.

mod command;
pub mod image;
mod kind;
pub mod leat;
mod local;
mod namespace;
pub mod provisioner;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail, ensure};

use self::command::{output_of, with_input};
use self::local::Local;

pub use self::command::wait;
pub use self::namespace::Namespace;

/// Who runs the nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Provider {
    /// Processes of this machine, as root.
    Local,
    /// Containers of Docker.
    Kind,
}

impl Provider {
    fn name(self) -> &'static str {
        match self {
            Provider::Local => "local",
            Provider::Kind => "kind",
        }
    }
}

/// The cluster of this work tree.
#[derive(Clone, Debug)]
pub struct Cluster {
    state: PathBuf,
    provider: Provider,
    /// `None` under kind.
    local: Option<Local>,
}

/// A forwarded port; closed on drop.
#[derive(Debug)]
pub struct Forward {
    child: Child,
    address: String,
}

impl Cluster {
    /// The one that `e2e/cluster.sh up` made.
    ///
    /// # Errors
    /// There is none.
    pub fn current() -> anyhow::Result<Cluster> {
        let state = state()?;
        let record = fs::read_to_string(state.join("provider"))
            .context("no cluster: bring one up with e2e/cluster.sh up")?;
        let (provider, nodes) = record.trim().split_once(' ').context("a provider and nodes")?;
        let provider = match provider {
            "local" => Provider::Local,
            "kind" => Provider::Kind,
            other => bail!("no provider is called {other}"),
        };
        Cluster::open(state, provider, nodes.parse()?)
    }

    fn open(state: PathBuf, provider: Provider, nodes: u8) -> anyhow::Result<Cluster> {
        let local = match provider {
            Provider::Local => Some(Local::open(&state, nodes)?),
            Provider::Kind => None,
        };
        Ok(Cluster { state, provider, local })
    }

    /// Brings it up, or what is missing of it. Minutes the first time.
    ///
    /// # Errors
    /// A program is missing, or something does not start; the text says what to look at.
    pub fn up(provider: Provider, nodes: u8) -> anyhow::Result<Cluster> {
        let state = state()?;
        let record = format!("{} {nodes}", provider.name());
        let path = state.join("provider");
        if let Ok(there) = fs::read_to_string(&path) {
            let advice = "end it first: e2e/cluster.sh down";
            ensure!(there == record, "a cluster `{there}` is there, not `{record}`: {advice}");
        }
        if provider == Provider::Local {
            Local::claim_machine(&state)?;
        }
        fs::create_dir_all(&state)?;
        // Before it is whole, so that `down` knows what half of it to take away.
        fs::write(&path, record)?;
        let cluster = Cluster::open(state, provider, nodes)?;
        match &cluster.local {
            Some(local) => local.up()?,
            None => kind::up(&cluster.state, nodes)?,
        }
        Ok(cluster)
    }

    /// Ends it, with all that pods have stored.
    ///
    /// # Errors
    /// Something is left.
    pub fn down(&self) -> anyhow::Result<()> {
        match &self.local {
            Some(local) => local.down(),
            None => {
                kind::down()?;
                fs::remove_file(self.state.join("provider"))?;
                Ok(())
            }
        }
    }

    /// The administrator's.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.state.join("kubeconfig")
    }

    /// Puts an image, as a docker-archive, on every node.
    ///
    /// # Errors
    /// It is none, or a node does not take it.
    pub fn load(&self, archive: &Path) -> anyhow::Result<()> {
        let archive = archive.canonicalize().with_context(|| archive.display().to_string())?;
        match &self.local {
            Some(local) => local.load(&archive),
            None => kind::load(&archive),
        }
    }

    /// Processes (local provider) and nodes, for a person.
    ///
    /// # Errors
    /// The API server does not answer.
    pub fn status(&self) -> anyhow::Result<String> {
        let processes = self.local.as_ref().map(Local::status).unwrap_or_default();
        eprint!("{processes}");
        self.kubectl(&["get", "nodes,pods", "--all-namespaces", "--output", "wide"])
    }

    /// `kubectl` as the administrator; to be given further arguments.
    #[must_use]
    pub fn kubectl_command(&self) -> Command {
        let mut command = Command::new(local::kubectl());
        command.env("KUBECONFIG", self.kubeconfig());
        command
    }

    /// What `kubectl` with these arguments printed.
    ///
    /// # Errors
    /// It failed; with what it said.
    pub fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        output_of(self.kubectl_command().args(arguments))
    }

    /// Applies objects.
    ///
    /// # Errors
    /// The API server refused one.
    pub fn apply(&self, yaml: &str) -> anyhow::Result<String> {
        with_input(self.kubectl_command().args(["apply", "-f", "-"]), yaml.as_bytes())
    }

    /// What `helm` with these arguments printed.
    ///
    /// # Errors
    /// It failed; with what it said.
    pub fn helm(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let program = self.local.as_ref().map_or_else(|| PathBuf::from("helm"), Local::helm);
        output_of(Command::new(program).env("KUBECONFIG", self.kubeconfig()).args(arguments))
    }

    /// A new namespace whose name starts with this; deleted on drop.
    ///
    /// # Errors
    /// The API server refused it.
    pub fn namespace(&self, name: &str) -> anyhow::Result<Namespace> {
        Namespace::create(self, name)
    }

    /// Forwards a free port of this machine to one of `pod/NAME` or `service/NAME`.
    ///
    /// # Errors
    /// There is no such pod, or it does not run.
    pub fn port_forward(&self, namespace: &str, to: &str, port: u16) -> anyhow::Result<Forward> {
        let mut command = self.kubectl_command();
        command.args(["-n", namespace, "port-forward", "--address", "127.0.0.1", to]);
        let mut child = command.arg(format!(":{port}")).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut line = String::new();
        let mut stdout = BufReader::new(stdout);
        // "Forwarding from 127.0.0.1:41234 -> 80"; at the end of file it has failed, and said why.
        stdout.read_line(&mut line)?;
        // It has a line to say about each connection, and ends when nobody listens.
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        let mut forward = Forward { child, address: String::new() };
        let address = line.split_whitespace().nth(2);
        address.context("kubectl port-forward ended")?.clone_into(&mut forward.address);
        Ok(forward)
    }

    fn faults(&self) -> anyhow::Result<&Local> {
        self.local.as_ref().context("faults need the local provider: --provider local")
    }

    /// Ends kubelet, containers and all at once, as a power cut would. On node-1 the control plane
    /// goes on.
    ///
    /// # Errors
    /// No such node, or something did not end.
    pub fn kill_node(&self, name: &str) -> anyhow::Result<()> {
        self.faults()?.kill_node(name)
    }

    /// Starts a killed node and waits until it is Ready.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_node(&self, name: &str) -> anyhow::Result<()> {
        self.faults()?.start_node(name)
    }

    /// Ends the processes of a pod of Leat at once, as running out of memory would: nothing is said to
    /// them before.
    ///
    /// # Errors
    /// There are none.
    pub fn kill_pod(&self, namespace: &str, pod: &str) -> anyhow::Result<()> {
        self.faults()?;
        Local::kill_pod(namespace, pod)
    }

    /// Takes the node off the network; its pods go on.
    ///
    /// # Errors
    /// No such node, or node-1.
    pub fn cut_node(&self, name: &str) -> anyhow::Result<()> {
        self.faults()?.set_link(name, "down")
    }

    /// Puts it back.
    ///
    /// # Errors
    /// No such node, or node-1.
    pub fn heal_node(&self, name: &str) -> anyhow::Result<()> {
        self.faults()?.set_link(name, "up")
    }

    /// Kills the API server: controllers are blind, pods go on.
    ///
    /// # Errors
    /// It did not end.
    pub fn stop_api_server(&self) -> anyhow::Result<()> {
        self.faults()?.stop_api_server()
    }

    /// Starts it and waits until it serves.
    ///
    /// # Errors
    /// It does not.
    pub fn start_api_server(&self) -> anyhow::Result<()> {
        self.faults()?.start_api_server()
    }

    /// Puts a profile where pods find it as `seccompProfile: {type: Localhost, localhostProfile:
    /// FILE}`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn install_seccomp(&self, file: &str, profile: &str) -> anyhow::Result<()> {
        self.faults()?.install_seccomp(file, profile)
    }

    /// Starts the metrics server, for `kubectl top` and autoscalers, unless it runs.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_metrics(&self) -> anyhow::Result<()> {
        let local = self.local.as_ref().context("the metrics server is the local provider's")?;
        local.start_metrics()
    }

    /// Who runs the nodes.
    #[must_use]
    pub fn provider(&self) -> Provider {
        self.provider
    }
}

impl Forward {
    /// `127.0.0.1:PORT`
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `target/cluster`, absolute.
fn state() -> anyhow::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    Ok(root.join("target/cluster"))
}
