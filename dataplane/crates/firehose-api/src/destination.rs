//! Destinations: each is a shape that becomes a part of a delivery stream's spec, and is made of it.

mod extended_s3;
mod http;
mod iceberg;
mod redshift;
mod s3;
mod search;
mod serverless;
mod snowflake;
mod splunk;

use aws_protocol::ApiError;
use delivery_catalog::DeliveryStream;
use operator_api::delivery_stream::DeliveryStreamSpec;
use serde::Serialize;

use crate::api::Identity;
use crate::draft::{Draft, Told};
use crate::errors::invalid_argument;
use crate::shape::{Nested, Shape, shapes};
use crate::source::STREAM_MEMBER;

use extended_s3::ExtendedS3;
use http::HttpEndpoint;
use iceberg::Iceberg;
use redshift::Redshift;
use search::Search;
use serverless::Serverless;
use snowflake::Snowflake;
use splunk::Splunk;

pub(crate) use s3::S3;
use search::is_serverless;

/// The one destination of a delivery stream, as AWS numbers them.
pub(crate) const ID: &str = "destinationId-000000000001";
/// The smallest batch that AWS partitions.
const PARTITIONED_MIB_MIN: u32 = 64;

/// A kind of destination that AWS has, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    S3,
    Redshift,
    Elasticsearch,
    OpenSearch,
    Serverless,
    Splunk,
    HttpEndpoint,
    Snowflake,
    Iceberg,
}

impl Kind {
    /// That of a spec; none where AWS has none.
    pub(crate) fn of(spec: &DeliveryStreamSpec) -> Option<Kind> {
        let search = spec.destination.opensearch.as_ref();
        match *spec.destination.names().first()? {
            "s3" => Some(Kind::S3),
            "redshift" => Some(Kind::Redshift),
            "elasticsearch" => Some(Kind::Elasticsearch),
            "opensearch" if search.is_some_and(is_serverless) => Some(Kind::Serverless),
            "opensearch" => Some(Kind::OpenSearch),
            "splunk" => Some(Kind::Splunk),
            "httpEndpoint" => Some(Kind::HttpEndpoint),
            "snowflake" => Some(Kind::Snowflake),
            "iceberg" => Some(Kind::Iceberg),
            // gcs, azureBlob, stream, kafka.
            _ => None,
        }
    }

    /// Its member in CreateDeliveryStream.
    fn member(self) -> &'static str {
        match self {
            Kind::S3 => "ExtendedS3DestinationConfiguration",
            Kind::Redshift => "RedshiftDestinationConfiguration",
            Kind::Elasticsearch => "ElasticsearchDestinationConfiguration",
            Kind::OpenSearch => "AmazonopensearchserviceDestinationConfiguration",
            Kind::Serverless => "AmazonOpenSearchServerlessDestinationConfiguration",
            Kind::Splunk => "SplunkDestinationConfiguration",
            Kind::HttpEndpoint => "HttpEndpointDestinationConfiguration",
            Kind::Snowflake => "SnowflakeDestinationConfiguration",
            Kind::Iceberg => "IcebergDestinationConfiguration",
        }
    }

    /// AWS changes search engines into nothing else, and nothing else into them.
    fn is_search(self) -> bool {
        matches!(self, Kind::Elasticsearch | Kind::OpenSearch | Kind::Serverless)
    }
}

/// What a call says of a destination.
pub(crate) trait Destination: Shape + Send + Sync {
    fn kind(&self) -> Kind;

    /// Sets what is given. The draft has only parts of this kind, or none.
    fn apply(&self, draft: &mut Draft<'_>) -> Result<(), ApiError>;
}

shapes! {
    /// The members of CreateDeliveryStream, UpdateDestination and DestinationDescription.
    Destinations {
        S3DestinationConfiguration
            / "S3DestinationUpdate" / "S3DestinationDescription":
            Box<S3>, Never, Nested;
        ExtendedS3DestinationConfiguration
            / "ExtendedS3DestinationUpdate" / "ExtendedS3DestinationDescription":
            Box<ExtendedS3>, Never, Nested;
        RedshiftDestinationConfiguration
            / "RedshiftDestinationUpdate" / "RedshiftDestinationDescription":
            Box<Redshift>, Never, Nested;
        ElasticsearchDestinationConfiguration
            / "ElasticsearchDestinationUpdate" / "ElasticsearchDestinationDescription":
            Box<Search>, Never, Nested;
        AmazonopensearchserviceDestinationConfiguration
            / "AmazonopensearchserviceDestinationUpdate"
            / "AmazonopensearchserviceDestinationDescription":
            Box<Search>, Never, Nested;
        AmazonOpenSearchServerlessDestinationConfiguration
            / "AmazonOpenSearchServerlessDestinationUpdate"
            / "AmazonOpenSearchServerlessDestinationDescription":
            Box<Serverless>, Never, Nested;
        SplunkDestinationConfiguration
            / "SplunkDestinationUpdate" / "SplunkDestinationDescription":
            Box<Splunk>, Never, Nested;
        HttpEndpointDestinationConfiguration
            / "HttpEndpointDestinationUpdate" / "HttpEndpointDestinationDescription":
            Box<HttpEndpoint>, Never, Nested;
        SnowflakeDestinationConfiguration
            / "SnowflakeDestinationUpdate" / "SnowflakeDestinationDescription":
            Box<Snowflake>, Never, Nested;
        IcebergDestinationConfiguration
            / "IcebergDestinationUpdate" / "IcebergDestinationDescription":
            Box<Iceberg>, Never, Nested;
    }
}

impl Destinations {
    /// The one that is given.
    pub(crate) fn only_one(self) -> Result<Box<dyn Destination>, ApiError> {
        fn boxed<T: Destination + 'static>(it: Option<Box<T>>) -> Option<Box<dyn Destination>> {
            it.map(|it| it as Box<dyn Destination>)
        }
        let elasticsearch = self.ElasticsearchDestinationConfiguration;
        let open_search = self.AmazonopensearchserviceDestinationConfiguration;
        let given = [
            boxed(self.S3DestinationConfiguration),
            boxed(self.ExtendedS3DestinationConfiguration),
            boxed(self.RedshiftDestinationConfiguration),
            boxed(elasticsearch.map(|it| Box::new(search::Elasticsearch(it)))),
            boxed(open_search.map(|it| Box::new(search::OpenSearch(it)))),
            boxed(self.AmazonOpenSearchServerlessDestinationConfiguration),
            boxed(self.SplunkDestinationConfiguration),
            boxed(self.HttpEndpointDestinationConfiguration),
            boxed(self.SnowflakeDestinationConfiguration),
            boxed(self.IcebergDestinationConfiguration),
        ];
        let mut given = given.into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(one), None) => Ok(one),
            _ => Err(invalid_argument(
                "Exactly one destination configuration is supported for a Firehose",
            )),
        }
    }
}

/// Sets the destination of a delivery stream that has none yet.
pub(crate) fn create(
    given: &dyn Destination,
    stream: &mut DeliveryStream,
    identity: &Identity,
) -> Result<(), ApiError> {
    let base = given.kind().member();
    let mut draft = Draft { stream, identity, base };
    given.apply(&mut draft)?;
    check_batch(&draft)
}

/// Merges what is given with the destination that is there, or puts it in the place of one of another
/// kind.
pub(crate) fn update(
    given: &dyn Destination,
    stream: &mut DeliveryStream,
    identity: &Identity,
) -> Result<(), ApiError> {
    let (before, after) = (Kind::of(&stream.spec), given.kind());
    let was_partitioned = is_partitioned(&stream.spec);
    if before != Some(after) {
        if before.is_some_and(Kind::is_search) || after.is_search() {
            return Err(invalid_argument(
                "Switching between Amazon OpenSearch Service and other services is not supported.",
            ));
        }
        clear(stream);
    }
    create(given, stream, identity)?;
    let is_same = before == Some(after);
    let is_partitioned = is_partitioned(&stream.spec);
    if is_partitioned && !was_partitioned {
        return Err(invalid_argument(
            "Dynamic partitioning can only be enabled when a delivery stream is created.",
        ));
    }
    if is_same && was_partitioned && !is_partitioned {
        return Err(invalid_argument("Dynamic partitioning cannot be disabled."));
    }
    Ok(())
}

/// Leaves nothing of the destination that was.
fn clear(stream: &mut DeliveryStream) {
    let spec = &mut stream.spec;
    stream.spec = DeliveryStreamSpec {
        source: spec.source.take(),
        encryption: spec.encryption.take(),
        pool: spec.pool.take(),
        replicas: spec.replicas.take(),
        pods: spec.pods.take(),
        storage: spec.storage.take(),
        tags: std::mem::take(&mut spec.tags),
        delivery_stream_name: spec.delivery_stream_name.take(),
        ..DeliveryStreamSpec::default()
    };
    stream.secrets.clear();
    stream.aws_only.retain(|path, _| path.starts_with(STREAM_MEMBER));
}

fn is_partitioned(spec: &DeliveryStreamSpec) -> bool {
    spec.dynamic_partitioning.as_ref().is_some_and(|it| it.enabled == Some(true))
}

/// AWS partitions no small batches.
fn check_batch(draft: &Draft<'_>) -> Result<(), ApiError> {
    let spec = &draft.stream.spec;
    let mib = spec.buffering.as_ref().and_then(|buffering| buffering.size_mib);
    match mib {
        Some(mib) if is_partitioned(spec) && mib < PARTITIONED_MIB_MIN => {
            Err(invalid_argument(format!(
                "BufferingHints.SizeInMBs must be at least {PARTITIONED_MIB_MIN} when Dynamic Partitioning is enabled."
            )))
        }
        _ => Ok(()),
    }
}

/// As DestinationDescription. What AWS has no shape for is told by its id alone.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DestinationDescription {
    destination_id: &'static str,
    #[serde(flatten)]
    destinations: Destinations,
}

impl DestinationDescription {
    pub(crate) fn of(stream: &DeliveryStream, identity: &Identity) -> DestinationDescription {
        let kind = Kind::of(&stream.spec);
        let base = kind.map_or("", Kind::member);
        let told = Told { stream, identity, base };
        let mut all = Destinations::default();
        match kind {
            None => {}
            Some(Kind::S3) => {
                let extended = ExtendedS3::told(&told);
                // AWS tells a bucket twice, for clients of either age.
                all.S3DestinationConfiguration =
                    extended.as_ref().map(|it| Box::new(it.as_plain()));
                all.ExtendedS3DestinationConfiguration = extended.map(Box::new);
            }
            Some(Kind::Redshift) => {
                all.RedshiftDestinationConfiguration = Redshift::told(&told).map(Box::new);
            }
            Some(Kind::Elasticsearch) => {
                let search = stream.spec.destination.elasticsearch.as_ref();
                all.ElasticsearchDestinationConfiguration =
                    search.map(|search| Box::new(Search::told(&told, search)));
            }
            Some(Kind::OpenSearch) => {
                let search = stream.spec.destination.opensearch.as_ref();
                all.AmazonopensearchserviceDestinationConfiguration =
                    search.map(|search| Box::new(Search::told(&told, search)));
            }
            Some(Kind::Serverless) => {
                all.AmazonOpenSearchServerlessDestinationConfiguration =
                    Serverless::told(&told).map(Box::new);
            }
            Some(Kind::Splunk) => {
                all.SplunkDestinationConfiguration = Splunk::told(&told).map(Box::new);
            }
            Some(Kind::HttpEndpoint) => {
                all.HttpEndpointDestinationConfiguration = HttpEndpoint::told(&told).map(Box::new);
            }
            Some(Kind::Snowflake) => {
                all.SnowflakeDestinationConfiguration = Snowflake::told(&told).map(Box::new);
            }
            Some(Kind::Iceberg) => {
                all.IcebergDestinationConfiguration = Iceberg::told(&told).map(Box::new);
            }
        }
        DestinationDescription { destination_id: ID, destinations: all }
    }
}
