//! As AWS DescribeLimits: what there is. Nothing of it is limited here, so the limits are the largest
//! numbers that the service model knows.

use aws_protocol::ApiError;
use catalog::Mode;
use serde::{Deserialize, Serialize};

use crate::api::{Api, Shape};

const UNLIMITED: usize = 1_000_000;

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Request {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Output {
    shard_limit: usize,
    open_shard_count: usize,
    on_demand_stream_count: usize,
    on_demand_stream_count_limit: usize,
    channel_count: usize,
    channel_count_limit: usize,
}

pub(crate) async fn run(api: &Api, _: Request) -> Result<Shape<Output>, ApiError> {
    api.authorize()?;
    let streams = api.options.catalog.list(None, usize::MAX);
    let on_demand = streams.iter().filter(|stream| stream.settings.mode == Mode::OnDemand);
    Ok(Shape(Output {
        shard_limit: UNLIMITED,
        open_shard_count: streams.iter().map(|stream| stream.shards.owners().len()).sum(),
        on_demand_stream_count: on_demand.count(),
        on_demand_stream_count_limit: UNLIMITED,
        channel_count: 0,
        channel_count_limit: 0,
    }))
}
