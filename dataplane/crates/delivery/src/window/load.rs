//! What is loaded into a table once it is in a bucket: all objects of a window, by one COPY.
//!
//! Their keys come from where the window starts, so an object that is put once more replaces the one
//! before. A COPY that is run once more, after a crash that left open whether the one before was
//! committed, adds its rows once more.

use std::sync::Arc;

use bytes::Bytes;
use delivery_core::objects::redshift::manifest;
use delivery_core::objects::{KeyError, ManifestUse, PartitionKeys};
use model::UnixMillis;

use super::{Window, WindowError};
use crate::object::{Full, Place};
use crate::pipeline::{Objected, Output};
use crate::retry;
use crate::store::path;

/// Objects of a window that are yet to be loaded.
#[derive(Default)]
pub(super) struct Loading {
    keys: Vec<String>,
    bytes: usize,
    records: u64,
}

impl Loading {
    pub(super) fn push(&mut self, full: &Full) {
        self.keys.push(path(&full.key).into());
        self.bytes += full.source_bytes;
        self.records += full.records;
    }
}

impl Window {
    /// Has the objects loaded that were put. Those that are not loaded in time stay where they are, and
    /// a manifest says which they are.
    pub(super) async fn load(&mut self) -> Result<(), WindowError> {
        let pipeline = Arc::clone(&self.pipeline);
        let Output::Loaded(to, redshift) = &pipeline.output else { return Ok(()) };
        let Loading { keys, bytes, records } = std::mem::take(&mut self.loading);
        let Some(oldest) = self.oldest.filter(|_| !keys.is_empty()) else { return Ok(()) };
        let key = |purpose| manifest_key(to, self.place, oldest, purpose);
        let key = |purpose| key(purpose).map_err(WindowError::Manifest);
        let (to_load, failed) = (key(ManifestUse::Load)?, key(ManifestUse::Failed)?);
        let manifest = manifest(redshift.bucket(), keys.iter().map(String::as_str));
        let manifest = Bytes::from(manifest);
        let (context, status) = (pipeline.context(), &self.status);
        retry::put(context, status, &*to.store, (&to_load, None), manifest.clone()).await;
        let loaded = retry::load(context, status, redshift, &to_load, pipeline.retry_for).await;
        let metrics = match loaded {
            Ok(()) => &pipeline.metrics.delivery,
            Err(error) => {
                retry::put(context, status, &*to.store, (&failed, None), manifest).await;
                tracing::warn!(
                    delivery_stream = %pipeline.name(), shard = %self.place.shard, manifest = failed,
                    "gave up loading the objects that the manifest lists: {}", crate::chain(&error),
                );
                &pipeline.metrics.backup
            }
        };
        metrics.bytes.inc_by(bytes as u64);
        metrics.records.inc_by(records);
        metrics.success.inc();
        Ok(())
    }
}

fn manifest_key(
    to: &Objected,
    place: Place,
    oldest: UnixMillis,
    purpose: ManifestUse,
) -> Result<String, KeyError> {
    let none = PartitionKeys::default();
    let key = to.naming.manifest_key(&place.object(0, &none), oldest, purpose)?;
    Ok(path(&key).into())
}

#[cfg(test)]
mod tests;
