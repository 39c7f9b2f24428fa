//! Between a Stream and a stream of the catalog. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use auth::Policy;
use catalog::{
    Consumer, DataKey, Distribution, Mode, Phase, RecordLimits, Settings, ShardMetric,
    Stream as Known, StreamUid,
};
use kube::ResourceExt;
use model::limits;
use model::{Boundaries, ShardMap, UnixMillis};
use operator_api::{
    DistributionStrategy, Encryption, Limits, Mode as SpecMode, ShardLevelMetric, Stream,
    StreamConsumer, StreamDataKey, StreamSpec, StreamStatus,
};
use operator_core::{
    Topology, ValidMode, decode_boundaries, encode_boundaries, names, stream_uid, validate,
};

use crate::watched::{Edit, Kind};

/// The stream that a resource describes.
///
/// # Errors
/// What is wrong with a resource that cannot be served.
fn known(resource: &Stream) -> Result<Known, String> {
    let uid = StreamUid(stream_uid(resource).ok_or("metadata.uid is no UUID")?);
    let name = resource.stream_name().parse().map_err(|error| format!("name: {error}"))?;
    let status = resource.status.clone().unwrap_or_default();
    let created = resource.created().map_or(UnixMillis(0), |time| {
        UnixMillis(u64::try_from(time.0.as_millisecond()).unwrap_or_default())
    });
    let data_keys = status.data_keys.iter().map(decode_data_key).collect::<Result<Vec<_>, _>>()?;
    let desired = desired(resource, &status);
    let topology = Topology::of(&status).map_err(|error| error.to_string())?;
    let shards = topology.map_or_else(|| ShardMap::new(&desired, created), |found| found.shards);
    let version = resource.metadata.resource_version.as_deref().unwrap_or_default();
    Ok(Known {
        name,
        uid,
        // A number in every API server there is; it is compared here, and sent back as it came.
        version: version.parse().unwrap_or_default(),
        created,
        phase: phase(resource, &status, &shards, &desired),
        settings: settings(&resource.spec, &data_keys),
        tags: resource.spec.tags.clone(),
        policy: policy(resource.spec.resource_policy.as_deref())?,
        consumers: consumers(&status.consumers)?,
        data_keys,
        desired,
        shards,
    })
}

fn desired(resource: &Stream, status: &StreamStatus) -> Boundaries {
    let was = decode_boundaries(&status.desired_boundaries).ok();
    let wanted = match validate(resource) {
        Ok(valid) if valid.mode == ValidMode::Provisioned => valid.boundaries,
        // Of one that is wrong, or that follows its load, what was last decided counts.
        _ => None,
    };
    let one = || Boundaries::uniform(1).expect("one shard is the whole ring");
    wanted.or(was).unwrap_or_else(one)
}

/// The operator's word, but for what it has not seen yet.
fn phase(
    resource: &Stream,
    status: &StreamStatus,
    shards: &ShardMap,
    desired: &Boundaries,
) -> Phase {
    if resource.metadata.deletion_timestamp.is_some() {
        return Phase::Deleting;
    }
    let is_settled = !shards.is_changing() && shards.boundaries().as_ref() == Some(desired);
    match status.phase.as_deref() {
        None | Some("CREATING") => Phase::Creating,
        Some("ACTIVE") if is_settled => Phase::Active,
        Some(_) => Phase::Updating,
    }
}

fn settings(spec: &StreamSpec, data_keys: &[DataKey]) -> Settings {
    let hours = spec.retention_period_hours.unwrap_or(limits::RETENTION_HOURS_MIN);
    let kib = spec.max_record_size_kib.unwrap_or(limits::RECORD_KIB_DEFAULT);
    let key_id = spec.encryption.as_ref().map(|encryption| &encryption.key_id);
    let key = data_keys.iter().rfind(|key| Some(&key.key_id) == key_id);
    Settings {
        // The schema has bounds; a resource from before them must not stop the stream.
        retention_hours: hours.clamp(limits::RETENTION_HOURS_MIN, limits::RETENTION_HOURS_MAX),
        record_kib_max: kib.clamp(limits::RECORD_KIB_MIN, limits::RECORD_KIB_MAX),
        limits: match spec.limits {
            Some(Limits::Aws) => RecordLimits::Aws,
            _ => RecordLimits::Unlimited,
        },
        retention_bytes_per_shard: spec.storage.as_ref().and_then(|s| s.retention_bytes_per_shard),
        mode: match spec.mode {
            Some(SpecMode::OnDemand) => Mode::OnDemand,
            _ => Mode::Provisioned,
        },
        distribution: match spec.record_distribution_strategy {
            Some(DistributionStrategy::Auto) => Distribution::Auto,
            _ => Distribution::UserPartitionKey,
        },
        warm_mib_per_second: spec.warm_throughput_mibps,
        shard_metrics: spec
            .shard_level_metrics
            .iter()
            .map(|metric| decode_metric(*metric))
            .collect(),
        encryption: key.map(|key| key.number),
    }
}

impl Kind for Stream {
    type Known = Known;

    fn known(&self) -> Result<Known, String> {
        known(self)
    }

    fn uid(known: &Known) -> StreamUid {
        known.uid
    }

    fn new_in(namespace: &str, known: &Known) -> Stream {
        new_resource(namespace, known)
    }

    fn edit(&self, current: &Known, wanted: &Known) -> Edit<Stream> {
        edit(self, current, wanted)
    }

    fn is_going(known: &Known) -> bool {
        known.phase == Phase::Deleting
    }

    fn going(known: Known) -> Known {
        Known { phase: Phase::Deleting, ..known }
    }

    fn is_part(&self) -> bool {
        self.owner_references().iter().any(|owner| owner.kind == "DeliveryStream")
    }
}

/// What has to be stored so that `resource`, which says `current`, says `wanted`.
fn edit(resource: &Stream, current: &Known, wanted: &Known) -> Edit<Stream> {
    let mut status = resource.status.clone().unwrap_or_default();
    status.data_keys = wanted.data_keys.iter().map(encode_data_key).collect();
    status.consumers = wanted.consumers.iter().map(|(name, c)| encode_consumer(name, c)).collect();
    let is_changed = current.data_keys != wanted.data_keys || current.consumers != wanted.consumers;
    let mut spec = resource.spec.clone();
    if current.desired != wanted.desired {
        choose_boundaries(&mut spec, &wanted.desired);
    }
    if current.settings != wanted.settings {
        choose(&mut spec, &wanted.settings, &wanted.data_keys);
    }
    if current.settings.mode != wanted.settings.mode && wanted.settings.mode == Mode::Provisioned {
        // What the load came to is what its owner has from now on.
        choose_boundaries(&mut spec, &wanted.desired);
    }
    spec.tags = wanted.tags.clone();
    spec.resource_policy = wanted.policy.as_ref().map(|policy| policy.text().to_owned());
    let status = is_changed.then_some(status);
    let told = status.clone().or_else(|| resource.status.clone());
    Edit {
        status: status.map(|status| Stream { status: Some(status), ..resource.clone() }),
        rest: (spec != resource.spec).then(|| Stream { spec, status: told, ..resource.clone() }),
    }
}

/// The resource of a new stream.
fn new_resource(namespace: &str, stream: &Known) -> Stream {
    let mut spec = StreamSpec::default();
    choose(&mut spec, &stream.settings, &stream.data_keys);
    if stream.settings.mode == Mode::Provisioned {
        choose_boundaries(&mut spec, &stream.desired);
    }
    spec.tags = stream.tags.clone();
    let name = names::resource_name(stream.name.as_str());
    if name != stream.name.as_str() {
        spec.stream_name = Some(stream.name.to_string());
    }
    let mut resource = Stream::new(&name, spec);
    resource.metadata.namespace = Some(namespace.to_owned());
    resource
}

/// Shards of the same width are a number: then autoscalers and people can change it.
fn choose_boundaries(spec: &mut StreamSpec, boundaries: &Boundaries) {
    let count = u32::try_from(boundaries.starting().len()).unwrap_or(u32::MAX);
    let is_uniform = Boundaries::uniform(count).is_ok_and(|uniform| uniform == *boundaries);
    spec.shard_count = Some(count);
    spec.shard_boundaries = (!is_uniform).then(|| encode_boundaries(boundaries));
}

fn choose(spec: &mut StreamSpec, settings: &Settings, data_keys: &[DataKey]) {
    spec.retention_period_hours = Some(settings.retention_hours);
    spec.max_record_size_kib = Some(settings.record_kib_max);
    spec.limits = match settings.limits {
        RecordLimits::Aws => Some(Limits::Aws),
        RecordLimits::Unlimited => spec.limits.map(|_| Limits::Unlimited),
    };
    spec.mode = match settings.mode {
        Mode::OnDemand => Some(SpecMode::OnDemand),
        Mode::Provisioned => {
            (spec.min_shards, spec.max_shards) = (None, None);
            spec.mode.map(|_| SpecMode::Provisioned)
        }
    };
    spec.record_distribution_strategy = match settings.distribution {
        Distribution::Auto => Some(DistributionStrategy::Auto),
        Distribution::UserPartitionKey => {
            spec.record_distribution_strategy.map(|_| DistributionStrategy::UserPartitionKey)
        }
    };
    spec.warm_throughput_mibps = settings.warm_mib_per_second;
    spec.shard_level_metrics = settings.shard_metrics.iter().map(|m| encode_metric(*m)).collect();
    let key = data_keys.iter().find(|key| Some(key.number) == settings.encryption);
    spec.encryption = key.map(|key| Encryption { key_id: key.key_id.clone() });
}

fn policy(text: Option<&str>) -> Result<Option<Arc<Policy>>, String> {
    let policy = text.map(Policy::parse).transpose();
    Ok(policy.map_err(|error| format!("spec.resourcePolicy: {error}"))?.map(Arc::new))
}

fn consumers(stored: &[StreamConsumer]) -> Result<BTreeMap<model::ConsumerName, Consumer>, String> {
    let decode = |consumer: &StreamConsumer| {
        let name = consumer.name.parse().map_err(|error| format!("status.consumers: {error}"))?;
        let created = UnixMillis(consumer.created_ms);
        let policy = policy(consumer.resource_policy.as_deref())?;
        Ok((name, Consumer { created, tags: consumer.tags.clone(), policy }))
    };
    stored.iter().map(decode).collect()
}

fn encode_consumer(name: &model::ConsumerName, consumer: &Consumer) -> StreamConsumer {
    StreamConsumer {
        name: name.to_string(),
        created_ms: consumer.created.0,
        tags: consumer.tags.clone(),
        resource_policy: consumer.policy.as_ref().map(|policy| policy.text().to_owned()),
    }
}

fn decode_data_key(key: &StreamDataKey) -> Result<DataKey, String> {
    let wrapped = base64_simd::STANDARD.decode_to_vec(&key.wrapped);
    let wrapped = wrapped.map_err(|_| format!("status.dataKeys: {} is no base64", key.number))?;
    Ok(DataKey { number: key.number, key_id: key.key_id.clone(), wrapped })
}

fn encode_data_key(key: &DataKey) -> StreamDataKey {
    StreamDataKey {
        number: key.number,
        key_id: key.key_id.clone(),
        wrapped: base64_simd::STANDARD.encode_to_string(&key.wrapped),
    }
}

const METRICS: [(ShardLevelMetric, ShardMetric); 7] = [
    (ShardLevelMetric::IncomingBytes, ShardMetric::IncomingBytes),
    (ShardLevelMetric::IncomingRecords, ShardMetric::IncomingRecords),
    (ShardLevelMetric::OutgoingBytes, ShardMetric::OutgoingBytes),
    (ShardLevelMetric::OutgoingRecords, ShardMetric::OutgoingRecords),
    (
        ShardLevelMetric::WriteProvisionedThroughputExceeded,
        ShardMetric::WriteProvisionedThroughputExceeded,
    ),
    (
        ShardLevelMetric::ReadProvisionedThroughputExceeded,
        ShardMetric::ReadProvisionedThroughputExceeded,
    ),
    (ShardLevelMetric::IteratorAgeMilliseconds, ShardMetric::IteratorAgeMilliseconds),
];

fn decode_metric(metric: ShardLevelMetric) -> ShardMetric {
    METRICS[metric as usize].1
}

fn encode_metric(metric: ShardMetric) -> ShardLevelMetric {
    METRICS[metric as usize].0
}

#[cfg(test)]
mod tests;
