//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use operator_core::manifests::Settings;
use telemetry::LogFormat;

use crate::controllers::stream::Pace;

/// The Kubernetes operator of Leat.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Print the custom resource definitions, for `kubectl apply --server-side -f -`.
    Crds,
    /// Reconcile Streams, DeliveryStreams, AnalyticsApps and VideoStreams in all namespaces.
    ///
    /// Any number of these may run: the one that holds the Lease works, the others wait for it. The
    /// cluster is that of the pod's service account, or of $KUBECONFIG or ~/.kube/config outside one.
    Run(RunArgs),
    /// Ask an AWS endpoint of Leat whether it serves, and whether it lets nobody in without a key.
    Check(CheckArgs),
}

#[derive(clap::Args)]
pub(crate) struct CheckArgs {
    /// The endpoint.
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: String,
    /// The authority of the endpoint's certificate (PEM).
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// How long it may take until all is as it should be.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) timeout: u64,
}

#[derive(clap::Args)]
pub(crate) struct RunArgs {
    /// The namespace of the operator and the gateway, where the Lease, the certificate authority
    /// (Secret leat-ca) and the master keys (Secret leat-encryption-keys) are.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME")]
    pub(crate) namespace: String,

    /// The image of the pods that hold shards, unless a resource names another.
    #[arg(long, env = "LEAT_IMAGE")]
    image: String,

    /// When nodes pull it.
    #[arg(long, default_value = "IfNotPresent", value_name = "POLICY",
        value_parser = ["Always", "IfNotPresent", "Never"])]
    image_pull_policy: String,

    /// Open shards on each pod of a pool.
    #[arg(long, default_value_t = 100, value_name = "COUNT",
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pool_shards_per_pod: u32,

    /// The size of the volume of each pod of a pool. Pools that are there keep theirs.
    #[arg(long, default_value = "10Gi", value_name = "SIZE")]
    pool_volume_size: String,

    /// The region in the ARNs of delivery streams.
    #[arg(long, default_value = "us-east-1")]
    region: String,

    /// Seconds between two looks at the load of on-demand streams. A shard that took more than half of
    /// what an AWS shard takes in the time between is split.
    #[arg(long, default_value_t = 15, value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=3600))]
    on_demand_interval: u64,

    /// Seconds that neighbouring shards of on-demand streams must have been quiet before they are merged.
    #[arg(long, default_value_t = 900, value_name = "SECONDS")]
    on_demand_quiet: u64,

    /// Where /metrics, /livez and /readyz are served.
    #[arg(long, default_value = "0.0.0.0:8080", value_name = "ADDRESS:PORT")]
    pub(crate) listen: SocketAddr,

    /// The Lease that the working one of several operators holds.
    #[arg(long, default_value = "leat-operator", value_name = "NAME")]
    pub(crate) lease_name: String,

    /// What this process is called in the Lease and in events. Unique among those that run.
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub(crate) identity: String,

    /// How log lines look: text or json. RUST_LOG chooses what is logged.
    #[arg(long, default_value_t = LogFormat::Json, value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
}

impl RunArgs {
    /// How closely on-demand streams follow their load.
    pub(crate) fn pace(&self) -> Pace {
        Pace {
            every: Duration::from_secs(self.on_demand_interval),
            quiet_for: Duration::from_secs(self.on_demand_quiet),
        }
    }

    /// What holds for everything that is made.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            image: self.image.clone(),
            image_pull_policy: self.image_pull_policy.clone(),
            namespace: self.namespace.clone(),
            pool_shards_per_pod: self.pool_shards_per_pod,
            pool_volume_size: self.pool_volume_size.clone(),
            region: self.region.clone(),
        }
    }
}
