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
fn a_document_is_a_line_of_json() {
    let (_, line) = line(Refusal::Snowflake);
    let fields = [
        r#"{"rawData":"eyJhIjogIv8ifQ==""#,
        r#""errorCode":"Some.Code""#,
        r#""errorMessage":"said \"no\"\n""#,
        r#""attemptsMade":4"#,
        r#""arrivalTimestamp":1770091506789"#,
        r#""attemptEndingTimestamp":1770091600000}"#,
    ];
    assert_eq!(line, fields.join(",") + "\n");
}

#[test]
fn documents_say_what_only_the_refuser_knows() {
    // What follows the fields of all.
    let check = |refusal, want_type: &str, want: Expect| {
        let (output, line) = line(refusal);
        assert_eq!(output.name(), want_type);
        let (_, own) = line.split_once("\"attemptEndingTimestamp\":1770091600000").unwrap();
        want.assert_eq(&own.replace(",\"", "\n\""));
    };
    let lambda_arn = Some("arn:aws:lambda:eu-west-1:1:function:f");
    check(
        Refusal::Processing { lambda_arn },
        "processing-failed",
        expect![[r#"

        "lambdaARN":"arn:aws:lambda:eu-west-1:1:function:f"}
    "#]],
    );
    check(
        Refusal::Processing { lambda_arn: None },
        "processing-failed",
        expect![[r#"
        }
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

        "esDocumentId":"1.2"
        "esIndexName":"clicks-2026-02-03"}
    "#]],
    );
    let elasticsearch = search(SearchEngine::Elasticsearch, Some("_doc"));
    check(
        elasticsearch,
        "elasticsearch-failed",
        expect![[r#"

        "esDocumentId":"1.2"
        "esIndexName":"clicks-2026-02-03"
        "esTypeName":"_doc"}
    "#]],
    );
    check(
        Refusal::Splunk,
        "splunk-failed",
        expect![[r#"

        "EventId":"49671414411730830714835396410300967001845696391551123458.3"}
    "#]],
    );
    check(
        Refusal::HttpEndpoint,
        "http-endpoint-failed",
        expect![[r#"

        "subsequenceNumber":3
        "dataId":"49671414411730830714835396410300967001845696391551123458.3"}
    "#]],
    );
    check(
        Refusal::Snowflake,
        "snowflake-failed",
        expect![[r#"
        }
    "#]],
    );
    let iceberg = Refusal::Iceberg { database: Some("lake"), table: Some("clicks") };
    check(
        iceberg,
        "iceberg-failed",
        expect![[r#"

        "EventId":"49671414411730830714835396410300967001845696391551123458.3"
        "destinationDatabaseName":"lake"
        "destinationTableName":"clicks"}
    "#]],
    );
}

#[test]
fn a_document_about_a_conversion_names_the_table() {
    let check = |schema: ConversionSchema, want: Expect| {
        let table = CatalogTable::of(&schema);
        let (output, line) = line(Refusal::FormatConversion { table });
        assert_eq!(output.name(), "format-conversion-failed");
        let document: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(document["lastErrorCode"], "Some.Code");
        assert_eq!(document["lastErrorMessage"], "said \"no\"\n");
        assert_eq!(document["errorCode"], serde_json::Value::Null);
        assert_eq!(document["sequenceNumber"], origin().sequence_number.to_string());
        assert_eq!(document["subSequenceNumber"], 3);
        want.assert_eq(&format!("{:#}", document["dataCatalogTable"]));
    };
    let (database, table) = ("lake".to_owned(), "clicks".to_owned());
    let glue = GlueTable {
        database: database.clone(),
        table: table.clone(),
        region: "eu-west-1".to_owned(),
        ..GlueTable::default()
    };
    check(
        ConversionSchema { glue: Some(glue), ..Default::default() },
        expect![[r#"
        {
          "databaseName": "lake",
          "region": "eu-west-1",
          "tableName": "clicks",
          "versionId": "LATEST"
        }"#]],
    );
    let iceberg = IcebergSchema { database, table, ..IcebergSchema::default() };
    check(
        ConversionSchema { iceberg: Some(iceberg), ..Default::default() },
        expect![[r#"
        {
          "databaseName": "lake",
          "tableName": "clicks"
        }"#]],
    );
    check(ConversionSchema::default(), expect!["null"]);
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
