//! Files of tables, which know their columns by ids.

use expect_test::{Expect, expect};
use iceberg_table::Schema as TableSchema;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::printer::print_schema;

use super::*;

fn converter(fields: &str) -> Converter {
    let schema = serde_json::from_str(&format!(r#"{{"fields":[{fields}]}}"#)).unwrap();
    Converter::for_table(&TableSchema::parse(schema).unwrap(), None).unwrap()
}

fn field(id: i32, name: &str, type_: &str) -> String {
    format!(r#"{{"id":{id},"name":"{name}","required":false,"type":{type_}}}"#)
}

/// The value of the only column, `a`, or why the record is refused.
fn check(type_: &str, value: &str, want: Expect) {
    let converter = converter(&field(1, "a", &format!("{type_:?}")));
    let record = format!(r#"{{"a":{value}}}"#);
    let found = match converter.probe().read(record.as_bytes(), &[vec![0]]) {
        Ok(values) => format!("{:?}", values[0]),
        Err(refused) => refused.message,
    };
    want.assert_eq(&found);
}

#[test]
fn values_that_only_tables_have_are_read() {
    check("time", r#""7:31:08.25""#, expect!["Some(Time(27068250000))"]);
    check("time", r#""24:00:00""#, expect![[r#"column a: "24:00:00" is not time"#]]);
    check("time", r#""07:31:08Z""#, expect![[r#"column a: "07:31:08Z" is not time"#]]);
    check(
        "uuid",
        r#""00000000-0000-0000-0000-0000000000fF""#,
        expect!["Some(Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255]))"],
    );
    check(
        "uuid",
        r#""+0000000-0000-0000-0000-0000000000ff""#,
        expect![[r#"column a: "+0000000-0000-0000-0000-0000000000ff" is not uuid"#]],
    );
    check(
        "uuid",
        r#""000000000000000000000000000000ff""#,
        expect![[r#"column a: "000000000000000000000000000000ff" is not uuid"#]],
    );
    check("binary", r#""/wA=""#, expect!["Some(Binary([255, 0]))"]);
    check("binary", r#""?""#, expect![[r#"column a: "?" is not binary"#]]);
    check("fixed[2]", r#""/wA=""#, expect!["Some(Fixed([255, 0]))"]);
    check("fixed[3]", r#""/wA=""#, expect![[r#"column a: "/wA=" is not fixed[3]"#]]);
    check(
        "timestamptz",
        r#""1970-01-01T00:00:00-01:00""#,
        expect!["Some(TimestampTz(3600000000))"],
    );
    check("decimal(4,1)", "1.25", expect!["Some(Decimal(13))"]);
    check("long", "null", expect!["None"]);
}

#[test]
fn what_is_required_is_there() {
    let list = r#"{"type":"list","element-id":4,"element-required":true,"element":"int"}"#;
    let inner = format!(r#"{{"id":3,"name":"b","required":true,"type":{list}}}"#);
    let outer = field(2, "s", &format!(r#"{{"type":"struct","fields":[{inner}]}}"#));
    let required = r#"{"id":1,"name":"a","required":true,"type":"int"}"#;
    let converter = converter(&format!("{required},{outer}"));
    let mut file = converter.begin().unwrap();
    let mut push = |record: &str| match file.push(record.as_bytes()) {
        Ok(()) => "taken".to_owned(),
        Err(refused) => refused.message,
    };
    let missing = |path: &str| format!("column {path}: is required, and null or not there");
    assert_eq!(push(r#"{"a":1}"#), "taken");
    assert_eq!(push(r#"{"a":null}"#), missing("a"));
    assert_eq!(push(r#"{"s":null}"#), missing("a"));
    assert_eq!(push(r#"{"a":1,"s":{}}"#), missing("s.b"));
    assert_eq!(push(r#"{"a":1,"s":{"b":[1,null]}}"#), missing("s.b"));
    assert_eq!(push(r#"{"a":2,"s":{"b":[1]}}"#), "taken");
    assert_eq!(
        push(r#"{"a":1}{"a":2}"#),
        "not JSON objects: expected the end: a row is one object at byte 7"
    );
    assert_eq!(file.rows(), 2);
    let (bytes, _) = file.finish_for_table().unwrap();
    assert_eq!(SerializedFileReader::new(bytes).unwrap().metadata().file_metadata().num_rows(), 2);
}

#[test]
fn columns_are_known_by_their_ids_and_by_their_bounds() {
    let map = r#"{"type":"map","key-id":7,"key":"string","value-id":8,"value-required":false,"value":"long"}"#;
    let fields = [
        field(1, "n", "\"int\""),
        field(2, "d", "\"decimal(9,2)\""),
        field(3, "e", "\"decimal(30,2)\""),
        field(4, "u", "\"uuid\""),
        field(5, "t", "\"timestamptz\""),
        field(6, "m", map),
        field(9, "s", "\"string\""),
    ];
    let converter = converter(&fields.join(","));
    let mut file = converter.begin().unwrap();
    let uuid = "00000000-0000-0000-0000-000000000001";
    for record in [
        format!(r#"{{"n":258,"d":-1.5,"e":300,"u":"{uuid}","m":{{"a":1,"b":null}},"s":"é"}}"#),
        r#"{"n":-1,"d":1.28,"e":-0.01,"t":1,"s":""}"#.to_owned(),
    ] {
        file.push(record.as_bytes()).unwrap();
    }
    let (bytes, columns) = file.finish_for_table().unwrap();
    let shown = columns.iter().map(|column| {
        let ColumnMetrics { id, values, nulls, lower, upper, .. } = column;
        format!("{id}: {values} values, {nulls:?} nulls, {lower:?} to {upper:?}\n")
    });
    expect![[r#"
        1: 2 values, Some(0) nulls, Some([255, 255, 255, 255]) to Some([2, 1, 0, 0])
        2: 2 values, Some(0) nulls, Some([255, 106]) to Some([0, 128])
        3: 2 values, Some(0) nulls, Some([255]) to Some([117, 48])
        4: 2 values, Some(1) nulls, Some([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]) to Some([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
        5: 2 values, Some(1) nulls, Some([64, 66, 15, 0, 0, 0, 0, 0]) to Some([64, 66, 15, 0, 0, 0, 0, 0])
    "#]]
    .assert_eq(&shown.clone().take(5).collect::<String>());
    let rest: Vec<String> = shown.skip(5).collect();
    assert!(rest[0].starts_with("7: 3 values") && rest[0].ends_with("None to None\n"), "{rest:?}");
    assert!(rest[1].starts_with("8: 3 values") && rest[1].ends_with("None to None\n"), "{rest:?}");
    assert!(rest[2].ends_with("Some([]) to Some([195, 169])\n"), "{rest:?}");
    let reader = SerializedFileReader::new(bytes).unwrap();
    let mut schema = Vec::new();
    print_schema(&mut schema, reader.metadata().file_metadata().schema());
    expect![[r#"
        message hive_schema {
          OPTIONAL INT32 n [1];
          OPTIONAL INT32 d [2] (DECIMAL(9,2));
          OPTIONAL FIXED_LEN_BYTE_ARRAY (13) e [3] (DECIMAL(30,2));
          OPTIONAL FIXED_LEN_BYTE_ARRAY (16) u [4] (UUID);
          OPTIONAL INT64 t [5] (TIMESTAMP(MICROS,true));
          OPTIONAL group m [6] (MAP) {
            REPEATED group key_value {
              REQUIRED BYTE_ARRAY key [7] (STRING);
              OPTIONAL INT64 value [8];
            }
          }
          OPTIONAL BYTE_ARRAY s [9] (STRING);
        }
    "#]]
    .assert_eq(&String::from_utf8(schema).unwrap());
}

#[test]
fn a_compression_that_is_not_known_is_named() {
    let schema =
        serde_json::from_str(&format!(r#"{{"fields":[{}]}}"#, field(1, "a", "\"int\""))).unwrap();
    let schema = TableSchema::parse(schema).unwrap();
    for codec in ["zstd", "SNAPPY", "gzip", "uncompressed"] {
        assert!(Converter::for_table(&schema, Some(codec)).is_ok(), "{codec}");
    }
    let error = Converter::for_table(&schema, Some("lz4")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "table property write.parquet.compression-codec: is lz4; set zstd, snappy, gzip or uncompressed"
    );
}

#[test]
fn what_hive_has_no_type_for_becomes_what_stands_for_it() {
    let map = r#"{"type":"map","key-id":7,"key":"uuid","value-id":8,"value-required":false,"value":"timestamptz"}"#;
    let fields = [
        r#"{"id":1,"name":"Number","required":true,"type":"long"}"#.to_owned(),
        field(2, "at", "\"timestamptz\""),
        field(3, "time", "\"time\""),
        field(4, "bytes", "\"fixed[2]\""),
        field(5, "m", map),
    ];
    let schema = format!(r#"{{"fields":[{}]}}"#, fields.join(","));
    let table = TableSchema::parse(serde_json::from_str(&schema).unwrap()).unwrap();
    for output in [tests::PARQUET, tests::ORC] {
        let conversion = tests::conversion("{}", output);
        let mut file = Converter::as_described(&conversion, &table).unwrap().begin().unwrap();
        let record = r#"{"number":1,"at":"1970-01-01T01:00:00Z","time":"x","bytes":"abc","m":{"k":"1970-01-01 00:00:01"}}"#;
        file.push(record.as_bytes()).unwrap();
        // Nothing is required of records.
        file.push(b"{}").unwrap();
        let rows = tests::read_rows(&file.finish().unwrap());
        expect![[r#"
            Number=1 at=1970-01-01T01:00:00 time="x" bytes=[61, 62, 63] m={"k": 1970-01-01T00:00:01}
            Number=null at=null time=null bytes=null m=null"#]]
        .assert_eq(&rows.join("\n"));
    }
}
