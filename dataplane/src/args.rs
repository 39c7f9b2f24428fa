//! What can be said on the command line. Everything that can be configured is here.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use storage::Backend;
use telemetry::LogFormat;

/// Amazon Kinesis on your own machines.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve Kinesis Data Streams from a local directory, in this one process.
    ///
    /// Point any AWS client at it by its endpoint alone:
    ///
    ///   leat standalone --data-dir ./leat-data &
    ///   export AWS_ENDPOINT_URL_KINESIS=http://127.0.0.1:4567 AWS_REGION=us-east-1
    ///   export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any
    ///   aws kinesis create-stream --stream-name clicks --shard-count 2
    ///
    /// A put is answered when it is on disk. SIGTERM and SIGINT stop it cleanly; killing it loses
    /// nothing that was acknowledged.
    #[command(verbatim_doc_comment)]
    Standalone(StandaloneArgs),
    /// Hold shards, as a pod that the operator made. Not for people.
    Stream(StreamArgs),
    /// Deliver records, as a pod that the operator made. Not for people.
    Delivery(DeliveryArgs),
    /// Serve the AWS endpoint of a cluster: the shards are in other pods.
    ///
    /// Streams are resources of the cluster, and a namespace is an account. Who may do what is for
    /// Kubernetes to say: an access key is a Secret labelled leat.dev/access-key=true, with
    /// aws_access_key_id and aws_secret_access_key, of the service account that its annotation
    /// leat.dev/service-account names.
    #[command(verbatim_doc_comment)]
    Gateway(GatewayArgs),
    /// Copy a seccomp profile that allows io_uring to where the kubelet looks for profiles.
    InstallSeccomp(InstallSeccompArgs),
    /// Put records to a Kinesis endpoint as fast as it takes them, and measure.
    ///
    ///   leat bench --create --shards 4 --records 1000000 --check
    #[command(verbatim_doc_comment)]
    Bench(BenchArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct StandaloneArgs {
    /// Apply the resources in this YAML file at start, as `kubectl apply` would. Repeatable.
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    pub(crate) manifests: Vec<PathBuf>,
    /// Keep everything in this directory. Created if it does not exist.
    #[arg(long, value_name = "DIR", default_value = "leat-data")]
    pub(crate) data_dir: PathBuf,
    /// Listen on this address. Beyond loopback only with --credentials-file.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4567")]
    pub(crate) listen: SocketAddr,
    /// Let in only the access keys of this AWS shared credentials file, and verify signatures.
    /// Without it any credentials are accepted.
    #[arg(long, value_name = "FILE")]
    pub(crate) credentials_file: Option<PathBuf>,
    /// Serve HTTPS with this certificate chain (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The private key of --tls-cert (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Encrypt streams, when StartStreamEncryption asks for it, under the master keys of this file: on
    /// each line a key id and 32 bytes in base64. Without it, under a key made in the data directory.
    #[arg(long, value_name = "FILE")]
    pub(crate) encryption_key_file: Option<PathBuf>,
    /// The region in ARNs.
    #[arg(long, default_value = "us-east-1")]
    pub(crate) region: String,
    /// The account in ARNs, twelve digits.
    #[arg(long, default_value = "000000000000", value_parser = parse_account)]
    pub(crate) account_id: String,
    /// How logs are written: uring or blocking. Without it, uring if this machine allows it.
    #[arg(long)]
    pub(crate) backend: Option<Backend>,
    /// Threads that write logs. Without it, one for each two processors, and at least two.
    #[arg(long, value_name = "COUNT")]
    pub(crate) log_threads: Option<usize>,
    /// Memory for recent records, from which readers at the tip are served, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 64)]
    pub(crate) memory_tail: usize,
    /// Memory for reads of older records that are under way, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 64)]
    pub(crate) memory_reads: usize,
    /// Memory for requests and replies that are under way, in MiB; one request whose size is not
    /// known before (compressed, or in chunks) takes up to 60 more.
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    pub(crate) memory_requests: usize,
    /// Memory for events of subscriptions that have not been sent, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 64)]
    pub(crate) memory_events: usize,
    /// Memory for records that delivery streams have read and not delivered, in MiB. When it is short,
    /// they deliver smaller objects and batches.
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    pub(crate) memory_delivery: usize,
    /// Seconds between two looks at the load of on-demand streams. A shard that took more than half of
    /// what an AWS shard takes in the time between is split.
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) on_demand_interval: u64,
    /// Seconds that neighbouring shards of on-demand streams must have been quiet before they are merged.
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    pub(crate) on_demand_quiet: u64,
    /// How log lines look: text or json. RUST_LOG chooses what is logged.
    #[arg(long, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

/// What pods are told that the operator made.
#[derive(Debug, clap::Args)]
pub(crate) struct PodArgs {
    /// What the operator says this pod is.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// The name of this pod.
    #[arg(long, env = "POD_NAME")]
    pub(crate) pod: String,
    /// Its namespace.
    #[arg(long, env = "POD_NAMESPACE")]
    pub(crate) namespace: String,
    /// Listen on this address.
    #[arg(long, value_name = "IP", default_value = "0.0.0.0")]
    pub(crate) listen: IpAddr,
}

#[derive(Debug, clap::Args)]
pub(crate) struct StreamArgs {
    #[command(flatten)]
    pub(crate) pod: PodArgs,
    /// How logs are written: uring or blocking. Without it, uring if this pod is allowed to.
    #[arg(long)]
    pub(crate) backend: Option<Backend>,
    /// Threads that write logs. Without it, one for each two processors, and at least two.
    #[arg(long, value_name = "COUNT")]
    pub(crate) log_threads: Option<usize>,
    /// How log lines look: text or json. RUST_LOG chooses what is logged.
    #[arg(long, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DeliveryArgs {
    #[command(flatten)]
    pub(crate) pod: PodArgs,
    /// The region in ARNs.
    #[arg(long, default_value = "us-east-1")]
    pub(crate) region: String,
    /// Memory for records that were read and are not delivered, in MiB. When it is short, objects and
    /// batches are smaller.
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    pub(crate) memory_delivery: usize,
    /// How log lines look: text or json. RUST_LOG chooses what is logged.
    #[arg(long, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, clap::Args)]
pub(crate) struct GatewayArgs {
    /// Listen on this address.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:4567")]
    pub(crate) listen: SocketAddr,
    /// Serve HTTPS with this certificate chain (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The private key of --tls-cert (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// tls.crt, tls.key and ca.crt for going to the pods that hold shards.
    #[arg(long, value_name = "DIR")]
    pub(crate) node_tls_dir: PathBuf,
    /// The master keys that streams are encrypted under.
    #[arg(long, value_name = "FILE")]
    pub(crate) encryption_key_file: PathBuf,
    /// Keep a copy of the catalog in this directory, so that streams are known at the start. Access keys
    /// are not in it: without the API server a gateway does not start.
    #[arg(long, value_name = "DIR")]
    pub(crate) catalog_copy: Option<PathBuf>,
    /// The region in ARNs.
    #[arg(long, default_value = "us-east-1")]
    pub(crate) region: String,
    /// Memory for requests and replies that are under way, in MiB; one request whose size is not
    /// known before (compressed, or in chunks) takes up to 60 more.
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    pub(crate) memory_requests: usize,
    /// Memory for events of subscriptions that have not been sent, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 64)]
    pub(crate) memory_events: usize,
    /// How log lines look: text or json. RUST_LOG chooses what is logged.
    #[arg(long, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, clap::Args)]
pub(crate) struct InstallSeccompArgs {
    /// The profile.
    #[arg(long, value_name = "FILE")]
    pub(crate) from: PathBuf,
    /// Where it goes, as in /host/seccomp/leat.json.
    #[arg(long, value_name = "FILE")]
    pub(crate) to: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    /// The endpoint to put to.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4567")]
    pub(crate) endpoint: String,
    /// The stream to put to.
    #[arg(long, value_name = "NAME", default_value = "leat-bench")]
    pub(crate) stream: String,
    /// Create the stream first, and delete it afterwards.
    #[arg(long)]
    pub(crate) create: bool,
    /// Do not delete the stream that --create made.
    #[arg(long, requires = "create")]
    pub(crate) keep: bool,
    /// Shards of the stream that --create makes.
    #[arg(long, value_name = "COUNT", default_value_t = 4)]
    pub(crate) shards: u32,
    /// Records to put in all.
    #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
    pub(crate) records: u64,
    /// Bytes of data in each record, at least 16.
    #[arg(long, value_name = "BYTES", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(16..=10_485_760))]
    pub(crate) size: u32,
    /// Records in each PutRecords.
    #[arg(long, value_name = "COUNT", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) batch: u32,
    /// Connections that put at the same time.
    #[arg(long, value_name = "COUNT", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) connections: u32,
    /// Put so many records each second, evenly, and not as many as the endpoint takes. A PutRecords that
    /// starts late, because those before it took long, counts from when it should have started.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rate: Option<u64>,
    /// Read everything back and check that each record is there exactly once.
    #[arg(long)]
    pub(crate) check: bool,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// The region to sign for.
    #[arg(long, env = "AWS_REGION", default_value = "us-east-1")]
    pub(crate) region: String,
    /// The access key to sign with.
    #[arg(long, env = "AWS_ACCESS_KEY_ID", default_value = "bench")]
    pub(crate) access_key_id: String,
    /// Its secret.
    #[arg(long, env = "AWS_SECRET_ACCESS_KEY", default_value = "bench", hide_env_values = true)]
    pub(crate) secret_access_key: String,
}

fn parse_account(text: &str) -> Result<String, String> {
    let is_account = text.len() == 12 && text.bytes().all(|digit| digit.is_ascii_digit());
    is_account.then(|| text.to_owned()).ok_or_else(|| "want twelve digits".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }
}
