//! Resources from files: read before anything is touched, applied to the catalog.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use catalog::{Catalog, ChangeError, Mode, Phase, RecordLimits, Settings, Stream, StreamUid};
use model::{Boundaries, Clock};
use operator_core::{Manifest, ValidMode, ValidStream};
use shard::SystemClock;

/// How long to wait for applied streams to be in service.
const SETTLE_WAIT_MAX: Duration = Duration::from_secs(30);

/// Reads and validates all files; everything that is wrong is in the error.
pub(super) fn read(files: &[PathBuf]) -> anyhow::Result<Vec<ValidStream>> {
    let mut valid = Vec::new();
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
            let Manifest::Stream(stream) = &manifest else {
                errors.push(format!(
                    "{place}: standalone runs streams only; take it out of the file"
                ));
                continue;
            };
            match operator_core::validate(stream) {
                Ok(stream) => valid.push(stream),
                Err(wrong) => errors.extend(wrong.iter().map(|error| format!("{place}: {error}"))),
            }
        }
    }
    if errors.is_empty() {
        return Ok(valid);
    }
    bail!("nothing was applied:\n  {}", errors.join("\n  "))
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
