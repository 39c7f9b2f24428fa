//! What the service counts, under AWS's own names: `IncomingBytes` of CloudWatch is
//! `aws_kinesis_IncomingBytes_total` here, with the dimension `StreamName` as a label.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_protocol::{ApiError, ErrorCode};
use catalog::{ShardMetric, Stream};
use model::{ShardId, StreamName};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
#[expect(non_snake_case, reason = "CloudWatch's dimension, letter for letter")]
struct StreamLabels {
    StreamName: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    operation: &'static str,
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
#[expect(non_snake_case, reason = "CloudWatch's dimensions, letter for letter")]
struct ShardLabels {
    StreamName: String,
    ShardId: String,
}

type ByStream = Family<StreamLabels, Counter>;

/// The service's metrics. Clones share the numbers.
#[derive(Clone)]
pub struct Metrics {
    seconds: Family<OperationLabels, Histogram>,
    errors: Family<ErrorLabels, Counter>,
    incoming_bytes: ByStream,
    incoming_records: ByStream,
    put_record_success: ByStream,
    put_records_success: ByStream,
    put_records_total: ByStream,
    put_records_successful: ByStream,
    put_records_failed: ByStream,
    put_records_throttled: ByStream,
    get_records_bytes: ByStream,
    get_records_records: ByStream,
    get_records_success: ByStream,
    write_exceeded: ByStream,
    read_exceeded: ByStream,
    subscribe_success: ByStream,
    subscribe_exceeded: ByStream,
    events: ByStream,
    events_bytes: ByStream,
    events_records: ByStream,
    events_behind: Family<StreamLabels, Gauge>,
    by_shard: ByShard,
}

/// What EnableEnhancedMonitoring switches on, shard by shard.
#[derive(Clone)]
struct ByShard {
    /// In the order of [`ShardMetric::NAMES`]; that of the age is not used.
    counters: [Family<ShardLabels, Counter>; ShardMetric::NAMES.len()],
    age: Family<ShardLabels, Gauge>,
    /// Which there are, to forget them.
    shown: Arc<Mutex<BTreeSet<(StreamName, ShardMetric, ShardId)>>>,
}

impl Metrics {
    /// Creates and registers them.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Metrics {
        let seconds: Family<OperationLabels, Histogram> =
            Family::new_with_constructor(operation_seconds);
        let errors = Family::default();
        registry.register(
            "leat_api_operation_seconds",
            "Time of an operation, from its decoded body to its encoded reply",
            seconds.clone(),
        );
        registry.register(
            "leat_api_errors",
            "Operations that were answered with an error, by its AWS name",
            errors.clone(),
        );
        let registry = registry.sub_registry_with_prefix("aws_kinesis");
        let events_behind = Family::default();
        registry.register(
            "SubscribeToShardEvent_MillisBehindLatest",
            "How far behind the tip the last event was",
            events_behind.clone(),
        );
        let by_shard = ByShard::register(registry);
        let mut add = |name: &str, help: &str| {
            let family = ByStream::default();
            registry.register(name, help, family.clone());
            family
        };
        Metrics {
            seconds,
            errors,
            events_behind,
            by_shard,
            incoming_bytes: add("IncomingBytes", "Data and partition keys put"),
            incoming_records: add("IncomingRecords", "Records put"),
            put_record_success: add("PutRecord_Success", "PutRecord calls that succeeded"),
            put_records_success: add(
                "PutRecords_Success",
                "PutRecords with a record that succeeded",
            ),
            put_records_total: add("PutRecords_TotalRecords", "Records of PutRecords"),
            put_records_successful: add("PutRecords_SuccessfulRecords", "Of these, put"),
            put_records_failed: add("PutRecords_FailedRecords", "Of these, failed inside"),
            put_records_throttled: add("PutRecords_ThrottledRecords", "Of these, throttled"),
            get_records_bytes: add("GetRecords_Bytes", "Data got"),
            get_records_records: add("GetRecords_Records", "Records got"),
            get_records_success: add("GetRecords_Success", "GetRecords calls that succeeded"),
            write_exceeded: add("WriteProvisionedThroughputExceeded", "Records throttled"),
            read_exceeded: add("ReadProvisionedThroughputExceeded", "GetRecords throttled"),
            subscribe_success: add("SubscribeToShard_Success", "Subscriptions begun"),
            subscribe_exceeded: add(
                "SubscribeToShard_RateExceeded",
                "Subscriptions refused because another had only just begun",
            ),
            events: add("SubscribeToShardEvent_Success", "Events with records"),
            events_bytes: add("SubscribeToShardEvent_Bytes", "Data sent to subscribers"),
            events_records: add("SubscribeToShardEvent_Records", "Records sent to subscribers"),
        }
    }

    pub(crate) fn called(
        &self,
        operation: &'static str,
        elapsed: Duration,
        error: Option<&ApiError>,
    ) {
        self.seconds.get_or_create(&OperationLabels { operation }).observe(elapsed.as_secs_f64());
        if let Some(error) = error {
            let labels = ErrorLabels { operation, code: error.code.name() };
            self.errors.get_or_create(&labels).inc();
        }
    }

    pub(crate) fn record_put(&self, stream: &StreamName, bytes: usize) {
        self.incoming(stream, 1, bytes);
        count(&self.put_record_success, stream, 1);
    }

    pub(crate) fn record_throttled(&self, stream: &StreamName) {
        count(&self.write_exceeded, stream, 1);
    }

    /// Counts one PutRecords, by what became of its records: nothing, or the error's name.
    pub(crate) fn records_put<'a>(
        &self,
        stream: &StreamName,
        outcomes: impl Iterator<Item = (usize, Option<&'a ApiError>)>,
    ) {
        let (mut total, mut put, mut bytes, mut throttled) = (0, 0, 0, 0);
        for (record_bytes, error) in outcomes {
            total += 1;
            match error.map(|error| error.code) {
                None => {
                    put += 1;
                    bytes += record_bytes;
                }
                Some(ErrorCode::ProvisionedThroughputExceededException) => throttled += 1,
                Some(_) => {}
            }
        }
        self.incoming(stream, put, bytes);
        count(&self.put_records_success, stream, u64::from(0 < put));
        count(&self.put_records_total, stream, total);
        count(&self.put_records_successful, stream, put);
        count(&self.put_records_throttled, stream, throttled);
        count(&self.put_records_failed, stream, total - put - throttled);
        count(&self.write_exceeded, stream, throttled);
    }

    pub(crate) fn records_got(&self, stream: &StreamName, records: usize, bytes: usize) {
        count(&self.get_records_success, stream, 1);
        count(&self.get_records_records, stream, records as u64);
        count(&self.get_records_bytes, stream, bytes as u64);
    }

    pub(crate) fn read_throttled(&self, stream: &StreamName) {
        count(&self.read_exceeded, stream, 1);
    }

    pub(crate) fn subscribed(&self, stream: &StreamName) {
        count(&self.subscribe_success, stream, 1);
    }

    pub(crate) fn subscription_refused(&self, stream: &StreamName) {
        count(&self.subscribe_exceeded, stream, 1);
    }

    /// Counts one event with records.
    pub(crate) fn records_sent(
        &self,
        stream: &StreamName,
        records: usize,
        bytes: usize,
        behind: Duration,
    ) {
        count(&self.events, stream, 1);
        count(&self.events_records, stream, records as u64);
        count(&self.events_bytes, stream, bytes as u64);
        let labels = StreamLabels { StreamName: stream.to_string() };
        let millis = i64::try_from(behind.as_millis()).unwrap_or(i64::MAX);
        self.events_behind.get_or_create(&labels).set(millis);
    }

    /// Counts something of one shard, if the stream is watched that closely.
    pub(crate) fn shard(&self, stream: &Stream, shard: ShardId, metric: ShardMetric, by: u64) {
        if stream.settings.shard_metrics.contains(&metric) && by != 0 {
            let labels = self.by_shard.show(stream, shard, metric);
            self.by_shard.counters[metric as usize].get_or_create(&labels).inc_by(by);
        }
    }

    /// How old what was read last is, if the stream is watched that closely.
    pub(crate) fn shard_age(&self, stream: &Stream, shard: ShardId, age: Duration) {
        let metric = ShardMetric::IteratorAgeMilliseconds;
        if stream.settings.shard_metrics.contains(&metric) {
            let labels = self.by_shard.show(stream, shard, metric);
            let millis = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
            self.by_shard.age.get_or_create(&labels).set(millis);
        }
    }

    /// Shows a metric of a stream's shards no more.
    pub(crate) fn forget_shard_metric(&self, stream: &StreamName, metric: ShardMetric) {
        self.by_shard.forget(stream, |shown| shown == metric);
    }

    /// Forgets a stream's numbers, so that names do not pile up.
    pub(crate) fn forget(&self, stream: &StreamName) {
        self.by_shard.forget(stream, |_| true);
        let labels = StreamLabels { StreamName: stream.to_string() };
        for family in self.by_stream() {
            family.remove(&labels);
        }
        self.events_behind.remove(&labels);
    }

    fn incoming(&self, stream: &StreamName, records: u64, bytes: usize) {
        count(&self.incoming_records, stream, records);
        count(&self.incoming_bytes, stream, bytes as u64);
    }

    fn by_stream(&self) -> [&ByStream; 18] {
        [
            &self.incoming_bytes,
            &self.incoming_records,
            &self.put_record_success,
            &self.put_records_success,
            &self.put_records_total,
            &self.put_records_successful,
            &self.put_records_failed,
            &self.put_records_throttled,
            &self.get_records_bytes,
            &self.get_records_records,
            &self.get_records_success,
            &self.write_exceeded,
            &self.read_exceeded,
            &self.subscribe_success,
            &self.subscribe_exceeded,
            &self.events,
            &self.events_bytes,
            &self.events_records,
        ]
    }
}

impl ByShard {
    fn register(registry: &mut Registry) -> ByShard {
        let registry = registry.sub_registry_with_prefix("shard");
        let age = Family::default();
        let counters = ShardMetric::NAMES.map(|(name, metric)| {
            let family = Family::default();
            match metric {
                ShardMetric::IteratorAgeMilliseconds => {
                    registry.register(name, "Age of the record read last", age.clone());
                }
                _ => registry.register(name, "As the stream's, of one shard", family.clone()),
            }
            family
        });
        ByShard { counters, age, shown: Arc::default() }
    }

    fn show(&self, stream: &Stream, shard: ShardId, metric: ShardMetric) -> ShardLabels {
        self.shown().insert((stream.name.clone(), metric, shard));
        labels(&stream.name, shard)
    }

    fn forget(&self, stream: &StreamName, which: impl Fn(ShardMetric) -> bool) {
        self.shown().retain(|(name, metric, shard)| {
            let is_forgotten = name == stream && which(*metric);
            if is_forgotten {
                self.counters[*metric as usize].remove(&labels(name, *shard));
                if *metric == ShardMetric::IteratorAgeMilliseconds {
                    self.age.remove(&labels(name, *shard));
                }
            }
            !is_forgotten
        });
    }

    fn shown(&self) -> MutexGuard<'_, BTreeSet<(StreamName, ShardMetric, ShardId)>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn labels(stream: &StreamName, shard: ShardId) -> ShardLabels {
    ShardLabels { StreamName: stream.to_string(), ShardId: shard.to_string() }
}

fn operation_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_1, 2.0, 16))
}

fn count(family: &ByStream, stream: &StreamName, by: u64) {
    if by != 0 {
        family.get_or_create(&StreamLabels { StreamName: stream.to_string() }).inc_by(by);
    }
}
