//! As AWS CreateStream, and it answers when the stream is ACTIVE, if that takes no longer than a
//! moment.

use std::collections::BTreeMap;

use aws_protocol::validate::Violations;
use aws_protocol::{ApiError, ErrorCode};
use catalog::{Settings, Stream, StreamUid};
use model::{Boundaries, StreamName, limits};
use serde::Deserialize;

use super::tags;
use crate::api::Api;
use crate::errors::{self, invalid_argument};
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
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ModeDetails {
    stream_mode: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Provisioned,
    OnDemand,
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
        let mode = self.stream_mode_details.and_then(|details| {
            let mode = details.stream_mode.as_deref();
            let mode = checks.required("streamModeDetails.streamMode", mode);
            let set = [("PROVISIONED", Mode::Provisioned), ("ON_DEMAND", Mode::OnDemand)];
            checks.one_of("streamModeDetails.streamMode", mode, &set)
        });
        let sizes = i64::from(limits::RECORD_KIB_MIN)..=i64::from(limits::RECORD_KIB_MAX);
        checks.range("maxRecordSizeInKiB", self.max_record_size_in_ki_b, sizes);
        let tags = self.tags.unwrap_or_default();
        tags::check(&mut checks, &tags);
        checks.finish()?;
        if mode == Some(Mode::OnDemand) {
            return Err(ApiError::new(
                ErrorCode::ValidationException,
                "StreamMode ON_DEMAND is not supported by this version; use PROVISIONED with a ShardCount.",
            ));
        }
        tags::check_count(tags.len())?;
        let count = self.shard_count.unwrap_or(SHARDS_DEFAULT);
        let desired = u32::try_from(count).ok().and_then(|count| Boundaries::uniform(count).ok());
        let record_kib_max = self.max_record_size_in_ki_b.and_then(|kib| u32::try_from(kib).ok());
        Ok(CreateStream {
            name: name.resolve()?,
            desired: desired.ok_or_else(|| too_many_shards(count))?,
            settings: Settings {
                record_kib_max: record_kib_max.unwrap_or(limits::RECORD_KIB_DEFAULT),
                ..Settings::default()
            },
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
    let uid = StreamUid((api.options.random)());
    let stream = Stream::new(name.clone(), uid, api.now(), desired, settings);
    let stream = Stream { tags, ..stream };
    let stored = api.options.catalog.create(stream).await;
    stored.map_err(|error| errors::change(&error, api.identity()))?;
    api.settle(&name).await;
    Ok(())
}
