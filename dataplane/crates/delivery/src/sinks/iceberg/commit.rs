//! A commit: made, looked up when it is not known whether it was, and made anew when others were first.

use std::collections::BTreeMap;
use std::time::Duration;

use delivery_core::guid::guid_of;
use iceberg_table::{Delta, Files};
use model::Clock;
use serde_json::Value as Json;

use super::catalog::{Catalog, Loaded};
use super::files::Form;
use super::marks::{Marks, Place};
use super::place::Site;
use super::{Feed, Share, TableTrouble};

/// How often a commit is made anew before the batch is tried again as a whole.
pub(super) const COMMITS_MAX: u32 = 12;
/// The pause before that, doubled each time.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A list of manifests.
const LIST_BYTES_MAX: usize = 64 << 20;

/// Files that are there, and are to be committed.
pub(super) struct Adding<'a> {
    pub(super) share: &'a Share<'a>,
    /// The records that they are of, by their index in the batch.
    pub(super) fresh: &'a [usize],
    pub(super) form: &'a Form,
    pub(super) files: &'a [Files<'a>],
    pub(super) site: &'a Site,
}

/// Manifests that are there.
struct Manifests {
    /// Where each is, and how long.
    places: Vec<(String, usize)>,
    /// What lists of manifests are below.
    below: String,
}

impl Adding<'_> {
    /// Commits the files to the table, which was `loaded` before they were written.
    pub(super) async fn commit(
        &self,
        catalog: &Catalog,
        feed: &Feed,
        clock: &dyn Clock,
        mut loaded: Loaded,
    ) -> Result<(), TableTrouble> {
        let table = self.share.table;
        let uuid = loaded.metadata.table_uuid.clone();
        let (first, last) = self.range();
        // Made of what it adds: a catalog takes no snapshot twice.
        let (uid, routes) = (feed.uid, self.share.routes);
        let id = guid_of(format!("{uuid}/{uid:016x}/{routes:016x}/{first}/{last}").as_bytes());
        let snapshot_id = (id >> 65) as i64;
        let text = |name: &str, value: String| (name.to_owned(), value);
        let summary = BTreeMap::from([
            text("leat.delivery-stream", feed.name.clone()),
            text("leat.first-record", first.to_string()),
            text("leat.last-record", last.to_string()),
        ]);
        let (schema, properties) = (&self.form.judge.schema, &BTreeMap::new());
        let (added, summary) = (self.files, &summary);
        let delta = Delta { schema, added, snapshot_id, summary, properties };
        let manifests = self.put_manifests(&delta, loaded.metadata.metadata_location()).await?;
        let mut commits = 0;
        loop {
            if loaded.metadata.table_uuid != uuid {
                return Err(TableTrouble::Replaced);
            }
            let marks = self.share.marks(feed, &loaded)?;
            if self.is_made(&marks)? {
                return Ok(());
            }
            let since = self.share.batch.since.as_ref().map(Place::from);
            let marks = marks.with((first, last), (schema.id, routes), since).text();
            let properties = &BTreeMap::from([(self.share.property(feed), marks)]);
            let delta = Delta { properties, ..delta };
            let request = self.request(&delta, &loaded, &manifests, clock).await?;
            let error = match catalog.commit(table, &request).await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_to_be_looked_at() => error,
                Err(error) => return Err(error.into()),
            };
            commits += 1;
            if commits == COMMITS_MAX {
                return Err(TableTrouble::Busy(error));
            }
            tracing::debug!("a commit may have to be made anew: {}", crate::chain(&error));
            tokio::time::sleep(pause(snapshot_id, commits)).await;
            loaded = catalog.load(table).await?;
        }
    }

    fn range(&self) -> (Place, Place) {
        let place = |at: usize| self.share.place(self.fresh[at]);
        (place(0), place(self.fresh.len() - 1))
    }

    /// Whether it had been made, and the answer was lost.
    fn is_made(&self, marks: &Marks) -> Result<bool, TableTrouble> {
        let share = self.share;
        let schema_of = |index: usize| marks.schema_of(share.place(index), share.routes);
        let is_there = |index: &&usize| schema_of(**index).is_some();
        match self.fresh.iter().filter(is_there).count() {
            0 => Ok(false),
            count if count == self.fresh.len() => Ok(true),
            _ => Err(TableTrouble::Overtaken),
        }
    }

    async fn put_manifests(
        &self,
        delta: &Delta<'_>,
        below: String,
    ) -> Result<Manifests, TableTrouble> {
        let mut places = Vec::new();
        for manifest in delta.manifests()? {
            let path = format!("{below}/{:032x}-m{}.avro", guid_of(&manifest), places.len());
            let length = manifest.len();
            self.site.put(&path, manifest.into()).await?;
            places.push((path, length));
        }
        Ok(Manifests { places, below })
    }

    /// Puts a list of manifests that follows the table's own; what the catalog is to be asked for.
    async fn request(
        &self,
        delta: &Delta<'_>,
        loaded: &Loaded,
        Manifests { places, below }: &Manifests,
        clock: &dyn Clock,
    ) -> Result<Json, TableTrouble> {
        let table = &loaded.metadata;
        let current = match table.current()? {
            Some(current) => Some(self.site.get(&current.manifest_list, LIST_BYTES_MAX).await?),
            None => None,
        };
        let list = delta.manifest_list(table, current.as_deref(), places)?;
        let (id, hash) = (delta.snapshot_id, guid_of(&list));
        let path = format!("{below}/snap-{id}-{hash:032x}.avro");
        self.site.put(&path, list.into()).await?;
        let now = i64::try_from(clock.now().0).unwrap_or(i64::MAX);
        Ok(delta.request(table, &path, now)?)
    }
}

/// Longer each time, and of other lengths for others.
pub(super) fn pause(snapshot_id: i64, commits: u32) -> Duration {
    let longest = PAUSE_FIRST.saturating_mul(1 << commits.min(10)).min(PAUSE_MAX);
    let chance = guid_of(&[snapshot_id.to_be_bytes(), i64::from(commits).to_be_bytes()].concat());
    longest / 2 + longest.mul_f64((chance % 1_000) as f64 / 2_000.0)
}

#[cfg(test)]
mod tests {
    use super::super::catalog::CatalogError;
    use super::*;

    #[test]
    fn only_a_clear_no_is_taken_for_one() {
        let text = || "x".to_owned();
        assert!(CatalogError::Failed(text(), None).is_to_be_looked_at());
        assert!(CatalogError::Malformed(text()).is_to_be_looked_at());
        assert!(CatalogError::Conflict(text()).is_to_be_looked_at());
        assert!(!CatalogError::Refused(text(), None).is_to_be_looked_at());
        assert!(!CatalogError::NotFound(text()).is_to_be_looked_at());
    }

    #[test]
    fn pauses_grow_and_differ() {
        let pauses: Vec<_> = (1..COMMITS_MAX).map(|commits| pause(7, commits)).collect();
        assert!(pauses[0] < Duration::from_millis(101), "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= PAUSE_MAX), "{pauses:?}");
        assert!(Duration::from_millis(2_500) <= pauses[10], "{pauses:?}");
        assert_ne!(pause(7, 5), pause(8, 5));
    }
}
