//! What a table has to know before records are written to it: columns for all of them, and how deletes are
//! parted.
//!
//! Each is a change of its own, made only of what the table was when it was looked at. Others may make the
//! same one first; then there is nothing left to do.

use bytes::Bytes;
use delivery_core::processing::TableOperation;
use serde_json::Value as Json;

use super::catalog::Loaded;
use super::commit::{COMMITS_MAX, pause};
use super::evolve::growth;
use super::keys::Keys;
use super::{IcebergSink, Share, TableTrouble};

impl IcebergSink {
    /// The table, once it knows what is needed for these records.
    pub(super) async fn prepare(
        &self,
        share: &Share<'_>,
        mut loaded: Loaded,
        fresh: &[usize],
    ) -> Result<Loaded, TableTrouble> {
        let Some(mut request) = self.missing(share, &loaded, fresh).await? else {
            return Ok(loaded);
        };
        let turn = self.turn(share.table);
        let _turn = turn.lock().await;
        let chance = loaded.metadata.last_column_id().into();
        for changes in 1.. {
            let changed = self.catalog.commit(share.table, &request).await;
            let error = match changed {
                Ok(()) => None,
                Err(error) if error.is_to_be_looked_at() => Some(error),
                Err(error) => return Err(error.into()),
            };
            if changes == COMMITS_MAX {
                return Err(error.map_or(TableTrouble::Unchanged, TableTrouble::Busy));
            }
            if let Some(error) = error {
                tracing::debug!(
                    "a change of a table may have to be made anew: {}",
                    crate::chain(&error)
                );
                tokio::time::sleep(pause(chance, changes)).await;
            }
            loaded = self.catalog.load(share.table).await?;
            match self.missing(share, &loaded, fresh).await? {
                Some(next) => request = next,
                None => break,
            }
        }
        Ok(loaded)
    }

    /// What the catalog is to be asked for first, if there is something.
    async fn missing(
        &self,
        share: &Share<'_>,
        loaded: &Loaded,
        fresh: &[usize],
    ) -> Result<Option<Json>, TableTrouble> {
        let table = &loaded.metadata;
        let (schema, last_id) = (table.schema()?, table.last_column_id());
        if self.evolves {
            let is_row = |index: &&usize| share.operations[**index] != TableOperation::Delete;
            let data = |index: &usize| share.batch.records[*index].data.clone();
            let rows: Vec<Bytes> = fresh.iter().filter(is_row).map(data).collect();
            let old = schema.clone();
            let look = move || growth(&old, last_id, rows.iter().map(|data| &data[..]));
            let (growth, last_id) = tokio::task::spawn_blocking(look).await?;
            if !growth.is_empty() {
                return Ok(Some(growth.request(table, &schema, last_id)));
            }
        }
        let takes_out = |index: &usize| share.operations[*index] != TableOperation::Insert;
        let needs_spec = fresh.iter().any(takes_out)
            && table.unpartitioned_spec().is_none()
            && Keys::of(table, &schema, &self.rules(share.table).unique_keys).is_ok();
        Ok(needs_spec.then(|| table.unpartitioned_request()))
    }
}
