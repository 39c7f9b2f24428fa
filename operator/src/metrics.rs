//! What the operator counts.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// The operator's metrics. Clones share the numbers.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) reconciles: Family<ReconcileLabels, Counter>,
    pub(crate) reconcile_seconds: Family<KindLabels, Histogram>,
    pub(crate) writes: Family<KindLabels, Counter>,
    pub(crate) leader: Gauge,
    pub(crate) asks: Family<AskLabels, Counter>,
}

/// A kind of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Kind {
    Stream,
    DeliveryStream,
    AnalyticsApp,
    VideoStream,
}

/// How a reconcile ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Outcome {
    /// Nothing had to be written.
    Unchanged,
    /// Something was.
    Changed,
    /// Somebody else wrote at the same time; it is looked at again.
    Conflict,
    /// The API server failed, or refused.
    Failed,
    /// The resource is of a form that this version does not read.
    Unreadable,
}

/// What a pod was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Asked {
    Open,
    Close,
    Remove,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Answered {
    /// It was done.
    Done,
    /// The pod said why not.
    Refused,
    /// The pod could not be reached, or did not answer in time.
    Unreachable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ReconcileLabels {
    pub(crate) kind: Kind,
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct KindLabels {
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct AskLabels {
    pub(crate) what: Asked,
    pub(crate) outcome: Answered,
}

impl Metrics {
    /// Creates the metrics and registers them under `leat_operator_`.
    pub(crate) fn register(registry: &mut Registry) -> Metrics {
        let seconds = || Histogram::new(exponential_buckets(0.001, 2.0, 15));
        let metrics = Metrics {
            reconciles: Family::default(),
            reconcile_seconds: Family::new_with_constructor(seconds),
            writes: Family::default(),
            leader: Gauge::default(),
            asks: Family::default(),
        };
        let registry = registry.sub_registry_with_prefix("leat_operator");
        let m = metrics.clone();
        registry.register("reconciles", "Reconciles, by kind and outcome", m.reconciles);
        let help = "How long a reconcile took";
        registry.register_with_unit("reconcile", help, Unit::Seconds, m.reconcile_seconds);
        registry.register("writes", "Objects written, by the kind they are for", m.writes);
        registry.register("is_leader", "Whether this process leads", m.leader);
        registry.register("asks", "What pods were asked about shards", m.asks);
        metrics
    }
}
