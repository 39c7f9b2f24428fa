//! What the disk can do, as fio says.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

/// Bytes of each file that fio writes.
const FILE_BYTES: u64 = 64 << 20;

pub(crate) struct Fio {
    pub(crate) bytes_per_second: f64,
    /// Of a write and its fdatasync, or of a read, in microseconds.
    pub(crate) p99_micros: f64,
}

/// Overwrites of written blocks, each followed by fdatasync and a `pause`.
pub(crate) fn overwrite(
    dir: &Path,
    block_bytes: u64,
    jobs: usize,
    pause: Duration,
) -> anyhow::Result<Fio> {
    let block = format!("--bs={block_bytes}");
    let pause = format!("--thinktime={}us", pause.as_micros());
    run(dir, jobs, &["--rw=write", "--bs=1M"])?;
    let overwrites = ["--rw=write", "--overwrite=1", "--fdatasync=1", &block, &pause];
    let report = run(dir, jobs, &[&overwrites[..], &["--time_based", "--runtime=5"]].concat())?;
    let percentile = |node: &Value| node["percentile"]["99.000000"].as_f64().unwrap_or(0.0);
    let write = &report["write"];
    Ok(Fio {
        bytes_per_second: write["bw_bytes"].as_f64().context("fio's bandwidth")?,
        p99_micros: (percentile(&write["clat_ns"]) + percentile(&report["sync"]["lat_ns"])) / 1e3,
    })
}

/// Sequential reads around the page cache.
pub(crate) fn read(dir: &Path, block_bytes: u64, jobs: usize) -> anyhow::Result<Fio> {
    let block = format!("--bs={block_bytes}");
    run(dir, jobs, &["--rw=write", "--bs=1M"])?;
    let report = run(dir, jobs, &["--rw=read", &block, "--time_based", "--runtime=3"])?;
    let read = &report["read"];
    Ok(Fio {
        bytes_per_second: read["bw_bytes"].as_f64().context("fio's bandwidth")?,
        p99_micros: read["clat_ns"]["percentile"]["99.000000"].as_f64().unwrap_or(0.0) / 1e3,
    })
}

fn run(dir: &Path, jobs: usize, args: &[&str]) -> anyhow::Result<Value> {
    let output = Command::new("fio")
        .args(["--name=limit", "--ioengine=psync", "--direct=1", "--group_reporting"])
        .args(["--output-format=json", "--filename_format=fio.$jobnum"])
        .arg(format!("--directory={}", dir.display()))
        .arg(format!("--numjobs={jobs}"))
        .arg(format!("--size={FILE_BYTES}"))
        .args(args)
        .output()
        .context("run fio: apt-get install fio")?;
    if !output.status.success() {
        bail!("fio: {}", String::from_utf8_lossy(&output.stderr));
    }
    // fio may print notes before its report.
    let text = String::from_utf8(output.stdout)?;
    let start = text.find('{').context("fio printed no report")?;
    let report: Value = serde_json::from_str(&text[start..])?;
    Ok(report["jobs"][0].clone())
}
