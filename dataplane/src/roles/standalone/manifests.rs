//! Resources from files: read before anything is touched, applied to the catalog.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use catalog::{Catalog, ChangeError, Mode, Phase, RecordLimits, Settings, Stream, StreamUid};
use delivery_catalog::{DeliveryCatalog, DeliveryPhase, DeliveryStream};
use model::{Boundaries, Clock, StreamName};
use operator_api::DeliveryStream as DeliveryStreamResource;
use operator_core::{Manifest, SpecError, ValidMode, ValidStream};
use shard::SystemClock;

use super::secrets::LocalSecrets;

/// How long to wait for applied streams to be in service.
const SETTLE_WAIT_MAX: Duration = Duration::from_secs(30);

/// What the files ask for.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) streams: Vec<ValidStream>,
    pub(super) deliveries: Vec<DeliveryStreamResource>,
    pub(super) secrets: LocalSecrets,
}

/// Reads and validates all files; everything that is wrong is in the error.
pub(super) fn read(files: &[PathBuf]) -> anyhow::Result<Wanted> {
    let mut wanted = Wanted::default();
    let mut errors = Vec::new();
    for file in files {
        let yaml = std::fs::read_to_string(file);
        let yaml = yaml.with_context(|| format!("read {}", file.display()))?;
        let manifests = operator_core::parse_manifests(&yaml).unwrap_or_else(|wrong| {
            errors.extend(wrong.iter().map(|error| format!("{}: {error}", file.display())));
            Vec::new()
        });
        for manifest in manifests {
            let place = format!("{}: {}/{}", file.display(), manifest.kind(), manifest.name());
            match wanted.take(manifest) {
                Ok(()) => {}
                Err(wrong) => errors.extend(wrong.iter().map(|error| format!("{place}: {error}"))),
            }
        }
    }
    if errors.is_empty() {
        return Ok(wanted);
    }
    bail!("nothing was applied:\n  {}", errors.join("\n  "))
}

impl Wanted {
    fn take(&mut self, manifest: Manifest) -> Result<(), Vec<String>> {
        let text = |wrong: &SpecError| wrong.to_string();
        let texts = |wrong: Vec<SpecError>| wrong.iter().map(text).collect::<Vec<_>>();
        match manifest {
            Manifest::Stream(stream) => {
                self.streams.push(operator_core::validate(&stream).map_err(texts)?);
            }
            Manifest::DeliveryStream(stream) => {
                operator_core::validate_delivery_stream(&stream).map_err(texts)?;
                self.deliveries.push(*stream);
            }
            Manifest::Secret(secret) => self.secrets.add(*secret),
            Manifest::AnalyticsApp(_) | Manifest::VideoStream(_) => {
                let what =
                    "standalone runs streams and delivery streams only; take it out of the file";
                return Err(vec![what.to_owned()]);
            }
        }
        Ok(())
    }
}

/// Creates what is not there, changes what differs; a line for each.
pub(super) async fn apply(
    catalog: &dyn Catalog,
    streams: Vec<ValidStream>,
) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    for wanted in &streams {
        let done = loop {
            match apply_one(catalog, wanted).await {
                Err(ChangeError::Conflict(_)) => {}
                done => break done?,
            }
        };
        lines.push(format!("stream/{} {done}", wanted.name));
    }
    let mut changes = catalog.changes();
    let settled = async {
        let is_active = |wanted: &ValidStream| {
            catalog.get(&wanted.name).is_some_and(|stream| stream.phase == Phase::Active)
        };
        while !streams.iter().all(is_active) && changes.changed().await.is_ok() {}
    };
    if tokio::time::timeout(SETTLE_WAIT_MAX, settled).await.is_err() {
        lines.push("some streams are still being changed".to_owned());
    }
    Ok(lines)
}

async fn apply_one(
    catalog: &dyn Catalog,
    wanted: &ValidStream,
) -> Result<&'static str, ChangeError> {
    // What a manifest does not speak of stays as the API set it.
    let settings = |current: Settings| Settings {
        retention_hours: wanted.retention_hours,
        record_kib_max: wanted.record_kib_max,
        limits: if wanted.aws_limits { RecordLimits::Aws } else { RecordLimits::Unlimited },
        retention_bytes_per_shard: wanted.retention_bytes_per_shard.map(u64::from),
        mode: match wanted.mode {
            ValidMode::Provisioned => Mode::Provisioned,
            ValidMode::OnDemand { .. } => Mode::OnDemand,
        },
        ..current
    };
    let Some(current) = catalog.get(&wanted.name) else {
        catalog.create(new_stream(wanted, settings(Settings::default()))).await?;
        return Ok("created");
    };
    let mut changed = (*current).clone();
    changed.settings = settings(changed.settings);
    if let Some(boundaries) = &wanted.boundaries
        && current.desired != *boundaries
    {
        changed.desired = boundaries.clone();
        if changed.phase == Phase::Active {
            changed.phase = Phase::Updating;
        }
    }
    if changed == *current {
        return Ok("unchanged");
    }
    catalog.replace(changed).await?;
    Ok("configured")
}

fn new_stream(wanted: &ValidStream, settings: Settings) -> Stream {
    let one_shard = || Boundaries::new(vec![model::HashKey::MIN]).expect("0 alone cuts the ring");
    let desired = wanted.boundaries.clone().unwrap_or_else(one_shard);
    let uid = StreamUid(rand::random());
    Stream::new(wanted.name.clone(), uid, SystemClock.now(), desired, settings)
}

/// Whether delivery streams can be carried out; everything that is wrong is in the error.
pub(super) fn check_deliveries(
    context: &Arc<delivery::Context>,
    resources: &[DeliveryStreamResource],
) -> anyhow::Result<()> {
    let mut errors = Vec::new();
    for resource in resources {
        let name = resource.metadata.name.as_deref().unwrap_or_default();
        let stream = new_delivery_stream(&name.parse()?, resource);
        if let Err(error) = delivery::check(context, &stream) {
            errors.push(format!("deliverystream/{name}: {:#}", anyhow::Error::from(error)));
        }
    }
    if errors.is_empty() {
        return Ok(());
    }
    bail!("nothing was applied:\n  {}", errors.join("\n  "))
}

fn new_delivery_stream(name: &StreamName, resource: &DeliveryStreamResource) -> DeliveryStream {
    DeliveryStream {
        name: name.clone(),
        uid: StreamUid(rand::random()),
        version: 0,
        created: SystemClock.now(),
        updated: None,
        phase: DeliveryPhase::Creating,
        spec: resource.spec.clone(),
        destination_version: 1,
        secrets: BTreeMap::new(),
        aws_only: BTreeMap::new(),
    }
}

/// The same for delivery streams.
pub(super) async fn apply_deliveries(
    catalog: &DeliveryCatalog,
    resources: Vec<DeliveryStreamResource>,
) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    for resource in resources {
        let name = resource.metadata.name.as_deref().unwrap_or_default();
        let name: StreamName = name.parse().context("the resource is valid")?;
        let done = loop {
            match Box::pin(apply_delivery(catalog, &name, &resource)).await {
                Err(ChangeError::Conflict(_)) => {}
                done => break done?,
            }
        };
        lines.push(format!("deliverystream/{name} {done}"));
    }
    Ok(lines)
}

async fn apply_delivery(
    catalog: &DeliveryCatalog,
    name: &StreamName,
    resource: &DeliveryStreamResource,
) -> Result<&'static str, ChangeError> {
    let Some(current) = catalog.get(name) else {
        catalog.create(new_delivery_stream(name, resource)).await?;
        return Ok("created");
    };
    let mut wanted = resource.spec.clone();
    if wanted.tags.is_empty() {
        // What a manifest does not speak of stays as the API set it.
        wanted.tags.clone_from(&current.spec.tags);
    }
    if current.spec == wanted {
        return Ok("unchanged");
    }
    if let Some(what) = operator_core::fixed_in_delivery_stream(&current.spec, &wanted) {
        return Err(ChangeError::Refused(format!("deliverystream/{name}: {what}")));
    }
    let mut changed = (*current).clone();
    changed.spec = wanted;
    changed.updated = Some(SystemClock.now());
    changed.destination_version += 1;
    catalog.replace(changed).await?;
    Ok("configured")
}
