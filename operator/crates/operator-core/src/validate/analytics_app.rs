//! Analytics applications: what the parts of a spec must say together.

use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use kube_core::CustomResourceExt;
use operator_api::AnalyticsApp;
use operator_api::analytics_app::{
    AnalyticsAppSpec, Checkpointing, FlinkApp, FlinkJar, RecordSchema, RestoreType, Runtime,
    SqlApp, SqlInput, SqlOutput,
};

use super::delivery_stream::check_transform;
use super::{Refusals, SpecError, bounds};

#[cfg(test)]
mod tests;

static SCHEMA: LazyLock<JSONSchemaProps> =
    LazyLock::new(|| bounds::spec_schema(AnalyticsApp::crd()));

/// Checks an application.
///
/// # Errors
/// All that is wrong with it.
pub fn validate_analytics_app(app: &AnalyticsApp) -> Result<(), Vec<SpecError>> {
    let mut refusals = Refusals::default();
    let name = app.metadata.name.as_deref().unwrap_or_default();
    refusals.stream_name("metadata.name", name);
    let spec = &app.spec;
    bounds::check(&SCHEMA, spec, &mut refusals);
    match spec.runtime {
        Runtime::Sql => check_runtime_sql(spec, &mut refusals),
        Runtime::Flink => check_runtime_flink(spec, &mut refusals),
    }
    if let Some(checkpointing) = &spec.checkpointing {
        check_checkpointing(checkpointing, &mut refusals);
    }
    let restore = spec.snapshots.as_ref().and_then(|snapshots| snapshots.restore.as_ref());
    if let Some(restore) = restore {
        let is_custom = restore.type_ == Some(RestoreType::RestoreFromCustomSnapshot);
        refusals.refuse_if(
            is_custom != restore.snapshot_name.is_some(),
            "spec.snapshots.restore.snapshotName",
            "goes with type RESTORE_FROM_CUSTOM_SNAPSHOT; set both or neither",
        );
    }
    refusals.into_result()
}

fn check_runtime_sql(spec: &AnalyticsAppSpec, refusals: &mut Refusals) {
    let what = "is for runtime Flink; remove it";
    refusals.refuse_if(spec.flink.is_some(), "spec.flink", what);
    match &spec.sql {
        None => refusals.refuse("spec.sql", "is required with runtime SQL; set it"),
        Some(sql) => check_sql(sql, refusals),
    }
}

fn check_runtime_flink(spec: &AnalyticsAppSpec, refusals: &mut Refusals) {
    let what = "is for runtime SQL; remove it";
    refusals.refuse_if(spec.sql.is_some(), "spec.sql", what);
    refusals.refuse_if(spec.pool.is_some(), "spec.pool", what);
    let what = "is for runtime SQL; set spec.checkpointing.s3 instead";
    refusals.refuse_if(spec.storage.is_some(), "spec.storage", what);
    match &spec.flink {
        None => refusals.refuse("spec.flink", "is required with runtime Flink; set it"),
        Some(flink) => check_flink(flink, refusals),
    }
    let checkpoints_have_place = spec.checkpointing.as_ref().is_some_and(|it| it.s3.is_some());
    let takes_snapshots = spec.snapshots.as_ref().is_some_and(|it| it.enabled != Some(false));
    refusals.refuse_if(
        takes_snapshots && !checkpoints_have_place,
        "spec.checkpointing.s3",
        "snapshots of runtime Flink are kept there; set it, or disable spec.snapshots",
    );
}

fn check_checkpointing(checkpointing: &Checkpointing, refusals: &mut Refusals) {
    let has_times =
        checkpointing.interval_seconds.is_some() || checkpointing.min_pause_seconds.is_some();
    refusals.refuse_if(
        checkpointing.enabled == Some(false) && has_times,
        "spec.checkpointing.enabled",
        "is false; remove intervalSeconds and minPauseSeconds",
    );
}

fn check_sql(sql: &SqlApp, refusals: &mut Refusals) {
    for (at, input) in sql.inputs.iter().enumerate() {
        check_input(&format!("spec.sql.inputs[{at}]"), input, refusals);
    }
    let field = |at| format!("spec.sql.inputs[{at}].namePrefix");
    refusals.unique(field, sql.inputs.iter().map(|input| input.name_prefix.as_str()));
    for (at, output) in sql.outputs.iter().flatten().enumerate() {
        check_output(&format!("spec.sql.outputs[{at}]"), output, refusals);
    }
    let sources = sql.reference_data_sources.as_deref().unwrap_or_default();
    for (at, source) in sources.iter().enumerate() {
        let path = format!("spec.sql.referenceDataSources[{at}]");
        let parts = [("s3", source.s3.is_some()), ("configMap", source.config_map.is_some())];
        refusals.exactly_one(&path, &parts);
        let has_key = source.s3.as_ref().is_none_or(|s3| s3.prefix.is_some());
        refusals.refuse_if(!has_key, &format!("{path}.s3.prefix"), "is required; set the key");
        check_schema(&format!("{path}.schema"), &source.schema, refusals);
    }
    let field = |at| format!("spec.sql.referenceDataSources[{at}].tableName");
    refusals.unique(field, sources.iter().map(|source| source.table_name.as_str()));
}

fn check_input(path: &str, input: &SqlInput, refusals: &mut Refusals) {
    let parts =
        [("stream", input.stream.is_some()), ("deliveryStream", input.delivery_stream.is_some())];
    refusals.exactly_one(path, &parts);
    if let Some(stream) = &input.stream {
        refusals.stream_name(&format!("{path}.stream.name"), &stream.name);
    }
    if let Some(transform) = &input.processing {
        check_transform(&format!("{path}.processing"), transform, refusals);
    }
    check_schema(&format!("{path}.schema"), &input.schema, refusals);
}

fn check_output(path: &str, output: &SqlOutput, refusals: &mut Refusals) {
    let parts = [
        ("stream", output.stream.is_some()),
        ("deliveryStream", output.delivery_stream.is_some()),
        ("lambda", output.lambda.is_some()),
    ];
    refusals.exactly_one(path, &parts);
    if let Some(stream) = &output.stream {
        refusals.stream_name(&format!("{path}.stream.name"), &stream.name);
    }
}

fn check_schema(path: &str, schema: &RecordSchema, refusals: &mut Refusals) {
    let format = &schema.format;
    let parts = [("json", format.json.is_some()), ("csv", format.csv.is_some())];
    refusals.exactly_one(&format!("{path}.format"), &parts);
    let field = |at| format!("{path}.columns[{at}].name");
    refusals.unique(field, schema.columns.iter().map(|column| column.name.as_str()));
    for (at, column) in schema.columns.iter().enumerate() {
        let Some(mapping) = &column.mapping else { continue };
        let field = format!("{path}.columns[{at}].mapping");
        if format.csv.is_some() && mapping.parse::<u16>().is_err() {
            refusals.refuse(field, format!("{mapping:?}; for csv, the column's number from 0"));
        } else if format.json.is_some() && !mapping.starts_with('$') {
            refusals.refuse(field, format!("{mapping:?}; for json, a path as in $.user.id"));
        }
    }
}

fn check_flink(flink: &FlinkApp, refusals: &mut Refusals) {
    let parts = [("jar", flink.jar.is_some()), ("sql", flink.sql.is_some())];
    refusals.exactly_one("spec.flink", &parts);
    let what = "is for a jar; remove it";
    let is_sql = flink.sql.is_some();
    refusals.refuse_if(is_sql && flink.entry_class.is_some(), "spec.flink.entryClass", what);
    refusals.refuse_if(is_sql && flink.args.is_some(), "spec.flink.args", what);
    flink.jar.iter().for_each(|jar| check_jar(jar, refusals));
    let parallelism = flink.parallelism.unwrap_or(1);
    let max = flink.autoscaling.as_ref().and_then(|autoscaling| autoscaling.parallelism_max);
    if let Some(max) = max.filter(|max| *max < parallelism) {
        let what = format!("{max}; set at least spec.flink.parallelism, which is {parallelism}");
        refusals.refuse("spec.flink.autoscaling.parallelismMax", what);
    }
}

fn check_jar(jar: &FlinkJar, refusals: &mut Refusals) {
    let parts = [
        ("url", jar.url.is_some()),
        ("persistentVolumeClaim", jar.persistent_volume_claim.is_some()),
    ];
    refusals.exactly_one("spec.flink.jar", &parts);
    let climbs = |path: &str| path.split('/').any(|part| part == "..");
    refusals.refuse_if(
        jar.persistent_volume_claim.as_ref().is_some_and(|file| climbs(&file.path)),
        "spec.flink.jar.persistentVolumeClaim.path",
        "leaves the volume; remove the parts that are ..",
    );
}
