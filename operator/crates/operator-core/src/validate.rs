//! From a resource as written to one that can be carried out, or everything that is wrong with it.

mod analytics_app;
mod bounds;
mod delivery_stream;
mod destination;
mod prefix;
mod refusals;
mod video_stream;

use std::borrow::Cow;
use std::num::NonZeroU64;

use auth::Policy;
use model::{Boundaries, HashKey, StreamName, limits};
use operator_api::{Limits, Mode, Stream, StreamSpec};

pub use analytics_app::validate_analytics_app;
pub use delivery_stream::{fixed_in_delivery_stream, validate_delivery_stream};
pub use video_stream::validate_video_stream;

use refusals::Refusals;

/// One thing wrong with a spec: where, what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {what}")]
pub struct SpecError {
    /// The path of the field, as in `spec.shardCount` or `spec.detectors[0].name`.
    pub field: Cow<'static, str>,
    /// What is wrong and how to mend it.
    pub what: String,
}

/// A stream whose every field is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidStream {
    /// Its name, as Kubernetes and AWS both allow it.
    pub name: StreamName,
    /// Where its shards should start; `None` leaves a stream that exists as it is.
    pub boundaries: Option<Boundaries>,
    /// How long records can be read.
    pub retention_hours: u32,
    /// The largest record.
    pub record_kib_max: u32,
    /// Whether shards impose AWS's throughput.
    pub aws_limits: bool,
    /// The oldest records of a shard go while it is larger than this.
    pub retention_bytes_per_shard: Option<NonZeroU64>,
    /// Who decides how many shards there are.
    pub mode: ValidMode,
    /// Open shards on each pod of its own.
    pub shards_per_pod: u32,
    /// Whether its shards are in the pods of a pool.
    pub pool: bool,
}

/// Who decides how many shards a stream has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValidMode {
    /// Its owner.
    Provisioned,
    /// The load, within these.
    OnDemand {
        /// The fewest.
        min: u32,
        /// The most; not less.
        max: u32,
    },
}

/// Checks a stream.
///
/// # Errors
/// All that is wrong with it.
pub fn validate(stream: &Stream) -> Result<ValidStream, Vec<SpecError>> {
    let mut errors = Refusals::default();
    let spec = &stream.spec;
    let name = stream.stream_name().parse::<StreamName>();
    if let Err(error) = &name {
        let is_own = stream.spec.stream_name.is_some();
        errors.refuse(if is_own { "spec.streamName" } else { "metadata.name" }, error.to_string());
    }
    let boundaries = boundaries(spec).unwrap_or_else(|error| {
        errors.refuse(error.field, error.what);
        None
    });
    let retention_hours = spec.retention_period_hours.unwrap_or(limits::RETENTION_HOURS_MIN);
    if !(limits::RETENTION_HOURS_MIN..=limits::RETENTION_HOURS_MAX).contains(&retention_hours) {
        let (min, max) = (limits::RETENTION_HOURS_MIN, limits::RETENTION_HOURS_MAX);
        let what = format!("{retention_hours} hours; set {min} to {max}");
        errors.refuse("spec.retentionPeriodHours", what);
    }
    let record_kib_max = spec.max_record_size_kib.unwrap_or(limits::RECORD_KIB_DEFAULT);
    if !(limits::RECORD_KIB_MIN..=limits::RECORD_KIB_MAX).contains(&record_kib_max) {
        let (min, max) = (limits::RECORD_KIB_MIN, limits::RECORD_KIB_MAX);
        errors.refuse("spec.maxRecordSizeKiB", format!("{record_kib_max} KiB; set {min} to {max}"));
    }
    let bytes = spec.storage.as_ref().and_then(|storage| storage.retention_bytes_per_shard);
    if bytes.is_some_and(|bytes| bytes < 1 << 20) {
        let what = format!("{} bytes; set at least 1048576", bytes.unwrap_or_default());
        errors.refuse("spec.storage.retentionBytesPerShard", what);
    }
    if let Some(Err(error)) = spec.resource_policy.as_deref().map(Policy::parse) {
        errors.refuse("spec.resourcePolicy", error.to_string());
    }
    let storage = spec.storage.clone().unwrap_or_default();
    let is_volume =
        storage.class_name.is_some() || storage.size.is_some() || storage.deletion_policy.is_some();
    if spec.pool.is_some() && is_volume {
        let what = "className, size and deletionPolicy are of volumes, which belong to the pool: \
                    remove them, or remove pool";
        errors.refuse("spec.storage", what.to_owned());
    }
    let mode = mode(spec).unwrap_or_else(|error| {
        errors.refuse(error.field, error.what);
        ValidMode::Provisioned
    });
    if let Some(replicas) = spec.replicas.filter(|replicas| *replicas != 1) {
        let what = format!("{replicas}; this version keeps each record in one pod: set 1");
        errors.refuse("spec.replicas", what);
    }
    let shards_per_pod = spec.shards_per_pod.unwrap_or(SHARDS_PER_POD);
    if shards_per_pod == 0 {
        errors.refuse("spec.shardsPerPod", "0; set at least 1".to_owned());
    }
    match name {
        Ok(name) if errors.is_empty() => Ok(ValidStream {
            name,
            boundaries,
            retention_hours,
            record_kib_max,
            aws_limits: spec.limits == Some(Limits::Aws),
            retention_bytes_per_shard: bytes.and_then(NonZeroU64::new),
            mode,
            shards_per_pod,
            pool: spec.pool.is_some(),
        }),
        _ => Err(errors.into_errors()),
    }
}

/// Open shards on a pod, when nothing is said.
const SHARDS_PER_POD: u32 = 16;

fn mode(spec: &StreamSpec) -> Result<ValidMode, SpecError> {
    if spec.mode != Some(Mode::OnDemand) {
        return match spec.min_shards.or(spec.max_shards) {
            None => Ok(ValidMode::Provisioned),
            Some(_) => Err(SpecError {
                field: "spec.mode".into(),
                what: "minShards and maxShards are for mode OnDemand: set it".to_owned(),
            }),
        };
    }
    let min = spec.min_shards.unwrap_or(1);
    let max = spec.max_shards.unwrap_or(SHARDS_MAX);
    if min == 0 || max < min || SHARDS_MAX < max {
        let most = SHARDS_MAX;
        let what = format!("minShards {min}, maxShards {max}; set 1 <= min <= max <= {most}");
        return Err(SpecError { field: "spec.maxShards".into(), what });
    }
    Ok(ValidMode::OnDemand { min, max })
}

/// Whether boundaries are those of this many shards: after an autoscaler has changed the number they
/// are not heeded any more.
pub(crate) fn is_count_of(boundaries: Option<&[String]>, count: u32) -> bool {
    boundaries.is_some_and(|texts| texts.len() == count as usize)
}

/// The most shards of a Stream: all of them have to fit its status. Whether the closed ones that others
/// come from do, too, is looked at before each reshard.
const SHARDS_MAX: u32 = 2_500;

fn too_many(field: &'static str, count: u32) -> SpecError {
    let what = format!("{count}; a Stream has at most {SHARDS_MAX} shards: use several Streams");
    SpecError { field: field.into(), what }
}

fn boundaries(spec: &StreamSpec) -> Result<Option<Boundaries>, SpecError> {
    const COUNT: &str = "spec.shardCount";
    const BOUNDARIES: &str = "spec.shardBoundaries";
    match (&spec.shard_boundaries, spec.shard_count) {
        (None, None) => Ok(None),
        (_, Some(count)) if SHARDS_MAX < count => Err(too_many(COUNT, count)),
        (Some(texts), None) if (SHARDS_MAX as usize) < texts.len() => {
            Err(too_many(BOUNDARIES, u32::try_from(texts.len()).unwrap_or(u32::MAX)))
        }
        (texts, Some(count)) if !is_count_of(texts.as_deref(), count) => {
            match Boundaries::uniform(count) {
                Ok(boundaries) => Ok(Some(boundaries)),
                Err(error) => Err(SpecError { field: COUNT.into(), what: error.to_string() }),
            }
        }
        (None, Some(_)) => unreachable!("no boundaries are of no count"),
        (Some(texts), _) => {
            let keys = texts.iter().map(|text| text.parse::<HashKey>()).collect::<Result<_, _>>();
            let keys: Vec<HashKey> = keys
                .map_err(|error| SpecError { field: BOUNDARIES.into(), what: error.to_string() })?;
            let boundaries = Boundaries::new(keys);
            let boundaries = boundaries
                .map_err(|error| SpecError { field: BOUNDARIES.into(), what: error.to_string() })?;
            Ok(Some(boundaries))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Manifest, parse_manifests};

    fn check(spec: &str, want: &str) {
        let yaml = format!(
            "apiVersion: leat.dev/v1alpha1\nkind: Stream\nmetadata: {{name: clicks}}\nspec: {spec}"
        );
        let Manifest::Stream(stream) = parse_manifests(&yaml).unwrap().remove(0) else {
            panic!("a Stream is parsed as one");
        };
        let got = match validate(&stream) {
            Ok(valid) => {
                let count = valid.boundaries.map(|boundaries| boundaries.starting().len());
                format!("{} shards, {} hours", count.unwrap_or(0), valid.retention_hours)
            }
            Err(errors) => errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | "),
        };
        assert_eq!(got, want);
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        check("{}", "0 shards, 24 hours");
        check("{shardCount: 4, retentionPeriodHours: 48, limits: AWS}", "4 shards, 48 hours");
        check("{shardBoundaries: ['0', '10', '20']}", "3 shards, 24 hours");
        check("{shardBoundaries: ['0', '10', '20'], shardCount: 3}", "3 shards, 24 hours");
        check("{shardBoundaries: ['0', '10', '20'], shardCount: 8}", "8 shards, 24 hours");
    }

    #[test]
    fn everything_wrong_is_reported_at_once() {
        check(
            "{shardCount: 0, retentionPeriodHours: 1, maxRecordSizeKiB: 5, storage: {retentionBytesPerShard: 3}}",
            "spec.shardCount: a stream has 1 to 10000 shards, not 0 | \
             spec.retentionPeriodHours: 1 hours; set 24 to 8760 | \
             spec.maxRecordSizeKiB: 5 KiB; set 1024 to 10240 | \
             spec.storage.retentionBytesPerShard: 3 bytes; set at least 1048576",
        );
        check(
            "{minShards: 3, replicas: 3, streamName: 'a b'}",
            "spec.streamName: a name is 1 to 128 of the characters a-z, A-Z, 0-9, '_', '.' and '-' | \
             spec.mode: minShards and maxShards are for mode OnDemand: set it | \
             spec.replicas: 3; this version keeps each record in one pod: set 1",
        );
        check(
            "{mode: OnDemand, minShards: 5, maxShards: 4}",
            "spec.maxShards: minShards 5, maxShards 4; set 1 <= min <= max <= 2500",
        );
        check(
            "{shardCount: 10000, resourcePolicy: '{'}",
            "spec.shardCount: 10000; a Stream has at most 2500 shards: use several Streams | \
             spec.resourcePolicy: EOF while parsing an object at line 1 column 1",
        );
        check(
            "{pool: small, storage: {deletionPolicy: Retain}}",
            "spec.storage: className, size and deletionPolicy are of volumes, which belong to the \
             pool: remove them, or remove pool",
        );
        check(
            "{shardBoundaries: ['0', '0']}",
            "spec.shardBoundaries: boundaries increase, but 0 does not",
        );
        check("{shardBoundaries: ['1']}", "spec.shardBoundaries: the first boundary is 0, not 1");
        check(
            "{shardBoundaries: ['x']}",
            "spec.shardBoundaries: hash key \"x\", want a decimal number below 2^128 without leading zeros",
        );
    }
}
