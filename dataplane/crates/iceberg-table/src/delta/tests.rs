use apache_avro::types::Value as Avro;
use apache_avro::{Reader, Schema as AvroSchema};
use proptest::prelude::*;

use super::*;
use crate::manifest::ColumnMetrics;
use crate::transform::PartitionSpec;
use crate::value::Value;

/// A table parted by a decimal, a UUID and a day, in a state that is two snapshots old.
fn table(snapshot: Option<i64>) -> TableMetadata {
    let fields = json!([
        {"id": 1, "name": "d", "required": false, "type": "decimal(9, 2)"},
        {"id": 2, "name": "u", "required": false, "type": "uuid"},
        {"id": 3, "name": "t", "required": false, "type": "timestamp"},
        {"id": 4, "name": "f", "required": false, "type": "double"},
    ]);
    let parts = json!([
        {"source-id": 1, "field-id": 1000, "name": "d", "transform": "identity"},
        {"source-id": 2, "field-id": 1001, "name": "u v", "transform": "identity"},
        {"source-id": 3, "field-id": 1002, "name": "t_day", "transform": "day"},
        {"source-id": 4, "field-id": 1003, "name": "f", "transform": "identity"},
    ]);
    let summary = json!({"operation": "append", "total-records": "40", "total-data-files": "4"});
    let snapshots = snapshot
        .map(|id| json!({"snapshot-id": id, "manifest-list": "s3://b/l", "summary": summary}));
    let main = snapshot.map(|id| json!({"main": {"snapshot-id": id, "type": "branch"}}));
    let metadata = json!({
        "format-version": 2,
        "table-uuid": "u",
        "location": "s3://b/t/",
        "last-sequence-number": 7,
        "last-updated-ms": 5_000,
        "schemas": [{"type": "struct", "schema-id": 3, "fields": fields}],
        "current-schema-id": 3,
        "partition-specs": [{"spec-id": 2, "fields": parts}],
        "default-spec-id": 2,
        "properties": {"write.metadata.path": "s3://b/m/"},
        "snapshots": snapshots.into_iter().collect::<Vec<_>>(),
        "refs": main.unwrap_or(json!({})),
    });
    serde_json::from_value(metadata).unwrap()
}

fn file(partition: [Option<Value>; 4], rows: u64) -> DataFile {
    let column = ColumnMetrics {
        id: 1,
        bytes: 9,
        values: rows,
        nulls: Some(1),
        lower: Some(vec![1]),
        upper: None,
    };
    DataFile {
        path: "s3://b/d".into(),
        bytes: 100,
        rows,
        partition: partition.to_vec(),
        columns: vec![column],
    }
}

fn files() -> Vec<DataFile> {
    let first = [
        Some(Value::Decimal(-1_234_567)),
        Some(Value::Uuid([7; 16])),
        Some(Value::Date(3)),
        Some(Value::Double(f64::NAN)),
    ];
    let second = [Some(Value::Decimal(5)), None, Some(Value::Date(-1)), Some(Value::Double(1.5))];
    vec![file(first, 6), file(second, 4)]
}

fn check(table: &TableMetadata, look: impl FnOnce(Delta<'_>)) {
    check_with(table, &[], look);
}

/// The files' rows, and rows that are deletes by the decimal and the UUID, in files of no partition.
fn check_with(table: &TableMetadata, deletes: &[DataFile], look: impl FnOnce(Delta<'_>)) {
    let schema = table.schema().unwrap();
    let spec = table.partition_spec(&schema).unwrap();
    let (files, text) = (files(), |name: &str| BTreeMap::from([(name.to_owned(), "x".to_owned())]));
    let (summary, properties) = (text("own"), text("mark"));
    let whole = PartitionSpec { id: 3, fields: Vec::new(), json: json!([]) };
    let content = Content::Deletes(vec![1, 2]);
    let rows = Files { content: &Content::Rows, spec: &spec, files: &files };
    let deletes = Files { content: &content, spec: &whole, files: deletes };
    let added = [rows, deletes];
    look(Delta {
        schema: &schema,
        added: if deletes.files.is_empty() { &added[..1] } else { &added },
        snapshot_id: 99,
        summary: &summary,
        properties: &properties,
    });
}

fn records(bytes: &[u8]) -> Vec<Vec<(String, Avro)>> {
    let fields = |record| match record {
        Avro::Record(fields) => fields,
        other => panic!("{other:?} is no record"),
    };
    Reader::new(bytes).unwrap().map(|record| fields(record.unwrap())).collect()
}

#[test]
fn a_manifest_says_of_its_fields_which_they_are() {
    check(&table(None), |delta| {
        let bytes = delta.manifests().unwrap().remove(0);
        let reader = Reader::new(&bytes[..]).unwrap();
        let AvroSchema::Record(entry) = reader.writer_schema() else { panic!("no record") };
        let ids: Vec<i64> = entry
            .fields
            .iter()
            .map(|field| field.custom_attributes["field-id"].as_i64().unwrap())
            .collect();
        assert_eq!(ids, [0, 1, 3, 4, 2]);
        let about = reader.user_metadata();
        let about = |name: &str| String::from_utf8(about[name].clone()).unwrap();
        assert_eq!((&*about("format-version"), &*about("partition-spec-id")), ("2", "2"));
        assert!(about("partition-spec").starts_with('['), "{}", about("partition-spec"));
        assert!(String::from_utf8_lossy(&bytes).contains(r#""logicalType":"map""#));
        assert_eq!(records(&bytes).len(), 2);
        assert_eq!(delta.manifests().unwrap(), [bytes]);
    });
}

#[test]
fn a_list_holds_what_the_one_before_held() {
    check(&table(Some(5)), |delta| {
        let first =
            delta.manifest_list(&table(None), None, &[("s3://b/1".to_owned(), 10)]).unwrap();
        let second = delta
            .manifest_list(&table(Some(5)), Some(&first), &[("s3://b/2".to_owned(), 20)])
            .unwrap();
        let both = records(&second);
        assert_eq!(both.len(), 2);
        assert_eq!(both[1], records(&first)[0]);
        let read = read_list(&second).unwrap();
        assert_eq!(read[0].counts, [2, 0, 0, 10, 0, 0]);
        assert_eq!((read[0].sequence_number, read[0].spec_id, read[0].length), (8, 2, 20));
        let shown = format!("{:?}", read[0].partitions);
        // The least and the greatest of the decimals, and of the days; no bound is not a number.
        for bytes in [
            [237, 41, 121].as_slice(),
            &[5],
            &(-1_i32).to_le_bytes(),
            &3_i32.to_le_bytes(),
            &1.5_f64.to_le_bytes(),
        ] {
            assert!(shown.contains(&format!("Bytes({bytes:?})")), "{bytes:?} is not in {shown}");
        }
        assert_eq!(shown.matches("(\"contains_null\", Boolean(true))").count(), 1);
    });
}

#[test]
fn a_commit_holds_only_for_the_state_that_it_was_made_for() {
    check(&table(Some(5)), |delta| {
        let request = delta.request(&table(Some(5)), "s3://b/l2", 4_000).unwrap();
        assert_eq!(request["requirements"][1]["snapshot-id"], 5);
        let snapshot = &request["updates"][0]["snapshot"];
        assert_eq!(snapshot["parent-snapshot-id"], 5);
        assert_eq!(snapshot["sequence-number"], 8);
        assert_eq!(snapshot["timestamp-ms"], 5_000);
        let summary = &snapshot["summary"];
        assert_eq!(
            (&summary["total-records"], &summary["added-records"]),
            (&json!("50"), &json!("10"))
        );
        assert_eq!((&summary["total-files-size"], &summary["own"]), (&Json::Null, &json!("x")));
        assert_eq!(request["updates"][2]["updates"]["mark"], "x");
        let first = delta.request(&table(None), "s3://b/l2", 6_000).unwrap();
        assert_eq!(first["requirements"][1]["snapshot-id"], Json::Null);
        assert_eq!(first["updates"][0]["snapshot"]["summary"]["total-records"], "10");
    });
}

#[test]
fn deletes_are_in_a_manifest_of_their_own() {
    let deletes = [DataFile { partition: Vec::new(), ..file([None, None, None, None], 7) }];
    check_with(&table(Some(5)), &deletes, |delta| {
        let manifests = delta.manifests().unwrap();
        let reader = Reader::new(&manifests[1][..]).unwrap();
        assert_eq!(reader.user_metadata()["content"], b"deletes");
        assert_eq!(reader.user_metadata()["partition-spec"], b"[]");
        let shown = format!("{:?}", records(&manifests[1]));
        assert!(shown.contains(r#"("content", Int(2))"#), "{shown}");
        let ids = r#"("equality_ids", Union(1, Array([Int(1), Int(2)])))"#;
        assert!(shown.contains(ids), "{shown}");
        assert!(!format!("{:?}", records(&manifests[0])).contains("Int(2)])"));
        let places = [("s3://b/1".to_owned(), 10), ("s3://b/2".to_owned(), 20)];
        let list =
            read_list(&delta.manifest_list(&table(Some(5)), None, &places).unwrap()).unwrap();
        let found: Vec<_> = list
            .iter()
            .map(|of| (of.content, of.spec_id, of.sequence_number, of.counts[0], of.counts[3]))
            .collect();
        assert_eq!(found, [(0, 2, 8, 2, 10), (1, 3, 8, 1, 7)]);
        let request = delta.request(&table(Some(5)), "s3://b/l2", 4_000).unwrap();
        let summary = &request["updates"][0]["snapshot"]["summary"];
        let said = |name: &str| summary[name].as_str().unwrap_or("-").to_owned();
        let names = ["operation", "added-records", "added-equality-deletes", "total-records"];
        assert_eq!(names.map(said), ["overwrite", "10", "7", "50"]);
        let only = Delta { added: &delta.added[1..], ..delta };
        assert_eq!(only.summary(None)["operation"], "delete");
    });
}

#[test]
fn files_are_where_the_table_says() {
    let table = table(None);
    assert_eq!(table.data_location(), "s3://b/t/data");
    assert_eq!(table.metadata_location(), "s3://b/m");
}

proptest! {
    #[test]
    fn any_bytes_are_a_list_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        let _ = read_list(&bytes);
        let _ = read_list(&[b"Obj\x01", &bytes[..]].concat());
    }

    #[test]
    fn a_damaged_list_is_a_list_or_an_error(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        check(&table(None), |delta| {
            let mut list = delta.manifest_list(&table(None), None, &[("s3://b/1".to_owned(), 10)]).unwrap();
            let at = at.index(list.len());
            list[at] = byte;
            let _ = read_list(&list);
        });
    }
}
