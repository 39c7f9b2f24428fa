//! Processes that outlive the command that started them, found again by a file each: the id, when
//! it started, and the command line. An id alone is no proof: it may have become another program's.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

use crate::cluster::command::{tail, wait};

/// How long a killed process may take to be gone.
const END_MAX: Duration = Duration::from_secs(20);

/// One long-running program of the cluster.
#[derive(Clone, Debug)]
pub(crate) struct Daemon {
    /// `kubelet.node-2`: the names of its log and of its record.
    pub(crate) name: String,
    /// The program and its arguments.
    pub(crate) command: Vec<String>,
    /// The network namespace it runs in, unless the machine's own.
    pub(crate) netns: Option<String>,
    /// What it finds in its environment beyond ours.
    pub(crate) env: Vec<(String, String)>,
}

/// Where records and logs are.
#[derive(Clone, Debug)]
pub(crate) struct Processes {
    records: PathBuf,
    logs: PathBuf,
}

impl Processes {
    pub(crate) fn below(state: &Path) -> Processes {
        Processes { records: state.join("pids"), logs: state.join("logs") }
    }

    pub(crate) fn log_of(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }

    /// Starts it unless it runs already, with this very command line.
    pub(crate) fn ensure(&self, daemon: &Daemon) -> anyhow::Result<()> {
        if let Some((_, command)) = self.running(&daemon.name) {
            if command == daemon.command {
                return Ok(());
            }
            self.end(&daemon.name)?;
        }
        fs::create_dir_all(&self.records)?;
        fs::create_dir_all(&self.logs)?;
        let path = self.log_of(&daemon.name);
        let log = OpenOptions::new().create(true).append(true).open(&path)?;
        // A session of its own, so that a Ctrl-C in the terminal of `up` does not reach it. Both of
        // these programs become the next one: the id stays.
        let mut command = Command::new("setsid");
        if let Some(netns) = &daemon.netns {
            // Not `ip netns exec`: that mounts /sys anew, which hides the cgroups.
            command.args(["nsenter", &format!("--net=/run/netns/{netns}")]);
        }
        let child = command
            .args(&daemon.command)
            .envs(daemon.env.iter().cloned())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {}", daemon.name))?;
        let started = start_time(child.id()).with_context(|| self.log_tail(&daemon.name))?;
        let record = format!("{}\n{started}\n{}", child.id(), daemon.command.join("\n"));
        fs::write(self.records.join(&daemon.name), record)?;
        Ok(())
    }

    /// The id of a recorded process that is still the same program.
    pub(crate) fn pid(&self, name: &str) -> Option<u32> {
        self.running(name).map(|(pid, _)| pid)
    }

    fn running(&self, name: &str) -> Option<(u32, Vec<String>)> {
        let record = fs::read_to_string(self.records.join(name)).ok()?;
        let mut lines = record.lines();
        let pid: u32 = lines.next()?.parse().ok()?;
        let started: u64 = lines.next()?.parse().ok()?;
        let command: Vec<String> = lines.map(str::to_owned).collect();
        if start_time(pid) != Some(started) {
            return None;
        }
        // While it becomes another program a process has no command line for a moment, and before
        // that it is still `setsid` or `nsenter`, with this command line at its end.
        let now = command_line(pid);
        (now.is_empty() || now.ends_with(&command)).then_some((pid, command))
    }

    /// Every name that has a record.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.records).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// SIGKILL, as a power cut would end it, and waits until it is gone. Fine when it is not there.
    pub(crate) fn end(&self, name: &str) -> anyhow::Result<()> {
        if let Some(pid) = self.pid(name) {
            kill(pid);
            wait(&format!("{name} (process {pid}) to end"), END_MAX, || {
                Ok(self.pid(name).is_none().then_some(()))
            })?;
        }
        // It may never have been started.
        let _ = fs::remove_file(self.records.join(name));
        Ok(())
    }

    /// The end of its log, for an error.
    pub(crate) fn log_tail(&self, name: &str) -> String {
        let path = self.log_of(name);
        format!("the end of {}:\n{}", path.display(), tail(&path))
    }
}

/// SIGKILL. The process may have ended by itself.
pub(crate) fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let _ = pid.map(|pid| kill_process(pid, Signal::KILL));
}

/// In ticks since the machine's start; none when there is no such process, or when it has ended and
/// only its parent has not looked yet.
pub(crate) fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in parentheses, which may contain anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let state = fields.next()?;
    // The 20th and the 22nd field of all; the state was the third.
    let threads: u32 = fields.nth(16)?.parse().ok()?;
    let started = fields.nth(1)?.parse().ok()?;
    // The first thread may have ended while others still hold the sockets open.
    let ended = state == "X" || (state == "Z" && threads <= 1);
    (!ended).then_some(started)
}

fn command_line(pid: u32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.split_terminator('\0').map(str::to_owned).collect()
}

/// Processes whose command line has this among its arguments.
pub(crate) fn with_argument(wanted: &str) -> Vec<u32> {
    pids().filter(|pid| command_line(*pid).iter().any(|argument| argument == wanted)).collect()
}

/// Processes that have all of these in their environment, as `NAME=VALUE`.
pub(crate) fn with_environment(wanted: &[&str]) -> Vec<u32> {
    let has_all = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let has = |one: &&str| environment.split(|byte| *byte == 0).any(|is| is == one.as_bytes());
        wanted.iter().all(has)
    };
    pids().filter(has_all).collect()
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
