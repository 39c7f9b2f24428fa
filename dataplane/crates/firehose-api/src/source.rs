//! Where records come from: producers or a stream.

use aws_protocol::{ApiError, Timestamp};
use delivery_catalog::DeliveryStream;
use operator_api::delivery_stream::{DirectPut, Source, StreamSource};
use serde::Serialize;

use crate::draft::{Draft, Told, small};
use crate::errors::invalid_argument;
use crate::shape::{Within, shapes};
use crate::texts::{ROLE_ARN, STREAM_ARN};

pub(crate) const DIRECT_PUT: &str = "DirectPut";
pub(crate) const STREAM: &str = "KinesisStreamAsSource";
pub(crate) const TYPES: &[&str] = &[DIRECT_PUT, STREAM, "MSKAsSource", "DatabaseAsSource"];

/// The member in CreateDeliveryStream.
pub(crate) const STREAM_MEMBER: &str = "KinesisStreamSourceConfiguration";

shapes! {
    /// As DirectPutSourceConfiguration and its description.
    DirectPutSource {
        ThroughputHintInMBs: i64, Always, Within(1..=100);
    }

    /// As KinesisStreamSourceConfiguration.
    KinesisStreamSource {
        KinesisStreamARN: String, Always, STREAM_ARN;
        RoleARN: String, Always, ROLE_ARN;
    }
}

/// As SourceDescription.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SourceDescription {
    #[serde(skip_serializing_if = "Option::is_none")]
    direct_put_source_description: Option<DirectPutSource>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kinesis_stream_source_description: Option<StreamDescription>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct StreamDescription {
    #[serde(flatten)]
    source: KinesisStreamSource,
    delivery_start_timestamp: Timestamp,
}

/// What DeliveryStreamType says.
pub(crate) fn type_of(stream: &DeliveryStream) -> &'static str {
    if stream.is_direct_put() { DIRECT_PUT } else { STREAM }
}

/// Sets the source of a new delivery stream.
pub(crate) fn apply(
    kind: Option<&str>,
    direct_put: Option<&DirectPutSource>,
    stream: Option<&KinesisStreamSource>,
    draft: &mut Draft<'_>,
) -> Result<(), ApiError> {
    match (kind.unwrap_or(DIRECT_PUT), direct_put, stream) {
        (DIRECT_PUT, hint, None) => {
            let hint = hint.and_then(|source| source.ThroughputHintInMBs);
            draft.spec().source = hint.map(|mib| Source {
                direct_put: Some(DirectPut {
                    throughput_hint_mib: Some(small(mib)),
                    ..DirectPut::default()
                }),
                stream: None,
            });
        }
        (STREAM, None, Some(source)) => apply_stream(source, draft)?,
        (STREAM, None, None) => {
            let what = format!("{STREAM_MEMBER} is required for {STREAM}.");
            return Err(invalid_argument(what));
        }
        (kind @ (DIRECT_PUT | STREAM), ..) => {
            return Err(invalid_argument(format!(
                "The configuration of another source does not go with DeliveryStreamType {kind}."
            )));
        }
        (kind, ..) => {
            return Err(invalid_argument(format!(
                "DeliveryStreamType {kind} is not supported: use {DIRECT_PUT} or {STREAM}."
            )));
        }
    }
    Ok(())
}

fn apply_stream(source: &KinesisStreamSource, draft: &mut Draft<'_>) -> Result<(), ApiError> {
    let arn = source.KinesisStreamARN.as_deref().unwrap_or_default();
    let name = arn.rsplit_once('/').map_or(arn, |(_, name)| name);
    draft.base = STREAM_MEMBER;
    draft.keep("KinesisStreamARN", Some(&arn));
    draft.keep("RoleARN", source.RoleARN.as_ref());
    // It starts with what comes from now on, which is what the resource says when it says nothing.
    let stream = StreamSource { name: name.to_owned(), ..StreamSource::default() };
    draft.spec().source = Some(Source { direct_put: None, stream: Some(stream) });
    Ok(())
}

impl SourceDescription {
    pub(crate) fn of(told: &Told<'_>) -> Option<SourceDescription> {
        let told = Told { base: STREAM_MEMBER, ..*told };
        let source = told.spec().source.as_ref()?;
        let hint = source.direct_put.as_ref().and_then(|put| put.throughput_hint_mib);
        let stream = source.stream.as_ref().map(|stream| {
            let (region, account) = (&told.identity.region, &told.identity.account);
            let is_same = |arn: &String| arn.ends_with(&format!(":stream/{}", stream.name));
            let made = || format!("arn:aws:kinesis:{region}:{account}:stream/{}", stream.name);
            let arn = told.kept("KinesisStreamARN").filter(is_same).unwrap_or_else(made);
            StreamDescription {
                source: KinesisStreamSource {
                    KinesisStreamARN: Some(arn),
                    RoleARN: told.kept("RoleARN"),
                },
                delivery_start_timestamp: Timestamp(told.stream.created),
            }
        });
        if hint.is_none() && stream.is_none() {
            return None;
        }
        Some(SourceDescription {
            direct_put_source_description: hint
                .map(|mib| DirectPutSource { ThroughputHintInMBs: Some(i64::from(mib)) }),
            kinesis_stream_source_description: stream,
        })
    }
}
