//! As AWS CreateDeliveryStream. It answers at once; whoever looks after the catalog makes it ACTIVE.

use aws_protocol::ApiError;
use bytes::Bytes;
use catalog::StreamUid;
use delivery_catalog::{DeliveryPhase, DeliveryStream};
use model::StreamName;
use operator_api::delivery_stream::DeliveryStreamSpec;
use serde::Serialize;
use serde::de::IgnoredAny;

use super::{parsed, tags};
use crate::api::{Api, Call};
use crate::destination::{self, Destination, Destinations};
use crate::draft::Draft;
use crate::errors::{self, invalid_argument};
use crate::shape::{Anything, Checks, Counted, Nested, OneOf, Shape, shapes};
use crate::source::{self, DirectPutSource, KinesisStreamSource, TYPES};
use crate::sse::{self, EncryptionInput};
use crate::texts::NAME;

shapes! {
    /// The members that are not destinations.
    Request {
        DeliveryStreamName: String, Always, NAME;
        DeliveryStreamType: String, Never, OneOf(TYPES);
        DirectPutSourceConfiguration: DirectPutSource, Never, Nested;
        KinesisStreamSourceConfiguration: KinesisStreamSource, Never, Nested;
        DeliveryStreamEncryptionConfigurationInput: EncryptionInput, Never, Nested;
        Tags: Vec<tags::Tag>, Never, Counted(1..=tags::MAX, Nested);
        #[serde(skip_serializing)]
        MSKSourceConfiguration: Unsupported, Never, Anything;
        #[serde(skip_serializing)]
        DatabaseSourceConfiguration: Unsupported, Never, Anything;
    }
}

/// A member of which only its being there is of interest.
#[derive(Clone, Copy, Default, Serialize)]
pub(crate) struct Unsupported;

impl<'de> serde::Deserialize<'de> for Unsupported {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Unsupported, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Unsupported)
    }
}

#[derive(Serialize)]
struct Output {
    #[serde(rename = "DeliveryStreamARN")]
    delivery_stream_arn: String,
}

pub(crate) async fn run(call: &Call<'_>) -> Result<Bytes, ApiError> {
    let request: Request = call.decode()?;
    let destinations: Destinations = call.decode()?;
    let mut checks = Checks::of_configuration();
    request.check(&mut checks, "");
    destinations.check(&mut checks, "");
    checks.finish()?;
    let name = parsed(request.DeliveryStreamName.as_ref())?;
    call.authorize(Some(&name)).await?;
    let api = call.api;
    let stream = request.stream(api, name, &*destinations.only_one()?)?;
    validate(api, &stream)?;
    if let Some(read) = stream.spec.source.as_ref().and_then(|source| source.stream.as_ref()) {
        call.authorize_source(&read.name).await?;
    }
    let stored = api.options.catalog.create(stream).await;
    let stored = stored.map_err(|error| errors::change(&error, api.identity()))?;
    let arn = api.identity().arn(stored.name.as_str());
    Ok(call.reply(&Output { delivery_stream_arn: arn }))
}

impl Request {
    fn stream(
        &self,
        api: &Api,
        name: StreamName,
        destination: &dyn Destination,
    ) -> Result<DeliveryStream, ApiError> {
        if self.MSKSourceConfiguration.is_some() {
            return Err(invalid_argument("MSKSourceConfiguration is not supported."));
        }
        if self.DatabaseSourceConfiguration.is_some() {
            return Err(invalid_argument("DatabaseSourceConfiguration is not supported."));
        }
        let mut stream = DeliveryStream {
            name,
            uid: StreamUid((api.options.random)()),
            version: 0,
            created: api.now(),
            updated: None,
            phase: DeliveryPhase::Creating,
            spec: DeliveryStreamSpec {
                tags: tags::added(self.Tags.as_deref().unwrap_or_default())?,
                ..DeliveryStreamSpec::default()
            },
            destination_version: 1,
            secrets: Default::default(),
            aws_only: Default::default(),
        };
        let identity = api.identity();
        let mut draft = Draft { stream: &mut stream, identity, base: "" };
        source::apply(
            self.DeliveryStreamType.as_deref(),
            self.DirectPutSourceConfiguration.as_ref(),
            self.KinesisStreamSourceConfiguration.as_ref(),
            &mut draft,
        )?;
        if let Some(given) = &self.DeliveryStreamEncryptionConfigurationInput {
            sse::check_direct_put(&stream)?;
            stream.spec.encryption = Some(sse::encryption(Some(given), &api.options.has_key)?);
        }
        destination::create(destination, &mut stream, identity)?;
        Ok(stream)
    }
}

/// The rules of the resource, which hold for whoever makes it, and whether it can be carried out.
pub(super) fn validate(api: &Api, stream: &DeliveryStream) -> Result<(), ApiError> {
    let resource = operator_api::DeliveryStream::new(stream.name.as_str(), stream.spec.clone());
    operator_core::validate_delivery_stream(&resource)
        .map_err(|errors| errors::invalid_spec(&errors))?;
    (api.options.check)(stream).map_err(errors::invalid_argument)
}
