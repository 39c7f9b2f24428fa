use model::Offset;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use operator_api::delivery_stream::IcebergDestination;
use serde_json::{Value as Json, json};

use super::commit::COMMITS_MAX;
use super::*;
use crate::sinks::stream::testing::TestStreams;
use crate::sinks::testing::{
    Act, Received, Server, StoppedClock, TestSecrets, batch, json_reply, outline, record, reply,
};
use crate::store::{Bucket, Putting, Store, Stores, path};

mod changes;

/// The objects of one bucket.
#[derive(Clone, Default)]
struct TestBucket(Arc<InMemory>);

impl Stores for TestBucket {
    fn open(&self, bucket: Bucket<'_>) -> Arc<dyn Store> {
        assert_eq!(bucket.name(), "lake");
        Arc::new(self.clone())
    }
}

impl Store for TestBucket {
    fn put<'a>(&'a self, key: &'a str, bytes: Bytes, _: Option<&'a str>) -> Putting<'a> {
        Box::pin(async move {
            if let Ok(before) = self.0.get(&path(key)).await {
                assert_eq!(before.bytes().await.unwrap(), bytes, "{key} was another");
            }
            self.0.put(&path(key), bytes.into()).await.unwrap();
            Ok(())
        })
    }

    fn objects(&self) -> Result<Arc<dyn ObjectStore>, StoreError> {
        Ok(Arc::clone(&self.0) as Arc<dyn ObjectStore>)
    }
}

/// What goes wrong with the next commits.
#[derive(Clone, Copy, PartialEq)]
enum Bad {
    /// It is made, and the answer is lost.
    Made,
    /// It is not made, and nobody can say so.
    NotMade,
    /// Somebody else was first.
    Late,
}

/// A catalog with one table, which holds to what is required of it.
struct TestCatalog {
    metadata: Json,
    bad: Vec<Bad>,
    commits: Vec<String>,
}

impl TestCatalog {
    fn new(spec: Json) -> TestCatalog {
        let field = |id, name, required, type_| json!({"id": id, "name": name, "required": required, "type": type_});
        let fields = [
            field(1, "n", true, "long"),
            field(2, "s", false, "string"),
            field(3, "t", false, "timestamptz"),
        ];
        let metadata = json!({
            "format-version": 2,
            "table-uuid": "6f2d5e4a-0000-4000-8000-000000000001",
            "location": "s3://lake/air/flights",
            "last-sequence-number": 0,
            "last-updated-ms": 0,
            "last-column-id": 3,
            "schemas": [{"type": "struct", "schema-id": 0, "fields": fields}],
            "current-schema-id": 0,
            "partition-specs": [{"spec-id": 0, "fields": spec}],
            "default-spec-id": 0,
            "properties": {},
            "snapshots": [],
            "refs": {},
        });
        TestCatalog { metadata, bad: Vec::new(), commits: Vec::new() }
    }

    fn act(&mut self, request: &Received) -> Act {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        assert_eq!(request.header("authorization"), Some("Bearer hush"));
        if path == "/base/v1/config" {
            assert_eq!(query, "warehouse=w");
            return json_reply(200, &json!({"overrides": {"prefix": "a/b"}}));
        }
        if path != "/base/v1/a/b/namespaces/air%1Fport/tables/flights" {
            let error = json!({"error": {"message": "none", "type": "NoSuchTableException"}});
            return json_reply(404, &error);
        }
        if request.body.is_empty() {
            assert_eq!(query, "snapshots=refs");
            return json_reply(200, &json!({"metadata": self.metadata, "config": {}}));
        }
        match self.bad.pop() {
            None => self.commit(&request.json()),
            Some(Bad::NotMade) => reply(504, &[], ""),
            Some(Bad::Made) => {
                self.commit(&request.json());
                reply(500, &[], "")
            }
            Some(Bad::Late) if request.json()["updates"][0]["action"] != "add-snapshot" => {
                // Another has added a column.
                self.metadata["last-column-id"] = json!(9);
                self.commit(&request.json())
            }
            Some(Bad::Late) => {
                let mut other = request.json();
                other["updates"][0]["snapshot"]["snapshot-id"] = json!(self.commits.len() + 1);
                other["updates"][1]["snapshot-id"] = json!(self.commits.len() + 1);
                other["updates"][2]["updates"] = json!({});
                other["updates"][0]["snapshot"]["summary"]["added-records"] = json!("0");
                self.commit(&other);
                self.commit(&request.json())
            }
        }
    }

    fn commit(&mut self, request: &Json) -> Act {
        let conflict = || {
            json_reply(409, &json!({"error": {"message": "x", "type": "CommitFailedException"}}))
        };
        if request["updates"][0]["action"] != "add-snapshot" {
            return self.change(request);
        }
        let main = self.metadata["refs"]["main"]["snapshot-id"].clone();
        if request["requirements"][0]["uuid"] != self.metadata["table-uuid"]
            || request["requirements"][1]["snapshot-id"] != main
        {
            return conflict();
        }
        let snapshot = request["updates"][0]["snapshot"].clone();
        assert_eq!(snapshot["snapshot-id"], request["updates"][1]["snapshot-id"]);
        assert_eq!(snapshot.get("parent-snapshot-id").cloned().unwrap_or_default(), main);
        let id = snapshot["snapshot-id"].as_i64().unwrap();
        self.metadata["last-sequence-number"] = snapshot["sequence-number"].clone();
        let summary = &snapshot["summary"];
        let text = |name: &str| summary[name].as_str().unwrap_or("0").to_owned();
        let less = match text("added-equality-deletes").as_str() {
            "0" => String::new(),
            deletes => format!(" less {deletes}"),
        };
        self.commits.push(format!("{} of {}{less}", text("added-records"), text("total-records")));
        // Older ones have expired.
        self.metadata["snapshots"] = json!([snapshot]);
        self.metadata["refs"] = json!({"main": {"snapshot-id": id, "type": "branch"}});
        for (name, value) in request["updates"][2]["updates"].as_object().unwrap() {
            self.metadata["properties"][name] = value.clone();
        }
        json_reply(200, &json!({"metadata": self.metadata, "metadata-location": "s3://lake/x"}))
    }
}

impl TestCatalog {
    /// A new schema, or a spec.
    fn change(&mut self, request: &Json) -> Act {
        let required = |name: &str| {
            let of = request["requirements"].as_array().unwrap().iter();
            of.map(|of| of[name].clone()).find(|of| !of.is_null())
        };
        let holds = |name: &str, is: &Json| required(name).is_none_or(|wanted| wanted == *is);
        if !holds("uuid", &self.metadata["table-uuid"])
            || !holds("current-schema-id", &self.metadata["current-schema-id"])
            || !holds("last-assigned-field-id", &self.metadata["last-column-id"])
        {
            return json_reply(409, &json!({"error": {"message": "x", "type": "CommitFailed"}}));
        }
        let update = &request["updates"][0];
        if update["action"] == "add-spec" {
            self.metadata["partition-specs"].as_array_mut().unwrap().push(update["spec"].clone());
            self.commits.push(format!("spec {}", update["spec"]["spec-id"]));
        } else {
            assert_eq!(request["updates"][1]["schema-id"], -1);
            let mut schema = update["schema"].clone();
            let id = self.metadata["schemas"].as_array().unwrap().len();
            schema["schema-id"] = json!(id);
            let fields = schema["fields"].as_array().unwrap().iter();
            let shown: Vec<String> = fields
                .map(|field| format!("{}:{}", field["name"].as_str().unwrap(), field["type"]))
                .collect();
            self.commits.push(format!("schema {}", shown.join(" ").replace('"', "")));
            self.metadata["schemas"].as_array_mut().unwrap().push(schema);
            self.metadata["current-schema-id"] = json!(id);
            self.metadata["last-column-id"] = update["last-column-id"].clone();
        }
        json_reply(200, &json!({"metadata": self.metadata, "metadata-location": "s3://lake/x"}))
    }
}

struct Home {
    catalog: Arc<Mutex<TestCatalog>>,
    _server: Server,
    bucket: TestBucket,
    secrets: Arc<TestSecrets>,
    of: Json,
    processing: u128,
}

impl Home {
    async fn new(spec: Json, more: Json) -> Home {
        let catalog = Arc::new(Mutex::new(TestCatalog::new(spec)));
        let acting = Arc::clone(&catalog);
        let server = Server::start(move |request| acting.lock().unwrap().act(request)).await;
        let secrets = Arc::<TestSecrets>::default();
        let secret = secrets.set("token", "hush\n");
        let mut of = json!({
            "catalog": {"rest": {
                "uri": format!("{}/base/", server.url),
                "warehouse": "w",
                "credentialRef": {"name": secret.name, "key": secret.key},
            }},
            "s3": {},
            "tables": [{"database": "air.port", "table": "flights", "errorOutputPrefix": "f/"}],
        });
        of.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Home { catalog, _server: server, bucket: TestBucket::default(), secrets, of, processing: 0 }
    }

    fn sink(&self) -> IcebergSink {
        let of: IcebergDestination = serde_json::from_value(self.of.clone()).unwrap();
        IcebergSink::new(&of, &self.parts()).unwrap()
    }

    fn parts(&self) -> Parts {
        Parts {
            arn: String::new(),
            feed: Feed {
                name: "to-air".into(),
                uid: 7,
                source: None,
                processing: self.processing,
                lineage: 0,
                repeats: true,
            },
            secrets: Arc::clone(&self.secrets) as Arc<dyn crate::secrets::Secrets>,
            stores: Arc::new(self.bucket.clone()),
            streams: Arc::new(TestStreams::scripted(Vec::new())),
            clock: Arc::new(StoppedClock),
        }
    }

    fn goes_wrong(&self, bad: &[Bad]) {
        self.catalog.lock().unwrap().bad = bad.to_vec();
    }

    /// Commits so far, each as the rows it added and those that there are.
    fn commits(&self) -> String {
        self.catalog.lock().unwrap().commits.join(", ")
    }
}

fn rows(offsets: std::ops::Range<u64>) -> Batch {
    let records = offsets.map(|offset| record(offset, format!(r#"{{"n":{offset}}}"#))).collect();
    Batch { records, ..batch(&[]) }
}

#[tokio::test]
async fn what_comes_again_is_not_added_again() {
    let home = Home::new(json!([]), json!({})).await;
    assert_eq!(outline(&home.sink().attempt(&rows(0..5)).await), "delivered");
    // After a crash nobody remembers, and batches are cut elsewhere.
    assert_eq!(outline(&home.sink().attempt(&rows(0..3)).await), "delivered");
    assert_eq!(outline(&home.sink().attempt(&rows(3..8)).await), "delivered");
    assert_eq!(outline(&home.sink().attempt(&rows(0..8)).await), "delivered");
    assert_eq!(home.commits(), "5 of 5, 3 of 8");
}

#[tokio::test]
async fn what_came_by_other_routes_does_not_count() {
    let records = [r#"{"n":1,"s":"flights"}"#, r#"{"n":2,"s":"x"}"#, r#"{"n":3,"s":"flights"}"#];
    let mut home = Home::new(json!([]), json!({"routing": {"table": ".s"}})).await;
    let attempt = home.sink().attempt(&batch(&records)).await;
    assert_eq!(outline(&attempt), "again 1 Iceberg.NoSuchTable");
    assert_eq!(home.commits(), "2 of 2");
    // Its owner has mended the routes, and it comes again: the second was in between two that are there.
    home.of["routing"]["table"] = json!(r#"if .s == "x" then "flights" else .s end"#);
    assert_eq!(outline(&home.sink().attempt(&batch(&records)).await), "delivered");
    assert_eq!(outline(&home.sink().attempt(&batch(&records)).await), "delivered");
    assert_eq!(home.commits(), "2 of 2, 3 of 5");
    // So does what is done with records before it is looked where they go.
    home.processing = 1;
    assert_eq!(outline(&home.sink().attempt(&batch(&records)).await), "delivered");
    assert_eq!(home.commits(), "2 of 2, 3 of 5, 3 of 8");
}

#[tokio::test]
async fn a_lost_answer_is_looked_up() {
    let home = Home::new(json!([]), json!({})).await;
    let sink = home.sink();
    home.goes_wrong(&[Bad::Made]);
    assert_eq!(outline(&sink.attempt(&rows(0..5)).await), "delivered");
    assert_eq!(home.commits(), "5 of 5");
    home.goes_wrong(&[Bad::NotMade, Bad::NotMade]);
    assert_eq!(outline(&sink.attempt(&rows(5..6)).await), "delivered");
    assert_eq!(home.commits(), "5 of 5, 1 of 6");
}

#[tokio::test]
async fn others_may_be_first() {
    let home = Home::new(json!([]), json!({})).await;
    let sink = home.sink();
    home.goes_wrong(&[Bad::Late, Bad::Late]);
    assert_eq!(outline(&sink.attempt(&rows(0..5)).await), "delivered");
    assert_eq!(home.commits(), "0 of 5, 0 of 10, 5 of 15");
}

#[tokio::test(start_paused = true)]
async fn a_catalog_that_never_answers_is_given_up_for_now() {
    let home = Home::new(json!([]), json!({})).await;
    home.goes_wrong(&[Bad::NotMade; COMMITS_MAX as usize]);
    let attempt = home.sink().attempt(&rows(0..2)).await;
    assert_eq!(outline(&attempt), "again 0 1 Iceberg.CommitConflict");
    assert_eq!(home.commits(), "");
}

#[tokio::test]
async fn what_was_refused_is_refused_again_by_the_schema_of_that_time() {
    let home = Home::new(json!([]), json!({})).await;
    let records =
        batch(&[r#"{"n":1}"#, r#"{"n":"x"}"#, "{", r#"{"n":2,"s":{"a":1}}"#, r#"{"s":"y"}"#]);
    let want = "refused 1 4 Iceberg.MalformedData; refused 2 Iceberg.ParseError";
    let first = home.sink().attempt(&records).await;
    assert_eq!(outline(&first), want);
    let sink = home.sink();
    let (_, failure) = &first.refused[0];
    assert_eq!(failure.table.as_ref().unwrap().table, "flights");
    assert_eq!(sink.error_prefix(failure), "f/");
    {
        let mut catalog = home.catalog.lock().unwrap();
        let mut wider = catalog.metadata["schemas"][0].clone();
        wider["schema-id"] = json!(1);
        wider["fields"][0] = json!({"id": 1, "name": "n", "required": false, "type": "string"});
        catalog.metadata["schemas"].as_array_mut().unwrap().push(wider);
        catalog.metadata["current-schema-id"] = json!(1);
    }
    assert_eq!(outline(&sink.attempt(&records).await), want);
    assert_eq!(home.commits(), "2 of 2");
}

#[tokio::test]
async fn rows_are_parted_into_files() {
    let part = |id, source, transform| json!({"source-id": source, "field-id": id, "name": format!("p{id}"), "transform": transform});
    let home = Home::new(json!([part(1000, 2, "identity"), part(1001, 3, "day")]), json!({})).await;
    let records = batch(&[
        r#"{"n":1,"s":"a","t":"2013-01-01T00:00:00Z"}"#,
        r#"{"n":2,"s":"b","t":"2013-01-01T00:00:00Z"}"#,
        r#"{"n":3,"s":"a","t":"2013-01-01T23:00:00Z"}"#,
        r#"{"n":4,"s":"a","t":"2013-01-02T00:00:00Z"}"#,
        r#"{"n":5}"#,
        r#"{"n":6,"t":"x"}"#,
    ]);
    let attempt = home.sink().attempt(&records).await;
    assert_eq!(outline(&attempt), "refused 5 Iceberg.MalformedData");
    assert_eq!(home.commits(), "5 of 5");
    let keys: Vec<String> = home
        .bucket
        .0
        .list(None)
        .map_ok(|object| object.location.to_string())
        .try_collect()
        .await
        .unwrap();
    let of = |folder: &str| {
        let prefix = format!("air/flights/{folder}/");
        keys.iter().filter(|key| key.starts_with(&prefix)).count()
    };
    assert_eq!((of("data"), of("metadata")), (4, 2));
    assert!(
        keys.iter().any(|key| key.starts_with("air/flights/data/to-air-shardId-000000000000-"))
    );
}

#[tokio::test]
async fn a_batch_of_too_many_partitions_is_not_begun() {
    let part = json!({"source-id": 1, "field-id": 1000, "name": "p", "transform": "identity"});
    let home = Home::new(json!([part]), json!({})).await;
    let attempt = home.sink().attempt(&rows(0..1_001)).await;
    assert_eq!((attempt.refused.len(), attempt.again.len()), (0, 1_001));
    assert_eq!(attempt.again[0].1.code, "Iceberg.TooManyPartitions");
    assert_eq!(home.commits(), "");
}

#[tokio::test]
async fn records_go_where_they_say() {
    let more = json!({"routing": {"table": ".s"}});
    let home = Home::new(json!([]), more).await;
    let mut records = batch(&[
        r#"{"n":1,"s":"flights"}"#,
        r#"{"n":2,"s":"planes"}"#,
        r#"{"n":3}"#,
        r#"{"n":4,"s":"x"}"#,
        r#"{"n":5}"#,
    ]);
    let said = |table: &str, operation| {
        let table = Some(table.to_owned());
        TableMetadata { database: None, table, operation }
    };
    // A function's word goes before a program's.
    records.tables.insert((Offset(3), 0), said("flights", None));
    records.tables.insert((Offset(4), 0), said("flights", Some(TableOperation::Delete)));
    let attempt = home.sink().attempt(&records).await;
    let want = "refused 2 Iceberg.InvalidRoute; refused 4 Iceberg.InvalidUniqueKeys; \
                again 1 Iceberg.NoSuchTable";
    assert_eq!(outline(&attempt), want);
    assert_eq!(home.commits(), "2 of 2");
}

#[tokio::test]
async fn a_database_need_not_be_said_where_there_is_one() {
    let check = async |other: &str, want: &str, commits: &str| {
        let tables = json!([
            {"database": "air.port", "table": "flights"},
            {"database": other, "table": "planes"},
        ]);
        let home =
            Home::new(json!([]), json!({"tables": tables, "routing": {"table": ".s"}})).await;
        let attempt = home.sink().attempt(&batch(&[r#"{"n":1,"s":"flights"}"#])).await;
        assert_eq!(outline(&attempt), want);
        assert_eq!(home.commits(), commits);
    };
    check("air.port", "delivered", "1 of 1").await;
    check("sea.port", "refused 0 Iceberg.InvalidRoute", "").await;
}

#[tokio::test]
async fn tables_that_cannot_be_appended_to_say_why() {
    let check = async |change: fn(&mut Json), want: &str| {
        let home = Home::new(json!([]), json!({})).await;
        change(&mut home.catalog.lock().unwrap().metadata);
        let attempt = home.sink().attempt(&rows(0..1)).await;
        let (_, failure) = &attempt.again[0];
        assert_eq!(format!("{}: {}", failure.code, failure.message), want);
        assert_eq!(home.commits(), "");
    };
    check(
        |table| table["format-version"] = json!(3),
        "Iceberg.InvalidTable: nothing can be appended to the table: it is of version 3 of the format; \
         this version appends to tables of version 2",
    )
    .await;
    check(
        |table| {
            let part = json!({"source-id": 2, "field-id": 1000, "name": "p", "transform": "zorder"});
            table["partition-specs"][0]["fields"] = json!([part]);
        },
        "Iceberg.InvalidTable: nothing can be appended to the table: partition field p has the transform \
         zorder, which this version does not know",
    )
    .await;
    check(
        |table| table["schemas"][0]["fields"][1]["type"] = json!("variant"),
        "Iceberg.InvalidTable: nothing can be appended to the table: column s is of type variant, which \
         this version does not write",
    )
    .await;
    check(
        |table| table["location"] = json!("file:///tmp/x"),
        "Iceberg.InvalidTable: file:///tmp/x is in no S3: tables have to be in one",
    )
    .await;
    check(
        |table| {
            let name = "leat.delivered.0000000000000007.shardId-000000000000";
            table["properties"][name] = json!("mine");
        },
        "Iceberg.InvalidTable: the table's property leat.delivered.0000000000000007.shardId-000000000000 \
         is not as it was written; remove it",
    )
    .await;
}

#[tokio::test]
async fn what_is_not_done_is_refused_at_the_start() {
    let check = async |more: Json, want: &str| {
        let home = Home::new(json!([]), more).await;
        let of: IcebergDestination = serde_json::from_value(home.of.clone()).unwrap();
        let error = IcebergSink::new(&of, &home.parts()).err().unwrap();
        assert_eq!(error.to_string(), want);
    };
    let version = "is not supported by this version";
    check(
        json!({"catalog": {"glue": {"region": "r"}}}),
        &format!("spec.destination.iceberg.catalog.glue {version}: use rest"),
    )
    .await;
    check(
        json!({"routing": {"table": "now"}}),
        "destination.iceberg.routing.table: undefined filter: now",
    )
    .await;
}
