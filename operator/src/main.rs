//! `leat-operator`: reconciles the custom resources of Leat.

mod args;
mod ask;
mod check;
mod controllers;
mod events;
mod execute;
mod lease;
mod memory;
mod metrics;
mod observe;
mod pki;
mod run;
mod server;
mod trust;

use std::io::Write;

use clap::Parser;

use crate::args::{Args, Command};

fn main() -> anyhow::Result<()> {
    match Args::parse().command {
        Command::Crds => {
            let mut out = std::io::stdout().lock();
            for (_, yaml) in operator_api::crds() {
                write!(out, "---\n{yaml}")?;
            }
            Ok(())
        }
        Command::Check(args) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(check::check(args, &mut std::io::stdout().lock()))
        }
        Command::Run(args) => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            let ended = runtime.block_on(run::run(args));
            // What is under way must not outlive the lease.
            runtime.shutdown_background();
            ended
        }
    }
}
