//! The AWS endpoint of a cluster. It holds nothing: streams are resources, shards are in other pods.
//!
//! ```text
//!  access key ──► Secret ──► service account: the user; its namespace: the account
//!  what it may do ──► SubjectAccessReview on streams, streams/records, ...
//!  load of on-demand streams ──► the pods of their shards, whom the operator asks
//!  shard ──► status.shards of its stream ──► pod ──► a connection that all its shards share
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use catalog_kube::{DeliveryStreams, Streams};
use prometheus_client::registry::Registry;
use shard::SystemClock;
use streams_api::Heat;
use telemetry::Readiness;
use tokio::net::TcpListener;

use crate::args::GatewayArgs;
use crate::host;
use crate::roles::route;
use crate::roles::stream::read_keys;
use crate::server::{Server, ServerOptions};
use crate::tls::{EndpointTls, NodeTls};
use accounts::{AccountsOptions, Namespaces};

mod access_keys;
mod accounts;
mod data_keys;
mod heat;
mod rights;

/// How long clients are still sent here once the process was told to stop.
const LINGER: Duration = Duration::from_secs(5);
/// How long requests under way may take once the process was told to stop.
const DRAIN_MAX: Duration = Duration::from_secs(20);

/// Serves until told to stop.
pub(crate) async fn run(args: GatewayArgs) -> anyhow::Result<()> {
    let started = Instant::now();
    telemetry::start_logging(args.log_format);
    host::raise_open_files_limit();
    let tls = EndpointTls::open(args.tls_cert.clone(), args.tls_key.clone())?;
    let node_tls = Arc::new(NodeTls::open(&args.node_tls_dir)?);
    let keys = read_keys(&args.encryption_key_file)?;
    let client = kube::Client::try_default().await.context("find the API server")?;
    let copy = |name: &str| args.catalog_copy.as_ref().map(|directory| directory.join(name));
    let (streams, _watching) = Streams::start(client.clone(), None, copy("catalog.json")).await?;
    let copy = copy("delivery-streams.json");
    let (deliveries, _watching_too) = DeliveryStreams::start(client.clone(), None, copy).await?;

    let mut registry = Registry::default();
    let heat = Heat::default();
    let (shards, routes) = route::start(Arc::clone(&streams), node_tls);
    heat::start(heat.clone(), routes);
    let accounts = Arc::new(Namespaces::new(AccountsOptions {
        streams: Arc::clone(&streams),
        deliveries,
        shards,
        clock: Arc::new(SystemClock),
        region: args.region.clone(),
        keys: Arc::clone(&keys),
        metrics: streams_api::Metrics::register(&mut registry),
        event_bytes_max: args.memory_events << 20,
        client: client.clone(),
        heat,
    }));
    access_keys::start(client, Arc::clone(&accounts)).await?;
    data_keys::start(streams, keys);
    let listener = TcpListener::bind(args.listen);
    let listener = listener.await.with_context(|| format!("listen on {}", args.listen))?;
    let address = listener.local_addr()?;
    let readiness = Readiness::default();
    let server = Server::new(ServerOptions {
        accounts,
        tls,
        memory_bytes_max: args.memory_requests << 20,
        readiness: readiness.clone(),
        registry: Arc::new(registry),
    });
    let stopped = host::stop_signal()?;
    readiness.set(true);
    tracing::info!("serving the cluster's streams on {address} after {:?}", started.elapsed());
    server.serve(listener, stopped, LINGER, DRAIN_MAX).await;
    tracing::info!("stopped");
    Ok(())
}
