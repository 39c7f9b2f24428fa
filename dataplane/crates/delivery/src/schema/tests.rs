//! Catalogs that answer, fail and change, over real sockets and in virtual time.

use auth::{RequestParts, SignedRequest, body_sha256};
use bytes::Bytes;
use expect_test::{Expect, expect};
use model::{Offset, ShardId};
use prometheus_client::registry::Registry;
use serde_json::{Value as Json, json};

use super::*;
use crate::pipeline::Pipeline;
use crate::secrets::Secrets;
use crate::sinks::testing::{Act, NOW, Server, TestSecrets, json_reply, record, reply};
use crate::status::{Failing, Statuses};
use crate::testing::{SlowMotion, TestBucket, context, delivery_stream};
use crate::window::Window;

/// A table of Glue with these columns, as in `a int; b string`.
fn table(version: &str, columns: &str) -> Json {
    let columns = columns.split("; ").map(|column| {
        let (name, type_) = column.split_once(' ').unwrap();
        json!({"Name": name, "Type": type_, "Comment": "any"})
    });
    let columns: Vec<Json> = columns.collect();
    let partitions = json!([{"Name": "day", "Type": "date"}]);
    json!({"Name": "clicks", "DatabaseName": "web", "VersionId": version, "CreateTime": 1.5e9,
        "PartitionKeys": partitions, "StorageDescriptor": {"Columns": columns, "Location": "s3://lake"}})
}

fn described(columns: &str) -> Act {
    json_reply(200, &json!({"Table": table("3", columns)}))
}

fn unknown() -> Act {
    let message = "Table clicks not found.";
    json_reply(400, &json!({"__type": "EntityNotFoundException", "Message": message}))
}

fn in_glue(more: &str) -> String {
    format!(
        r#"{{"glue": {{"database": "web", "table": "clicks", "region": "eu-west-1", "endpoint": "URL",
            "credentials": {{"accessKeyIdRef": {{"name": "s", "key": "id"}},
            "secretAccessKeyRef": {{"name": "s", "key": "secret"}}}} {more}}}}}"#
    )
}

fn in_iceberg() -> String {
    r#"{"iceberg": {"catalog": {"rest": {"uri": "URL"}}, "database": "web.eu", "table": "clicks"}}"#
        .to_owned()
}

/// A delivery stream whose columns a server describes.
struct Home {
    server: Server,
    pipeline: Arc<Pipeline>,
    bucket: TestBucket,
    status: Arc<ShardStatus>,
    statuses: Statuses,
}

impl Home {
    async fn new(schema: &str, acts: Vec<Act>) -> Home {
        let server = Server::scripted(acts).await;
        let schema = schema.replace("URL", &server.url);
        let (bucket, statuses) = (TestBucket::default(), Statuses::default());
        let pipeline = pipeline(&schema, &bucket, &statuses).unwrap();
        let status = pipeline.status(ShardId(0));
        let pipeline = Arc::new(pipeline);
        Home { server, pipeline, bucket, status, statuses }
    }

    async fn form(&self) -> Arc<Form> {
        let _motion = SlowMotion::start();
        let schema = self.pipeline.output.schema().unwrap();
        schema.form(self.pipeline.context(), &self.status).await
    }

    /// The columns of a window that begins now.
    async fn columns(&self) -> String {
        let form = self.form().await;
        let fields = form.converter.schema().fields().iter();
        let fields = fields.map(|field| format!("{} {}", field.name(), field.data_type()));
        fields.collect::<Vec<_>>().join("; ")
    }

    fn failing(&self) -> Option<Failing> {
        self.statuses.of(self.pipeline.name()).failing()
    }

    fn asked(&self) -> usize {
        self.server.received().len()
    }
}

fn pipeline(
    schema: &str,
    bucket: &TestBucket,
    statuses: &Statuses,
) -> Result<Pipeline, SetupError> {
    let secrets = TestSecrets::default();
    secrets.set("id", "AKIDEXAMPLE");
    secrets.set("secret", "hush\n");
    let secrets: Arc<dyn Secrets> = Arc::new(secrets);
    let context = context(bucket, secrets, &mut Registry::default(), statuses);
    let spec = format!(
        r#"{{"formatConversion": {{"schema": {schema}}},
            "destination": {{"s3": {{"bucket": "lake", "prefix": "in/", "errorOutputPrefix": "e/"}}}}}}"#
    );
    Pipeline::new(Arc::new(context), &delivery_stream(&spec))
}

#[tokio::test(start_paused = true)]
async fn columns_are_those_of_the_table_in_glue() {
    let home = Home::new(&in_glue(""), vec![described("a int; b array<string>")]).await;
    assert_eq!(home.columns().await, "a Int32; b List(Utf8, field: 'element')");
    let received = home.server.received().remove(0);
    assert_eq!(received.header("x-amz-target"), Some("AWSGlue.GetTable"));
    assert_eq!(received.json(), json!({"DatabaseName": "web", "Name": "clicks"}));
    let headers: Vec<(&str, &str)> =
        received.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let parts = RequestParts { method: "POST", path: "/", query: "", headers: &headers };
    let signed = SignedRequest::parse(parts).unwrap();
    assert_eq!(signed.service(), "glue");
    assert_eq!(signed.verify("hush", body_sha256(&received.body), NOW), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_version_is_asked_for_once() {
    let version = json!({"TableVersion": {"Table": table("3", "a int"), "VersionId": "3"}});
    let more = r#", "versionId": "3", "catalogId": "123456789012""#;
    let home = Home::new(&in_glue(more), vec![json_reply(200, &version)]).await;
    assert_eq!(home.columns().await, "a Int32");
    tokio::time::sleep(10 * AGE_MAX).await;
    assert_eq!(home.columns().await, "a Int32");
    let received = home.server.received();
    let [request] = &received[..] else { panic!("asked {} times", received.len()) };
    assert_eq!(request.header("x-amz-target"), Some("AWSGlue.GetTableVersion"));
    let want = json!({"CatalogId": "123456789012", "DatabaseName": "web", "TableName": "clicks",
        "VersionId": "3"});
    assert_eq!(request.json(), want);
}

#[tokio::test(start_paused = true)]
async fn the_latest_version_is_asked_for_again_when_it_is_old() {
    let acts = vec![described("a int"), described("a int; b string")];
    let home = Home::new(&in_glue(r#", "versionId": "LATEST""#), acts).await;
    assert_eq!(home.columns().await, "a Int32");
    tokio::time::sleep(AGE_MAX - Duration::from_secs(2)).await;
    assert_eq!((home.columns().await.as_str(), home.asked()), ("a Int32", 1));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((home.columns().await.as_str(), home.asked()), ("a Int32; b Utf8", 2));
}

#[tokio::test(start_paused = true)]
async fn a_catalog_that_fails_or_makes_no_sense_changes_nothing() {
    let acts = vec![
        described("a int"),
        reply(503, &[], "busy"),
        described("a int; b text"),
        Act::Silence,
        described("a bigint"),
    ];
    let home = Home::new(&in_glue(""), acts).await;
    for asked in 1..5 {
        assert_eq!((home.columns().await.as_str(), home.asked()), ("a Int32", asked));
        // It is left alone for a while, and nothing is held up.
        assert_eq!((home.columns().await.as_str(), home.asked()), ("a Int32", asked));
        assert_eq!(home.failing(), None);
        tokio::time::sleep(AGE_MAX).await;
    }
    assert_eq!(home.columns().await, "a Int64");
}

#[tokio::test(start_paused = true)]
async fn until_columns_are_known_it_is_said_why_not() {
    let long = reply(200, &[], vec![b' '; (8 << 20) + 1]);
    let empty = json_reply(200, &json!({"Table": {"Name": "clicks"}}));
    let acts = vec![unknown(), described("a int; b array<text>"), empty, long, described("a int")];
    let home = Home::new(&in_glue(""), acts).await;
    let (waiting, watching) = (home.columns(), async {
        let mut said: Vec<String> = Vec::new();
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            match home.failing() {
                Some(failing) if said.last() == Some(&failing.what) => {}
                Some(failing) => said.push(failing.what),
                None if said.is_empty() => {}
                None => return said,
            }
        }
    });
    let started = Instant::now();
    let (columns, said) = tokio::join!(waiting, watching);
    assert_eq!(columns, "a Int32");
    let said: String = said.iter().map(|line| format!("{line}\n")).collect();
    expect![[r#"
        spec.formatConversion.schema.glue: ask AWS Glue: 400 EntityNotFoundException: Table clicks not found.
        spec.formatConversion.schema.glue: records cannot become rows of the table: column b: type at character 7: unknown type text
        spec.formatConversion.schema.glue: records cannot become rows of the table: schema.columns: no columns
        spec.formatConversion.schema.glue: ask AWS Glue: the answer is not what was asked for: it is longer than 8388608 bytes
    "#]]
    .assert_eq(&said);
    // 1, 2, 4 and 8 seconds between, each 15 % shorter by what counts as chance here.
    let took = started.elapsed().as_secs_f64();
    assert!((12.7..16.0).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn shards_that_wait_ask_together() {
    let acts = vec![unknown(), unknown(), described("a int")];
    let home = Home::new(&in_glue(""), acts).await;
    let waiting = futures_util::future::join_all((0..20).map(|_| home.columns())).await;
    assert!(waiting.iter().all(|columns| columns == "a Int32"), "{waiting:?}");
    assert_eq!(home.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn one_at_a_time_asks_again_and_others_go_on() {
    let acts = vec![described("a int"), Act::Silence];
    let home = Home::new(&in_glue(""), acts).await;
    home.columns().await;
    tokio::time::sleep(AGE_MAX).await;
    let started = Instant::now();
    let asking = async {
        home.columns().await;
        started.elapsed()
    };
    let going_on = async {
        tokio::task::yield_now().await;
        home.columns().await;
        started.elapsed()
    };
    let (asked, went_on) = tokio::join!(asking, going_on);
    assert!(LOOK_UP_MAX <= asked && went_on < Duration::from_secs(1), "{asked:?} {went_on:?}");
}

#[tokio::test(start_paused = true)]
async fn columns_are_those_of_the_table_in_an_iceberg_catalog() {
    let field = |id: i32, name: &str, type_: Json| json!({"id": id, "name": name, "required": id == 1, "type": type_});
    let list =
        json!({"type": "list", "element-id": 8, "element-required": true, "element": "uuid"});
    let fields = [
        field(1, "N", json!("long")),
        field(2, "at", json!("timestamptz")),
        field(3, "time", json!("time")),
        field(4, "bytes", json!("fixed[4]")),
        field(5, "price", json!("decimal(9, 2)")),
        field(6, "ids", list),
    ];
    let metadata = |version: i32, fields: &[Json]| {
        json!({"metadata": {
            "format-version": version, "table-uuid": "u", "location": "s3://lake/clicks",
            "current-schema-id": 1, "schemas": [
                {"type": "struct", "schema-id": 0, "fields": []},
                {"type": "struct", "schema-id": 1, "fields": fields},
            ],
        }})
    };
    let newer = [field(1, "N", json!("variant"))];
    let acts = vec![
        json_reply(200, &json!({})),
        json_reply(404, &json!({"error": {"message": "none", "type": "NoSuchTableException"}})),
        // Of any version: no rows are added to it.
        json_reply(200, &metadata(3, &fields)),
        json_reply(200, &metadata(3, &newer)),
    ];
    let home = Home::new(&in_iceberg(), acts).await;
    let want = "N Int64; at Timestamp(µs); time Utf8; bytes Binary; price Decimal128(9, 2); \
        ids List(Utf8, field: 'element')";
    assert_eq!(home.columns().await, want);
    let targets: Vec<String> = home.server.received().into_iter().map(|it| it.target).collect();
    let table = "/v1/namespaces/web%1Feu/tables/clicks?snapshots=refs";
    assert_eq!(targets, ["/v1/config", table, table]);
    tokio::time::sleep(AGE_MAX).await;
    assert_eq!((home.columns().await.as_str(), home.asked()), (want, 4));
}

fn text(objects: &[(String, Bytes)]) -> String {
    let line = |(key, bytes): &(String, Bytes)| {
        let folder = key.split('/').next().unwrap_or_default();
        let rows = bytes.starts_with(b"PAR1").then(|| {
            let names: Vec<_> = ["alpha", "beta"]
                .into_iter()
                .filter(|name| bytes.windows(name.len()).any(|window| window == name.as_bytes()))
                .collect();
            names.join(" ")
        });
        let document = serde_json::from_slice::<Json>(bytes).ok();
        let document =
            document.map(|it| format!("{} {}", it["dataCatalogTable"], it["lastErrorMessage"]));
        format!("{folder}: {}\n", rows.or(document).unwrap_or_default())
    };
    objects.iter().map(line).collect()
}

async fn deliver(home: &Home, start: u64, data: &[&[&str]]) {
    let mut offset = start;
    let place = home.pipeline.place(1, ShardId(0), Offset(start));
    let mut window = Window::new(&home.pipeline, Arc::clone(&home.status), place);
    for records in data {
        let records = records.iter().map(|data| {
            offset += 1;
            record(offset - 1, data)
        });
        let motion = SlowMotion::start();
        window.take(records.collect()).await.unwrap();
        drop(motion);
        tokio::time::sleep(2 * AGE_MAX).await;
    }
    window.finish().await.unwrap();
}

fn check(home: &Home, want: Expect) {
    let objects = std::mem::take(&mut *home.bucket.0.lock().unwrap());
    want.assert_eq(&text(&objects.into_iter().collect::<Vec<_>>()));
}

#[tokio::test(start_paused = true)]
async fn a_change_takes_effect_with_the_next_window() {
    let acts = vec![described("alpha int"), described("alpha int; beta int")];
    let home = Home::new(&in_glue(""), acts).await;
    // However long it takes.
    deliver(&home, 0, &[&[r#"{"alpha":1,"beta":1}"#], &[r#"{"alpha":2}"#, r#"{"alpha":"x"}"#]])
        .await;
    check(
        &home,
        expect![[r#"
            e: {"databaseName":"web","region":"eu-west-1","tableName":"clicks","versionId":"3"} "column alpha: \"x\" is not int"
            in: alpha
        "#]],
    );
    assert_eq!(home.asked(), 1);
    deliver(&home, 3, &[&[r#"{"alpha":1,"beta":1}"#]]).await;
    check(
        &home,
        expect![[r#"
        in: alpha beta
    "#]],
    );
}

#[test]
fn what_a_resource_has_wrong_is_told_at_once() {
    let check = |schema: &str, want: &str| {
        let schema = schema.replace("URL", "http://127.0.0.1:1");
        let made = pipeline(&schema, &TestBucket::default(), &Statuses::default());
        let error = made.err().expect(want);
        assert_eq!(crate::chain(&error), format!("spec.formatConversion.{want}"));
        error.is_unsupported()
    };
    let glue = in_glue("");
    check("{}", "schema is empty; set columns");
    check(&glue.replace("eu-west-1", "evil.example/"), "schema.glue.region names no region");
    check(&glue.replace("URL", "http://"), "schema.glue.endpoint is no address");
    let rest = r#""rest": {"uri": "URL"}"#;
    let iceberg = in_iceberg().replace(rest, r#""glue": {"region": "eu-west-1"}"#);
    let want =
        "schema.iceberg.catalog.glue is not supported by this version: use schema.glue, or rest";
    assert!(check(&iceberg, want));
}

#[test]
fn what_files_cannot_be_is_told_before_columns_are_known() {
    let (bucket, statuses) = (TestBucket::default(), Statuses::default());
    let filters = r#""output": {"orc": {"bloomFilterColumns": ["a"]}}, "schema": "#;
    let schema = in_glue("").replace("URL", "http://127.0.0.1:1");
    let context =
        context(&bucket, Arc::new(TestSecrets::default()), &mut Registry::default(), &statuses);
    let spec = format!(
        r#"{{"formatConversion": {{{filters} {schema}}}, "destination": {{"s3": {{"bucket": "lake"}}}}}}"#
    );
    let error = Pipeline::new(Arc::new(context), &delivery_stream(&spec)).err().unwrap();
    let want = "spec.formatConversion: output.orc.bloomFilterColumns: Bloom filters are not written, as for column a";
    assert_eq!(crate::chain(&error), want);
    assert!(error.is_unsupported());
}
