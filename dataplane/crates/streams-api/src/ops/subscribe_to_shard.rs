//! As AWS SubscribeToShard: records are sent as they come, for five minutes.

use aws_protocol::validate::Violations;
use aws_protocol::{ApiError, Encoding, ErrorCode, Timestamp};
use serde::Deserialize;

use crate::api::{Answer, Api, Reply};
use crate::errors::{check_dry_run, invalid_argument};
use crate::position::{Member, Wanted, check_shard_id, find_shard, offset};
use crate::resource::Arn;
use crate::subscription::{Begin, events};
use crate::subscriptions::SubscriptionKey;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Request {
    #[serde(rename = "ConsumerARN")]
    consumer_arn: Option<String>,
    shard_id: Option<String>,
    starting_position: Option<StartingPosition>,
    dry_run: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct StartingPosition {
    r#type: Option<String>,
    sequence_number: Option<String>,
    timestamp: Option<Timestamp>,
}

/// A subscription that can begin.
pub(crate) struct Subscribed {
    api: Api,
    begin: Begin,
}

pub(crate) async fn run(api: &Api, request: Request) -> Result<Subscribed, ApiError> {
    let mut checks = Violations::new();
    checks.required("consumerARN", request.consumer_arn.as_deref());
    let consumer = Arn::check_consumer(&mut checks, "consumerARN", request.consumer_arn.as_deref());
    let shard_id = check_shard_id(&mut checks, request.shard_id.as_deref());
    let position = checks.required("startingPosition", request.starting_position.as_ref());
    let wanted = Wanted {
        operation: "SubscribeToShard",
        type_member: Member { path: "startingPosition.type", name: "StartingPosition.Type" },
        type_text: position.and_then(|position| position.r#type.as_deref()),
        number_member: Member { path: "startingPosition.sequenceNumber", name: "SequenceNumber" },
        number_text: position.and_then(|position| position.sequence_number.as_deref()),
        timestamp: position.and_then(|position| position.timestamp).map(|at| at.0),
    };
    let checked = position.is_some().then(|| wanted.check(&mut checks));
    checks.finish()?;
    let required = || invalid_argument("ConsumerARN and StartingPosition are required.");
    let (consumer, checked) = consumer.zip(checked).ok_or_else(required)?;

    let stream = api.check_serving(api.consumer(&consumer)?.stream)?;
    let shard = find_shard(api, &stream, shard_id)?.clone();
    let position = wanted.position(checked, &shard, api.now())?;
    check_dry_run(request.dry_run)?;
    let handle = api.handle(&stream, &shard)?;
    let from = offset(&handle, &shard, position).await?;
    let key =
        SubscriptionKey { stream: stream.uid, consumer: consumer.name.clone(), shard: shard.id };
    let lease = api.subscriptions.begin(key).map_err(|_| {
        api.options.metrics.subscription_refused(&stream.name);
        ApiError::new(
            ErrorCode::ResourceInUseException,
            format!(
                "Another active subscription exists for this consumer: {}:{}:{shard_id}",
                api.identity().account,
                consumer.arn(api.identity())
            ),
        )
    })?;
    api.options.metrics.subscribed(&stream.name);
    let begin = Begin { consumer, stream, shard, handle, from, lease };
    Ok(Subscribed { api: api.clone(), begin })
}

impl Reply for Subscribed {
    fn into_answer(self, encoding: Encoding) -> Answer {
        Answer::Events(events(&self.api, encoding, self.begin))
    }
}
