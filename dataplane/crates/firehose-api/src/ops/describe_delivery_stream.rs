//! As AWS DescribeDeliveryStream: what it is, where it comes from and where it goes. Secrets are never
//! told.

use aws_protocol::{ApiError, Timestamp};
use bytes::Bytes;
use delivery_catalog::DeliveryStream;
use serde::Serialize;

use super::checked;
use crate::api::{Call, Identity};
use crate::destination::{DestinationDescription, ID};
use crate::draft::Told;
use crate::errors::status;
use crate::shape::{Within, shapes};
use crate::source::{SourceDescription, type_of};
use crate::sse::EncryptionDescription;
use crate::texts::{DESTINATION_ID, NAME};

shapes! {
    Request {
        DeliveryStreamName: String, Always, NAME;
        // There is one destination at the most.
        Limit: i64, Never, Within(1..=10_000);
        ExclusiveStartDestinationId: String, Never, DESTINATION_ID;
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    delivery_stream_description: Description,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Description {
    delivery_stream_name: String,
    #[serde(rename = "DeliveryStreamARN")]
    delivery_stream_arn: String,
    delivery_stream_status: &'static str,
    delivery_stream_encryption_configuration: EncryptionDescription,
    delivery_stream_type: &'static str,
    version_id: String,
    create_timestamp: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_update_timestamp: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<SourceDescription>,
    destinations: Vec<DestinationDescription>,
    has_more_destinations: bool,
}

pub(crate) async fn run(call: &Call<'_>) -> Result<Bytes, ApiError> {
    let request: Request = call.decode()?;
    let name = checked(&request, request.DeliveryStreamName.as_ref())?;
    call.authorize(Some(&name)).await?;
    let stream = call.api.stream(&name)?;
    let after = request.ExclusiveStartDestinationId.as_deref();
    let is_listed = after.is_none_or(|after| after < ID);
    let description = Description::of(&stream, call.api.identity(), is_listed);
    Ok(call.reply(&Output { delivery_stream_description: description }))
}

impl Description {
    fn of(stream: &DeliveryStream, identity: &Identity, is_listed: bool) -> Description {
        let destination = is_listed.then(|| DestinationDescription::of(stream, identity));
        Description {
            delivery_stream_name: stream.name.to_string(),
            delivery_stream_arn: identity.arn(stream.name.as_str()),
            delivery_stream_status: status(stream.phase),
            delivery_stream_encryption_configuration: EncryptionDescription::of(stream, identity),
            delivery_stream_type: type_of(stream),
            version_id: stream.destination_version.to_string(),
            create_timestamp: Timestamp(stream.created),
            last_update_timestamp: stream.updated.map(Timestamp),
            source: SourceDescription::of(&Told { stream, identity, base: "" }),
            destinations: destination.into_iter().collect(),
            has_more_destinations: false,
        }
    }
}
