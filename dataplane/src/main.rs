//! `leat`: every role of the data plane, picked by subcommand.

mod admin;
mod args;
mod bench;
mod client;
mod host;
mod roles;
mod server;
mod tls;

use clap::Parser;

use crate::args::{Args, Command};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    // The allocator asks for huge pages, and the first byte used of one makes all of it resident: an
    // idle process would hold several times what it uses. An older kernel refuses, which is as well.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match args.command {
            Command::Standalone(args) => Box::pin(roles::standalone::run(args)).await,
            Command::Stream(args) => roles::stream::run(args).await,
            Command::Delivery(args) => Box::pin(roles::delivery::run(args)).await,
            Command::Gateway(args) => roles::gateway::run(args).await,
            Command::InstallSeccomp(args) => roles::seccomp::run(&args),
            Command::Bench(args) => bench::run(args).await,
        }
    })
}
