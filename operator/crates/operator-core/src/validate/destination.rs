//! Destinations of delivery streams: what the parts of each must say together.

use operator_api::delivery_stream::{
    Buffering, DataLoadingOption, Destination, IcebergCatalog, IcebergDestination,
    KafkaDestination, ObjectCompression, Objects, RedshiftDestination, S3Destination,
    SaslMechanism, SearchDestination, SnowflakeDestination,
};

use super::Refusals;
use super::prefix::{self, Keys};

/// The object store among destinations, by name.
pub(super) fn objects(destination: &Destination) -> Option<(&'static str, Objects<'_>)> {
    let s3 = destination.s3.as_ref().map(|it| ("s3", it.objects()));
    let gcs = destination.gcs.as_ref().map(|it| ("gcs", it.objects()));
    let azure = destination.azure_blob.as_ref().map(|it| ("azureBlob", it.objects()));
    s3.or(gcs).or(azure)
}

/// Refuses what is wrong inside the destination.
pub(super) fn check(destination: &Destination, keys: Keys, refusals: &mut Refusals) {
    const PATH: &str = "spec.destination";
    match destination.names().as_slice() {
        [_] => {}
        [] => refusals.refuse(PATH, "nothing is set; set one, as in s3"),
        names => {
            let what = format!("{} are set; keep one of them", names.join(", "));
            refusals.refuse(PATH, what);
        }
    }
    if let Some((name, objects)) = objects(destination) {
        prefix::check(&format!("{PATH}.{name}"), objects, keys, refusals);
    }
    if let Some(azure) = &destination.azure_blob {
        refusals.refuse_if(
            azure.account_key_ref.is_some() && azure.sas_token_ref.is_some(),
            "spec.destination.azureBlob.sasTokenRef",
            "set this or accountKeyRef, not both",
        );
    }
    for (name, search) in
        [("elasticsearch", &destination.elasticsearch), ("opensearch", &destination.opensearch)]
    {
        if let Some(search) = search {
            check_search(name, search, refusals);
        }
    }
    destination.redshift.iter().for_each(|it| check_redshift(it, refusals));
    destination.snowflake.iter().for_each(|it| check_snowflake(it, refusals));
    destination.iceberg.iter().for_each(|it| check_iceberg(it, refusals));
    destination.kafka.iter().for_each(|it| check_kafka(it, refusals));
    if let Some(stream) = &destination.stream {
        refusals.stream_name("spec.destination.stream.name", &stream.name);
    }
}

/// Refuses batches that the destination does not take.
pub(super) fn check_buffering(
    buffering: &Buffering,
    destination: &Destination,
    refusals: &mut Refusals,
) {
    for name in destination.names() {
        let (mib_max, seconds_max) = match name {
            "elasticsearch" | "opensearch" => (100, 900),
            "httpEndpoint" => (64, 900),
            "splunk" => (5, 60),
            _ => continue,
        };
        if let Some(mib) = buffering.size_mib.filter(|mib| mib_max < *mib) {
            let what = format!("{mib} MiB; {name} takes at most {mib_max}");
            refusals.refuse("spec.buffering.sizeMiB", what);
        }
        if let Some(seconds) = buffering.interval_seconds.filter(|it| seconds_max < *it) {
            let what = format!("{seconds} seconds; {name} allows at most {seconds_max}");
            refusals.refuse("spec.buffering.intervalSeconds", what);
        }
    }
}

/// Refuses a bucket for what is not partitioned: backups.
pub(super) fn check_bucket(path: &str, s3: &S3Destination, refusals: &mut Refusals) {
    let keys = Keys { is_partitioned: false, has_query: false, has_function: false };
    prefix::check(path, s3.objects(), keys, refusals);
}

/// Refuses a catalog that is not exactly one.
pub(super) fn check_catalog(path: &str, catalog: &IcebergCatalog, refusals: &mut Refusals) {
    let parts = [("rest", catalog.rest.is_some()), ("glue", catalog.glue.is_some())];
    refusals.exactly_one(path, &parts);
}

fn check_search(name: &str, search: &SearchDestination, refusals: &mut Refusals) {
    let Some(credentials) = &search.credentials else { return };
    let path = format!("spec.destination.{name}.credentials");
    let parts = [
        ("basic", credentials.basic.is_some()),
        ("apiKeyRef", credentials.api_key_ref.is_some()),
        ("aws", credentials.aws.is_some()),
    ];
    refusals.exactly_one(&path, &parts);
    refusals.refuse_if(
        name == "opensearch" && credentials.api_key_ref.is_some(),
        &format!("{path}.apiKeyRef"),
        "OpenSearch has no API keys; use basic or aws",
    );
    refusals.refuse_if(
        name == "elasticsearch" && credentials.aws.is_some(),
        &format!("{path}.aws"),
        "Elasticsearch takes no signed requests; use basic or apiKeyRef, or destination opensearch",
    );
}

fn check_redshift(redshift: &RedshiftDestination, refusals: &mut Refusals) {
    const S3: &str = "spec.destination.redshift.s3";
    let objects = redshift.s3.objects();
    refusals.refuse_if(
        objects.prefix.is_some_and(|prefix| prefix.contains("!{")),
        &format!("{S3}.prefix"),
        "has expressions, which COPY cannot follow; remove them",
    );
    let is_copied = matches!(
        objects.compression,
        None | Some(
            ObjectCompression::Uncompressed | ObjectCompression::Gzip | ObjectCompression::Zstd
        )
    );
    refusals.refuse_if(
        !is_copied,
        &format!("{S3}.compression"),
        "COPY does not read it; set UNCOMPRESSED, GZIP or ZSTD",
    );
    check_database(redshift, refusals);
}

/// Refuses a database that is not reached in exactly one way, by one user.
fn check_database(redshift: &RedshiftDestination, refusals: &mut Refusals) {
    const PATH: &str = "spec.destination.redshift";
    let RedshiftDestination { cluster_jdbc_url, credentials, data_api, .. } = redshift;
    let ways = [("clusterJdbcUrl", cluster_jdbc_url.is_some()), ("dataApi", data_api.is_some())];
    refusals.exactly_one(PATH, &ways);
    refusals.refuse_if(
        cluster_jdbc_url.is_some() != credentials.is_some(),
        &format!("{PATH}.credentials"),
        "are of who logs in at clusterJdbcUrl; set both or neither",
    );
    let Some(data_api) = data_api else { return };
    let places = [
        ("clusterIdentifier", data_api.cluster_identifier.is_some()),
        ("workgroupName", data_api.workgroup_name.is_some()),
    ];
    refusals.exactly_one(&format!("{PATH}.dataApi"), &places);
    refusals.refuse_if(
        data_api.db_user.is_some() && data_api.secret_arn.is_some(),
        &format!("{PATH}.dataApi.dbUser"),
        "set this or secretArn, not both",
    );
    refusals.refuse_if(
        data_api.db_user.is_some() && data_api.workgroup_name.is_some(),
        &format!("{PATH}.dataApi.dbUser"),
        "is of a cluster; a workgroup's user is the caller, or in secretArn",
    );
}

fn check_snowflake(snowflake: &SnowflakeDestination, refusals: &mut Refusals) {
    let option = snowflake.data_loading_option.unwrap_or(DataLoadingOption::JsonMapping);
    refusals.refuse_if(
        option != DataLoadingOption::JsonMapping && snowflake.content_column_name.is_none(),
        "spec.destination.snowflake.contentColumnName",
        "dataLoadingOption puts records into a column; set its name",
    );
    refusals.refuse_if(
        option == DataLoadingOption::VariantContentAndMetadataMapping
            && snowflake.metadata_column_name.is_none(),
        "spec.destination.snowflake.metadataColumnName",
        "dataLoadingOption puts metadata into a column; set its name",
    );
}

fn check_iceberg(iceberg: &IcebergDestination, refusals: &mut Refusals) {
    const PATH: &str = "spec.destination.iceberg";
    check_catalog(&format!("{PATH}.catalog"), &iceberg.catalog, refusals);
    let tables = iceberg.tables.as_deref().unwrap_or_default();
    let routing = iceberg.routing.as_ref();
    let routes_tables = routing.is_some_and(|routing| routing.table.is_some());
    refusals.refuse_if(
        tables.is_empty() && routing.is_none(),
        &format!("{PATH}.tables"),
        "is required without routing; set the table that takes all records",
    );
    refusals.refuse_if(
        tables.len() != 1 && routing.is_some() && !routes_tables,
        &format!("{PATH}.routing.table"),
        "is required unless there is a single table; set it",
    );
    refusals.refuse_if(
        1 < tables.len() && routing.is_none(),
        &format!("{PATH}.routing"),
        "is required with more than one table; set routing.table",
    );
    let routes_operations = routing.is_some_and(|routing| routing.operation.is_some());
    refusals.refuse_if(
        iceberg.append_only == Some(true) && routes_operations,
        &format!("{PATH}.routing.operation"),
        "appendOnly allows inserts only; remove one of the two",
    );
    for (at, table) in tables.iter().enumerate() {
        refusals.refuse_if(
            routes_operations && table.unique_keys.as_ref().is_none_or(Vec::is_empty),
            &format!("{PATH}.tables[{at}].uniqueKeys"),
            "updates and deletes find rows by them; set them",
        );
    }
    let names: Vec<String> =
        tables.iter().map(|table| format!("{}.{}", table.database, table.table)).collect();
    let field = |at| format!("{PATH}.tables[{at}]");
    refusals.unique(field, names.iter().map(String::as_str));
}

fn check_kafka(kafka: &KafkaDestination, refusals: &mut Refusals) {
    let mechanism = kafka.sasl.as_ref().and_then(|sasl| sasl.mechanism);
    refusals.refuse_if(
        mechanism == Some(SaslMechanism::Plain) && kafka.tls.is_none(),
        "spec.destination.kafka.sasl.mechanism",
        "PLAIN would show the password; set tls, or SCRAM-SHA-512",
    );
}
