//! What the engine counts. Registered explicitly; every label value comes from an enum.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// The engine's metrics. Clones share the numbers.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(crate) shards: Gauge,
    pub(crate) unwritable: Family<UnwritableLabels, Gauge>,
    pub(crate) reopened: Counter,
    pub(crate) commits: Counter,
    pub(crate) committed_records: Counter,
    pub(crate) committed_bytes: Counter,
    pub(crate) commit_seconds: Histogram,
    pub(crate) commit_bytes: Histogram,
    pub(crate) tail_cuts: Counter,
    pub(crate) reads: Counter,
    pub(crate) read_errors: Counter,
    pub(crate) expired_segments_errors: Counter,
}

/// Why a shard refuses writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Cause {
    /// No space for the next segment.
    DiskFull,
    /// A write or a sync failed, or the log does not open.
    LogFailed,
    /// What is on disk could not be read.
    ReadFailed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct UnwritableLabels {
    pub(crate) cause: Cause,
}

impl Metrics {
    /// Creates the metrics and registers them under `leat_shard_`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Metrics {
        let metrics = Metrics {
            shards: Gauge::default(),
            unwritable: Family::default(),
            reopened: Counter::default(),
            commits: Counter::default(),
            committed_records: Counter::default(),
            committed_bytes: Counter::default(),
            commit_seconds: Histogram::new(exponential_buckets(0.000_05, 2.0, 16)),
            commit_bytes: Histogram::new(exponential_buckets(1024.0, 4.0, 8)),
            tail_cuts: Counter::default(),
            reads: Counter::default(),
            read_errors: Counter::default(),
            expired_segments_errors: Counter::default(),
        };
        let registry = registry.sub_registry_with_prefix("leat_shard");
        registry.register("open", "Shards whose logs are open", metrics.shards.clone());
        registry.register(
            "unwritable",
            "Shards that refuse writes, by cause",
            metrics.unwritable.clone(),
        );
        registry.register("reads", "Reads of records", metrics.reads.clone());
        registry.register("reopened", "Logs reopened after a failure", metrics.reopened.clone());
        registry.register("commits", "Group commits", metrics.commits.clone());
        registry.register(
            "committed_records",
            "Records committed",
            metrics.committed_records.clone(),
        );
        registry.register_with_unit(
            "committed",
            "Payload committed, as in the log",
            Unit::Bytes,
            metrics.committed_bytes.clone(),
        );
        registry.register_with_unit(
            "commit",
            "Time of a group commit, write and fdatasync",
            Unit::Seconds,
            metrics.commit_seconds.clone(),
        );
        registry.register_with_unit(
            "commit_size",
            "Payload of a group commit",
            Unit::Bytes,
            metrics.commit_bytes.clone(),
        );
        registry.register(
            "torn_tails_cut",
            "Torn tails, never acknowledged, cut at open",
            metrics.tail_cuts.clone(),
        );
        registry.register("read_errors", "Reads of a log that failed", metrics.read_errors.clone());
        registry.register(
            "trim_errors",
            "Expired segments that could not be removed",
            metrics.expired_segments_errors.clone(),
        );
        metrics
    }
}

/// Counts a shard as unwritable while it lives.
#[derive(Debug)]
pub(crate) struct UnwritableGuard {
    gauge: Gauge,
}

impl UnwritableGuard {
    pub(crate) fn new(metrics: &Metrics, cause: Cause) -> UnwritableGuard {
        let gauge = metrics.unwritable.get_or_create(&UnwritableLabels { cause }).clone();
        gauge.inc();
        UnwritableGuard { gauge }
    }
}

impl Drop for UnwritableGuard {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}
