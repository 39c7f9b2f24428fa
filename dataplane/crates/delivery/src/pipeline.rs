//! What a delivery stream does with its records, made once from its spec and shared by its workers.

use std::sync::Arc;
use std::time::Duration;

use catalog::StreamUid;
use columnar::ConversionError;
use delivery_catalog::DeliveryStream;
use delivery_core::objects::redshift::CopyError;
use delivery_core::objects::{ErrorOutputType, Naming, NamingError, Template};
use delivery_core::processing::Processor;
use model::{Clock, Offset, ShardId, StreamName};
use operator_api::delivery_stream::{
    BackupMode, DeliveryStreamSpec, FormatConversion, ObjectCompression, RedshiftDestination,
};
use serde::Serialize;

use crate::compaction::{Compaction, Form};
use crate::memory::Memory;
use crate::metrics::{Metrics, StreamMetrics};
use crate::object::Place;
use crate::schema::Schema;
use crate::secrets::Secrets;
use crate::sinks::redshift::{Redshift, UrlError};
use crate::sinks::stream::Streams;
use crate::sinks::{self, Feed, Sink};
use crate::status::{ShardStatus, Status, Statuses};
use crate::store::{Bucket, Store, Stores};
use crate::transform::Transformer;
use delivery_core::guid::guid_of;

const MIB: usize = 1 << 20;
const BUFFER_MIB: usize = 5;
const INTERVAL_SECONDS: u64 = 300;
const ACTIVE_PARTITIONS_MAX: usize = 500;
const COMPACTED_MIB: u32 = 512;
const COMPACTION_SECONDS: u64 = 3_600;
const COMPACTION_AGE_SECONDS: u64 = 900;

/// What all delivery streams of a process share.
pub struct Context {
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where secrets are looked up.
    pub secrets: Arc<dyn Secrets>,
    /// What objects are put into.
    pub stores: Arc<dyn Stores>,
    /// Which Streams records are put into.
    pub streams: Arc<dyn Streams>,
    /// Between 0 and 1: spreads attempts.
    pub random: fn() -> f64,
    /// For records that were read and are not delivered.
    pub memory: Arc<Memory>,
    /// Where to count.
    pub metrics: Metrics,
    /// How each delivery stream is doing.
    pub statuses: Statuses,
    /// In ARNs.
    pub region: String,
    /// In ARNs.
    pub account: String,
}

/// Why a delivery stream cannot be set to work. Its owner has to change something.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// What is to happen to records makes no sense.
    #[error(transparent)]
    Processing(#[from] delivery_core::processing::SetupError),
    /// What objects are to be called.
    #[error("spec.destination")]
    Naming(#[from] NamingError),
    /// What objects are to hold.
    #[error("spec.formatConversion")]
    Conversion(#[from] ConversionError),
    /// A field that means nothing.
    #[error("{field} {what}")]
    Wrong {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Which database.
    #[error("spec.destination.redshift.clusterJdbcUrl")]
    Url(#[from] UrlError),
    /// What is loaded into Redshift, and how.
    #[error("spec.destination.redshift")]
    Copy(#[from] CopyError),
    /// Where Redshift loads from.
    #[error("spec.destination.redshift.s3.prefix has an expression; remove it")]
    Expression,
    /// A part of the spec that this version does not carry out.
    #[error("{field} is not supported by this version: {instead}")]
    Unsupported {
        /// Which.
        field: &'static str,
        /// What to use.
        instead: &'static str,
    },
}

impl SetupError {
    /// Whether nothing is wrong, but that this version does not do it.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        match self {
            SetupError::Unsupported { .. } => true,
            SetupError::Conversion(error) => error.is_unsupported,
            _ => false,
        }
    }
}

/// What a delivery stream does with its records.
pub(crate) struct Pipeline {
    context: Arc<Context>,
    name: StreamName,
    pub(crate) uid: StreamUid,
    recipe: u128,
    pub(crate) processor: Processor,
    pub(crate) transformer: Option<Transformer>,
    pub(crate) output: Output,
    /// Where documents about what was refused go.
    pub(crate) errors: Option<Objected>,
    /// Where all records go beside, as they came.
    pub(crate) copies: Option<Objected>,
    pub(crate) buffer_bytes: usize,
    interval: Duration,
    pub(crate) retry_for: Duration,
    /// How many partitions may be active; `None` when there are none.
    pub(crate) partitions_max: Option<usize>,
    pub(crate) metrics: StreamMetrics,
    status: Arc<Status>,
    pub(crate) compaction: Option<Compaction>,
}

/// Where records go.
pub(crate) enum Output {
    /// Into objects, of these columns if not as they are.
    Objects(Objected, Option<Schema>),
    /// Into objects, and from these into tables.
    Loaded(Objected, Box<Redshift>),
    /// To a service.
    Sink(Arc<dyn Sink>, ErrorOutputType),
}

impl Output {
    /// The objects that records are put into.
    pub(crate) fn objects(&self) -> Option<&Objected> {
        match self {
            Output::Objects(to, _) | Output::Loaded(to, _) => Some(to),
            Output::Sink(..) => None,
        }
    }

    /// The columns that records are converted to, if they are.
    pub(crate) fn schema(&self) -> Option<&Schema> {
        match self {
            Output::Objects(_, schema) => schema.as_ref(),
            Output::Loaded(..) | Output::Sink(..) => None,
        }
    }

    /// Records of a batch, however small they are.
    pub(crate) fn records_max(&self) -> usize {
        match self {
            Output::Sink(sink, _) => sink.records_max(),
            Output::Objects(..) | Output::Loaded(..) => sinks::BATCH_RECORDS_MAX,
        }
    }
}

/// Objects in a bucket.
#[derive(Clone)]
pub(crate) struct Objected {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) naming: Arc<Naming>,
    pub(crate) compression: ObjectCompression,
}

/// Whether a delivery stream can be set to work.
///
/// # Errors
/// See [`SetupError`].
pub fn check(context: &Arc<Context>, stream: &DeliveryStream) -> Result<(), SetupError> {
    Pipeline::new(Arc::clone(context), stream).map(drop)
}

impl Pipeline {
    pub(crate) fn new(
        context: Arc<Context>,
        stream: &DeliveryStream,
    ) -> Result<Pipeline, SetupError> {
        let spec = &stream.spec;
        let setting = Setting { context: &context, stream };
        let processor = processor(stream)?;
        let transform = spec.processing.as_ref().and_then(|it| it.transform.as_ref());
        let source = spec.source.as_ref().and_then(|source| source.stream.as_ref());
        let transformer = match transform {
            Some(transform) => Transformer::new(&context, &stream.name, source, transform)?,
            None => None,
        };
        let backup = spec.backup.as_ref().filter(|it| it.mode != Some(BackupMode::Disabled));
        let backup_bucket = backup.and_then(|backup| backup.s3.as_ref());
        let backup_bucket =
            backup_bucket.map(|s3| setting.objected(Bucket::S3(s3), None)).transpose()?;
        let is_all = backup.is_some_and(|backup| backup.mode == Some(BackupMode::AllRecords));
        let output = setting.output()?;
        let errors = match &output {
            Output::Objects(objected, _) => Some(objected.clone()),
            Output::Sink(..) | Output::Loaded(..) => backup_bucket.clone(),
        };
        let (buffer_bytes, interval) = buffering(spec);
        let compaction = setting.compaction(&output)?;
        let partitioning = spec.dynamic_partitioning.as_ref();
        let partitioning = partitioning.filter(|it| it.enabled == Some(true));
        let partitions_max = partitioning
            .map(|it| it.active_partitions_max.map_or(ACTIVE_PARTITIONS_MAX, |max| max as usize));
        Ok(Pipeline {
            name: stream.name.clone(),
            uid: stream.uid,
            recipe: recipe(spec),
            processor,
            transformer,
            output,
            errors,
            copies: backup_bucket.filter(|_| is_all),
            buffer_bytes,
            interval,
            retry_for: retry_for(spec),
            partitions_max,
            metrics: context.metrics.of(&stream.name, &spec.destination),
            status: context.statuses.of(&stream.name),
            compaction,
            context,
        })
    }

    pub(crate) fn name(&self) -> &StreamName {
        &self.name
    }

    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Where the records of a window come from, which begins there and was begun by this version.
    pub(crate) fn place(&self, version: u64, shard: ShardId, start: Offset) -> Place {
        Place { stream_uid: self.uid.0, recipe: self.recipe, version, shard, start }
    }

    /// How long records wait for more.
    pub(crate) fn interval(&self) -> Duration {
        self.interval
    }

    pub(crate) fn status(&self, shard: ShardId) -> Arc<ShardStatus> {
        self.status.shard(self.name.as_str(), shard)
    }

    /// How long the oldest record has waited that is not delivered is for all to see.
    pub(crate) fn show_freshness(&self) {
        let age = self.status.oldest().map(|oldest| self.context.clock.now().since(oldest));
        let seconds = age.map_or(0, |age| i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
        self.metrics.delivery.freshness.set(seconds);
    }

    pub(crate) fn forget_status(&self, shard: ShardId) {
        self.status.forget(shard);
    }
}

/// A delivery stream that is being set up.
struct Setting<'a> {
    context: &'a Arc<Context>,
    stream: &'a DeliveryStream,
}

impl Setting<'_> {
    fn output(&self) -> Result<Output, SetupError> {
        let destination = &self.stream.spec.destination;
        let parts = sinks::Parts {
            arn: delivery_stream_arn(self.context, &self.stream.name),
            feed: feed(self.stream),
            secrets: Arc::clone(&self.context.secrets),
            stores: Arc::clone(&self.context.stores),
            streams: Arc::clone(&self.context.streams),
            clock: Arc::clone(&self.context.clock),
        };
        if let Some(bucket) = Bucket::of(destination) {
            let conversion = self.stream.spec.format_conversion.as_ref();
            let schema = conversion.map(|of| Schema::new(of, &self.stream.name, self.context));
            let objected = self.objected(bucket, conversion)?;
            return Ok(Output::Objects(objected, schema.transpose()?));
        }
        if let Some(redshift) = &destination.redshift {
            return self.loaded(redshift);
        }
        if let Some((sink, output)) = sinks::open(destination, &parts)? {
            return Ok(Output::Sink(sink, output));
        }
        let field = "spec.destination";
        let instead = "use s3, gcs, azureBlob, redshift, elasticsearch, opensearch, \
            httpEndpoint, splunk, snowflake, iceberg or stream";
        Err(SetupError::Unsupported { field, instead })
    }

    fn compaction(&self, output: &Output) -> Result<Option<Compaction>, SetupError> {
        let spec = &self.stream.spec;
        let wanted = spec.compaction.as_ref().filter(|it| it.enabled != Some(false));
        let Some(wanted) = wanted else { return Ok(None) };
        let unsupported = |instead| SetupError::Unsupported { field: "spec.compaction", instead };
        let Output::Objects(to, _) = output else {
            return Err(unsupported("remove it for this destination"));
        };
        let converted = spec.format_conversion.as_ref().and_then(|it| it.output.as_ref());
        let form = match (converted, to.compression) {
            (Some(output), _) if output.orc.is_some() => {
                return Err(unsupported("convert to parquet"));
            }
            _ if spec.format_conversion.is_some() => Form::Parquet,
            (_, ObjectCompression::Zip) => return Err(unsupported("compress with GZIP or ZSTD")),
            _ => Form::Joined,
        };
        if to.naming.folder().is_empty() {
            return Err(unsupported("begin prefix with a folder, as in clicks/"));
        }
        let seconds =
            |value: Option<u32>, default| Duration::from_secs(value.map_or(default, u64::from));
        Ok(Some(Compaction {
            store: Arc::clone(&to.store),
            naming: Arc::clone(&to.naming),
            form,
            uid: self.stream.uid.0,
            name: self.stream.name.to_string(),
            bytes_max: u64::from(wanted.target_size_mib.unwrap_or(COMPACTED_MIB)) << 20,
            interval: seconds(wanted.interval_seconds, COMPACTION_SECONDS),
            age_min: seconds(wanted.age_seconds_min, COMPACTION_AGE_SECONDS),
        }))
    }

    fn loaded(&self, of: &RedshiftDestination) -> Result<Output, SetupError> {
        let objected = self.objected(Bucket::S3(&of.s3), None)?;
        let prefix = of.s3.prefix.as_deref().unwrap_or_default();
        if Template::parse(prefix).is_ok_and(|prefix| prefix.has_expressions()) {
            // Paths of manifests have none.
            return Err(SetupError::Expression);
        }
        let (secrets, clock) = (&self.context.secrets, &self.context.clock);
        let redshift = Redshift::new(of.clone(), Arc::clone(secrets), Arc::clone(clock))?;
        Ok(Output::Loaded(objected, Box::new(redshift)))
    }

    fn objected(
        &self,
        bucket: Bucket<'_>,
        conversion: Option<&FormatConversion>,
    ) -> Result<Objected, SetupError> {
        let DeliveryStream { name, destination_version, .. } = self.stream;
        let objects = bucket.objects();
        let naming = Naming::new(name.as_str(), *destination_version, &objects, conversion)?;
        let store = self.context.stores.open(bucket);
        let compression = objects.compression.unwrap_or(ObjectCompression::Uncompressed);
        Ok(Objected { store, naming: Arc::new(naming), compression })
    }
}

fn processor(stream: &DeliveryStream) -> Result<Processor, SetupError> {
    let spec = &stream.spec;
    let processor = Processor::new(spec.processing.as_ref(), !stream.is_direct_put())?;
    let key = spec.destination.stream.as_ref().and_then(|it| it.partition_key_query.as_ref());
    Ok(match key {
        Some(key) => processor.with_key("destination.stream.partitionKeyQuery", key)?,
        None => processor,
    })
}

/// As AWS names a delivery stream.
#[must_use]
pub fn delivery_stream_arn(context: &Context, name: &StreamName) -> String {
    let Context { region, account, .. } = context;
    format!("arn:aws:firehose:{region}:{account}:deliverystream/{name}")
}

fn feed(stream: &DeliveryStream) -> Feed {
    let DeliveryStream { name, uid, spec, .. } = stream;
    let source = spec.source.as_ref().and_then(|source| source.stream.as_ref());
    let transform = spec.processing.as_ref().and_then(|it| it.transform.as_ref());
    Feed {
        name: name.to_string(),
        uid: uid.0,
        source: source.map(|source| source.name.clone()),
        processing: digest(&spec.processing),
        lineage: digest(&(uid.0, &spec.source, &spec.processing)),
        repeats: transform.is_none_or(|it| it.lambda.is_none() && it.webhook.is_none()),
    }
}

/// By what the same records become the same objects: what changes what is in them, or where they end.
fn recipe(spec: &DeliveryStreamSpec) -> u128 {
    let DeliveryStreamSpec { destination, buffering, processing, .. } = spec;
    let size_mib = buffering.as_ref().and_then(|of| of.size_mib);
    let loaded = destination.redshift.as_ref().map(|of| &of.s3);
    let backup = spec.backup.as_ref().and_then(|of| of.s3.as_ref());
    let buckets = [Bucket::of(destination), loaded.map(Bucket::S3), backup.map(Bucket::S3)];
    let compressions = buckets.map(|of| of.and_then(|of| of.objects().compression));
    let (partitioning, conversion) = (&spec.dynamic_partitioning, &spec.format_conversion);
    let all = (size_mib, processing, partitioning, conversion, compressions);
    digest(&all)
}

fn digest(of: &impl Serialize) -> u128 {
    guid_of(&serde_json::to_vec(of).expect("what was read from JSON is JSON"))
}

/// How large a batch gets, and how long it waits for more.
fn buffering(spec: &DeliveryStreamSpec) -> (usize, Duration) {
    let destination = &spec.destination;
    let is_large = destination.snowflake.is_some() || spec.format_conversion.is_some();
    let seconds = match () {
        () if destination.splunk.is_some() => 60,
        () if destination.snowflake.is_some() => 0,
        () => INTERVAL_SECONDS,
    };
    let buffering = spec.buffering.as_ref();
    let mib = buffering.and_then(|it| it.size_mib).map(|mib| mib as usize);
    let mib = mib.unwrap_or(if is_large { 128 } else { BUFFER_MIB });
    let seconds = buffering.and_then(|it| it.interval_seconds).map_or(seconds, u64::from);
    (mib * MIB, Duration::from_secs(seconds))
}

fn retry_for(spec: &DeliveryStreamSpec) -> Duration {
    let destination = &spec.destination;
    let default = if destination.redshift.is_some() { 3600 } else { 300 };
    let is_endless = destination.stream.is_some() || destination.kafka.is_some();
    match is_endless {
        true => Duration::MAX,
        false => Duration::from_secs(spec.retry_duration_seconds.map_or(default, u64::from)),
    }
}
