//! As AWS ListDeliveryStreams: names in their order, in pages, of one type or of all.

use aws_protocol::ApiError;
use bytes::Bytes;
use serde::Serialize;

use crate::api::Call;
use crate::shape::{Checks, OneOf, Shape, Within, shapes};
use crate::source::{TYPES, type_of};
use crate::texts::NAME;

const PAGE_DEFAULT: usize = 10;
/// How many are looked at together, of which some may be of another type.
const STEP: usize = 1_000;

shapes! {
    Request {
        Limit: i64, Never, Within(1..=10_000);
        DeliveryStreamType: String, Never, OneOf(TYPES);
        ExclusiveStartDeliveryStreamName: String, Never, NAME;
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    delivery_stream_names: Vec<String>,
    has_more_delivery_streams: bool,
}

pub(crate) async fn run(call: &Call<'_>) -> Result<Bytes, ApiError> {
    let request: Request = call.decode()?;
    let mut checks = Checks::of_configuration();
    request.check(&mut checks, "");
    checks.finish()?;
    call.authorize(None).await?;
    let limit = request.Limit.and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(PAGE_DEFAULT);
    let mut after = request.ExclusiveStartDeliveryStreamName;
    let kind = request.DeliveryStreamType.as_deref();
    let mut names = Vec::new();
    // One more than asked for tells whether there are more.
    while names.len() <= limit {
        let step = call.api.options.catalog.list(after.as_deref(), STEP);
        let Some(last) = step.last() else { break };
        after = Some(last.name.to_string());
        let wanted = step.iter().filter(|stream| kind.is_none_or(|kind| type_of(stream) == kind));
        names.extend(wanted.map(|stream| stream.name.to_string()));
    }
    let has_more_delivery_streams = limit < names.len();
    names.truncate(limit);
    Ok(call.reply(&Output { delivery_stream_names: names, has_more_delivery_streams }))
}
