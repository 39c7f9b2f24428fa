//! The server's start with 1 GB on disk, after a kill, and what memory it takes.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::{Args, say};

const PROGRAM: &str = "target/release/leat";
const STARTS: usize = 5;

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let directory = tempfile::tempdir_in(&args.dir)?;
    for shards in [4_u32, 16] {
        let data = directory.path().join(shards.to_string());
        let mut server = Server::start(&data)?;
        let idle_before = server.resident_mib()?;
        let load = Command::new(PROGRAM)
            .args(["bench", "--records", "1000000", "--connections", "4", "--json"])
            .args(["--endpoint", &server.endpoint, "--create", "--keep"])
            .args(["--shards", &shards.to_string()])
            .stderr(Stdio::null())
            .output()?;
        if !load.status.success() {
            bail!("leat bench failed: {}", String::from_utf8_lossy(&load.stdout));
        }
        let under_load = server.peak_mib()?;
        server.kill()?;
        let mut times = Vec::new();
        let mut idle = 0.0;
        for _ in 0..STARTS {
            let mut server = Server::start(&data)?;
            times.push(server.started.as_secs_f64() * 1e3);
            std::thread::sleep(Duration::from_millis(200));
            idle = server.resident_mib()?;
            server.kill()?;
        }
        times.sort_by(f64::total_cmp);
        say(&format!(
            "\nstart: 1 GB in {shards} shards, after kill -9: serving after {:.0} ms (median of {STARTS}, worst {:.0}); resident {idle_before:.0} MiB when empty, {idle:.0} MiB idle with the data, {under_load:.0} MiB at most under load",
            times[STARTS / 2],
            times[STARTS - 1],
        ));
    }
    Ok(())
}

struct Server {
    child: Child,
    endpoint: String,
    started: Duration,
}

impl Server {
    fn start(data: &Path) -> anyhow::Result<Server> {
        let started = Instant::now();
        let mut child = Command::new(PROGRAM)
            .args(["standalone", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data)
            .stderr(Stdio::piped())
            .spawn()
            .context("cargo build --release -p dataplane comes first")?;
        let stderr = child.stderr.take().context("no standard error")?;
        let mut lines = BufReader::new(stderr).lines();
        for line in &mut lines {
            let line = line?;
            let Some((_, rest)) = line.split_once("serving Kinesis Data Streams on ") else {
                continue;
            };
            let endpoint = rest.split_whitespace().next().context("an endpoint")?.to_owned();
            let started = started.elapsed();
            // Keeps reading, so that the server never waits for us.
            std::thread::spawn(move || lines.for_each(drop));
            return Ok(Server { child, endpoint, started });
        }
        bail!("the server ended: {}", child.wait()?)
    }

    fn resident_mib(&self) -> anyhow::Result<f64> {
        self.memory("VmRSS:")
    }

    fn peak_mib(&self) -> anyhow::Result<f64> {
        self.memory("VmHWM:")
    }

    fn memory(&self, field: &str) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kib: f64 =
            line.context("no such field")?.trim().trim_end_matches(" kB").trim().parse()?;
        Ok(kib / 1024.0)
    }

    fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has been killed, unless something failed before.
        let _ = self.kill();
    }
}
