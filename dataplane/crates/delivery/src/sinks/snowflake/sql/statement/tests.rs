use expect_test::{Expect, expect};

use super::*;

fn columns() -> Vec<Column> {
    let of = [
        ("NUMBER", "fixed"),
        ("carrier", "text"),
        ("DELAY", "real"),
        ("AT", "timestamp_ntz"),
        ("PLACE", "geography"),
        ("RAW", "binary"),
        ("REST", "variant"),
        ("A\"B", "array"),
    ];
    let column = |(name, kind): (&str, &str)| Column {
        name: name.into(),
        kind: kind.into(),
        precision: (kind == "fixed").then_some(10),
        scale: (kind == "fixed").then_some(2),
    };
    of.into_iter().map(column).collect()
}

fn of(option: Option<DataLoadingOption>) -> SnowflakeDestination {
    SnowflakeDestination {
        database: "air".into(),
        schema: "My schema".into(),
        table: "flights$1".into(),
        data_loading_option: option,
        content_column_name: Some("rest".into()),
        metadata_column_name: Some("carrier".into()),
        ..SnowflakeDestination::default()
    }
}

#[test]
fn a_statement_casts_members_into_columns() {
    let table = Table::new(&of(None), columns()).unwrap();
    expect![[r#"INSERT INTO "AIR"."My schema"."FLIGHTS$1" ("NUMBER", "carrier", "DELAY", "AT", "PLACE", "RAW", "REST", "A""B") SELECT value:"NUMBER"::NUMBER(10, 2), value:"carrier"::VARCHAR, value:"DELAY"::FLOAT, value:"AT"::TIMESTAMP_NTZ, TO_GEOGRAPHY(value:"PLACE"), TO_BINARY(value:"RAW"::VARCHAR), value:"REST", value:"A""B"::ARRAY FROM TABLE(FLATTEN(INPUT => PARSE_JSON(?)))"#]]
        .assert_eq(table.insert());
    expect![[r#"SELECT * FROM "AIR"."My schema"."FLIGHTS$1""#]].assert_eq(&select_all(&of(None)));
}

#[test]
fn records_go_into_the_columns_that_are_named() {
    let option = Some(DataLoadingOption::VariantContentAndMetadataMapping);
    let table = Table::new(&of(option), columns()).unwrap();
    expect![[r#"INSERT INTO "AIR"."My schema"."FLIGHTS$1" ("REST", "carrier") SELECT value:"REST", value:"carrier"::VARCHAR FROM TABLE(FLATTEN(INPUT => PARSE_JSON(?)))"#]]
        .assert_eq(table.insert());
    let option = Some(DataLoadingOption::VariantContentMapping);
    let table = Table::new(&of(option), columns()).unwrap();
    assert!(table.insert().contains(r#"("REST") SELECT value:"REST" FROM"#));
    let missing = SnowflakeDestination { content_column_name: Some("body".into()), ..of(option) };
    let error = Table::new(&missing, columns()).err().unwrap();
    assert_eq!(&*error.failure.message, "The table has no column body.");
}

#[test]
fn members_find_their_columns_in_any_case() {
    let mut columns = columns();
    columns.push(Column { name: "number".into(), ..columns[0].clone() });
    let table = Table::new(&of(None), columns).unwrap();
    let check = |record: &str, want: Expect| {
        let row = table.row(serde_json::from_str(record).unwrap());
        let row = row.map(|row| String::from_utf8(row).unwrap());
        want.assert_eq(&row.unwrap_or_else(|it| format!("{}: {}", it.code, it.message)));
    };
    check(r#"{"Carrier": "AA", "at": null}"#, expect![[r#"{"AT":null,"carrier":"AA"}"#]]);
    check(r#"{"NUMBER": 1.0, "number": 2}"#, expect![[r#"{"NUMBER":1.0,"number":2}"#]]);
    check("{}", expect!["{}"]);
    check(
        r#"{"rest": 1, "REST": 2}"#,
        expect!["Snowflake.InvalidInput: The record has two members for the column REST."],
    );
    check(r#"{"tail": 1}"#, expect!["Snowflake.ExtraColumns: The table has no column tail."]);
}

#[test]
fn rows_are_bound_as_an_array() {
    let check = |rows: &[&str], want: &str| {
        assert_eq!(array(rows.iter().map(|row| row.as_bytes())), want);
    };
    check(&[], "[]");
    check(&["{}"], "[{}]");
    check(&["{}", "{\"é\":1}"], "[{},{\"é\":1}]");
}
