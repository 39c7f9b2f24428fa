//! As AWS UpdateStreamMode: from now on the load, or the owner, decides how many shards there are. Those
//! there are stay as they are until then.

use aws_protocol::ApiError;
use aws_protocol::validate::Violations;
use catalog::{Distribution, Mode};
use serde::Deserialize;

use crate::account::check_committed;
use crate::api::Api;
use crate::mode::{ModeDetails, check_mode, check_on_demand, check_warm};
use crate::stream_ref::StreamRef;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Request {
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    stream_mode_details: Option<ModeDetails>,
    #[serde(rename = "WarmThroughputMiBps")]
    warm_throughput_mibps: Option<i64>,
}

pub(crate) async fn run(api: &Api, request: Request) -> Result<(), ApiError> {
    let mut checks = Violations::new();
    checks.required("streamARN", request.stream_arn.as_deref());
    let named = StreamRef::check(&mut checks, None, request.stream_arn.as_deref());
    let details = checks.required("streamModeDetails", request.stream_mode_details.as_ref());
    let mode = check_mode(&mut checks, details);
    let warm = check_warm(&mut checks, request.warm_throughput_mibps);
    checks.finish()?;
    let mode = mode.unwrap_or(Mode::Provisioned);
    if warm.is_some() {
        check_committed(&api.options.catalog.account(), api.now())?;
    }
    api.change_active(&named.resolve()?, |stream| {
        let before = stream.settings.clone();
        stream.settings.mode = mode;
        match mode {
            Mode::OnDemand => stream.settings.warm_mib_per_second = warm,
            // What goes with the mode goes with it.
            Mode::Provisioned => {
                stream.settings.warm_mib_per_second = None;
                stream.settings.distribution = Distribution::UserPartitionKey;
            }
        }
        if warm.is_some() {
            check_on_demand(&stream.settings, "WarmThroughputMiBps")?;
        }
        Ok(stream.settings != before)
    })
    .await?;
    Ok(())
}
