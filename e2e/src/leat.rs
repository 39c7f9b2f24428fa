//! A `leat standalone` process under test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a start may take on a busy machine.
const START_MAX: Duration = Duration::from_secs(30);

/// How to start it.
#[derive(Clone, Debug)]
pub struct Start {
    /// The program.
    pub program: PathBuf,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// Further arguments.
    pub args: Vec<String>,
    /// Further environment variables.
    pub environment: Vec<(String, String)>,
}

impl Start {
    /// The program under test on this directory.
    #[must_use]
    pub fn on(data_dir: &Path) -> Start {
        Start {
            program: program(),
            data_dir: data_dir.to_owned(),
            args: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// With further environment variables.
    #[must_use]
    pub fn with_environment(mut self, variables: &[(&str, &str)]) -> Start {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        self.environment.extend(variables.iter().map(owned));
        self
    }

    /// With further arguments.
    #[must_use]
    pub fn with(mut self, args: &[&str]) -> Start {
        self.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }
}

/// A process that serves. Dropping it kills it.
pub struct Leat {
    child: Child,
    address: String,
    log: Arc<Mutex<Vec<String>>>,
    /// Ends with the process.
    reader: Option<JoinHandle<()>>,
}

/// The program under test, which `e2e/test.sh` builds.
#[must_use]
pub fn program() -> PathBuf {
    target("debug/leat")
}

/// The build that acknowledges before it is durable.
#[must_use]
pub fn broken_program() -> PathBuf {
    target("leat-broken")
}

fn target(path: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target").join(path);
    assert!(target.exists(), "{} is missing: run e2e/test.sh, which builds it", target.display());
    target
}

impl Leat {
    /// Starts it on a free port and waits until it serves.
    ///
    /// # Errors
    /// It ended, or does not serve in time; with what it logged.
    pub fn start(start: &Start) -> anyhow::Result<Leat> {
        let free_port: &[&str] = match start.args.iter().any(|arg| arg == "--listen") {
            true => &[],
            false => &["--listen", "127.0.0.1:0"],
        };
        let mut child = Command::new(&start.program)
            .arg("standalone")
            .arg("--data-dir")
            .arg(&start.data_dir)
            .args(free_port)
            .args(&start.args)
            .envs(start.environment.iter().cloned())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {}", start.program.display()))?;
        let stderr = child.stderr.take().context("no standard error")?;
        let log = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                sink.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let mut leat = Leat { child, address: String::new(), log, reader: Some(reader) };
        leat.address = leat.wait_until_serving()?;
        Ok(leat)
    }

    /// `127.0.0.1:PORT`
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its endpoint for clients.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// The process's id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(mut self) {
        self.end();
    }

    /// SIGTERM; what it logged until it ended.
    ///
    /// # Errors
    /// It ended with a failure, or not at all.
    pub fn stop(mut self) -> anyhow::Result<String> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("a process id")?, Signal::TERM)?;
        let status = self.child.wait()?;
        let log = self.last_log();
        if !status.success() {
            bail!("{status}:\n{log}");
        }
        Ok(log)
    }

    /// A plain HTTP request without anything that AWS wants: status line, headers and body.
    ///
    /// # Errors
    /// The connection failed.
    pub fn raw(&self, request: &str) -> anyhow::Result<String> {
        let mut socket = TcpStream::connect(&self.address)?;
        socket.write_all(request.as_bytes())?;
        let mut response = Vec::new();
        socket.read_to_end(&mut response)?;
        Ok(String::from_utf8_lossy(&response).into_owned())
    }

    /// The body of a GET.
    ///
    /// # Errors
    /// The connection failed.
    pub fn get(&self, path: &str) -> anyhow::Result<String> {
        self.raw(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"))
    }

    fn wait_until_serving(&mut self) -> anyhow::Result<String> {
        let started = Instant::now();
        loop {
            let log = self.log();
            let serving =
                log.lines().find_map(|line| line.split_once("serving Kinesis Data Streams on "));
            if let Some((_, rest)) = serving {
                let endpoint = rest.split_whitespace().next().unwrap_or_default();
                let address = endpoint.split("://").nth(1).context("an endpoint")?;
                return Ok(address.to_owned());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{status}:\n{}", self.last_log());
            }
            if START_MAX < started.elapsed() {
                bail!("it does not serve after {START_MAX:?}:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// All that it logged, once it has ended.
    fn last_log(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            // It only reads; it does not fail.
            let _ = reader.join();
        }
        self.log()
    }

    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Leat {
    fn drop(&mut self) {
        self.end();
    }
}
