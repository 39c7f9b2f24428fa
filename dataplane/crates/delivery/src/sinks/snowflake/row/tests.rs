use expect_test::{Expect, expect};

use DataLoadingOption::{JsonMapping, VariantContentAndMetadataMapping, VariantContentMapping};

use super::*;
use crate::sinks::testing::record;

pub(crate) fn feed(source: Option<&str>) -> Feed {
    Feed {
        name: "flights".into(),
        uid: 3,
        source: source.map(str::to_owned),
        processing: 0,
        lineage: 7,
        repeats: true,
    }
}

fn check(option: DataLoadingOption, source: Option<&str>, data: impl AsRef<[u8]>, want: Expect) {
    let of = SnowflakeDestination {
        data_loading_option: Some(option),
        content_column_name: Some("C".into()),
        metadata_column_name: Some("M".into()),
        ..SnowflakeDestination::default()
    };
    let line = Rows::new(&of, feed(source)).line(&record(3, data));
    let text = line.map(|line| String::from_utf8(line).unwrap());
    want.assert_eq(&text.unwrap_or_else(|failure| failure.message.to_string()));
}

#[test]
fn members_of_a_record_are_columns() {
    check(
        JsonMapping,
        None,
        "{\"b\": 123456789012345678901234567890.10,\r\n \"a\": {\"x\":\n[1, \"\\n\"]}}\n",
        expect![[r#"
            {"a":{"x": [1, "\n"]},"b":123456789012345678901234567890.10}
        "#]],
    );
    check(
        JsonMapping,
        None,
        "{}",
        expect![[r#"
        {}
    "#]],
    );
    for bad in ["", "[]", "1", "{} {}", "{\"a\":}", "\u{feff}{}"] {
        check(
            JsonMapping,
            None,
            bad,
            expect!["The record is not a single valid JSON object in UTF-8."],
        );
    }
}

#[test]
fn a_record_is_a_column() {
    for (data, want) in [("{\"a\":\n1}", "{\"C\":{\"a\": 1}}\n"), ("[1]", "{\"C\":[1]}\n")] {
        let of = SnowflakeDestination {
            data_loading_option: Some(VariantContentMapping),
            content_column_name: Some("C".into()),
            ..SnowflakeDestination::default()
        };
        let line = Rows::new(&of, feed(None)).line(&record(0, data)).unwrap();
        assert_eq!(str::from_utf8(&line).unwrap(), want);
    }
    check(
        VariantContentMapping,
        None,
        b"\"\xff\"",
        expect!["The record is not a single valid JSON value in UTF-8."],
    );
}

#[test]
fn metadata_says_where_a_record_came_from() {
    check(
        VariantContentAndMetadataMapping,
        None,
        "1",
        expect![[r#"
        {"C":1,"M":{"firehoseDeliveryStreamName":"flights","IngestionTime":"2026-01-01T00:00:00.000Z"}}
    "#]],
    );
    check(
        VariantContentAndMetadataMapping,
        Some("clicks"),
        "1",
        expect![[r#"
            {"C":1,"M":{"kinesisStreamName":"clicks","kinesisShardId":"shardId-000000000000","kinesisPartitionKey":"key","kinesisSequenceNumber":"49670424472731169861061894383147721128543699241099329538","subsequenceNumber":"0","IngestionTime":"2026-01-01T00:00:00.000Z"}}
        "#]],
    );
}
