//! The operator's life: serve health, wait for the Lease, reconcile until it is lost.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use kube::Client;
use kube::runtime::events::{Recorder, Reporter};
use operator_api::{AnalyticsApp, VideoStream};
use operator_core::names::FIELD_MANAGER;
use prometheus_client::registry::Registry;
use telemetry::Readiness;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::RunArgs;
use crate::controllers::{delivery_stream, others, stream};
use crate::lease::Lease;
use crate::metrics::Metrics;
use crate::observe;
use crate::server::{Served, serve};
use crate::trust::Trust;

const CONNECT_MAX: Duration = Duration::from_secs(10);
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// It cannot start, or the Lease was lost: then it has to be started again.
pub(crate) async fn run(args: RunArgs) -> anyhow::Result<()> {
    telemetry::start_logging(args.log_format);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let readiness = Readiness::default();
    let listener = TcpListener::bind(args.listen);
    let listener = listener.await.with_context(|| format!("listen on {}", args.listen))?;
    let mut config = kube::Config::infer().await.context("find the cluster")?;
    config.connect_timeout = Some(CONNECT_MAX);
    let client = Client::try_from(config).context("find the cluster")?;
    let (name, identity) = (&args.lease_name, &args.identity);
    let mut lease = Lease::new(client.clone(), &args.namespace, name, identity, metrics.clone());
    let ended = tokio::select! {
        error = serve(listener, Served { registry, readiness: readiness.clone() }) => {
            Err(error).context("serve health")
        }
        ended = lead(client, &args, &mut lease, metrics, &readiness) => ended,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    lease.release().await;
    ended
}

async fn lead(
    client: Client,
    args: &RunArgs,
    lease: &mut Lease,
    metrics: Metrics,
    readiness: &Readiness,
) -> anyhow::Result<()> {
    while let Err(error) = client.apiserver_version().await {
        tracing::warn!(%error, "the API server cannot be reached");
        tokio::time::sleep(RETRY_PAUSE).await;
    }
    // One that waits for the Lease is ready too: to take over.
    readiness.set(true);
    lease.acquire().await;
    tokio::select! {
        () = lease.keep() => bail!("the Lease {} was lost", args.lease_name),
        () = reconcile(client, args, metrics) => bail!("a watch ended"),
    }
}

async fn reconcile(client: Client, args: &RunArgs, metrics: Metrics) {
    let trust = loop {
        match Trust::start(client.clone(), &args.namespace).await {
            Ok(trust) => break Arc::new(trust),
            Err(error) => {
                let error = anyhow::Error::from(error);
                tracing::warn!("certificates and keys are not there yet: {error:#}");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    };
    let reporter =
        Reporter { controller: FIELD_MANAGER.to_owned(), instance: Some(args.identity.clone()) };
    let recorder = Recorder::new(client.clone(), reporter);
    let (all, m, r) = (|| client.clone(), || metrics.clone(), || recorder.clone());
    let settings = || args.settings();
    let kept = Arc::clone(&trust);
    let (caches, watches) = observe::start(&client);
    let watched = (Arc::clone(&caches), watches);
    let of_streams = Arc::clone(&trust);
    tokio::select! {
        () = kept.keep() => {}
        () = stream::run(all(), watched, settings(), args.pace(), of_streams, m(), r()) => {}
        () = delivery_stream::run(all(), caches, settings(), trust, m(), r()) => {}
        () = others::run::<AnalyticsApp>(all(), m(), r()) => {}
        () = others::run::<VideoStream>(all(), m(), r()) => {}
    }
}
