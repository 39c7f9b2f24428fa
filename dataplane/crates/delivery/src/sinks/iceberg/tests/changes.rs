//! Rows that are updated and deleted, and tables that grow.

use super::*;

fn keyed(more: Json) -> Json {
    let table = json!({"database": "air.port", "table": "flights", "uniqueKeys": ["n"]});
    let mut all = json!({"tables": [table], "routing": {"operation": ".op"}});
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    all
}

#[tokio::test]
async fn changes_are_rows_and_keys_of_rows_that_are_gone() {
    let home = Home::new(json!([]), keyed(json!({}))).await;
    let changes = batch(&[
        r#"{"op":"insert","n":1}"#,
        r#"{"op":"update","n":1,"s":"a"}"#,
        r#"{"op":"delete","n":2}"#,
        r#"{"op":"insert","n":3}"#,
        r#"{"op":"insert","n":3}"#,
        r#"{"op":"delete","n":4,"s":{"what":"ever"}}"#,
        r#"{"op":"insert","n":4}"#,
    ]);
    let sink = home.sink();
    assert_eq!(outline(&sink.attempt(&changes).await), "delivered");
    // 1 as it was updated, 3 twice, 4; without what 1, 2 and 4 were before.
    assert_eq!(home.commits(), "4 of 4 less 3");
    assert_eq!(outline(&home.sink().attempt(&changes).await), "delivered");
    assert_eq!(home.commits(), "4 of 4 less 3");
    let mut deletes = batch(&[r#"{"op":"delete","n":1}"#]);
    deletes.records[0] = record(7, r#"{"op":"delete","n":1}"#);
    assert_eq!(outline(&sink.attempt(&deletes).await), "delivered");
    assert_eq!(home.commits(), "4 of 4 less 3, 0 of 4 less 1");
}

#[tokio::test]
async fn what_does_not_fit_changes_nothing() {
    let home = Home::new(json!([]), keyed(json!({}))).await;
    let changes = batch(&[
        r#"{"op":"insert","n":1}"#,
        r#"{"op":"update","n":1,"t":"never"}"#,
        r#"{"op":"update","s":"b"}"#,
        r#"{"op":"delete","n":null}"#,
        r#"{"op":"delete","n":"x"}"#,
        r#"{"op":"upsert","n":1}"#,
        r#"{"op":"delete","n":1"#,
    ]);
    let want = "refused 5 6 Iceberg.InvalidRoute; refused 1 2 3 4 Iceberg.MalformedData";
    assert_eq!(outline(&home.sink().attempt(&changes).await), want);
    assert_eq!(home.commits(), "1 of 1");
    // Nor when it comes again.
    assert_eq!(outline(&home.sink().attempt(&changes).await), want);
    assert_eq!(home.commits(), "1 of 1");
}

#[tokio::test]
async fn the_tables_own_keys_are_taken_where_none_are_named() {
    let home = Home::new(json!([]), json!({"routing": {"operation": ".op"}})).await;
    let changes = batch(&[r#"{"op":"insert","n":1}"#, r#"{"op":"delete","n":2}"#]);
    let attempt = home.sink().attempt(&changes).await;
    assert_eq!(outline(&attempt), "refused 1 Iceberg.InvalidUniqueKeys");
    assert_eq!(home.commits(), "1 of 1");
    let keys = json!([1]);
    home.catalog.lock().unwrap().metadata["schemas"][0]["identifier-field-ids"] = keys;
    let mut later = changes.clone();
    later.records = vec![record(5, r#"{"op":"delete","n":2}"#)];
    assert_eq!(outline(&home.sink().attempt(&later).await), "delivered");
    assert_eq!(home.commits(), "1 of 1, 0 of 1 less 1");
}

#[tokio::test]
async fn appending_only_is_kept_to() {
    let home = Home::new(json!([]), json!({"appendOnly": true})).await;
    let mut records = rows(0..2);
    let operation = Some(TableOperation::Update);
    let said = TableMetadata { operation, ..TableMetadata::default() };
    records.tables.insert((Offset(1), 0), said);
    let attempt = home.sink().attempt(&records).await;
    assert_eq!(outline(&attempt), "refused 1 Iceberg.InvalidRoute");
    assert_eq!(home.commits(), "1 of 1");
}

#[tokio::test]
async fn deletes_are_of_all_partitions() {
    let part = json!({"source-id": 2, "field-id": 1000, "name": "p", "transform": "identity"});
    let home = Home::new(json!([part]), keyed(json!({}))).await;
    let changes = batch(&[r#"{"op":"update","n":1,"s":"a"}"#, r#"{"op":"update","n":2,"s":"b"}"#]);
    let sink = home.sink();
    home.goes_wrong(&[Bad::NotMade, Bad::Made]);
    assert_eq!(outline(&sink.attempt(&changes).await), "delivered");
    let mut later = changes.clone();
    later.records = vec![record(5, r#"{"op":"delete","n":2}"#)];
    assert_eq!(outline(&sink.attempt(&later).await), "delivered");
    assert_eq!(home.commits(), "spec 1, 2 of 2 less 2, 0 of 2 less 1");
}

#[tokio::test]
async fn others_may_commit_before_a_change() {
    let home = Home::new(json!([]), keyed(json!({}))).await;
    home.goes_wrong(&[Bad::Late, Bad::Late]);
    let changes = batch(&[r#"{"op":"update","n":1}"#]);
    assert_eq!(outline(&home.sink().attempt(&changes).await), "delivered");
    assert_eq!(home.commits().split(", ").last(), Some("1 of 3 less 1"));
}

#[tokio::test]
async fn what_was_given_up_does_not_come_back_over_what_came_later() {
    let home = Home::new(json!([]), keyed(json!({}))).await;
    let update =
        |offset| Batch { records: vec![record(offset, r#"{"op":"update","n":1}"#)], ..batch(&[]) };
    // The one before is in the backup; killed before that was remembered, both are read again.
    assert_eq!(outline(&home.sink().attempt(&update(5)).await), "delivered");
    assert_eq!(outline(&home.sink().attempt(&update(3)).await), "refused 0 Iceberg.Overtaken");
    assert_eq!(outline(&home.sink().attempt(&update(5)).await), "delivered");
    assert_eq!(home.commits(), "1 of 1 less 1");
}

#[tokio::test]
async fn a_table_that_has_used_up_its_ids_refuses_what_needs_more() {
    let home = Home::new(json!([]), json!({"schemaEvolution": true})).await;
    home.catalog.lock().unwrap().metadata["last-column-id"] = json!(i32::MAX);
    let records = batch(&[r#"{"n":1}"#, r#"{"n":2,"new":{"a":[1]}}"#, r#"{"n":3}"#]);
    let attempt = home.sink().attempt(&records).await;
    assert_eq!(outline(&attempt), "refused 1 Iceberg.MalformedData");
    assert_eq!(home.commits().split(", ").last(), Some("2 of 2"));
}

#[tokio::test]
async fn tables_grow_before_rows_are_written() {
    let home = Home::new(json!([]), json!({"schemaEvolution": true})).await;
    let sink = home.sink();
    assert_eq!(outline(&sink.attempt(&rows(0..2)).await), "delivered");
    let mut more = rows(2..3);
    more.records.push(record(3, r#"{"n":3,"new":true,"S":"x"}"#));
    // Somebody else has added a column meanwhile, and an answer is lost.
    home.goes_wrong(&[Bad::Made, Bad::Late]);
    assert_eq!(outline(&sink.attempt(&more).await), "delivered");
    let schema = "schema n:long s:string t:timestamptz new:boolean";
    assert_eq!(home.commits(), format!("2 of 2, {schema}, 2 of 4"));
    let metadata = home.catalog.lock().unwrap().metadata.clone();
    assert_eq!(metadata["schemas"][1]["fields"][3]["id"], 10);
    assert_eq!(outline(&home.sink().attempt(&more).await), "delivered");
    assert_eq!(home.commits(), format!("2 of 2, {schema}, 2 of 4"));
}

#[tokio::test]
async fn a_table_that_is_full_refuses_what_needs_more() {
    let home = Home::new(json!([]), keyed(json!({"schemaEvolution": true}))).await;
    let objects = |members: usize| {
        let members = (0..members).map(|at| format!(r#""m{at:04}":1"#)).collect::<Vec<_>>();
        format!(r#"{{"op":"insert","n":1,{}}}"#, members.join(","))
    };
    let (fits, more) = (objects(996), objects(997));
    let records = batch(&[&fits, &more, r#"{"op":"delete","n":7,"beside":1}"#]);
    let want = "refused 1 Iceberg.MalformedData";
    let attempt = home.sink().attempt(&records).await;
    assert_eq!(outline(&attempt), want);
    assert_eq!(
        &*attempt.refused[0].1.message,
        "member m0996: the table has as many columns as it may"
    );
    assert_eq!(home.commits().split(", ").last(), Some("1 of 1 less 1"));
    assert_eq!(outline(&home.sink().attempt(&records).await), want);
}
