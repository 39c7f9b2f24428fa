//! Who decides about shards, and what goes with it: stream modes, warm throughput, distribution.

use aws_protocol::validate::Violations;
use aws_protocol::{ApiError, ErrorCode};
use catalog::{Distribution, Mode, Settings, Stream};
use model::limits::SHARDS_MAX;
use serde::{Deserialize, Serialize};

/// Open shards of a new on-demand stream, as AWS: 4 MB/s to begin with.
pub(crate) const ON_DEMAND_SHARDS: u32 = 4;
/// One shard takes 1 MiB/s.
const WARM_MIB_MAX: u32 = SHARDS_MAX;

const MODES: [(&str, Mode); 2] =
    [("PROVISIONED", Mode::Provisioned), ("ON_DEMAND", Mode::OnDemand)];
const DISTRIBUTIONS: [(&str, Distribution); 2] =
    [("AUTO", Distribution::Auto), ("USER_PARTITION_KEY", Distribution::UserPartitionKey)];

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ModeDetails {
    stream_mode: Option<String>,
}

/// As the service model's WarmThroughputObject.
#[derive(Serialize)]
pub(crate) struct WarmThroughput {
    #[serde(rename = "TargetMiBps")]
    target_mibps: u32,
    #[serde(rename = "CurrentMiBps")]
    current_mibps: u32,
}

impl WarmThroughput {
    pub(crate) fn of(stream: &Stream) -> Option<WarmThroughput> {
        let target_mibps = stream.settings.warm_mib_per_second?;
        let shards = u32::try_from(stream.shards.owners().len()).unwrap_or(u32::MAX);
        Some(WarmThroughput { target_mibps, current_mibps: shards.min(target_mibps) })
    }
}

pub(crate) fn check_mode(checks: &mut Violations, details: Option<&ModeDetails>) -> Option<Mode> {
    let path = "streamModeDetails.streamMode";
    let mode = checks.required(path, details?.stream_mode.as_deref());
    checks.one_of(path, mode, &MODES)
}

pub(crate) fn check_distribution(
    checks: &mut Violations,
    text: Option<&str>,
) -> Option<Distribution> {
    checks.one_of("recordDistributionStrategy", text, &DISTRIBUTIONS)
}

pub(crate) fn check_warm(checks: &mut Violations, mib: Option<i64>) -> Option<u32> {
    checks.range("warmThroughputMiBps", mib, 0..=i64::from(WARM_MIB_MAX));
    mib.and_then(|mib| u32::try_from(mib).ok())
}

pub(crate) fn mode_name(settings: &Settings) -> &'static str {
    MODES.iter().find(|(_, mode)| *mode == settings.mode).map_or("", |(name, _)| name)
}

pub(crate) fn distribution_name(settings: &Settings) -> &'static str {
    let distribution = settings.distribution;
    DISTRIBUTIONS.iter().find(|(_, known)| *known == distribution).map_or("", |(name, _)| name)
}

/// What only on-demand streams have.
pub(crate) fn check_on_demand(settings: &Settings, what: &str) -> Result<(), ApiError> {
    match settings.mode {
        Mode::OnDemand => Ok(()),
        Mode::Provisioned => Err(ApiError::new(
            ErrorCode::ValidationException,
            format!("{what} is for streams in ON_DEMAND mode; UpdateStreamMode changes the mode."),
        )),
    }
}

/// What only provisioned streams let their owner do.
pub(crate) fn check_provisioned(stream: &Stream, operation: &str) -> Result<(), ApiError> {
    match stream.settings.mode {
        Mode::Provisioned => Ok(()),
        Mode::OnDemand => Err(ApiError::new(
            ErrorCode::ValidationException,
            format!(
                "{operation} is not for stream {} in ON_DEMAND mode, whose shards follow its load; UpdateStreamMode changes the mode.",
                stream.name
            ),
        )),
    }
}
