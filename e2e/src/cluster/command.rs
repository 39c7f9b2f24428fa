//! Other programs, run and waited for; and waiting for conditions, always with a bound.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// Between two looks at a condition. Each costs a process or a request, so not shorter.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Between two signs of life of something that takes minutes.
const SAY_EVERY: Duration = Duration::from_secs(30);

/// Looks until `look` finds something, for at most `timeout`.
///
/// # Errors
/// The time is over; with the last error of `look`, which does not end the wait.
pub fn wait<T>(
    what: &str,
    timeout: Duration,
    mut look: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let started = Instant::now();
    loop {
        let found = look();
        if let Ok(Some(found)) = found {
            return Ok(found);
        }
        if timeout < started.elapsed() {
            let last = found.err().map(|error| format!(": {error:#}")).unwrap_or_default();
            bail!("waited {timeout:?} for {what}{last}");
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// What it printed.
pub(crate) fn output_of(command: &mut Command) -> anyhow::Result<String> {
    let output = command.stdin(Stdio::null()).output();
    checked(command, output.with_context(|| missing(command))?)
}

/// What it printed, given this on its standard input.
pub(crate) fn with_input(command: &mut Command, input: &[u8]) -> anyhow::Result<String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| missing(command))?;
    // It may end before it has read all: then its status says why.
    let _ = child.stdin.take().context("no standard input")?.write_all(input);
    let output = child.wait_with_output()?;
    checked(command, output)
}

/// Something that takes minutes: says so every now and then, on standard error. What it says itself
/// goes to a file, and is shown when it fails.
pub(crate) fn run_long(what: &str, command: &mut Command, log: &Path) -> anyhow::Result<()> {
    eprintln!("{what} ...");
    let started = Instant::now();
    let mut said = started;
    let file = File::create(log).with_context(|| format!("create {}", log.display()))?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let mut child = command.spawn().with_context(|| missing(command))?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if SAY_EVERY < said.elapsed() {
            said = Instant::now();
            eprintln!("{what} ... {} s", started.elapsed().as_secs());
        }
        std::thread::sleep(LOOK_EVERY);
    };
    if !status.success() {
        bail!("{what}: {status}:\n{}", tail(log));
    }
    eprintln!("{what}: {} s", started.elapsed().as_secs());
    Ok(())
}

/// The end of a log.
pub(crate) fn tail(log: &Path) -> String {
    const LINES: usize = 15;
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

fn missing(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    format!("run {program} (e2e/cluster.sh installs what is needed)")
}

fn checked(command: &Command, output: Output) -> anyhow::Result<String> {
    if !output.status.success() {
        let program = command.get_program().to_string_lossy();
        let arguments: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        let errors = String::from_utf8_lossy(&output.stderr);
        let printed = String::from_utf8_lossy(&output.stdout);
        let status = output.status;
        bail!("{program} {}: {status}: {}{}", arguments.join(" "), errors.trim(), printed.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
