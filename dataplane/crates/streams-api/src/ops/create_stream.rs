//! As AWS CreateStream, and it answers when the stream is ACTIVE, if that takes no longer than a
//! moment.

use std::collections::BTreeMap;

use aws_protocol::validate::Violations;
use aws_protocol::{ApiError, ErrorCode};
use catalog::{Distribution, Mode, Settings, Stream, StreamUid};
use model::{Boundaries, StreamName, limits};
use serde::Deserialize;

use super::tags;
use crate::account::check_committed;
use crate::api::Api;
use crate::errors::{self, invalid_argument};
use crate::mode::{
    ModeDetails, ON_DEMAND_SHARDS, check_distribution, check_mode, check_on_demand, check_warm,
};
use crate::stream_ref::StreamRef;

/// As AWS's default.
const SHARDS_DEFAULT: i64 = 1;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Request {
    stream_name: Option<String>,
    shard_count: Option<i64>,
    stream_mode_details: Option<ModeDetails>,
    tags: Option<BTreeMap<String, String>>,
    max_record_size_in_ki_b: Option<i64>,
    #[serde(rename = "WarmThroughputMiBps")]
    warm_throughput_mibps: Option<i64>,
    record_distribution_strategy: Option<String>,
}

struct CreateStream {
    name: StreamName,
    desired: Boundaries,
    settings: Settings,
    tags: BTreeMap<String, String>,
}

impl Request {
    fn check(self) -> Result<CreateStream, ApiError> {
        let mut checks = Violations::new();
        checks.required("streamName", self.stream_name.as_deref());
        let name = StreamRef::check(&mut checks, self.stream_name.as_deref(), None);
        checks.range("shardCount", self.shard_count, 1..=i64::MAX);
        let mode = check_mode(&mut checks, self.stream_mode_details.as_ref());
        let warm = check_warm(&mut checks, self.warm_throughput_mibps);
        let distribution = self.record_distribution_strategy.as_deref();
        let distribution = check_distribution(&mut checks, distribution);
        let sizes = i64::from(limits::RECORD_KIB_MIN)..=i64::from(limits::RECORD_KIB_MAX);
        checks.range("maxRecordSizeInKiB", self.max_record_size_in_ki_b, sizes);
        tags::check(&mut checks, self.tags.as_ref());
        let tags = self.tags.unwrap_or_default();
        checks.finish()?;
        tags::check_new(&tags)?;
        let record_kib_max = self.max_record_size_in_ki_b.and_then(|kib| u32::try_from(kib).ok());
        let settings = Settings {
            record_kib_max: record_kib_max.unwrap_or(limits::RECORD_KIB_DEFAULT),
            mode: mode.unwrap_or(Mode::Provisioned),
            distribution: distribution.unwrap_or(Distribution::UserPartitionKey),
            warm_mib_per_second: warm,
            ..Settings::default()
        };
        if settings.distribution == Distribution::Auto {
            check_on_demand(&settings, "RecordDistributionStrategy AUTO")?;
        }
        if warm.is_some() {
            check_on_demand(&settings, "WarmThroughputMiBps")?;
        }
        let count = match (settings.mode, self.shard_count) {
            (Mode::Provisioned, count) => count.unwrap_or(SHARDS_DEFAULT),
            (Mode::OnDemand, None) => i64::from(warm.unwrap_or_default().max(ON_DEMAND_SHARDS)),
            (Mode::OnDemand, Some(_)) => {
                return Err(ApiError::new(
                    ErrorCode::ValidationException,
                    "ShardCount is not for streams in ON_DEMAND mode, whose shards follow their load.",
                ));
            }
        };
        let desired = u32::try_from(count).ok().and_then(|count| Boundaries::uniform(count).ok());
        Ok(CreateStream {
            name: name.resolve()?,
            desired: desired.ok_or_else(|| too_many_shards(count))?,
            settings,
            tags,
        })
    }
}

fn too_many_shards(count: i64) -> ApiError {
    invalid_argument(format!(
        "A stream has at most {} shards, and {count} were asked for.",
        limits::SHARDS_MAX
    ))
}

pub(crate) async fn run(api: &Api, request: Request) -> Result<(), ApiError> {
    let CreateStream { name, desired, settings, tags } = request.check()?;
    api.authorize()?;
    if settings.warm_mib_per_second.is_some() {
        check_committed(&api.options.catalog.account(), api.now())?;
    }
    let uid = StreamUid((api.options.random)());
    let stream = Stream::new(name.clone(), uid, api.now(), desired, settings);
    let stream = Stream { tags, ..stream };
    let stored = api.options.catalog.create(stream).await;
    stored.map_err(|error| errors::change(&error, api.identity()))?;
    api.settle(&name).await;
    Ok(())
}
