//! What the log and the server do, beside what the disk can do, measured in one run.
//!
//! Each figure is printed with the limit it is compared to: `fio` on the same directory with the same
//! block size, or a copy in memory. Machines differ and are noisy; the ratios are what to look at.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

mod append;
mod engine;
mod fio;
mod latency;
mod list;
mod read;
mod start;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Benchmarks of Leat as ratios to the disk. Needs fio.
#[derive(Parser)]
struct Args {
    /// Where to put files: on the disk to measure, not on a tmpfs.
    #[arg(long, default_value = "target/bench")]
    dir: PathBuf,
    /// io_uring or blocking calls: uring or blocking.
    #[arg(long, default_value = "uring")]
    backend: storage::Backend,
    /// Log threads; the default is that of the server on two processors.
    #[arg(long, default_value_t = 2)]
    log_threads: usize,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Clone, Copy, Subcommand)]
enum What {
    /// Appends of 1 KiB records to 16 shards, each acknowledged after fdatasync.
    Append,
    /// One append at a time on an idle log.
    Latency,
    /// Reads from the tip and from cold segments.
    Read,
    /// Pages of 10,000 streams.
    List,
    /// Start with 1 GB on disk, and resident memory. Needs target/release/leat.
    Start,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    std::fs::create_dir_all(&args.dir)?;
    let all = [What::Append, What::Latency, What::Read, What::List, What::Start];
    let chosen = args.what.map_or(all.to_vec(), |what| vec![what]);
    for what in chosen {
        match what {
            What::Append => append::run(&args)?,
            What::Latency => latency::run(&args)?,
            What::Read => read::run(&args)?,
            What::List => list::run(&args)?,
            What::Start => start::run(&args)?,
        }
    }
    Ok(())
}

/// Prints a line of results.
#[expect(clippy::print_stdout, reason = "printing is what this program does")]
fn say(line: &str) {
    println!("{line}");
}
