//! What is refused of applications, and in which words.

use crate::{Manifest, parse_manifests};

const SCHEMA: &str = "schema: {format: {json: {}}, columns: [{name: a, sqlType: INTEGER}]}";

fn check(spec: &str, want: &str) {
    let yaml = format!(
        "apiVersion: leat.dev/v1alpha1\nkind: AnalyticsApp\nmetadata: {{name: counts}}\n\
         spec: {{{spec}}}"
    );
    let manifest = parse_manifests(&yaml).unwrap().remove(0);
    assert!(matches!(manifest, Manifest::AnalyticsApp(_)));
    let got = match manifest.validate() {
        Ok(()) => "valid".to_owned(),
        Err(errors) => errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | "),
    };
    assert_eq!(got, want);
}

/// An SQL application with one right input, and `more`.
fn check_sql(more: &str, want: &str) {
    let input = format!("{{namePrefix: IN, stream: {{name: a}}, {SCHEMA}}}");
    check(&format!("runtime: SQL, sql: {{code: x, inputs: [{input}]{more}}}"), want);
}

fn check_flink(flink: &str, want: &str) {
    check(&format!("runtime: Flink, flink: {{{flink}}}"), want);
}

#[test]
fn the_runtime_says_what_else_is_set() {
    check_sql("", "valid");
    check_flink("sql: SELECT 1", "valid");
    check("runtime: SQL", "spec.sql: is required with runtime SQL; set it");
    check(
        "runtime: Flink, pool: small, storage: {size: 1Gi}",
        "spec.pool: is for runtime SQL; remove it | \
         spec.storage: is for runtime SQL; set spec.checkpointing.s3 instead | \
         spec.flink: is required with runtime Flink; set it",
    );
    let both = format!(
        "runtime: SQL, flink: {{sql: x}}, \
         sql: {{code: x, inputs: [{{namePrefix: IN, stream: {{name: a}}, {SCHEMA}}}]}}"
    );
    check(&both, "spec.flink: is for runtime Flink; remove it");
}

#[test]
fn inputs_are_read_from_one_source_in_one_format() {
    check("runtime: SQL, sql: {code: x, inputs: []}", "spec.sql.inputs: 0 items; use 1 to 16");
    check(
        "runtime: SQL, sql: {code: x, inputs: [{namePrefix: 1N, parallelism: 65, \
         schema: {format: {}, columns: []}}]}",
        "spec.sql.inputs[0].namePrefix: \"1N\"; write it as ^[a-zA-Z][a-zA-Z0-9_]*$ | \
         spec.sql.inputs[0].parallelism: 65; set 1 to 64 | \
         spec.sql.inputs[0].schema.columns: 0 items; use 1 to 1000 | \
         spec.sql.inputs[0]: nothing is set; set one of stream or deliveryStream | \
         spec.sql.inputs[0].schema.format: nothing is set; set one of json or csv",
    );
    let columns = |format: &str, mapping: &str| {
        format!(
            "runtime: SQL, sql: {{code: x, inputs: [{{namePrefix: IN, stream: {{name: a}}, \
             schema: {{format: {{{format}: {{}}}}, \
             columns: [{{name: a, sqlType: INTEGER, mapping: '{mapping}'}}]}}}}]}}"
        )
    };
    check(&columns("csv", "3"), "valid");
    check(&columns("json", "$.a"), "valid");
    check(
        &columns("csv", "$.a"),
        "spec.sql.inputs[0].schema.columns[0].mapping: \"$.a\"; for csv, the column's \
         number from 0",
    );
    check(
        &columns("json", "3"),
        "spec.sql.inputs[0].schema.columns[0].mapping: \"3\"; for json, a path as in $.user.id",
    );
}

#[test]
fn names_within_an_application_differ() {
    let input = format!("{{namePrefix: IN, stream: {{name: a}}, {SCHEMA}}}");
    check(
        &format!("runtime: SQL, sql: {{code: x, inputs: [{input}, {input}]}}"),
        "spec.sql.inputs[1].namePrefix: \"IN\" is also spec.sql.inputs[0].namePrefix; give each \
         its own",
    );
}

#[test]
fn outputs_and_reference_data_have_one_place() {
    check_sql(", outputs: [{name: OUT, stream: {name: b}, format: CSV}]", "valid");
    check_sql(
        ", outputs: [{name: OUT, stream: {name: b}, deliveryStream: {name: c}}]",
        "spec.sql.outputs[0]: stream, deliveryStream are set; set one of stream, deliveryStream \
         or lambda",
    );
    check_sql(
        &format!(
            ", referenceDataSources: [{{tableName: T, {SCHEMA}}}, \
             {{tableName: T, s3: {{bucket: lake}}, {SCHEMA}}}]"
        ),
        "spec.sql.referenceDataSources[0]: nothing is set; set one of s3 or configMap | \
         spec.sql.referenceDataSources[1].s3.prefix: is required; set the key | \
         spec.sql.referenceDataSources[1].tableName: \"T\" is also \
         spec.sql.referenceDataSources[0].tableName; give each its own",
    );
}

#[test]
fn a_flink_program_is_a_jar_or_sql() {
    check_flink("jar: {url: 's3://jars/a.jar'}, entryClass: a.B", "valid");
    check_flink("parallelism: 2", "spec.flink: nothing is set; set one of jar or sql");
    check_flink(
        "sql: x, entryClass: a.B, args: []",
        "spec.flink.entryClass: is for a jar; remove it | \
         spec.flink.args: is for a jar; remove it",
    );
    check_flink(
        "jar: {url: 's3://a', persistentVolumeClaim: {claimName: c, path: a/../../b}}",
        "spec.flink.jar: url, persistentVolumeClaim are set; set one of url or \
         persistentVolumeClaim | spec.flink.jar.persistentVolumeClaim.path: leaves the volume; \
         remove the parts that are ..",
    );
    check_flink(
        "sql: x, parallelism: 8, parallelismPerKpu: 9, autoscaling: {parallelismMax: 4}",
        "spec.flink.parallelismPerKpu: 9; set 1 to 8 | \
         spec.flink.autoscaling.parallelismMax: 4; set at least spec.flink.parallelism, which is 8",
    );
}

#[test]
fn what_is_kept_has_a_place() {
    check(
        "runtime: Flink, flink: {sql: x}, snapshots: {}",
        "spec.checkpointing.s3: snapshots of runtime Flink are kept there; set it, or disable \
         spec.snapshots",
    );
    check(
        "runtime: Flink, flink: {sql: x}, checkpointing: {enabled: false, intervalSeconds: 1}",
        "spec.checkpointing.enabled: is false; remove intervalSeconds and minPauseSeconds",
    );
    check(
        "runtime: Flink, flink: {sql: x}, checkpointing: {s3: {bucket: state}}, \
         snapshots: {restore: {snapshotName: s}}",
        "spec.snapshots.restore.snapshotName: goes with type RESTORE_FROM_CUSTOM_SNAPSHOT; set \
         both or neither",
    );
}
