//! Few large objects out of many small ones, after they were delivered.
//!
//! ```text
//!  journal: what becomes what ─► the large object ─► the small ones go ─► the next one's journal
//! ```
//!
//! Only what this delivery stream wrote is touched: it has its name, and says so in its metadata. And only
//! what it will not write again: a window that is delivered again after a crash writes its objects again,
//! so they are left alone until the shard remembers that the window is done.
//!
//! A crash at any point leaves the journal, an object beside the others, and whoever comes next does the
//! same merge again: the large object has the same name, and small ones go only once it is there. Between
//! the two a reader sees both; the journal tells it which not to read. It stays when the merge is done, and
//! is numbered: a reader that reads it before and after it lists knows all merges that it may have seen.
//!
//! There is one at a time for a delivery stream: two would merge the same objects into different ones. Of several
//! processes it is the first, and of two that take themselves for the first, the one that has a shard's lease.

mod content;
mod mark;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use columnar::MergeError;
use consumer::{Held, Hold, Share};
use delivery_core::objects::Naming;
use delivery_core::objects::compaction::{JOURNAL_BYTES_MAX, Listed, Merge, Planner};
use futures_util::{StreamExt, TryStreamExt, stream};
use model::{Clock, Offset, ShardId};
use object_store::path::Path;
use object_store::{Attribute, GetOptions, ObjectStore, ObjectStoreExt};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;

use crate::group::Stop;
use crate::memory::Memory;
use crate::store::{MARK, Store, StoreError, marked, path};
use content::Content;
pub(crate) use mark::Mark;

/// How long to wait after a failure, if not less is asked for.
const RETRY_PAUSE: Duration = Duration::from_secs(60);
/// Objects that are looked at at the same time.
const CALLS_MAX: usize = 8;

/// Whether a delivery stream is done with the window that begins there.
pub(crate) type IsDone = Arc<dyn Fn(ShardId, Offset) -> Asked + Send + Sync>;

/// The answer to come.
pub(crate) type Asked = Pin<Box<dyn Future<Output = bool> + Send>>;

/// Claims the right to merge, which one process has at a time: `None` when it is another's.
pub(crate) type Claim = Box<dyn Fn() -> Claiming + Send + Sync>;

/// The answer to come, or why there is none.
pub(crate) type Claiming = Pin<Box<dyn Future<Output = Result<Option<Held>, &'static str>> + Send>>;

/// How objects are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One behind the other: what was not compressed, or in a form that allows it.
    Joined,
    /// Row groups one behind the other.
    Parquet,
}

/// What a delivery stream's compaction is to do.
#[derive(Clone)]
pub(crate) struct Compaction {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) naming: Arc<Naming>,
    pub(crate) form: Form,
    pub(crate) uid: u64,
    pub(crate) name: String,
    pub(crate) bytes_max: u64,
    pub(crate) interval: Duration,
    pub(crate) age_min: Duration,
}

/// Why objects are not merged now. Nothing is lost, and readers see no more than the journal tells them.
#[derive(Debug, thiserror::Error)]
enum CompactionError {
    #[error(transparent)]
    Open(#[from] StoreError),
    #[error("objects")]
    Objects(#[from] object_store::Error),
    #[error("write an object")]
    Write(#[from] std::io::Error),
    /// Somebody else wrote it, or wrote over it.
    #[error("{key} is no journal of this delivery stream: see what it is, and remove it")]
    Journal { key: String },
    #[error("an object is shorter than it was")]
    Short,
    #[error("objects that have no one form")]
    Form(#[from] MergeError),
}

/// Compaction at work.
pub(crate) struct Compactor {
    pub(crate) compaction: Compaction,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) is_done: IsDone,
    /// Of several processes the first one compacts.
    pub(crate) share: watch::Receiver<Share>,
    pub(crate) compacted: Counter,
}

/// What is known of an object.
enum Seen {
    /// This delivery stream wrote it.
    Ours {
        bytes: u64,
        /// And will not again, as far as is known now.
        is_done: bool,
    },
    Other,
    Gone,
}

impl Compactor {
    /// Until it is told to stop, which it does between two merges.
    pub(crate) async fn run(self, claim: Claim, mut stopped: watch::Receiver<Stop>) {
        // What was on its way when the process before this one was killed arrives, or never does.
        let mut pause = RETRY_PAUSE.min(self.compaction.age_min);
        let stream = &self.compaction.name;
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stopped.wait_for(|stop| *stop != Stop::No) => return,
            }
            if self.share.borrow().ordinal != 0 {
                pause = self.compaction.interval;
                continue;
            }
            let claimed = claim().await.unwrap_or_else(|why| {
                tracing::warn!(delivery_stream = %stream, "compaction will try again: {why}");
                None
            });
            let Some(held) = claimed else {
                pause = RETRY_PAUSE.min(self.compaction.interval);
                continue;
            };
            let mut hold = held.hold();
            let merged = tokio::select! {
                merged = self.round(&stopped) => merged,
                // Whoever has it now begins with what was begun here.
                _ = hold.wait_for(|hold| *hold == Hold::Lost) => Ok(0),
            };
            pause = match merged {
                Ok(count) => {
                    if 0 < count {
                        tracing::info!(delivery_stream = %stream, "{count} objects were merged into larger ones");
                    }
                    self.compaction.interval
                }
                Err(error) => {
                    let error = crate::chain(&error);
                    tracing::warn!(delivery_stream = %stream, "compaction will try again: {error}");
                    RETRY_PAUSE.min(self.compaction.interval)
                }
            };
        }
    }

    /// Finishes what was begun, and merges what there is; how many objects were.
    async fn round(&self, stopped: &watch::Receiver<Stop>) -> Result<usize, CompactionError> {
        let Compaction { store, naming, bytes_max, age_min, .. } = &self.compaction;
        let store = store.objects()?;
        let (mut number, mut count) = self.recover(&store).await?;
        let now = self.clock.now();
        let mut listed = store.list(Some(&path(naming.folder())));
        let mut planner = Planner::new(naming, *bytes_max);
        while let Some(object) = listed.try_next().await? {
            if *stopped.borrow() != Stop::No {
                return Ok(count);
            }
            let written =
                u64::try_from(object.last_modified.timestamp_millis()).unwrap_or(u64::MAX);
            if u128::from(now.0.saturating_sub(written)) < age_min.as_millis() {
                continue;
            }
            let object = Listed { key: object.location.into(), bytes: object.size };
            if let Some(group) = planner.push(object) {
                count += self.merge(&store, &mut number, group).await?;
            }
        }
        if let Some(group) = planner.end() {
            count += self.merge(&store, &mut number, group).await?;
        }
        Ok(count)
    }

    /// Merges what of a group may be; how many objects were.
    async fn merge(
        &self,
        store: &Arc<dyn ObjectStore>,
        number: &mut u64,
        group: Vec<Listed>,
    ) -> Result<usize, CompactionError> {
        let keys = group.iter().map(|object| object.key.as_str());
        let seen = self.see_all(store, keys).await?;
        // What has another size by now was listed before it was written again.
        let ours = group.into_iter().zip(seen);
        let ours = ours.filter(
            |(object, seen)| matches!(seen, Seen::Ours { bytes, is_done: true } if *bytes == object.bytes),
        );
        let ours: Vec<Listed> = ours.map(|(object, _)| object).collect();
        let merge = Merge::of(&self.compaction.naming, *number, ours);
        let Some((merge, inputs)) = merge else { return Ok(0) };
        let content = match Content::of(self.compaction.form, store, inputs).await {
            Err(CompactionError::Form(error)) => {
                let (stream, error) = (&self.compaction.name, crate::chain(&error));
                tracing::warn!(delivery_stream = %stream, first = merge.inputs[0], "objects stay as they are: {error}");
                return Ok(0);
            }
            content => content?,
        };
        store.put(&self.journal(), merge.journal().into()).await?;
        *number += 1;
        self.write(store, &merge, content).await
    }

    /// Does the last merge that was begun again, if it is not done; the number of the next, and how many
    /// objects were merged.
    async fn recover(&self, store: &Arc<dyn ObjectStore>) -> Result<(u64, usize), CompactionError> {
        let journal = self.journal();
        let found = match store.get(&journal).await {
            Err(object_store::Error::NotFound { .. }) => return Ok((0, 0)),
            found => found?,
        };
        let unknown = || CompactionError::Journal { key: journal.to_string() };
        if (JOURNAL_BYTES_MAX as u64) < found.meta.size {
            return Err(unknown());
        }
        let merge = Merge::from_journal(&found.bytes().await?).ok_or_else(unknown)?;
        let next = merge.number.checked_add(1).ok_or_else(unknown)?;
        // That their windows were done was seen when it was begun: it is not asked again here, where the
        // shards may not have started yet.
        match self.see(store, &merge.output).await? {
            Seen::Other => return Err(unknown()),
            Seen::Ours { .. } => return Ok((next, self.remove(store, &merge).await?)),
            Seen::Gone => {}
        }
        let seen = self.see_all(store, merge.inputs.iter().map(String::as_str)).await?;
        let input = |(key, seen): (&String, Seen)| match seen {
            Seen::Ours { bytes, .. } => Some(Listed { key: key.clone(), bytes }),
            Seen::Other | Seen::Gone => None,
        };
        let inputs: Option<Vec<Listed>> = merge.inputs.iter().zip(seen).map(input).collect();
        let is_ours_now = self.compaction.naming.parse(&merge.output).is_some();
        let Some(inputs) = inputs.filter(|_| is_ours_now) else {
            // It was changed, and its objects may have another form. Or somebody else has removed some:
            // we do only once the large one is there.
            return Ok((next, 0));
        };
        let content = Content::of(self.compaction.form, store, inputs).await?;
        Ok((next, self.write(store, &merge, content).await?))
    }

    async fn write(
        &self,
        store: &Arc<dyn ObjectStore>,
        merge: &Merge,
        content: Content,
    ) -> Result<usize, CompactionError> {
        let _holder = self.memory.hold();
        let mark = Mark::Merged { uid: self.compaction.uid };
        content.write(store, &path(&merge.output), marked(Some(&mark.to_string()))).await?;
        self.remove(store, merge).await
    }

    /// Removes the small objects, for the large one is there.
    async fn remove(
        &self,
        store: &Arc<dyn ObjectStore>,
        merge: &Merge,
    ) -> Result<usize, CompactionError> {
        let seen = self.see_all(store, merge.inputs.iter().map(String::as_str)).await?;
        let ours = merge.inputs.iter().zip(seen);
        let ours = ours.filter(|(_, seen)| matches!(seen, Seen::Ours { .. }));
        let ours: Vec<_> = ours.map(|(key, _)| Ok(path(key))).collect();
        let count = ours.len();
        let mut removals = store.delete_stream(stream::iter(ours).boxed());
        while let Some(removed) = removals.next().await {
            if !matches!(removed, Ok(_) | Err(object_store::Error::NotFound { .. })) {
                removed?;
            }
        }
        self.compacted.inc_by(count as u64);
        Ok(count)
    }

    /// What there is, in the order of the keys.
    async fn see_all(
        &self,
        store: &Arc<dyn ObjectStore>,
        keys: impl Iterator<Item = &str>,
    ) -> Result<Vec<Seen>, CompactionError> {
        let looks: Vec<_> = keys.map(|key| self.see(store, key)).collect();
        stream::iter(looks).buffered(CALLS_MAX).try_collect().await
    }

    async fn see(&self, store: &Arc<dyn ObjectStore>, key: &str) -> Result<Seen, CompactionError> {
        let head = GetOptions { head: true, ..GetOptions::default() };
        let found = match store.get_opts(&path(key), head).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(Seen::Gone),
            found => found?,
        };
        let mark = found.attributes.get(&Attribute::Metadata(MARK.into()));
        let (uid, is_done) = match mark.and_then(|mark| mark.parse::<Mark>().ok()) {
            Some(Mark::Merged { uid }) => (uid, true),
            Some(Mark::Window { uid, shard, start }) => (uid, (self.is_done)(shard, start).await),
            None => return Ok(Seen::Other),
        };
        let bytes = found.meta.size;
        Ok(if uid == self.compaction.uid { Seen::Ours { bytes, is_done } } else { Seen::Other })
    }

    /// Where it is kept what was begun last: in a folder that programs that read folders pass over.
    fn journal(&self) -> Path {
        let Compaction { naming, name, uid, .. } = &self.compaction;
        path(&format!("{}_leat-compaction/{name}-{uid:016x}.json", naming.folder()))
    }
}

#[cfg(test)]
mod tests;
