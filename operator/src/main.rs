//! The operator of Leat. In this version it prints the custom resource definitions; reconciling them
//! comes with the Kubernetes roles of the data plane.

use std::io::Write;

use clap::{Parser, Subcommand};

/// The Kubernetes operator of Leat.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the custom resource definitions, for `kubectl apply -f -`.
    Crds,
}

fn main() -> anyhow::Result<()> {
    match Args::parse().command {
        Command::Crds => {
            let mut out = std::io::stdout().lock();
            for (_, yaml) in operator_api::crds() {
                write!(out, "---\n{yaml}")?;
            }
        }
    }
    Ok(())
}
