//! All of Leat in one process on a local directory.
//!
//! ```text
//!  data-dir/lock                            one process at a time
//!  data-dir/encryption.keys                 master keys, unless a key file is named
//!  data-dir/catalog/NAME.json               the streams
//!  data-dir/delivery-streams/NAME.json      the delivery streams
//!  data-dir/delivery-sources/NAME.json      the streams that hold what was put into them
//!  data-dir/shards/UID/SHARD/*.segment      the records of both
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use auth::{Authenticator, Caller, CredentialStore};
use catalog::{Catalog, Entries, LocalCatalog};
use delivery_catalog::{DeliveryCatalog, LocalDeliveryCatalog};
use encryption::MasterKeys;
use model::Clock;
use prometheus_client::registry::Registry;
use shard::SystemClock;
use storage::crashsafe;
use streams_api::{Api, ApiOptions, Heat, Identity, Shards};
use telemetry::Readiness;
use tokio::net::TcpListener;

use crate::args::StandaloneArgs;
use crate::host;
use crate::roles::engine::{self, EngineSettings};
use crate::roles::intake;
use crate::roles::keeper::Keeper;
use crate::roles::own_streams::OwnStreams;
use crate::server::{OneAccount, Server, ServerOptions, Services};
use crate::tls::EndpointTls;
use deliveries::Deliveries;
use reconcile::Reconciler;

mod deliveries;
mod manifests;
mod ondemand;
mod reconcile;
mod secrets;

/// How long requests under way may take once the process was told to stop.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Serves until told to stop.
pub(crate) async fn run(args: StandaloneArgs) -> anyhow::Result<()> {
    let started = Instant::now();
    telemetry::start_logging(args.log_format);
    let authenticator = Arc::new(authenticator(&args)?);
    let tls = EndpointTls::open(args.tls_cert.clone(), args.tls_key.clone())?;
    let wanted = manifests::read(&args.manifests)?;
    host::raise_open_files_limit();
    let _lock = host::lock(&args.data_dir)?;

    let mut registry = Registry::default();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let catalog = Arc::new(LocalCatalog::open(&args.data_dir.join("catalog"))?);
    let deliveries = Arc::new(LocalDeliveryCatalog::open(&args.data_dir.join("delivery-streams"))?);
    let sources = Arc::new(LocalCatalog::open(&args.data_dir.join("delivery-sources"))?);
    let (engine, _) = engine::start(
        &EngineSettings {
            backend: args.backend,
            log_threads: args.log_threads,
            tail_mib: args.memory_tail,
            reads_mib: args.memory_reads,
        },
        &clock,
        &mut registry,
    )?;
    let shards = Shards::default();
    let keys = Arc::new(master_keys(&args, &[&catalog, &sources])?);
    let heat = Heat::default();
    let metrics = streams_api::Metrics::register(&mut registry);
    let identity = Identity { region: args.region.clone(), account: args.account_id.clone() };
    let options = |catalog: &Arc<LocalCatalog>| ApiOptions {
        catalog: Arc::clone(catalog) as Arc<dyn Catalog>,
        shards: shards.clone(),
        clock: Arc::clone(&clock),
        identity: identity.clone(),
        random: rand::random,
        keys: Arc::clone(&keys),
        metrics: metrics.clone(),
        event_bytes_max: args.memory_events << 20,
        rights: None,
        heat: heat.clone(),
    };
    let api = Api::new(options(&catalog));
    let sources_api = Api::new(options(&sources));
    let secrets: Arc<dyn delivery::Secrets> =
        Arc::new(wanted.secrets.with(Arc::clone(&deliveries)));
    let context = Arc::new(delivery::Context {
        clock: Arc::clone(&clock),
        stores: Arc::new(delivery::ObjectStores::new(Arc::clone(&secrets))),
        streams: Arc::new(OwnStreams {
            api: api.clone(),
            catalog: Arc::clone(&catalog) as Arc<dyn Catalog>,
        }),
        secrets,
        random: rand::random,
        memory: delivery::Memory::new(args.memory_delivery << 20),
        metrics: delivery::Metrics::register(&mut registry),
        statuses: delivery::Statuses::default(),
        region: args.region.clone(),
        account: args.account_id.clone(),
    });
    let refused = intake::Refused::default();
    let firehose = firehose_api::Api::new(firehose_api::ApiOptions {
        catalog: Arc::clone(&deliveries) as Arc<DeliveryCatalog>,
        intake: Arc::new(intake::Sources { api: sources_api.clone(), refused: refused.clone() }),
        clock: Arc::clone(&clock),
        identity: firehose_api::Identity {
            region: args.region.clone(),
            account: args.account_id.clone(),
        },
        random: rand::random,
        check: {
            let context = Arc::clone(&context);
            Arc::new(move |stream| intake::checked(&context, stream))
        },
        has_key: {
            let keys = Arc::clone(&keys);
            Arc::new(move |id: &str| keys.contains(id))
        },
        rights: None,
    });
    manifests::check_deliveries(&context, &wanted.deliveries)?;
    // Whoever calls before all is ready waits.
    let listener = TcpListener::bind(args.listen);
    let listener = listener.await.with_context(|| format!("listen on {}", args.listen))?;
    let address = listener.local_addr()?;

    let pace = ondemand::Pace {
        every: Duration::from_secs(args.on_demand_interval),
        quiet_for: Duration::from_secs(args.on_demand_quiet),
    };
    let scaling = ondemand::start(Arc::clone(&catalog), heat, pace);
    let reconciler = |catalog: &Arc<LocalCatalog>| {
        let directory = args.data_dir.join("shards");
        let keeper = Keeper::new(engine.clone(), shards.clone(), directory, Arc::clone(&keys));
        Reconciler::new(Arc::clone(catalog), keeper, Arc::clone(&clock))
    };
    let reconciling = [reconciler(&catalog).start().await, reconciler(&sources).start().await];
    let delivering = Deliveries::new(deliveries::Parts {
        catalog: Arc::clone(&deliveries),
        sources: Arc::clone(&sources),
        sources_api,
        streams: Arc::clone(&catalog),
        shards: shards.clone(),
        caller: Caller {
            account: args.account_id.clone(),
            user: "delivery".to_owned(),
            source_ip: args.listen.ip(),
            is_secure: true,
        },
        context,
        refused,
    });
    let delivering = delivering.start();
    let applied = manifests::apply(&*catalog, wanted.streams).await?;
    let delivered = manifests::apply_deliveries(&*deliveries, wanted.deliveries).await?;
    for line in applied.iter().chain(&delivered) {
        tracing::info!("{line}");
    }

    let readiness = Readiness::default();
    let server = Server::new(ServerOptions {
        accounts: Arc::new(OneAccount {
            services: Services { streams: api, firehose },
            authenticator,
            id: args.account_id.clone(),
        }),
        tls,
        memory_bytes_max: args.memory_requests << 20,
        readiness: readiness.clone(),
        registry: Arc::new(registry),
    });
    // From here on who is told to end ends in order.
    let stopped = host::stop_signal()?;
    readiness.set(true);
    announce(&args, address, started.elapsed());
    server.serve(listener, stopped, Duration::ZERO, DRAIN_MAX).await;

    tracing::info!("stopping");
    scaling.abort();
    delivering.stop().await;
    reconciling.iter().for_each(tokio::task::JoinHandle::abort);
    engine.shutdown().await;
    tracing::info!("stopped");
    Ok(())
}

/// Beyond loopback nobody is let in without credentials.
fn authenticator(args: &StandaloneArgs) -> anyhow::Result<Authenticator> {
    let Some(file) = &args.credentials_file else {
        if args.listen.ip().is_loopback() {
            return Ok(Authenticator::AnyCredentials);
        }
        bail!(
            "--listen {} is reachable from other machines, and without --credentials-file anybody \
             there could read and write: give a credentials file, or listen on 127.0.0.1",
            args.listen
        );
    };
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let store =
        CredentialStore::parse(&text).with_context(|| format!("read {}", file.display()))?;
    Ok(Authenticator::Store(store))
}

/// The keys of the file that was named; else of one beside the data, made at the first start.
fn master_keys(args: &StandaloneArgs, catalogs: &[&LocalCatalog]) -> anyhow::Result<MasterKeys> {
    let named = args.encryption_key_file.clone();
    let file = named.clone().unwrap_or_else(|| args.data_dir.join("encryption.keys"));
    if named.is_none() && !file.exists() {
        let mut streams = catalogs.iter().flat_map(|catalog| catalog.list(None, usize::MAX));
        if let Some(stream) = streams.find(|stream| !stream.data_keys.is_empty()) {
            bail!(
                "{} is missing, and records of stream {} were encrypted under its keys: restore it. A new \
                 one would have keys of the same names that open nothing",
                file.display(),
                stream.name
            );
        }
        crashsafe::write_secret_file(&file, MasterKeys::new_file().as_bytes())
            .with_context(|| format!("write {}", file.display()))?;
    }
    let text =
        std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    MasterKeys::parse(&text).with_context(|| format!("read {}", file.display()))
}

fn announce(args: &StandaloneArgs, address: std::net::SocketAddr, started: Duration) {
    let scheme = if args.tls_cert.is_some() { "https" } else { "http" };
    tracing::info!(
        data_dir = %args.data_dir.display(),
        "serving Kinesis Data Streams on {scheme}://{address} after {} ms",
        started.as_millis()
    );
    let credentials = match &args.credentials_file {
        Some(file) => format!("AWS_SHARED_CREDENTIALS_FILE={}", file.display()),
        None => "AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any".to_owned(),
    };
    tracing::info!(
        "point a client at it: export AWS_ENDPOINT_URL_KINESIS={scheme}://{address} AWS_REGION={} {credentials}",
        args.region
    );
}
