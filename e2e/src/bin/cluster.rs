//! Brings up a real Kubernetes for tests and for looking around: `e2e/cluster.sh up`.

use std::io::Write;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use e2e::cluster::{Cluster, Provider, image, provisioner};

/// A real Kubernetes on this machine, kept below target/cluster of the work tree.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Brings it up, or what is missing of it; prints what makes kubectl use it.
    Up {
        /// local: Kubernetes' own programs, as root. kind: containers of Docker.
        #[arg(long, value_enum, default_value = "local")]
        provider: ProviderArg,
        /// How many machines it looks like.
        #[arg(long, default_value_t = 2)]
        nodes: u8,
    },
    /// Ends it, with all that pods have stored.
    Down,
    /// Puts an image on every node.
    Load {
        /// A tar as `docker save` writes it.
        image: PathBuf,
    },
    /// Shows its processes, nodes and pods.
    Status,
    /// Serves volume claims; started by `up`.
    #[command(hide = true)]
    Provisioner {
        /// Where the volumes go.
        state: PathBuf,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum ProviderArg {
    Local,
    Kind,
}

fn main() -> anyhow::Result<()> {
    let mut stdout = std::io::stdout();
    match Args::parse().command {
        Action::Up { provider, nodes } => {
            let provider = match provider {
                ProviderArg::Local => Provider::Local,
                ProviderArg::Kind => Provider::Kind,
            };
            let cluster = Cluster::up(provider, nodes)?;
            writeln!(stdout, "export KUBECONFIG={}", cluster.kubeconfig().display())?;
        }
        Action::Down => Cluster::current()?.down()?,
        Action::Load { image } => {
            Cluster::current()?.load(&image)?;
            writeln!(stdout, "{}", image::tag_of(&image)?)?;
        }
        Action::Status => write!(stdout, "{}", Cluster::current()?.status()?)?,
        Action::Provisioner { state } => provisioner::run(&state)?,
    }
    Ok(())
}
