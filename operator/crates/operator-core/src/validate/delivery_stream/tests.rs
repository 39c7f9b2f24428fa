//! What is refused of delivery streams, and in which words.

use crate::{Manifest, parse_manifests};

const S3: &str = "destination: {s3: {bucket: lake}}";

fn check(spec: &str, want: &str) {
    let yaml = format!(
        "apiVersion: leat.dev/v1alpha1\nkind: DeliveryStream\nmetadata: {{name: clicks}}\n\
         spec: {{{spec}}}"
    );
    check_yaml(&yaml, want);
}

fn check_yaml(yaml: &str, want: &str) {
    let manifest = parse_manifests(yaml).unwrap().remove(0);
    assert!(matches!(manifest, Manifest::DeliveryStream(_)));
    let got = match manifest.validate() {
        Ok(()) => "valid".to_owned(),
        Err(errors) => errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | "),
    };
    assert_eq!(got, want);
}

/// A delivery stream to S3 that is right but for `spec`.
fn check_s3(spec: &str, want: &str) {
    check(&format!("{S3}, {spec}"), want);
}

#[test]
fn a_bucket_is_all_it_takes() {
    check(S3, "valid");
}

#[test]
fn everything_wrong_is_reported_at_once() {
    check_yaml(
        &format!(
            "apiVersion: leat.dev/v1alpha1\nkind: DeliveryStream\nmetadata: {{name: {}}}\nspec:\n  \
             {{destination: {{}}, buffering: {{sizeMiB: 0, intervalSeconds: 901}}, pool: ''}}",
            "a".repeat(65)
        ),
        "metadata.name: 65 characters; use at most 64 | \
         spec.buffering.intervalSeconds: 901; set 0 to 900 | \
         spec.buffering.sizeMiB: 0; set 1 to 128 | \
         spec.pool: 0 characters; use 1 to 40 | \
         spec.destination: nothing is set; set one, as in s3",
    );
}

#[test]
fn a_destination_is_exactly_one() {
    check(
        "destination: {s3: {bucket: lake}, stream: {name: b}}",
        "spec.destination: s3, stream are set; keep one of them",
    );
    check("destination: {stream: {name: b}}", "valid");
    check(
        "destination: {stream: {name: 'b c'}}",
        "spec.destination.stream.name: a name is 1 to 128 of the characters a-z, A-Z, 0-9, '_', \
         '.' and '-'",
    );
}

#[test]
fn a_source_is_one_and_not_the_destination() {
    check_s3(
        "source: {directPut: {}, stream: {name: a}}",
        "spec.source: directPut, stream are set; keep one of them",
    );
    check(
        "source: {stream: {name: a}}, destination: {stream: {name: a}}",
        "spec.destination.stream.name: is the source, which would never end; name another Stream",
    );
    let pair = "spec.source.stream.startingTimestamp: goes with startingPosition AT_TIMESTAMP; \
                set both or neither";
    check_s3("source: {stream: {name: a, startingPosition: AT_TIMESTAMP}}", pair);
    check_s3("source: {stream: {name: a, startingTimestamp: '2026-11-24T08:00:00Z'}}", pair);
    check_s3(
        "source: {stream: {name: a, startingPosition: AT_TIMESTAMP, startingTimestamp: noon}}",
        "spec.source.stream.startingTimestamp: \"noon\"; write a time as 2026-11-24T08:00:00Z",
    );
    check_s3(
        "source: {stream: {name: a}}, encryption: {keyId: k}",
        "spec.encryption: is for directPut; set it on the source Stream instead",
    );
}

#[test]
fn records_are_taken_apart_and_changed_in_one_way() {
    let pair = "spec.processing.deaggregation.delimiter: goes with subRecordType DELIMITED; set \
                both or neither";
    check_s3("processing: {deaggregation: {delimiter: Cg==}}", pair);
    check_s3("processing: {deaggregation: {subRecordType: DELIMITED}}", pair);
    check_s3(
        "processing: {deaggregation: {subRecordType: DELIMITED, delimiter: '|||||'}}",
        "spec.processing.deaggregation.delimiter: is not base64; write a line feed as Cg==",
    );
    check_s3(
        "processing: {transform: {jq: {program: .}, vrl: {program: .}}}",
        "spec.processing.transform: vrl, jq are set; set one of lambda, webhook, vrl or jq",
    );
    check_s3(
        "processing: {transform: {lambda: {functionArn: f, bufferingSizeMiB: 0.1}}}",
        "spec.processing.transform.lambda.bufferingSizeMiB: 0.1; set 0.2 to 3",
    );
    check_s3(
        "processing: {transform: {webhook: {url: 'ftp://x'}}}",
        "spec.processing.transform.webhook.url: \"ftp://x\"; write it as ^https?://",
    );
    check_s3(
        "processing: {metadataExtraction: {query: '{a: .a}'}}",
        "spec.processing.metadataExtraction: its keys are used by nothing; set \
         spec.dynamicPartitioning.enabled, or remove it",
    );
}

#[test]
fn prefixes_make_keys() {
    let check_prefixes = |prefix: &str, error: &str, want: &str| {
        let error =
            if error.is_empty() { error } else { &format!(", errorOutputPrefix: '{error}'") };
        check(&format!("destination: {{gcs: {{bucket: lake, prefix: '{prefix}'{error}}}}}"), want);
    };
    check_prefixes("a/", "", "valid");
    check_prefixes("a/!{timestamp:yyyy}/!{firehose:random-string}/", "e/", "valid");
    check_prefixes("a/", "e/!{firehose:error-output-type}/!{timestamp:yyyy}/", "valid");
    check_prefixes(
        "a/!{timestamp:yyyy}/",
        "",
        "spec.destination.gcs.errorOutputPrefix: is required where prefix has expressions; set it",
    );
    check_prefixes(
        "a/",
        "e/!{timestamp:yyyy}/",
        "spec.destination.gcs.errorOutputPrefix: has expressions but not \
         !{firehose:error-output-type}; add it",
    );
    check_prefixes(
        "a/!{firehose:error-output-type}/",
        "e/",
        "spec.destination.gcs.prefix: error-output-type is for errorOutputPrefix; remove it",
    );
    check_prefixes(
        "a/!{timestamp:yyyy",
        "e/",
        "spec.destination.gcs.prefix: !{timestamp:yyyy has no end; add a '}'",
    );
    check_prefixes(
        "a/!{firehose:shard}/",
        "e/",
        "spec.destination.gcs.prefix: !{firehose:shard} means nothing; use timestamp:FORMAT, \
         firehose:random-string, firehose:error-output-type, partitionKeyFromQuery:KEY or \
         partitionKeyFromLambda:KEY",
    );
    check_prefixes(
        "a/!{partitionKeyFromQuery:k}/",
        "e/",
        "spec.destination.gcs.prefix: has partition keys; set spec.dynamicPartitioning.enabled | \
         spec.destination.gcs.prefix: has keys from a query; set \
         spec.processing.metadataExtraction",
    );
}

#[test]
fn partitions_come_from_keys() {
    let partitioned = |prefix: &str, more: &str| {
        format!(
            "destination: {{s3: {{bucket: lake, errorOutputPrefix: e/, prefix: '{prefix}'}}}}, \
             dynamicPartitioning: {{enabled: true}}{more}"
        )
    };
    let query = ", processing: {metadataExtraction: {query: '{k: .k}'}}";
    check(&partitioned("!{partitionKeyFromQuery:k}/", query), "valid");
    check(
        &partitioned("a/", ""),
        "spec.destination.s3.prefix: names no partition key; add one, as in \
         !{partitionKeyFromQuery:customer}",
    );
    check(
        &partitioned("!{partitionKeyFromLambda:k}/", query),
        "spec.destination.s3.prefix: has keys from a function; set spec.processing.transform to \
         lambda or webhook",
    );
    let at_once = format!("{query}, buffering: {{intervalSeconds: 0}}");
    check(
        &partitioned("!{partitionKeyFromQuery:k}/", &at_once),
        "spec.buffering.intervalSeconds: 0 would make an object of each record of a partition; \
         set at least 1",
    );
    check(
        "destination: {stream: {name: b}}, dynamicPartitioning: {enabled: true}, compaction: {}",
        "spec.dynamicPartitioning: needs destination s3, gcs or azureBlob; remove it | \
         spec.compaction: needs destination s3, gcs, azureBlob or iceberg; remove it",
    );
}

#[test]
fn conversion_has_one_schema_and_one_output() {
    let columns = "schema: {columns: [{name: a, type: int}]}";
    check_s3(&format!("formatConversion: {{{columns}}}"), "valid");
    check_s3(
        "formatConversion: {input: {openX: {}, hive: {}}, output: {orc: {}, parquet: {}}, \
         schema: {}}",
        "spec.formatConversion.input: openX, hive are set; keep one of them | \
         spec.formatConversion.output: parquet, orc are set; keep one of them | \
         spec.formatConversion.schema: nothing is set; set one of columns, glue or iceberg",
    );
    check_s3(
        "formatConversion: {schema: {columns: [{name: a, type: int}, {name: a, type: int}]}}",
        "spec.formatConversion.schema.columns[1].name: \"a\" is also \
         spec.formatConversion.schema.columns[0].name; give each its own",
    );
    check_s3(
        "formatConversion: {schema: {glue: {database: d, table: t, region: r, versionId: newest}}}",
        "spec.formatConversion.schema.glue.versionId: \"newest\"; write it as \
         ^(LATEST|[0-9]+)$",
    );
    check(
        &format!(
            "destination: {{s3: {{bucket: lake, compression: GZIP}}}}, \
             formatConversion: {{{columns}}}"
        ),
        "spec.destination.s3.compression: column formats compress inside; remove it and set that \
         of formatConversion.output",
    );
    check(
        &format!("destination: {{stream: {{name: b}}}}, formatConversion: {{{columns}}}"),
        "spec.formatConversion: needs destination s3, gcs or azureBlob; remove it",
    );
}

#[test]
fn what_can_refuse_records_has_a_backup() {
    let splunk =
        "destination: {splunk: {hecEndpoint: 'https://s', hecTokenRef: {name: s, key: t}}}";
    let backup = "backup: {s3: {bucket: refused}}";
    check(&format!("{splunk}, {backup}"), "valid");
    let needed = "spec.backup.s3: splunk can refuse records for good; set where they go";
    check(splunk, needed);
    check(&format!("{splunk}, backup: {{mode: Disabled}}"), needed);
    check_s3("backup: {mode: Disabled}", "valid");
    check_s3(
        "backup: {mode: AllRecords}",
        "spec.backup.s3: is required unless mode is Disabled; set it",
    );
    check(
        &format!("{splunk}, {backup}, buffering: {{sizeMiB: 6, intervalSeconds: 61}}"),
        "spec.buffering.sizeMiB: 6 MiB; splunk takes at most 5 | \
         spec.buffering.intervalSeconds: 61 seconds; splunk allows at most 60",
    );
}

#[test]
fn search_engines_know_their_own_credentials() {
    let check_search = |name: &str, credentials: &str, want: &str| {
        check(
            &format!(
                "backup: {{s3: {{bucket: refused}}}}, destination: {{{name}: \
                 {{endpoint: 'https://s', indexName: i, credentials: {{{credentials}}}}}}}"
            ),
            want,
        );
    };
    check_search("elasticsearch", "apiKeyRef: {name: s, key: k}", "valid");
    check_search("opensearch", "aws: {region: eu-central-1}", "valid");
    check_search(
        "opensearch",
        "apiKeyRef: {name: s, key: k}",
        "spec.destination.opensearch.credentials.apiKeyRef: OpenSearch has no API keys; use basic \
         or aws",
    );
    check_search(
        "elasticsearch",
        "aws: {region: eu-central-1}",
        "spec.destination.elasticsearch.credentials.aws: Elasticsearch takes no signed requests; \
         use basic or apiKeyRef, or destination opensearch",
    );
    check_search(
        "opensearch",
        "",
        "spec.destination.opensearch.credentials: nothing is set; set one of basic, apiKeyRef or \
         aws",
    );
}

#[test]
fn tables_are_known_or_found() {
    let check_iceberg = |iceberg: &str, want: &str| {
        check(
            &format!(
                "backup: {{s3: {{bucket: refused}}}}, destination: {{iceberg: \
                 {{catalog: {{rest: {{uri: 'http://c'}}}}, {iceberg}}}}}"
            ),
            want,
        );
    };
    let path = "spec.destination.iceberg";
    check_iceberg("tables: [{database: d, table: t}]", "valid");
    check_iceberg("routing: {table: .t}", "valid");
    check_iceberg(
        "appendOnly: false",
        &format!(
            "{path}.tables: is required without routing; set the table that takes all records"
        ),
    );
    check_iceberg(
        "tables: [{database: d, table: t}, {database: d, table: t}]",
        &format!(
            "{path}.routing: is required with more than one table; set routing.table | \
             {path}.tables[1]: \"d.t\" is also {path}.tables[0]; give each its own"
        ),
    );
    check_iceberg(
        "appendOnly: true, tables: [{database: d, table: t}], routing: {operation: .op}",
        &format!(
            "{path}.routing.operation: appendOnly allows inserts only; remove one of the two | \
             {path}.tables[0].uniqueKeys: updates and deletes find rows by them; set them"
        ),
    );
}

#[test]
fn a_database_of_redshift_is_reached_in_one_way() {
    let to_redshift = |how: &str, want: &str| {
        let more = "copyCommand: {dataTableName: t}, s3: {bucket: lake, compression: ZSTD}";
        let spec = format!(
            "backup: {{s3: {{bucket: refused}}}}, destination: {{redshift: {{{how}{more}}}}}"
        );
        check(&spec, want);
    };
    let user = "{usernameRef: {name: s, key: k}, passwordRef: {name: s, key: k}}";
    let data_api = "dataApi: {database: d, region: eu-west-1";
    to_redshift(&format!("{data_api}, clusterIdentifier: c, dbUser: u}}, "), "valid");
    to_redshift(&format!("{data_api}, workgroupName: group}}, "), "valid");
    to_redshift(
        "",
        "spec.destination.redshift: nothing is set; set one of clusterJdbcUrl or dataApi",
    );
    to_redshift(
        &format!(
            "clusterJdbcUrl: 'jdbc:redshift://h/d', {data_api}, clusterIdentifier: c, \
             workgroupName: group, dbUser: u, secretArn: a}}, "
        ),
        "spec.destination.redshift: clusterJdbcUrl, dataApi are set; set one of clusterJdbcUrl or \
         dataApi | spec.destination.redshift.credentials: are of who logs in at clusterJdbcUrl; \
         set both or neither | spec.destination.redshift.dataApi: clusterIdentifier, workgroupName \
         are set; set one of clusterIdentifier or workgroupName | \
         spec.destination.redshift.dataApi.dbUser: set this or secretArn, not both | \
         spec.destination.redshift.dataApi.dbUser: is of a cluster; a workgroup's user is the \
         caller, or in secretArn",
    );
    to_redshift(
        &format!("credentials: {user}, {data_api}, workgroupName: group}}, "),
        "spec.destination.redshift.credentials: are of who logs in at clusterJdbcUrl; set both or \
         neither",
    );
}

#[test]
fn other_destinations_say_what_they_need() {
    let secret = "{name: s, key: k}";
    let user = format!("{{usernameRef: {secret}, passwordRef: {secret}}}");
    let backup = "backup: {s3: {bucket: refused}}";
    check(
        &format!(
            "{backup}, destination: {{redshift: {{clusterJdbcUrl: 'jdbc:redshift://h:5439/d', \
             credentials: {user}, copyCommand: {{dataTableName: t}}, \
             s3: {{bucket: lake, prefix: '!{{timestamp:yyyy}}/', compression: ZIP}}}}}}"
        ),
        "spec.destination.redshift.s3.prefix: has expressions, which COPY cannot follow; remove \
         them | spec.destination.redshift.s3.compression: COPY does not read it; set \
         UNCOMPRESSED, GZIP or ZSTD",
    );
    check(
        &format!(
            "{backup}, destination: {{snowflake: {{accountUrl: 'https://a', user: u, \
             privateKeyRef: {secret}, database: d, schema: s, table: t, \
             dataLoadingOption: VARIANT_CONTENT_AND_METADATA_MAPPING}}}}"
        ),
        "spec.destination.snowflake.contentColumnName: dataLoadingOption puts records into a \
         column; set its name | spec.destination.snowflake.metadataColumnName: dataLoadingOption \
         puts metadata into a column; set its name",
    );
    check(
        &format!(
            "destination: {{kafka: {{bootstrapServers: ['k:9092'], topic: t, \
             sasl: {{mechanism: PLAIN, credentials: {user}}}}}}}"
        ),
        "spec.destination.kafka.sasl.mechanism: PLAIN would show the password; set tls, or \
         SCRAM-SHA-512",
    );
    check(
        &format!(
            "destination: {{azureBlob: {{account: acc, container: con, \
             accountKeyRef: {secret}, sasTokenRef: {secret}}}}}"
        ),
        "spec.destination.azureBlob.sasTokenRef: set this or accountKeyRef, not both",
    );
}

#[test]
fn compaction_is_of_what_can_be_merged_in_a_folder() {
    let s3 =
        |more: &str| format!("destination: {{s3: {{bucket: lake, {more}}}}}, compaction: {{}}");
    check(&s3("prefix: a/"), "valid");
    check(&s3("prefix: 'a/b!{timestamp:yyyy}/', errorOutputPrefix: 'e/'"), "valid");
    check(
        &s3("prefix: a/, compression: ZIP"),
        "spec.compaction: does not merge archives; set destination.s3.compression to GZIP, or remove it",
    );
    let folder = "spec.destination.s3.prefix: compaction lists a folder and not the whole bucket; \
        begin it with one, as in clicks/";
    check(&s3("region: x"), folder);
    check(&s3("prefix: a"), folder);
    check(&s3("prefix: '!{timestamp:yyyy}/', errorOutputPrefix: e/"), folder);
    check("destination: {s3: {bucket: lake}}, compaction: {enabled: false}", "valid");
    check(
        "destination: {s3: {bucket: lake, prefix: a/, errorOutputPrefix: e/}}, compaction: {}, \
         formatConversion: {output: {orc: {}}, schema: {columns: [{name: a, type: int}]}}",
        "spec.compaction: does not merge ORC files; set formatConversion.output.parquet, or remove it",
    );
}
