//! A namespace for one test, which tells what was in it when the test fails.

use super::Cluster;

/// Deleted on drop; first, when the thread panics, its events, pods and logs go to standard error.
#[derive(Debug)]
pub struct Namespace {
    cluster: Cluster,
    name: String,
}

impl Namespace {
    pub(super) fn create(cluster: &Cluster, prefix: &str) -> anyhow::Result<Namespace> {
        // A namespace that is on its way out keeps its name for a while.
        let name = format!("{prefix}-{:06x}", rand::random::<u32>() >> 8);
        cluster.kubectl(&["create", "namespace", &name])?;
        Ok(Namespace { cluster: cluster.clone(), name })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What `kubectl` with these arguments printed, within the namespace.
    ///
    /// # Errors
    /// It failed; with what it said.
    pub fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.cluster.kubectl(&[&["-n", self.name.as_str()], arguments].concat())
    }

    /// Applies objects that name no namespace.
    ///
    /// # Errors
    /// The API server refused one.
    pub fn apply(&self, yaml: &str) -> anyhow::Result<String> {
        let mut command = self.cluster.kubectl_command();
        command.args(["-n", &self.name, "apply", "-f", "-"]);
        super::command::with_input(&mut command, yaml.as_bytes())
    }

    fn dump(&self) {
        let say = |arguments: &[&str]| {
            let text = self.kubectl(arguments).unwrap_or_else(|error| format!("{error:#}"));
            eprintln!("--- kubectl -n {} {}\n{text}", self.name, arguments.join(" "));
        };
        say(&["get", "events", "--sort-by=.lastTimestamp"]);
        say(&["get", "all,persistentvolumeclaims", "--output=wide"]);
        say(&["describe", "pods"]);
        let pods = self.kubectl(&["get", "pods", "--output=name"]).unwrap_or_default();
        for pod in pods.lines() {
            say(&["logs", pod, "--all-containers", "--tail=200"]);
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.dump();
        }
        // Nobody waits until it is gone, seconds later: its name is not used again.
        let deleted = self.cluster.kubectl(&["delete", "namespace", &self.name, "--wait=false"]);
        if let Err(error) = deleted {
            eprintln!("{error:#}");
        }
    }
}
