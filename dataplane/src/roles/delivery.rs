//! A pod that delivers: those delivery streams of its namespace whose StatefulSet it is of. It holds nothing.
//!
//! ```text
//!  data-dir/catalog.json, delivery-streams.json    copies, for a start without the API server
//! ```

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use catalog::{Catalog, StreamUid};
use catalog_kube::{DeliveryStreams, NamespaceCatalog, SourceStreams, Streams};
use delivery::{Context, Share, Sharing, Source};
use delivery_catalog::{DeliveryPhase, DeliveryStream};
use model::StreamName;
use node_config::{ADMIN_PORT, NodeConfig};
use operator_api::DeliveryStream as DeliveryStreamResource;
use operator_core::{names, validate_delivery_stream};
use prometheus_client::registry::Registry;
use shard::SystemClock;
use streams_api::{Api, ApiOptions, Heat, Identity, Shards};
use telemetry::Readiness;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::admin;
use crate::args::DeliveryArgs;
use crate::host;
use crate::roles::groups::{Groups, Work, find_shard};
use crate::roles::own_streams::OwnStreams;
use crate::roles::route;
use crate::tls::NodeTls;
use secrets::NamespaceSecrets;
use tell::Teller;

mod secrets;
mod tell;

/// How often to look at what has not changed: what failed is tried again, and how it goes is told.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// Delivers until told to stop.
pub(crate) async fn run(args: DeliveryArgs) -> anyhow::Result<()> {
    let started = Instant::now();
    telemetry::start_logging(args.log_format);
    let text = std::fs::read_to_string(&args.pod.config);
    let text = text.with_context(|| format!("read {}", args.pod.config.display()))?;
    let config = NodeConfig::parse(&text)?;
    let Some(ordinal) = names::ordinal(&config.stateful_set, &args.pod.pod) else {
        bail!("pod {} is none of StatefulSet {}", args.pod.pod, config.stateful_set);
    };
    host::raise_open_files_limit();
    let tls = Arc::new(NodeTls::open(Path::new(&config.tls_dir))?);

    let mut registry = Registry::default();
    let metrics = delivery::Metrics::register(&mut registry);
    let client = kube::Client::try_default().await.context("find the API server")?;
    let copy = |name: &str| Some(Path::new(&config.data_dir).join(name));
    let namespace = || Some(args.pod.namespace.clone());
    let (streams, _watching) =
        Streams::start(client.clone(), namespace(), copy("catalog.json")).await?;
    let copy = copy("delivery-streams.json");
    let (deliveries, _watching_too) =
        DeliveryStreams::start(client.clone(), namespace(), copy).await?;
    let (shards, _) = route::start(Arc::clone(&streams), tls);
    let own = NamespaceCatalog::new(Arc::clone(&streams), &args.pod.namespace);
    let own: Arc<dyn Catalog> = Arc::new(own);
    let account = names::account_id(&args.pod.namespace);
    let api = Api::new(ApiOptions {
        catalog: Arc::clone(&own),
        shards: shards.clone(),
        clock: Arc::new(SystemClock),
        identity: Identity { region: args.region.clone(), account: account.clone() },
        random: rand::random,
        // Whoever reads and puts needs none.
        keys: Arc::default(),
        metrics: streams_api::Metrics::register(&mut registry),
        event_bytes_max: 0,
        rights: None,
        heat: Heat::default(),
    });
    let readiness = Readiness::default();
    let admin = TcpListener::bind((args.pod.listen, ADMIN_PORT)).await;
    let admin = admin.with_context(|| format!("listen on port {ADMIN_PORT}"))?;
    tokio::spawn(admin::serve(admin, Arc::new(registry), readiness.clone()));

    let secrets = Arc::new(NamespaceSecrets::new(client.clone(), &args.pod.namespace));
    let context = Arc::new(Context {
        clock: Arc::new(SystemClock),
        stores: Arc::new(delivery::ObjectStores::new(Arc::clone(&secrets) as _)),
        secrets: Arc::clone(&secrets) as _,
        streams: Arc::new(OwnStreams { api, catalog: own }),
        random: rand::random,
        memory: delivery::Memory::new(args.memory_delivery << 20),
        metrics,
        statuses: delivery::Statuses::default(),
        region: args.region.clone(),
        account,
    });
    let (share, shared) = watch::channel(Share { ordinal, of: 1 });
    let mut pod = Pod {
        teller: Teller::new(client, &args.pod.namespace, &args.pod.pod),
        namespace: args.pod.namespace,
        stateful_set: config.stateful_set,
        streams,
        deliveries,
        shards,
        secrets,
        context,
        groups: Groups::default(),
        share,
        sharing: Sharing { holder: rand::random(), share: shared },
        refused: HashMap::new(),
    };
    let mut stopped = Box::pin(host::stop_signal()?);
    let mut changes = pod.deliveries.changes();
    readiness.set(true);
    tracing::info!("delivers as {} after {} ms", args.pod.pod, started.elapsed().as_millis());
    loop {
        changes.mark_unchanged();
        tokio::select! {
            () = pod.look() => {}
            () = &mut stopped => break,
        }
        tokio::select! {
            _ = changes.changed() => {}
            () = tokio::time::sleep(LOOK_PAUSE) => {}
            () = &mut stopped => break,
        }
    }
    tracing::info!("stopping");
    readiness.set(false);
    pod.groups.stop().await;
    tracing::info!("stopped");
    Ok(())
}

struct Pod {
    namespace: String,
    stateful_set: String,
    streams: Arc<Streams>,
    deliveries: Arc<DeliveryStreams>,
    shards: Shards,
    secrets: Arc<NamespaceSecrets>,
    context: Arc<Context>,
    groups: Groups,
    share: watch::Sender<Share>,
    sharing: Sharing,
    teller: Teller,
    /// Why delivery streams cannot be set to work.
    refused: HashMap<StreamUid, String>,
}

impl Pod {
    /// Sets to work what is to be, ends what is not, and tells how it goes.
    async fn look(&mut self) {
        let mine: BTreeMap<String, Arc<DeliveryStream>> =
            self.deliveries.of_set(&self.stateful_set).into_iter().collect();
        let pods = mine.values().map(|stream| stream.spec.replicas.unwrap_or(1)).max();
        self.share.send_if_modified(|share| {
            let of = pods.unwrap_or(1);
            std::mem::replace(&mut share.of, of) != of
        });
        for uid in self.groups.uids() {
            let stays = mine.values().any(|it| it.uid == uid && it.phase == DeliveryPhase::Active);
            if !stays {
                self.groups.end(uid).await;
                self.refused.remove(&uid);
            }
        }
        self.secrets.keep(mine.values().map(|stream| &stream.spec)).await;
        for stream in mine.values().filter(|stream| stream.phase == DeliveryPhase::Active) {
            self.work(stream);
        }
        let statuses = &self.context.statuses;
        let now = self.context.clock.now();
        for (resource, stream) in &mine {
            let refused = self.refused.get(&stream.uid).cloned();
            let told = tell::told(&statuses.of(&stream.name), refused, now);
            self.teller.tell(resource, told).await;
        }
        self.teller.retain(|resource| mine.contains_key(resource));
    }

    fn work(&mut self, stream: &Arc<DeliveryStream>) {
        let resource = DeliveryStreamResource::new(stream.name.as_str(), stream.spec.clone());
        if let Err(errors) = validate_delivery_stream(&resource) {
            // As it was before it goes on.
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            self.refused.insert(stream.uid, errors.join("; "));
            return;
        }
        if let Some(why) = self.secrets.unknown(&stream.spec) {
            // As above.
            self.refused.insert(stream.uid, why);
            return;
        }
        let Pod { namespace, streams, deliveries, shards, sharing, .. } = &*self;
        let (catalog, name): (Arc<dyn Catalog>, StreamName) = match stream.source() {
            Some(name) => (Arc::new(NamespaceCatalog::new(Arc::clone(streams), namespace)), name),
            None => {
                let (streams, deliveries) = (Arc::clone(streams), Arc::clone(deliveries));
                let sources = SourceStreams::new(streams, deliveries, namespace);
                (Arc::new(sources), stream.name.clone())
            }
        };
        let (find_shard, sharing) = (find_shard(shards), sharing.clone());
        let source = Source { catalog, stream: name, find_shard, sharing };
        match self.groups.work(&self.context, stream, || source) {
            Work::Ending => {}
            Work::Same if self.groups.is_refused(stream.uid) => {}
            Work::Same | Work::Begun => drop(self.refused.remove(&stream.uid)),
            Work::Refused(error) => {
                let why = format!("{:#}", anyhow::Error::from(error));
                tracing::warn!(delivery_stream = %stream.name, "delivers nothing until it is changed: {why}");
                self.refused.insert(stream.uid, why);
            }
        }
    }
}
