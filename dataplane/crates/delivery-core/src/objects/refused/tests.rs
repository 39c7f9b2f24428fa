use expect_test::{Expect, expect};
use model::{Offset, SequenceNumber, ShardId};
use operator_api::delivery_stream::{
    GlueTable, HttpDestination, IcebergSchema, S3Destination, SearchDestination,
};

use super::*;

fn origin() -> Origin {
    let (shard, offset, arrival) = (ShardId(0), Offset(7), UnixMillis(1_770_091_506_789));
    let created = UnixMillis(1_770_000_000_000);
    let sequence_number = SequenceNumber::of_record(shard, created, offset, arrival);
    Origin { shard, offset, sub: 3, sequence_number, arrival }
}

fn line(refusal: Refusal<'_>) -> (ErrorOutputType, String) {
    let origin = origin();
    let refused = RefusedRecord {
        data: b"{\"a\": \"\xff\"}",
        origin: &origin,
        error_code: "Some.Code",
        error_message: "said \"no\"\n",
        attempts: 4,
        ended: UnixMillis(1_770_091_600_000),
        refusal,
    };
    (refused.output_type(), String::from_utf8(refused.line()).unwrap())
}

#[test]
fn documents_are_those_of_aws() {
    let check = |refusal, want_type: &str, want: Expect| {
        let (output, line) = line(refusal);
        assert_eq!(output.name(), want_type);
        want.assert_eq(&line);
    };
    let lambda_arn = Some("arn:aws:lambda:eu-west-1:1:function:f");
    check(
        Refusal::Processing { lambda_arn },
        "processing-failed",
        expect![[r#"
        {"rawData":"eyJhIjogIv8ifQ==","errorCode":"Some.Code","errorMessage":"said \"no\"\n","attemptsMade":4,"arrivalTimestamp":1770091506789,"attemptEndingTimestamp":1770091600000,"lambdaARN":"arn:aws:lambda:eu-west-1:1:function:f"}
    "#]],
    );
    check(
        Refusal::Processing { lambda_arn: None },
        "processing-failed",
        expect![[r#"
        {"rawData":"eyJhIjogIv8ifQ==","errorCode":"Some.Code","errorMessage":"said \"no\"\n","attemptsMade":4,"arrivalTimestamp":1770091506789,"attemptEndingTimestamp":1770091600000}
    "#]],
    );
    let glue = GlueTable {
        database: "lake".to_owned(),
        table: "clicks".to_owned(),
        region: "eu-west-1".to_owned(),
        ..GlueTable::default()
    };
    let schema = ConversionSchema { glue: Some(glue), ..ConversionSchema::default() };
    let table = CatalogTable::of(&schema);
    check(
        Refusal::FormatConversion { table },
        "format-conversion-failed",
        expect![[r#"
        {"rawData":"eyJhIjogIv8ifQ==","lastErrorCode":"Some.Code","lastErrorMessage":"said \"no\"\n","attemptsMade":4,"arrivalTimestamp":1770091506789,"attemptEndingTimestamp":1770091600000,"sequenceNumber":"49671414411730830714835396410300967001845696391551123458","subSequenceNumber":3,"dataCatalogTable":{"databaseName":"lake","tableName":"clicks","region":"eu-west-1","versionId":"LATEST"}}
    "#]],
    );
    let iceberg = IcebergSchema {
        database: "lake".to_owned(),
        table: "clicks".to_owned(),
        ..IcebergSchema::default()
    };
    let schema = ConversionSchema { iceberg: Some(iceberg), ..ConversionSchema::default() };
    let table = CatalogTable::of(&schema);
    check(
        Refusal::FormatConversion { table },
        "format-conversion-failed",
        expect![[r#"
        {"rawData":"eyJhIjogIv8ifQ==","lastErrorCode":"Some.Code","lastErrorMessage":"said \"no\"\n","attemptsMade":4,"arrivalTimestamp":1770091506789,"attemptEndingTimestamp":1770091600000,"sequenceNumber":"49671414411730830714835396410300967001845696391551123458","subSequenceNumber":3,"dataCatalogTable":{"databaseName":"lake","tableName":"clicks"}}
    "#]],
    );
    let search = |engine, type_name| Refusal::Search {
        engine,
        document_id: Some("1.2"),
        index: "clicks-2026-02-03",
        type_name,
    };
    let opensearch = search(SearchEngine::OpenSearch, None);
    check(
        opensearch,
        "AmazonOpenSearchService-failed",
        expect![[r#"
        {"rawData":"eyJhIjogIv8ifQ==","errorCode":"Some.Code","errorMessage":"said \"no\"\n","attemptsMade":4,"arrivalTimestamp":1770091506789,"attemptEndingTimestamp":1770091600000,"esDocumentId":"1.2","esIndexName":"clicks-2026-02-03"}
    "#]],
    );
    let elasticsearch = search(SearchEngine::Elasticsearch, Some("_doc"));
    check(
        elasticsearch,
        "elasticsearch-failed",
        expect![[r#"
        {"rawData":"eyJhIjogIv8ifQ==","errorCode":"Some.Code","errorMessage":"said \"no\"\n","attemptsMade":4,"arrivalTimestamp":1770091506789,"attemptEndingTimestamp":1770091600000,"esDocumentId":"1.2","esIndexName":"clicks-2026-02-03","esTypeName":"_doc"}
    "#]],
    );
    check(
        Refusal::Splunk,
        "splunk-failed",
        expect![[r#"
        {"rawData":"eyJhIjogIv8ifQ==","errorCode":"Some.Code","errorMessage":"said \"no\"\n","attemptsMade":4,"arrivalTimestamp":1770091506789,"attemptEndingTimestamp":1770091600000,"EventId":"49671414411730830714835396410300967001845696391551123458.3"}
    "#]],
    );
    check(
        Refusal::HttpEndpoint,
        "http-endpoint-failed",
        expect![[r#"
        {"rawData":"eyJhIjogIv8ifQ==","errorCode":"Some.Code","errorMessage":"said \"no\"\n","attemptsMade":4,"arrivalTimestamp":1770091506789,"attemptEndingTimestamp":1770091600000,"subsequenceNumber":3,"dataId":"49671414411730830714835396410300967001845696391551123458.3"}
    "#]],
    );
    check(
        Refusal::Snowflake,
        "snowflake-failed",
        expect![[r#"
        {"rawData":"eyJhIjogIv8ifQ==","errorCode":"Some.Code","errorMessage":"said \"no\"\n","attemptsMade":4,"arrivalTimestamp":1770091506789,"attemptEndingTimestamp":1770091600000}
    "#]],
    );
    let iceberg = Refusal::Iceberg { database: Some("lake"), table: Some("clicks") };
    check(
        iceberg,
        "iceberg-failed",
        expect![[r#"
        {"rawData":"eyJhIjogIv8ifQ==","errorCode":"Some.Code","errorMessage":"said \"no\"\n","attemptsMade":4,"arrivalTimestamp":1770091506789,"attemptEndingTimestamp":1770091600000,"EventId":"49671414411730830714835396410300967001845696391551123458.3","destinationDatabaseName":"lake","destinationTableName":"clicks"}
    "#]],
    );
}

#[test]
fn long_messages_are_cut_at_a_character() {
    let origin = origin();
    let refused = RefusedRecord {
        data: b"",
        origin: &origin,
        error_code: "",
        error_message: &"€".repeat(10_000),
        attempts: 0,
        ended: UnixMillis(0),
        refusal: Refusal::Snowflake,
    };
    let document: serde_json::Value = serde_json::from_slice(&refused.line()).unwrap();
    assert_eq!(document["errorMessage"].as_str().unwrap(), "€".repeat(8_192 / 3));
}

#[test]
fn destinations_that_refuse_have_a_kind_of_their_own() {
    let check = |destination: Destination, want| {
        assert_eq!(ErrorOutputType::of_destination(&destination), want);
    };
    let http_endpoint = Some(HttpDestination::default());
    check(
        Destination { http_endpoint, ..Destination::default() },
        Some(ErrorOutputType::HttpEndpointFailed),
    );
    let elasticsearch = Some(SearchDestination::default());
    check(
        Destination { elasticsearch, ..Destination::default() },
        Some(ErrorOutputType::ElasticsearchFailed),
    );
    let s3 = Some(S3Destination::default());
    check(Destination { s3, ..Destination::default() }, None);
}

#[test]
fn no_two_kinds_share_a_name() {
    let mut names: Vec<&str> = ErrorOutputType::ALL.iter().map(|it| it.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ErrorOutputType::ALL.len());
}
