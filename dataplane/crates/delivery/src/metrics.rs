//! What deliveries count, by the names that CloudWatch has for it: `DeliveryToS3.Records` is
//! `aws_firehose_DeliveryToS3_Records_total` here, with the dimension `DeliveryStreamName` as a label.

use std::collections::BTreeMap;

use model::StreamName;
use operator_api::delivery_stream::Destination;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Destinations as the resource and as CloudWatch name them, or would.
const DESTINATIONS: [(&str, &str); 11] = [
    ("s3", "S3"),
    ("gcs", "GoogleCloudStorage"),
    ("azureBlob", "AzureBlobStorage"),
    ("redshift", "Redshift"),
    ("elasticsearch", "Elasticsearch"),
    ("opensearch", "AmazonOpenSearchService"),
    ("httpEndpoint", "HttpEndpoint"),
    ("splunk", "Splunk"),
    ("iceberg", "Iceberg"),
    ("snowflake", "Snowflake"),
    ("stream", "Stream"),
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
#[expect(non_snake_case, reason = "CloudWatch's dimension, letter for letter")]
struct StreamLabels {
    DeliveryStreamName: String,
}

type ByStream = Family<StreamLabels, Counter>;

/// The metrics of all deliveries. Clones share the numbers.
#[derive(Clone)]
pub struct Metrics {
    delivered: BTreeMap<&'static str, Delivered>,
    backup: Delivered,
    succeed_processing: ByStream,
    failed_processing: ByStream,
    dropped: ByStream,
    succeed_conversion: ByStream,
    failed_conversion: ByStream,
    partitions_exceeded: ByStream,
    lost: ByStream,
    expired: ByStream,
    compacted: ByStream,
}

#[derive(Clone)]
struct Delivered {
    bytes: ByStream,
    records: ByStream,
    success: ByStream,
    freshness: Family<StreamLabels, Gauge>,
}

/// The metrics of one delivery stream.
pub(crate) struct StreamMetrics {
    pub(crate) delivery: DeliveryMetrics,
    /// Of objects with records: those of the bucket, where they are only on their way in it.
    pub(crate) objects: DeliveryMetrics,
    pub(crate) backup: DeliveryMetrics,
    pub(crate) succeed_processing: Counter,
    pub(crate) failed_processing: Counter,
    pub(crate) dropped: Counter,
    pub(crate) succeed_conversion: Counter,
    pub(crate) failed_conversion: Counter,
    pub(crate) partitions_exceeded: Counter,
    pub(crate) lost: Counter,
    pub(crate) expired: Counter,
    pub(crate) compacted: Counter,
}

/// What went to one destination.
#[derive(Clone)]
pub(crate) struct DeliveryMetrics {
    pub(crate) bytes: Counter,
    pub(crate) records: Counter,
    pub(crate) success: Counter,
    /// The age of the oldest record that is not delivered, in seconds.
    pub(crate) freshness: Gauge,
}

impl Metrics {
    /// Creates and registers them.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Metrics {
        let registry = registry.sub_registry_with_prefix("aws_firehose");
        let delivered = DESTINATIONS.map(|(name, aws_name)| {
            (name, Delivered::register(&format!("DeliveryTo{aws_name}"), registry))
        });
        let backup = Delivered::register("BackupToS3", registry);
        let mut add = |name: &str, help: &str| {
            let family = ByStream::default();
            registry.register(name, help, family.clone());
            family
        };
        Metrics {
            delivered: delivered.into(),
            backup,
            succeed_processing: add("SucceedProcessing_Records", "Records processed"),
            failed_processing: add("FailedProcessing_Records", "Records not processed"),
            dropped: add("Dropped_Records", "Records that a transform left out"),
            succeed_conversion: add("SucceedConversion_Records", "Records converted"),
            failed_conversion: add("FailedConversion_Records", "Records not converted"),
            partitions_exceeded: add(
                "PartitionCountExceeded_Records",
                "Records of more partitions than may be active",
            ),
            lost: add(
                "Lost_Records",
                "Records that could not be delivered while the backup is switched off",
            ),
            expired: add("Expired_Records", "Records that expired before they were delivered"),
            compacted: add("Compacted_Objects", "Objects that were merged into larger ones"),
        }
    }

    /// Those of one delivery stream.
    pub(crate) fn of(&self, name: &StreamName, destination: &Destination) -> StreamMetrics {
        let labels = StreamLabels { DeliveryStreamName: name.as_str().to_owned() };
        let delivered = |name: Option<&&str>| {
            // What has no name of CloudWatch's counts as the backup it comes with.
            name.and_then(|name| self.delivered.get(name)).unwrap_or(&self.backup).of(&labels)
        };
        let names = destination.names();
        let objects = if destination.redshift.is_some() { Some(&"s3") } else { names.first() };
        let counter = |family: &ByStream| family.get_or_create(&labels).clone();
        StreamMetrics {
            delivery: delivered(names.first()),
            objects: delivered(objects),
            backup: self.backup.of(&labels),
            succeed_processing: counter(&self.succeed_processing),
            failed_processing: counter(&self.failed_processing),
            dropped: counter(&self.dropped),
            succeed_conversion: counter(&self.succeed_conversion),
            failed_conversion: counter(&self.failed_conversion),
            partitions_exceeded: counter(&self.partitions_exceeded),
            lost: counter(&self.lost),
            expired: counter(&self.expired),
            compacted: counter(&self.compacted),
        }
    }
}

impl Delivered {
    fn register(name: &str, registry: &mut Registry) -> Delivered {
        let mut add = |part: &str, help: &str| {
            let family = ByStream::default();
            registry.register(format!("{name}_{part}"), help, family.clone());
            family
        };
        let bytes = add("Bytes", "Bytes delivered");
        let records = add("Records", "Records delivered");
        let success = add("Success", "Objects and requests that were taken");
        let freshness = Family::<StreamLabels, Gauge>::default();
        registry.register(
            format!("{name}_DataFreshness"),
            "Age of the oldest record that is not delivered, in seconds",
            freshness.clone(),
        );
        Delivered { bytes, records, success, freshness }
    }

    fn of(&self, labels: &StreamLabels) -> DeliveryMetrics {
        DeliveryMetrics {
            bytes: self.bytes.get_or_create(labels).clone(),
            records: self.records.get_or_create(labels).clone(),
            success: self.success.get_or_create(labels).clone(),
            freshness: self.freshness.get_or_create(labels).clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn each_destination_counts_for_itself() {
        let schema = schemars::schema_for!(Destination);
        let members = schema.get("properties").and_then(Value::as_object).unwrap();
        for name in members.keys() {
            // What there is no sink for counts nothing.
            let is_known = DESTINATIONS.iter().any(|(known, _)| known == name);
            assert!(is_known || name == "kafka", "{name}");
        }
    }
}
