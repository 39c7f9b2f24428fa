use expect_test::{Expect, expect};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;

use super::*;

pub(super) fn conversion(input: &str, output: &str) -> FormatConversion {
    let text = format!(r#"{{"input": {input}, "output": {output}, "schema": {{}}}}"#);
    serde_json::from_str(&text).unwrap()
}

/// `name type; name type`
pub(super) fn columns(schema: &str) -> Vec<Column> {
    let columns = schema.split(';').map(|column| {
        let (name, type_) = column.trim().split_once(' ').unwrap();
        Column { name: name.to_owned(), type_: type_.to_owned() }
    });
    columns.collect()
}

pub(super) fn read_parquet(file: &Bytes) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.clone()).unwrap().build().unwrap();
    reader.collect::<Result<_, _>>().unwrap()
}

pub(super) fn read_rows(file: &Bytes) -> Vec<String> {
    match file.starts_with(b"ORC") {
        true => crate::orc_file::read::rows(file),
        false => show::rows(&read_parquet(file)),
    }
}

/// Each record's row, or why it has none.
fn convert(input: &str, output: &str, schema: &str, records: &[&str]) -> String {
    let converter = Converter::new(&conversion(input, output), &columns(schema)).unwrap();
    let mut file = converter.begin().unwrap();
    let outcomes = records.iter().map(|record| file.push(record.as_bytes()).err());
    let outcomes = outcomes.collect::<Vec<_>>();
    let mut rows = read_rows(&file.finish().unwrap()).into_iter();
    let mut shown = String::new();
    for outcome in outcomes {
        shown += &outcome.map_or_else(|| rows.next().unwrap(), |error| error.to_string());
        shown += "\n";
    }
    for row in rows {
        shown += &format!("and {row}\n");
    }
    shown
}

fn check(input: &str, schema: &str, records: &[&str], want: Expect) {
    want.assert_eq(&convert(input, PARQUET, schema, records));
    want.assert_eq(&convert(input, ORC, schema, records));
}

pub(super) const PARQUET: &str = r#"{"parquet": {}}"#;
pub(super) const ORC: &str = r#"{"orc": {}}"#;
const OPEN_X: &str = r#"{"openX": {}}"#;
const HIVE: &str = r#"{"hive": {}}"#;

#[test]
fn values_of_all_types_come_back() {
    let schema = "a boolean; b tinyint; c smallint; d int; e bigint; f float; g double; \
        h decimal(38,10); i string; j varchar(3); k char(4); l binary; m date; n timestamp; \
        o array<int>; p map<string,double>; q struct<x:int,y:array<struct<z:string>>>";
    let full = r#"{"a":true,"b":-128,"c":32767,"d":-2147483648,"e":9223372036854775807,"f":1.5,
        "g":-2.5e-300,"h":1234567890123456789012345678.0123456789,"i":"größer \u00e9 \"","j":"äöüß",
        "k":"ab  ","l":"\u0000ÿ","m":"2024-02-29","n":"2024-02-29T23:59:59.123456Z","o":[1,null,3],
        "p":{"k":0.5,"l":null},"q":{"x":1,"y":[{"z":"a"},{},null]}}"#;
    let nulls = r#"{"a":null,"b":null,"c":null,"d":null,"e":null,"f":null,"g":null,"h":null,
        "i":null,"j":null,"k":null,"l":null,"m":null,"n":null,"o":null,"p":null,"q":null}"#;
    let empty = r#"{"i":"","o":[],"p":{},"q":{}}"#;
    for input in [OPEN_X, HIVE] {
        let full = full.replace("T23", " 23").replace("456Z", "456");
        let records = [full.as_str(), "{}", nulls, empty, full.as_str()];
        let want = expect![[r#"
            a=true b=-128 c=32767 d=-2147483648 e=9223372036854775807 f=1.5 g=-2.5e-300 h=1234567890123456789012345678.0123456789 i="größer é \"" j="äöü" k="ab" l=[00, c3, bf] m=2024-02-29 n=2024-02-29T23:59:59.123456 o=[1, null, 3] p={"k": 0.5, "l": null} q=(x=1 y=[(z="a"), (z=null), null])
            a=null b=null c=null d=null e=null f=null g=null h=null i=null j=null k=null l=null m=null n=null o=null p=null q=null
            a=null b=null c=null d=null e=null f=null g=null h=null i=null j=null k=null l=null m=null n=null o=null p=null q=null
            a=null b=null c=null d=null e=null f=null g=null h=null i="" j=null k=null l=null m=null n=null o=[] p={} q=(x=null y=null)
            a=true b=-128 c=32767 d=-2147483648 e=9223372036854775807 f=1.5 g=-2.5e-300 h=1234567890123456789012345678.0123456789 i="größer é \"" j="äöü" k="ab" l=[00, c3, bf] m=2024-02-29 n=2024-02-29T23:59:59.123456 o=[1, null, 3] p={"k": 0.5, "l": null} q=(x=1 y=[(z="a"), (z=null), null])
        "#]];
        check(input, schema, &records, want);
    }
}

#[test]
fn open_x_makes_values_fit() {
    check(
        OPEN_X,
        "n int; d double; b boolean; s string; p decimal(5,2)",
        &[
            r#"{"n":"12","d":"1e3","b":"TRUE","s":1.50,"p":"3.145"}"#,
            r#"{"n":"0x1F","d":"-Infinity","b":"false","s":true,"p":3.1e1}"#,
            r#"{"n":"-1","d":"NaN","s":{ "X": [1, "y"] },"p":1}"#,
            r#"{"s":[1, 2]}"#,
        ],
        expect![[r#"
            n=12 d=1000.0 b=true s="1.50" p=3.15
            n=31 d=-inf b=false s="true" p=31.00
            n=-1 d=NaN b=null s="{ \"X\": [1, \"y\"] }" p=1.00
            n=null d=null b=null s="[1, 2]" p=null
        "#]],
    );
    check(
        OPEN_X,
        "a array<int>; m map<int,string>; s struct<x:int>; t array<array<string>>",
        &[
            r#"{"a":7,"m":{"1":"one","-2":2},"s":{"x":"5"},"t":[["a"],"b"]}"#,
            r#"{"a":"8","m":"","s":" ","t":["c"]}"#,
            r#"{"a":"","m":[],"s":[ ],"t":"  "}"#,
        ],
        expect![[r#"
            a=[7] m={1: "one", -2: "2"} s=(x=5) t=[["a"], ["b"]]
            a=[8] m=null s=null t=[["c"]]
            a=null m=null s=null t=null
        "#]],
    );
}

#[test]
fn hive_takes_values_as_they_are() {
    check(
        HIVE,
        "n int; d double; b boolean; s string; a array<int>; t struct<x:int>",
        &[
            r#"{"n":12,"d":1,"b":true,"s":1.50}"#,
            r#"{"n":"12"}"#,
            r#"{"d":"1.5"}"#,
            r#"{"s":{"x":1}}"#,
            r#"{"a":7}"#,
            r#"{"a":""}"#,
            r#"{"t":""}"#,
            r#"{"t":[]}"#,
            r#"{"N":1,"n":2}"#,
        ],
        expect![[r#"
            n=12 d=1.0 b=true s="1.50" a=null t=null
            record 1: DataFormatConversion.MalformedData: column n: "12" is not int
            record 2: DataFormatConversion.MalformedData: column d: "1.5" is not double
            record 3: DataFormatConversion.MalformedData: column s: {"x":1} is not string
            record 4: DataFormatConversion.MalformedData: column a: 7 is not array<int>
            record 5: DataFormatConversion.MalformedData: column a: "" is not array<int>
            record 6: DataFormatConversion.MalformedData: column t: "" is not struct<x:int>
            record 7: DataFormatConversion.MalformedData: column t: [] is not struct<x:int>
            n=2 d=null b=null s=null a=null t=null
        "#]],
    );
}

#[test]
fn keys_find_their_columns() {
    check(
        OPEN_X,
        "userId int; größe int; m map<string,int>; s struct<innerKey:int>",
        &[
            r#"{"USERID":1,"GRÖSSE":0,"Größe":2,"M":{"KEY":1},"S":{"InnerKEY":3}}"#,
            r#"{"user\u0049d":4}"#,
            r#"{"userid":1,"userId":1}"#,
            r#"{"s":{"innerkey":1,"INNERKEY":2}}"#,
        ],
        expect![[r#"
            userId=1 größe=2 m={"key": 1} s=(innerKey=3)
            userId=4 größe=null m=null s=null
            record 2: DataFormatConversion.MalformedData: column userId: given twice
            record 3: DataFormatConversion.MalformedData: column s.innerKey: given twice
        "#]],
    );
    check(
        r#"{"openX": {"caseInsensitive": false, "convertDotsInJsonKeysToUnderscores": true,
            "columnToJsonKeyMappings": {"ts": "time.Stamp"}}}"#,
        "a_b int; ts int; c int; m map<string,int>; s struct<d_e:int,ts:int>",
        &[
            r#"{"a.b":1,"time.Stamp":2,"c":3,"m":{"K.v":4},"s":{"d.e":5,"time_Stamp":6}}"#,
            r#"{"a_b":1,"ts":2,"C":3,"time.stamp":4}"#,
        ],
        expect![[r#"
            a_b=1 ts=2 c=3 m={"K.v": 4} s=(d_e=5 ts=6)
            a_b=1 ts=null c=null m=null s=null
        "#]],
    );
}

#[test]
fn keys_are_found_in_any_order_and_among_others() {
    let converter = Converter::new(&conversion(OPEN_X, "{}"), &columns("a int; b int; c int"));
    let mut file = converter.unwrap().begin().unwrap();
    let orders = ["abc", "cba", "bxcya", "a", "c", "xyz", "bac", "xayb", "abc"];
    for round in 0..200 {
        let keys = orders[round % orders.len()].chars();
        let parts = keys.map(|key| format!("\"{key}\" : {}", u32::from(key) + round as u32));
        let record = format!("{{ {} }}", parts.collect::<Vec<_>>().join(" , "));
        file.push(record.as_bytes()).unwrap();
    }
    let rows = show::rows(&read_parquet(&file.finish().unwrap()));
    for (round, row) in rows.iter().enumerate() {
        let keys = orders[round % orders.len()];
        let want = ['a', 'b', 'c'].map(|key| match keys.contains(key) {
            true => format!("{key}={}", key as usize + round),
            false => format!("{key}=null"),
        });
        assert_eq!(*row, want.join(" "), "{keys}");
    }
}

#[test]
fn timestamps_are_read_by_the_dialect() {
    check(
        OPEN_X,
        "t timestamp; d date",
        &[
            r#"{"t":"2017-02-07T15:13:01.39256Z","d":"2017-2-7"}"#,
            r#"{"t":1518033528123}"#,
            r#"{"t":1518033528.123}"#,
            r#"{"t":"1518033528"}"#,
            r#"{"t":"yesterday"}"#,
            r#"{"d":17000}"#,
        ],
        expect![[r#"
            t=2017-02-07T15:13:01.39256 d=2017-02-07
            t=2018-02-07T19:58:48.123 d=null
            t=2018-02-07T19:58:48.123 d=null
            t=2018-02-07T19:58:48 d=null
            record 4: DataFormatConversion.MalformedData: column t: "yesterday" is not timestamp
            record 5: DataFormatConversion.MalformedData: column d: 17000 is not date
        "#]],
    );
    check(
        r#"{"hive": {"timestampFormats": ["dd/MMM/yyyy:HH:mm:ss Z", "millis"]}}"#,
        "t timestamp; d date",
        &[
            r#"{"t":"07/Feb/2017:15:13:01 +0100","d":"07/Feb/2017:15:13:01 +0100"}"#,
            r#"{"t":1518033528123,"d":"2017-02-07"}"#,
            r#"{"t":"2017-02-07 15:13:01.5"}"#,
            r#"{"t":"2017-02-07T15:13:01Z"}"#,
        ],
        expect![[r#"
            t=2017-02-07T14:13:01 d=2017-02-07
            t=2018-02-07T19:58:48.123 d=2017-02-07
            t=2017-02-07T15:13:01.5 d=null
            record 3: DataFormatConversion.MalformedData: column t: "2017-02-07T15:13:01Z" is not timestamp
        "#]],
    );
}

#[test]
fn a_refused_record_leaves_nothing_behind() {
    check(
        OPEN_X,
        "a int; s string; l array<string>; m map<string,array<int>>; t struct<u:int,v:string>",
        &[
            r#"{"a":1,"s":"x","l":["y"],"m":{"k":[1]},"t":{"u":1,"v":"z"}}"#,
            r#"{"a":1,"s":"lost","l":["lost","lost"],"m":{"lost":[1,"x"]}}"#,
            r#"{"t":{"v":"lost","u":1.5}}"#,
            r#"{"a":2147483648}"#,
            r#"{"s":"lost"}{"a":[]}"#,
            r#"{"s":"lost""#,
            r#"{"a":1,}"#,
            r#"[{"a":1}]"#,
            r#""text""#,
            "",
            "  ",
            r#"{"a":01}"#,
            "{'a':1}",
            r#"{"x":{"y":[tru]}}"#,
            r#"{"a":2,"s":"kept"}"#,
        ],
        expect![[r#"
            a=1 s="x" l=["y"] m={"k": [1]} t=(u=1 v="z")
            record 1: DataFormatConversion.MalformedData: column m: "x" is not int
            record 2: DataFormatConversion.MalformedData: column t.u: 1.5 is not int
            record 3: DataFormatConversion.MalformedData: column a: 2147483648 is not int
            record 4: DataFormatConversion.MalformedData: column a: [] is not int
            record 5: DataFormatConversion.ParseError: not JSON objects: expected , or } at byte 11
            record 6: DataFormatConversion.ParseError: not JSON objects: expected a string at byte 7
            record 7: DataFormatConversion.ParseError: not JSON objects: expected { at byte 0
            record 8: DataFormatConversion.ParseError: not JSON objects: expected { at byte 0
            record 9: DataFormatConversion.ParseError: not JSON objects: expected { at byte 0
            record 10: DataFormatConversion.ParseError: not JSON objects: expected { at byte 2
            record 11: DataFormatConversion.ParseError: not JSON objects: expected , or } at byte 6
            record 12: DataFormatConversion.ParseError: not JSON objects: expected a string at byte 1
            record 13: DataFormatConversion.ParseError: not JSON objects: expected a value at byte 11
            a=2 s="kept" l=null m=null t=null
        "#]],
    );
}

#[test]
fn a_record_can_be_several_rows() {
    check(
        OPEN_X,
        "a int",
        &[r#"{"a":1}{"a":2} {"b":0}"#, "\n{\"a\":3}\r\n", r#"{"a":4},{"a":5}"#],
        expect![[r#"
            a=1
            a=2
            record 2: DataFormatConversion.ParseError: not JSON objects: expected { at byte 7
            and a=null
            and a=3
        "#]],
    );
}

#[test]
fn what_a_record_takes_has_a_bound() {
    let wide = (0..600).map(|index| format!("f{index}:int")).collect::<Vec<_>>().join(",");
    let many = format!(r#"{{"a":[{}]}}"#, vec!["{}"; 2000].join(","));
    let deep = format!(r#"{{"x":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
    let large = format!(r#"{{"x":"{}"}}"#, "x".repeat(RECORD_BYTES_MAX));
    let schema = format!("a array<struct<{wide}>>; b int");
    let records = [many.as_str(), &deep, &large, r#"{"b":1}"#];
    check(
        OPEN_X,
        &schema,
        &records,
        expect![[r#"
            record 0: DataFormatConversion.MalformedData: column a: more than 1048576 values
            record 1: DataFormatConversion.ParseError: not JSON objects: nested deeper than 128 levels at byte 132
            record 2: DataFormatConversion.MalformedData: larger than 16777216 bytes
            a=null b=1
        "#]],
    );
    let converter = Converter::new(&conversion("{}", "{}"), &columns("a int")).unwrap();
    let error = converter.begin().unwrap().push(b"{\"a\":\"\xff\"}").unwrap_err();
    assert_eq!(error.message, "not JSON objects: not UTF-8 at byte 6");
}

fn check_new(input: &str, output: &str, schema: &str, want: &str) {
    let converter = Converter::new(&conversion(input, output), &columns(schema));
    assert_eq!(converter.unwrap_err().to_string(), want);
}

#[test]
fn a_conversion_that_cannot_be_is_refused() {
    let none = Converter::new(&conversion("{}", "{}"), &[]).unwrap_err();
    assert_eq!(none.to_string(), "schema.columns: no columns");
    check_new("{}", "{}", "a int; b array<text>", {
        "column b: type at character 7: unknown type text"
    });
    check_new("{}", "{}", "a int; A int", "column A: is named twice");
    check_new("{}", "{}", "s struct<a:int,A:int>", "column s: field A is named twice");
    check_new(r#"{"openX":{"columnToJsonKeyMappings":{"a":"B"}}}"#, "{}", "b int; a int", {
        "column a: has the JSON key of b"
    });
    check_new(r#"{"openX":{},"hive":{}}"#, "{}", "a int", "input: set openX or hive, not both");
    check_new(r#"{"hive":{"timestampFormats":["millis","xxxx"]}}"#, "{}", "a int", {
        "input.hive.timestampFormats[1]: the letter x cannot be read"
    });
    check_new("{}", r#"{"parquet":{},"orc":{}}"#, "a int", "output: set parquet or orc, not both");
    check_new("{}", r#"{"parquet":{"blockSizeMiB":63}}"#, "a int", {
        "output.parquet.blockSizeMiB: 63 is not within 64 to 1024"
    });
    check_new("{}", r#"{"parquet":{"pageSizeKiB":65537}}"#, "a int", {
        "output.parquet.pageSizeKiB: 65537 is not within 64 to 65536"
    });
    let column = |name: &str| Column { name: name.to_owned(), type_: "int".to_owned() };
    for (columns, want) in [
        (vec![column("")], "column : a name takes 1 to 255 bytes".to_owned()),
        (vec![column("a"); 1001], "schema.columns: more than 1000 columns".to_owned()),
    ] {
        let error = Converter::new(&conversion("{}", "{}"), &columns).unwrap_err();
        assert_eq!(error.to_string(), want);
    }
    let wide = (0..600).map(|index| format!("f{index}:int")).collect::<Vec<_>>().join(",");
    let wide = (0..17).map(|index| format!("s{index} struct<{wide}>")).collect::<Vec<_>>();
    check_new("{}", "{}", &wide.join(";"), {
        "schema.columns: more than 10000 columns, counting nested ones"
    });
}

/// What records are made of, and what breaks them.
const RECORD_PARTS: &[&[u8]] = &[
    b"{\"a\":1}",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"a\":",
    b"\"b\":",
    b"\"c\":",
    b"\"d\":",
    b"\"e\":",
    b"\"f\":",
    b"\"x\":",
    b"\"y\"",
    b"1",
    b"-",
    b"1.5",
    b"null",
    b"true",
    b"\"\"",
    b"\\u00e9",
    b"\xff",
    b"{\"x\":1}",
    b"[\"1\"]",
    b"\"2024-02-29\"",
    b"1e99",
];

fn any_record() -> impl Strategy<Value = Vec<u8>> {
    let part = proptest::sample::select(RECORD_PARTS);
    let from_parts = proptest::collection::vec(part, 0..24).prop_map(|parts| parts.concat());
    prop_oneof![from_parts, proptest::collection::vec(any::<u8>(), 0..64)]
}

proptest! {
    #[test]
    fn any_bytes_are_rows_or_refused(
        records in proptest::collection::vec(any_record(), 1..16),
        is_open_x in any::<bool>(),
        is_orc in any::<bool>(),
    ) {
        let schema = "a int; b string; c array<map<string,decimal(9,2)>>; \
            d struct<x:array<int>,y:date>; e timestamp; f map<int,struct<x:int>>";
        let input = if is_open_x { OPEN_X } else { HIVE };
        let output = if is_orc { ORC } else { PARQUET };
        let converter = Converter::new(&conversion(input, output), &columns(schema)).unwrap();
        let mut all = converter.begin().unwrap();
        let mut accepted = converter.begin().unwrap();
        for record in &records {
            if all.push(record).is_ok() {
                accepted.push(record).unwrap();
            }
        }
        let rows = all.rows();
        let file = all.finish().unwrap();
        // Nothing of a record that was refused is in the file.
        prop_assert!(file == accepted.finish().unwrap());
        prop_assert_eq!(read_rows(&file).len() as u64, rows);
    }

    #[test]
    fn rows_are_what_serde_json_reads(
        rows in proptest::collection::vec(
            (any::<i64>(), "\\PC{0,12}", proptest::option::of(-1e9..1e9_f64)), 1..20,
        ),
    ) {
        let columns = columns("a bigint; b string; c double");
        let converter = Converter::new(&conversion("{}", "{}"), &columns).unwrap();
        let mut file = converter.begin().unwrap();
        let mut want = Vec::new();
        for (a, b, c) in rows {
            let record = serde_json::json!({"a": a, "b": b, "c": c});
            file.push(record.to_string().as_bytes()).unwrap();
            let c = c.map_or("null".to_owned(), |c| format!("{c:?}"));
            want.push(format!("a={a} b={b:?} c={c}"));
        }
        prop_assert_eq!(show::rows(&read_parquet(&file.finish().unwrap())), want);
    }
}
