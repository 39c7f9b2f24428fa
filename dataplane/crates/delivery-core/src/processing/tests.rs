use std::io::Write as _;

use expect_test::{Expect, expect};
use flate2::{Compression, write::GzEncoder};
use md5::{Digest as _, Md5};
use model::{Offset, Origin, SequenceNumber, ShardId, UnixMillis};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn record(offset: u64, data: impl Into<Bytes>) -> DeliveryRecord {
    let (shard, arrival) = (ShardId(1), UnixMillis(1_700_000_000_000));
    let offset = Offset(offset);
    let sequence_number = SequenceNumber::of_record(shard, arrival, offset, arrival);
    DeliveryRecord {
        data: data.into(),
        partition_key: Bytes::from_static(b"outer"),
        origin: Origin { shard, offset, sub: 0, sequence_number, arrival },
    }
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// User records, each under "inner", in one blob; each shorter than 120 bytes.
fn aggregate(records: &[&[u8]]) -> Vec<u8> {
    let mut message = b"\x0a\x05inner".to_vec();
    for data in records {
        message.extend([0x1a, data.len() as u8 + 4, 0x08, 0, 0x1a, data.len() as u8]);
        message.extend_from_slice(data);
    }
    [&[0xf3, 0x89, 0x9a, 0xc2], &*message, &*Md5::digest(&message)].concat()
}

fn processor(processing: serde_json::Value) -> Result<Processor, SetupError> {
    let processing: Processing = serde_json::from_value(processing).unwrap();
    Processor::new(Some(&processing), true)
}

/// The text of `bytes`, or how many they are where that is long or no text.
fn text(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(text) if text.len() < 80 => format!("{text:?}"),
        _ => format!("{} bytes", bytes.len()),
    }
}

/// What all steps make of `records`: one line for each record that is ready, then the failed ones.
fn run(processor: &Processor, records: Vec<DeliveryRecord>) -> String {
    let prepared = processor.prepare(records);
    let transformed = processor.transform_in_place(prepared.kept).unwrap();
    let finished = processor.finish(transformed.kept).unwrap();
    let mut lines = Vec::new();
    for Keyed { item, query_keys } in &finished.records {
        let origin = item.record.origin;
        let key = String::from_utf8_lossy(&item.record.partition_key);
        let raw = if item.raw.is_none() { "itself".to_owned() } else { text(item.raw()) };
        let data = text(&item.record.data);
        lines
            .push(format!("{}.{} {key} {data} of {raw} {query_keys:?}", origin.offset, origin.sub));
    }
    for failed in [prepared.failed, transformed.failed, finished.failed].concat() {
        let Failed { origin, raw, code, message, records, attempts } = failed;
        assert_eq!(attempts, 1);
        let (at, raw) = (format!("{}.{}", origin.offset, origin.sub), text(&raw));
        lines.push(format!("{at} failed {records}: {} ({message}) {raw}", code.as_str()));
    }
    let dropped = prepared.dropped + transformed.dropped;
    if 0 < dropped {
        lines.push(format!("dropped {dropped}"));
    }
    lines.join("\n")
}

fn check(processing: serde_json::Value, records: &[&[u8]], expect: Expect) {
    let records = records.iter().zip(0..).map(|(data, offset)| record(offset, data.to_vec()));
    expect.assert_eq(&run(&processor(processing).unwrap(), records.collect()));
}

#[test]
fn records_pass_when_nothing_is_asked_for() {
    check(
        json!({}),
        &[b"one", b"", &gzip(b"x")],
        expect![[r#"
        0.0 outer "one" of itself {}
        1.0 outer "" of itself {}
        2.0 outer 21 bytes of itself {}"#]],
    );
}

#[test]
fn aggregated_records_are_taken_apart_only_when_they_come_from_a_stream() {
    let blob = aggregate(&[b"a", b"", b"c"]);
    check(
        json!({}),
        &[b"x", &blob],
        expect![[r#"
        0.0 outer "x" of itself {}
        1.0 inner "a" of itself {}
        1.1 inner "" of itself {}
        1.2 inner "c" of itself {}"#]],
    );
    let direct = Processor::new(None, false).unwrap();
    assert_eq!(direct.prepare(vec![record(0, blob.clone())]).kept, [record(0, blob).into()]);
}

#[test]
fn records_are_decompressed() {
    let two = [gzip(b"one"), gzip(b"two")].concat();
    check(
        json!({ "decompression": {} }),
        &[&gzip(b"a"), &two, b"plain", &two[..30], &gzip(b"")],
        expect![[r#"
            0.0 outer "a" of 21 bytes {}
            1.0 outer "onetwo" of 46 bytes {}
            4.0 outer "" of 20 bytes {}
            2.0 failed 1: Decompression failed. (The record is not valid GZIP: unexpected end of file) "plain"
            3.0 failed 1: Decompression failed. (The record is not valid GZIP: unexpected end of file) 30 bytes"#]],
    );
}

#[test]
fn a_source_record_decompresses_to_so_much_and_no_more() {
    let half = gzip(&vec![b'x'; DECOMPRESSED_BYTES_MAX / 2]);
    let processor = processor(json!({ "decompression": { "format": "GZIP" } })).unwrap();
    let bomb = gzip(&vec![0; DECOMPRESSED_BYTES_MAX + 1]);
    let out = processor.prepare(vec![record(0, bomb), record(1, half.clone()), record(2, half)]);
    assert_eq!((out.kept.len(), out.failed.len()), (2, 1));
    assert_eq!(out.failed[0].code.error_output_type().name(), "decompression-failed");
    // Parts of one source record share what it may become.
    let zeros = gzip(&vec![0; 10_000]);
    let parts = DECOMPRESSED_BYTES_MAX / 10_000;
    let out = processor.prepare(vec![record(0, aggregate(&vec![&*zeros; parts + 5]))]);
    assert_eq!((out.kept.len(), out.failed.len()), (parts, 5));
}

#[test]
fn log_messages_are_joined_and_control_messages_dropped() {
    let data = json!({
        "messageType": "DATA_MESSAGE", "owner": "1", "logGroup": "g",
        "logEvents": [{ "id": "1", "timestamp": 1, "message": "a \"b\"" }, { "message": "" }]
    });
    let control = json!({ "messageType": "CONTROL_MESSAGE", "logEvents": [{ "message": "x" }] });
    let other = json!({ "messageType": "OTHER", "logEvents": [] });
    check(
        json!({ "decompression": {}, "cloudWatchLogExtraction": true }),
        &[
            &gzip(data.to_string().as_bytes()),
            &gzip(control.to_string().as_bytes()),
            &gzip(other.to_string().as_bytes()),
            &gzip(b"{}"),
            &gzip(b""),
        ],
        expect![[r#"
            0.0 outer "a \"b\"\n\n" of 124 bytes {}
            2.0 failed 1: Decompression failed. (CloudWatch Logs messages of type OTHER are unknown) 61 bytes
            3.0 failed 1: Decompression failed. (The record is no CloudWatch Logs message: missing field `messageType` at line 1 column 2) 22 bytes
            4.0 failed 1: Decompression failed. (The record is no CloudWatch Logs message: it is empty) 20 bytes
            dropped 1"#]],
    );
    check(
        json!({ "cloudWatchLogExtraction": true }),
        &[data.to_string().repeat(2).as_bytes()],
        expect![[r#"0.0 outer "a \"b\"\n\na \"b\"\n\n" of 262 bytes {}"#]],
    );
}

#[test]
fn json_objects_are_taken_apart() {
    check(
        json!({ "deaggregation": {} }),
        &[
            br#"{"a":"}{"}{"b":1} {"c":[{}]}"#,
            b"{}\n{}\r\n",
            br#"[{"a":1}]"#,
            br#"{"a":1},{"b":2}"#,
            br#"{"a":1}{"b":"#,
            b"5",
            b" \n",
        ],
        expect![[r#"
            0.0 outer "{\"a\":\"}{\"}" of itself {}
            0.1 outer "{\"b\":1}" of itself {}
            0.2 outer "{\"c\":[{}]}" of itself {}
            1.0 outer "{}" of itself {}
            1.1 outer "{}" of itself {}
            2.0 failed 1: RecordDeAggregation.InvalidJson (A JSON array at byte 0, not a JSON object) "[{\"a\":1}]"
            3.0 failed 1: RecordDeAggregation.InvalidJson (No JSON object at byte 7) "{\"a\":1},{\"b\":2}"
            4.0 failed 1: RecordDeAggregation.InvalidJson (Invalid JSON in the object at byte 7: EOF while parsing a value at line 1 column 5) "{\"a\":1}{\"b\":"
            5.0 failed 1: RecordDeAggregation.InvalidJson (No JSON object at byte 0) "5"
            6.0 failed 1: RecordDeAggregation.InvalidJson (The record holds no JSON object) " \n""#]],
    );
}

#[test]
fn what_is_taken_apart_becomes_no_more_than_is_expected() {
    let objects = b"{}".repeat(pieces::PIECES_MAX);
    let delimiter = "é".repeat(DELIMITER_CHARS_MAX);
    let (as_is, apart) = (
        json!({ "appendDelimiter": delimiter }),
        json!({ "appendDelimiter": delimiter, "deaggregation": {} }),
    );
    for (processing, from_stream, data, parts) in [
        (&as_is, false, objects.clone(), 1),
        (&apart, false, objects.clone(), 500),
        (&as_is, true, aggregate(&[&b""[..]; 400]), 400),
        (&apart, true, aggregate(&[&objects[..100]; 12]), 600),
    ] {
        let processing = serde_json::from_value(processing.clone()).unwrap();
        let processor = Processor::new(Some(&processing), from_stream).unwrap();
        let bytes_max = processor.bytes_max(&data);
        let kept = processor.prepare(vec![record(0, data)]).kept;
        let records = processor.finish(kept).unwrap().records;
        assert_eq!(records.len(), parts);
        let bytes: usize = records.iter().map(|keyed| keyed.item.record.data.len()).sum();
        assert!(bytes <= bytes_max, "{bytes} of {bytes_max} bytes, {parts} parts");
    }
}

#[test]
fn parts_between_delimiters_are_records() {
    check(
        json!({ "deaggregation": { "subRecordType": "DELIMITED", "delimiter": "fHw=" } }),
        &[b"a||b|c||||d||", b"alone", b"||", b""],
        expect![[r#"
            0.0 outer "a" of itself {}
            0.1 outer "b|c" of itself {}
            0.2 outer "d" of itself {}
            1.0 outer "alone" of itself {}
            2.0 outer "||" of itself {}
            3.0 outer "" of itself {}"#]],
    );
}

#[test]
fn a_record_of_too_many_parts_stays_whole() {
    for (deaggregation, part) in [
        (json!({ "subRecordType": "JSON" }), "{}"),
        (json!({ "subRecordType": "DELIMITED", "delimiter": "Cg==" }), "x\n"),
    ] {
        let processor = processor(json!({ "deaggregation": deaggregation })).unwrap();
        let kept = |count| processor.prepare(vec![record(0, part.repeat(count))]).kept.len();
        assert_eq!((kept(PIECES_MAX), kept(PIECES_MAX + 1)), (PIECES_MAX, 1));
    }
}

#[test]
fn a_deep_object_is_taken_apart_without_recursion() {
    let deep = format!("{}1{}", "{\"a\":".repeat(200_000), "}".repeat(200_000));
    let processor = processor(json!({ "deaggregation": {} })).unwrap();
    assert_eq!(processor.prepare(vec![record(0, deep.repeat(2))]).kept.len(), 2);
}

#[test]
fn a_program_keeps_splits_drops_and_fails() {
    check(
        json!({ "transform": { "jq": { "program": ".[] | if . == 0 then error(\"zero\") else . end" } } }),
        &[b"[1,2]", b"[]", b"[3]", b"[1,0]", b"no"],
        expect![[r#"
            0.0 outer "1" of "[1,2]" {}
            0.1 outer "2" of "[1,2]" {}
            2.0 outer "3" of "[3]" {}
            3.0 failed 1: Jq.ProcessingFailed ("zero") "[1,0]"
            4.0 failed 1: Jq.ProcessingFailed (the record is not one JSON value: byte offset 0: value expected) "no"
            dropped 1"#]],
    );
    let many = json!({ "transform": { "jq": { "program": "range(.)" } } });
    check(
        many.clone(),
        &[b"501"],
        expect![[
            r#"0.0 failed 1: Jq.ProcessingFailed (the program gives more than 500 values) "501""#
        ]],
    );
    let out = processor(many).unwrap().transform_in_place(vec![record(0, "500").into()]).unwrap();
    assert_eq!((out.kept.len(), out.kept[499].record.origin.sub), (TRANSFORMED_RECORDS_MAX, 499));
    check(
        json!({ "transform": { "jq": { "program": "range(20) | \"x\" * 1000000" } } }),
        &[b"0"],
        expect![[r#"0.0 failed 1: Jq.ProcessingFailed (the program gives too much) "0""#]],
    );
}

#[test]
fn what_a_program_makes_of_the_parts_of_one_record_is_counted_on() {
    check(
        json!({ "deaggregation": {}, "transform": { "jq": { "program": ".n | if . then range(.) else error end" } } }),
        &[br#"{"n":2}{"n":0}{"m":1}{"n":1}"#, br#"{"n":1}"#],
        expect![[r#"
            0.0 outer "0" of "{\"n\":2}" {}
            0.1 outer "1" of "{\"n\":2}" {}
            0.3 outer "0" of "{\"n\":1}" {}
            1.0 outer "0" of "{\"n\":1}" {}
            0.2 failed 1: Jq.ProcessingFailed (null) "{\"m\":1}"
            dropped 1"#]],
    );
}

#[test]
fn partition_keys_are_texts() {
    let query = "{s: .s, n: .n, b: true}";
    check(
        json!({ "metadataExtraction": { "query": query, "engine": "JQ-1.6" } }),
        &[
            br#"{"s":"x","n":1.50}"#,
            br#"{"s":"x","n":12345678901234567890}"#,
            br#"{"s":"x"}"#,
            br#"{"s":"","n":1}"#,
            br#"{"s":[1],"n":1}"#,
            b"5",
            b"no",
        ],
        expect![[r#"
            0.0 outer "{\"s\":\"x\",\"n\":1.50}" of itself {"b": "true", "n": "1.5", "s": "x"}
            1.0 outer "{\"s\":\"x\",\"n\":12345678901234567890}" of itself {"b": "true", "n": "12345678901234567890", "s": "x"}
            2.0 failed 1: DynamicPartitioning.MetadataExtractionFailed (partitionKeys values must not be null or empty) "{\"s\":\"x\"}"
            3.0 failed 1: DynamicPartitioning.MetadataExtractionFailed (partitionKeys values must not be null or empty) "{\"s\":\"\",\"n\":1}"
            4.0 failed 1: DynamicPartitioning.MetadataExtractionFailed (partitionKeys values must be strings, numbers or booleans) "{\"s\":[1],\"n\":1}"
            5.0 failed 1: DynamicPartitioning.MetadataExtractionFailed (cannot index 5 with "s") "5"
            6.0 failed 1: DynamicPartitioning.MetadataExtractionFailed (the record is not one JSON value: byte offset 0: value expected) "no""#]],
    );
    check(
        json!({ "metadataExtraction": { "query": ".[]" } }),
        &[b"[{},{}]", b"[]", b"[1]", b"[{}]"],
        expect![[r#"
            3.0 outer "[{}]" of itself {}
            0.0 failed 1: DynamicPartitioning.MetadataExtractionFailed (the query gives more than one value) "[{},{}]"
            1.0 failed 1: DynamicPartitioning.MetadataExtractionFailed (the query gives no value) "[]"
            2.0 failed 1: DynamicPartitioning.MetadataExtractionFailed (the query gives no object) "[1]""#]],
    );
}

#[test]
fn partition_keys_have_bounds() {
    let query = json!({ "metadataExtraction": { "query": "." } });
    let object = |count: usize| {
        json!(
            (0..count).map(|it| (it.to_string(), it)).collect::<std::collections::BTreeMap<_, _>>()
        )
    };
    let processor = processor(query).unwrap();
    let failed = |data: serde_json::Value| {
        processor.finish(vec![record(0, data.to_string()).into()]).unwrap().failed.len()
    };
    assert_eq!((failed(object(50)), failed(object(51))), (0, 1));
    let long = |count: usize| json!({ "a": "x".repeat(count) });
    assert_eq!((failed(long(1_024)), failed(long(1_025))), (0, 1));
}

/// KPL, then decompression, then log messages, then de-aggregation, then the program, then the query,
/// then the delimiter: in any other order one of them would fail.
#[test]
fn the_steps_come_in_their_order() {
    let logs = json!({
        "messageType": "DATA_MESSAGE",
        "logEvents": [{ "message": "{\"k\":1}{\"k\":2}" }, { "message": "{\"k\":3}" }]
    });
    let processing = json!({
        "decompression": {},
        "cloudWatchLogExtraction": true,
        "deaggregation": {},
        "transform": { "jq": { "program": "select(.k != 2) | {key: \"k\\(.k)\"}" } },
        "metadataExtraction": { "query": "{key}" },
        "appendDelimiter": "|\n",
    });
    let packed = gzip(logs.to_string().as_bytes());
    assert!(packed.len() < 120);
    check(
        processing,
        &[&aggregate(&[&packed, b"bad", &packed])],
        expect![[r#"
        0.0 inner "{\"key\":\"k1\"}|\n" of 100 bytes {"key": "k1"}
        0.1 inner "{\"key\":\"k3\"}|\n" of 100 bytes {"key": "k3"}
        0.2 inner "{\"key\":\"k1\"}|\n" of 100 bytes {"key": "k1"}
        0.3 inner "{\"key\":\"k3\"}|\n" of 100 bytes {"key": "k3"}
        0.3 failed 1: Decompression failed. (The record is not valid GZIP: unexpected end of file) "bad"
        dropped 2"#]],
    );
}

/// A record that makes hundreds of which all fail has one error document, not hundreds of itself.
#[test]
fn parts_that_fail_for_one_record_are_one_failure() {
    let bad = "{}".repeat(300);
    check(
        json!({ "decompression": {}, "deaggregation": {}, "metadataExtraction": { "query": "{a}" } }),
        &[&gzip(bad.as_bytes()), &gzip(b"{}")],
        expect![[r#"
            0.0 failed 300: DynamicPartitioning.MetadataExtractionFailed (partitionKeys values must not be null or empty) 40 bytes
            1.0 failed 1: DynamicPartitioning.MetadataExtractionFailed (partitionKeys values must not be null or empty) 22 bytes"#]],
    );
    // Without decompression a part can stand for itself.
    check(
        json!({ "deaggregation": {}, "metadataExtraction": { "query": "{a}" } }),
        &[b"{} {}"],
        expect![[r#"
            0.0 failed 1: DynamicPartitioning.MetadataExtractionFailed (partitionKeys values must not be null or empty) "{}"
            0.1 failed 1: DynamicPartitioning.MetadataExtractionFailed (partitionKeys values must not be null or empty) "{}""#]],
    );
}

#[test]
fn what_cannot_be_followed_is_refused() {
    let refused = [
        json!({ "transform": { "vrl": { "program": "." } } }),
        json!({ "transform": {} }),
        json!({ "transform": { "jq": { "program": "." }, "webhook": { "url": "http://x" } } }),
        json!({ "transform": { "jq": { "program": "{" } } }),
        json!({ "metadataExtraction": { "query": "now" } }),
        json!({ "deaggregation": { "subRecordType": "DELIMITED" } }),
        json!({ "deaggregation": { "delimiter": "Cg==" } }),
        json!({ "deaggregation": { "subRecordType": "DELIMITED", "delimiter": "%" } }),
        json!({ "deaggregation": { "subRecordType": "DELIMITED", "delimiter": "" } }),
        json!({ "appendDelimiter": "é".repeat(65) }),
    ];
    let errors: Vec<_> =
        refused.map(|it| processor(it).err().map_or("accepted".into(), |it| it.to_string())).into();
    expect![[r#"
        processing.transform.vrl: is not built in: use jq
        processing.transform: set exactly one of lambda, webhook, vrl and jq
        processing.transform: set exactly one of lambda, webhook, vrl and jq
        processing.transform.jq.program: expected closing brace at byte 1
        processing.metadataExtraction.query: undefined filter: now
        processing.deaggregation.delimiter: is needed
        processing.deaggregation.delimiter: is for subRecordType DELIMITED
        processing.deaggregation.delimiter: is not base64, as in Cg== for a line feed
        processing.deaggregation.delimiter: holds 1 to 64 bytes
        processing.appendDelimiter: holds at most 64 characters"#]]
    .assert_eq(&errors.join("\n"));
    assert!(processor(json!({ "appendDelimiter": "😀".repeat(64) })).is_ok());
}

#[test]
fn who_transforms_is_known() {
    let kind = |it| processor(it).unwrap().transform();
    assert_eq!(kind(json!({})), TransformKind::None);
    assert_eq!(kind(json!({ "transform": { "jq": { "program": "." } } })), TransformKind::InPlace);
    let webhook = json!({ "transform": { "webhook": { "url": "http://x" } } });
    assert_eq!(kind(webhook), TransformKind::Call);
    let lambda = json!({ "transform": { "lambda": { "functionArn": "f" } } });
    assert_eq!(kind(lambda), TransformKind::Call);
}

#[test]
fn processors_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Processor>();
}

proptest! {
    #[test]
    fn no_record_breaks_a_step_and_none_is_lost(
        records in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 1..4),
        packed in any::<bool>(),
        decompression in any::<bool>(),
        logs in any::<bool>(),
        json in any::<Option<bool>>(),
    ) {
        let deaggregation = json.map(|json| {
            if json { json!({}) } else { json!({ "subRecordType": "DELIMITED", "delimiter": "AA==" }) }
        });
        let mut processing = json!({ "cloudWatchLogExtraction": logs });
        if decompression { processing["decompression"] = json!({}); }
        if let Some(deaggregation) = deaggregation { processing["deaggregation"] = deaggregation; }
        let count = records.len();
        let source: Vec<_> = records
            .into_iter()
            .zip(0..)
            .map(|(data, offset)| record(offset, if packed { gzip(&data) } else { data }))
            .collect();
        let processor = processor(processing).unwrap();
        let out = processor.prepare(source.clone());
        prop_assert!(count <= out.kept.len() + out.failed.len());
        prop_assert_eq!(&processor.prepare(source), &out, "the same each time");
        let mut origins: Vec<_> = out.kept.iter().map(|item| item.record.origin).collect();
        origins.extend(out.failed.iter().map(|failed| failed.origin));
        let all = origins.len();
        origins.sort();
        origins.dedup();
        prop_assert_eq!(origins.len(), all, "each has its own number");
    }
}

#[test]
fn a_query_for_the_partition_key_replaces_that_of_the_source() {
    let check = |query: &str, data: &'static str, want: &str| {
        let processor = Processor::new(None, true).unwrap().with_key("key", query).unwrap();
        assert!(!processor.is_quick());
        let Finished { records, failed } =
            processor.finish(vec![Item::from(record(1, data))]).unwrap();
        let keys = records.iter().map(|it| &*it.item.record.partition_key);
        let keys = keys.map(|key| String::from_utf8_lossy(key).into_owned());
        let failed = failed.iter().map(|it| it.message.clone());
        assert_eq!(keys.chain(failed).collect::<Vec<_>>(), [want]);
    };
    check(".a", r#"{"a": "x"}"#, "x");
    check(".a", r#"{"a": 12345678901234567890}"#, "12345678901234567890");
    check(".a", "{}", "partitionKeys values must not be null or empty");
    check(".a, .a", r#"{"a": "x"}"#, "the query gives more than one value");
    check("empty", "{}", "the query gives no value");
    check(".", "no JSON", "the record is not one JSON value: byte offset 0: value expected");
    let wrong = Processor::new(None, true).unwrap().with_key("key", "}").err().unwrap();
    assert_eq!(wrong.field, "key");
}
