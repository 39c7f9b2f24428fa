//! Delivery streams: what the parts of a spec must say together.

use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use kube_core::CustomResourceExt;
use operator_api::DeliveryStream;
use operator_api::delivery_stream::{
    Backup, BackupMode, Deaggregation, DeliveryStreamSpec, FormatConversion, ObjectCompression,
    Processing, Source, StartingPosition, SubRecordType, Transform,
};

use super::prefix::Keys;
use super::{Refusals, SpecError, bounds, destination};

#[cfg(test)]
mod tests;

/// The longest name, as AWS has it.
const NAME_CHARS_MAX: usize = 64;

static SCHEMA: LazyLock<JSONSchemaProps> =
    LazyLock::new(|| bounds::spec_schema(DeliveryStream::crd()));

/// Checks a delivery stream.
///
/// # Errors
/// All that is wrong with it.
pub fn validate_delivery_stream(stream: &DeliveryStream) -> Result<(), Vec<SpecError>> {
    let mut refusals = Refusals::default();
    check_name(stream, &mut refusals);
    let spec = &stream.spec;
    bounds::check(&SCHEMA, spec, &mut refusals);
    check_source(spec, &mut refusals);
    let is_partitioned =
        spec.dynamic_partitioning.as_ref().is_some_and(|it| it.enabled == Some(true));
    let processing = spec.processing.as_ref();
    if let Some(processing) = processing {
        check_processing(processing, is_partitioned, &mut refusals);
    }
    destination::check(&spec.destination, Keys::of(is_partitioned, processing), &mut refusals);
    if let Some(buffering) = &spec.buffering {
        destination::check_buffering(buffering, &spec.destination, &mut refusals);
        refusals.refuse_if(
            is_partitioned && buffering.interval_seconds == Some(0),
            "spec.buffering.intervalSeconds",
            "0 would make an object of each record of a partition; set at least 1",
        );
    }
    check_objects_only(spec, is_partitioned, &mut refusals);
    check_compaction(spec, &mut refusals);
    if let Some(conversion) = &spec.format_conversion {
        check_conversion(conversion, spec, &mut refusals);
    }
    check_backup(spec, &mut refusals);
    refusals.into_result()
}

/// What cannot be changed about a delivery stream, if `changed` changes it: as the rules in the resource's
/// schema say to those who have an API server.
#[must_use]
pub fn fixed_in_delivery_stream(
    current: &DeliveryStreamSpec,
    changed: &DeliveryStreamSpec,
) -> Option<&'static str> {
    let source = |spec: &DeliveryStreamSpec| {
        let stream = spec.source.as_ref().and_then(|source| source.stream.as_ref());
        stream.map(|stream| stream.name.clone())
    };
    if source(current) != source(changed) {
        return Some("the source cannot be changed: create another DeliveryStream");
    }
    (current.pool != changed.pool || current.storage != changed.storage)
        .then_some("pool and storage cannot be changed: create another DeliveryStream")
}

fn check_name(stream: &DeliveryStream, refusals: &mut Refusals) {
    let (name, is_own) =
        (stream.delivery_stream_name(), stream.spec.delivery_stream_name.is_some());
    let field = if is_own { "spec.deliveryStreamName" } else { "metadata.name" };
    refusals.stream_name(field, name);
    if NAME_CHARS_MAX < name.len() {
        let what = format!("{} characters; use at most {NAME_CHARS_MAX}", name.len());
        refusals.refuse(field, what);
    }
}

fn check_source(spec: &DeliveryStreamSpec, refusals: &mut Refusals) {
    let Some(Source { direct_put, stream }) = &spec.source else { return };
    refusals.refuse_if(
        direct_put.is_some() && stream.is_some(),
        "spec.source",
        "directPut, stream are set; keep one of them",
    );
    let Some(stream) = stream else { return };
    refusals.stream_name("spec.source.stream.name", &stream.name);
    let destination = spec.destination.stream.as_ref();
    refusals.refuse_if(
        destination.is_some_and(|destination| destination.name == stream.name),
        "spec.destination.stream.name",
        "is the source, which would never end; name another Stream",
    );
    let at_timestamp = stream.starting_position == Some(StartingPosition::AtTimestamp);
    refusals.refuse_if(
        at_timestamp != stream.starting_timestamp.is_some(),
        "spec.source.stream.startingTimestamp",
        "goes with startingPosition AT_TIMESTAMP; set both or neither",
    );
    refusals.refuse_if(
        spec.encryption.is_some(),
        "spec.encryption",
        "is for directPut; set it on the source Stream instead",
    );
}

fn check_processing(processing: &Processing, is_partitioned: bool, refusals: &mut Refusals) {
    if let Some(deaggregation) = &processing.deaggregation {
        check_deaggregation(deaggregation, refusals);
    }
    if let Some(transform) = &processing.transform {
        check_transform("spec.processing.transform", transform, refusals);
    }
    refusals.refuse_if(
        processing.metadata_extraction.is_some() && !is_partitioned,
        "spec.processing.metadataExtraction",
        "its keys are used by nothing; set spec.dynamicPartitioning.enabled, or remove it",
    );
}

/// Refuses a transform that is not exactly one.
pub(super) fn check_transform(path: &str, transform: &Transform, refusals: &mut Refusals) {
    let parts = [
        ("lambda", transform.lambda.is_some()),
        ("webhook", transform.webhook.is_some()),
        ("vrl", transform.vrl.is_some()),
        ("jq", transform.jq.is_some()),
    ];
    refusals.exactly_one(path, &parts);
}

fn check_deaggregation(deaggregation: &Deaggregation, refusals: &mut Refusals) {
    const DELIMITER: &str = "spec.processing.deaggregation.delimiter";
    let is_delimited = deaggregation.sub_record_type == Some(SubRecordType::Delimited);
    refusals.refuse_if(
        is_delimited != deaggregation.delimiter.is_some(),
        DELIMITER,
        "goes with subRecordType DELIMITED; set both or neither",
    );
    let is_wrong = deaggregation.delimiter.as_deref().is_some_and(|text| !is_base64(text));
    refusals.refuse_if(is_wrong, DELIMITER, "is not base64; write a line feed as Cg==");
}

fn is_base64(text: &str) -> bool {
    let digits = text.strip_suffix("==").or(text.strip_suffix('=')).unwrap_or(text);
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    text.len().is_multiple_of(4) && digits.bytes().all(is_digit)
}

/// Refuses what only makes sense where objects are written.
fn check_objects_only(spec: &DeliveryStreamSpec, is_partitioned: bool, refusals: &mut Refusals) {
    let writes_objects = destination::objects(&spec.destination).is_some();
    let needs = "needs destination s3, gcs or azureBlob; remove it";
    refusals.refuse_if(is_partitioned && !writes_objects, "spec.dynamicPartitioning", needs);
    refusals.refuse_if(
        spec.format_conversion.is_some() && !writes_objects,
        "spec.formatConversion",
        needs,
    );
    refusals.refuse_if(
        spec.compaction.is_some() && !writes_objects && spec.destination.iceberg.is_none(),
        "spec.compaction",
        "needs destination s3, gcs, azureBlob or iceberg; remove it",
    );
}

/// Refuses to merge what cannot be merged.
fn check_compaction(spec: &DeliveryStreamSpec, refusals: &mut Refusals) {
    let is_wanted = spec.compaction.as_ref().is_some_and(|it| it.enabled != Some(false));
    let Some((name, objects)) = destination::objects(&spec.destination).filter(|_| is_wanted)
    else {
        return;
    };
    let output = spec.format_conversion.as_ref().and_then(|it| it.output.as_ref());
    refusals.refuse_if(
        output.is_some_and(|output| output.orc.is_some()),
        "spec.compaction",
        "does not merge ORC files; set formatConversion.output.parquet, or remove it",
    );
    refusals.refuse_if(
        objects.compression == Some(ObjectCompression::Zip),
        "spec.compaction",
        &format!(
            "does not merge archives; set destination.{name}.compression to GZIP, or remove it"
        ),
    );
    let prefix = objects.prefix.unwrap_or_default();
    let fixed = prefix.split_once("!{").map_or(prefix, |(fixed, _)| fixed);
    refusals.refuse_if(
        !fixed.trim_start_matches('/').contains('/'),
        &format!("spec.destination.{name}.prefix"),
        "compaction lists a folder and not the whole bucket; begin it with one, as in clicks/",
    );
}

fn check_conversion(
    conversion: &FormatConversion,
    spec: &DeliveryStreamSpec,
    refusals: &mut Refusals,
) {
    const PATH: &str = "spec.formatConversion";
    let input = conversion.input.as_ref();
    refusals.refuse_if(
        input.is_some_and(|input| input.open_x.is_some() && input.hive.is_some()),
        &format!("{PATH}.input"),
        "openX, hive are set; keep one of them",
    );
    let output = conversion.output.as_ref();
    refusals.refuse_if(
        output.is_some_and(|output| output.parquet.is_some() && output.orc.is_some()),
        &format!("{PATH}.output"),
        "parquet, orc are set; keep one of them",
    );
    let schema = &conversion.schema;
    let parts = [
        ("columns", schema.columns.is_some()),
        ("glue", schema.glue.is_some()),
        ("iceberg", schema.iceberg.is_some()),
    ];
    refusals.exactly_one(&format!("{PATH}.schema"), &parts);
    if let Some(iceberg) = &schema.iceberg {
        let path = format!("{PATH}.schema.iceberg.catalog");
        destination::check_catalog(&path, &iceberg.catalog, refusals);
    }
    let columns = schema.columns.as_deref().unwrap_or_default();
    let field = |at| format!("{PATH}.schema.columns[{at}].name");
    refusals.unique(field, columns.iter().map(|column| column.name.as_str()));
    if let Some((name, objects)) = destination::objects(&spec.destination) {
        let is_plain = matches!(objects.compression, None | Some(ObjectCompression::Uncompressed));
        refusals.refuse_if(
            !is_plain,
            &format!("spec.destination.{name}.compression"),
            "column formats compress inside; remove it and set that of formatConversion.output",
        );
    }
}

fn check_backup(spec: &DeliveryStreamSpec, refusals: &mut Refusals) {
    const S3: &str = "spec.backup.s3";
    let names = spec.destination.names();
    // These either take every record or keep what they refuse themselves.
    let is_needless =
        |name: &&str| matches!(*name, "s3" | "gcs" | "azureBlob" | "stream" | "kafka");
    let bucket = spec.backup.as_ref().and_then(|backup| backup.s3.as_ref());
    if let Some(bucket) = bucket {
        destination::check_bucket(S3, bucket, refusals);
    } else if let Some(name) = names.iter().find(|name| !is_needless(name)) {
        refusals.refuse(S3, format!("{name} can refuse records for good; set where they go"));
    } else if let Some(Backup { mode, .. }) = &spec.backup
        && *mode != Some(BackupMode::Disabled)
    {
        refusals.refuse(S3, "is required unless mode is Disabled; set it");
    }
}
