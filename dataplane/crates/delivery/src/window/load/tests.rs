use std::sync::Mutex;

use expect_test::{Expect, expect};
use model::{Offset, ShardId};
use prometheus_client::registry::Registry;

use super::*;
use crate::memory::Holder;
use crate::pipeline::{Pipeline, SetupError};
use crate::sinks::redshift::testing::{Act, Database};
use crate::sinks::testing::{TestSecrets, record};
use crate::status::Statuses;
use crate::testing::{TestBucket, context, delivery_stream};

struct Home {
    bucket: TestBucket,
    registry: Registry,
    statuses: Statuses,
    pipeline: Arc<Pipeline>,
}

fn pipeline(
    bucket: &TestBucket,
    registry: &mut Registry,
    statuses: &Statuses,
    port: u16,
    (prefix, retry_seconds): (&str, u32),
) -> Result<Pipeline, SetupError> {
    let secrets = TestSecrets::default();
    secrets.set("x", "hush");
    let of = r#"{"name": "s", "key": "x"}"#;
    let spec = format!(
        r#"{{"buffering": {{"sizeMiB": 1}}, "retryDurationSeconds": {retry_seconds},
            "destination": {{"redshift": {{
                "clusterJdbcUrl": "jdbc:redshift://127.0.0.1:{port}/dev?ssl=false",
                "credentials": {{"usernameRef": {of}, "passwordRef": {of}}},
                "copyCommand": {{"dataTableName": "t", "copyOptions": "IAM_ROLE default"}},
                "s3": {{"bucket": "way", "prefix": "{prefix}", "errorOutputPrefix": "e/"}}}}}}}}"#
    );
    let context = context(bucket, Arc::new(secrets), registry, statuses);
    Pipeline::new(Arc::new(context), &delivery_stream(&spec))
}

impl Home {
    fn new(port: u16, retry_seconds: u32) -> Home {
        let (bucket, mut registry) = (TestBucket::default(), Registry::default());
        let statuses = Statuses::default();
        let setting = ("in//", retry_seconds);
        let pipeline = pipeline(&bucket, &mut registry, &statuses, port, setting).unwrap();
        Home { bucket, registry, statuses, pipeline: Arc::new(pipeline) }
    }

    /// Three records of 600 KiB: a full object, and the rest.
    async fn deliver_window(&self) {
        let status = self.pipeline.status(ShardId(0));
        let place = self.pipeline.place(1, ShardId(0), Offset(5));
        let mut window = Window::new(&self.pipeline, status, place);
        window
            .take((5..8).map(|offset| record(offset, "x".repeat(600 << 10))).collect())
            .await
            .unwrap();
        window.finish().await.unwrap();
    }

    /// What is in the bucket, and what was counted.
    fn check(&self, want: Expect) {
        let mut text = String::new();
        for (key, bytes) in &*self.bucket.0.lock().unwrap() {
            match key.contains("manifests/") {
                true => text += &format!("{key}\n  {}\n", String::from_utf8_lossy(bytes)),
                false => text += &format!("{key}\n  {} bytes\n", bytes.len()),
            }
        }
        let mut metrics = String::new();
        prometheus_client::encoding::text::encode(&mut metrics, &self.registry).unwrap();
        let counted = metrics.lines().filter(|line| {
            line.contains("Records_total{") && line.contains("To") && !line.ends_with(" 0")
        });
        text.extend(counted.map(|line| format!("{line}\n")));
        want.assert_eq(&text);
    }
}

fn copies(database: &Database) -> Vec<String> {
    database.seen().into_iter().filter(|statement| statement.starts_with("COPY")).collect()
}

#[tokio::test]
async fn objects_of_a_window_are_loaded_by_one_copy() {
    let database = Database::willing().await;
    let home = Home::new(database.port, 0);
    home.deliver_window().await;
    home.check(expect![[r#"
        in/2026/01/01/00/clicks-1-2026-01-01-00-00-00-901f88a6-9f6f-8ad6-bfe3-e0263b411b5d
          1228800 bytes
        in/2026/01/01/00/clicks-1-2026-01-01-00-00-00-ecd3425c-e506-81fc-8646-0169c45cb925
          614400 bytes
        in/manifests/2026/01/01/00/clicks-1-2026-01-01-00-00-00-3be5734e-13bd-8c92-94fe-4679a47e11c3
          {"entries":[{"url":"s3://way/in/2026/01/01/00/clicks-1-2026-01-01-00-00-00-901f88a6-9f6f-8ad6-bfe3-e0263b411b5d","mandatory":true},{"url":"s3://way/in/2026/01/01/00/clicks-1-2026-01-01-00-00-00-ecd3425c-e506-81fc-8646-0169c45cb925","mandatory":true}]}
        aws_firehose_DeliveryToS3_Records_total{DeliveryStreamName="clicks"} 3
        aws_firehose_DeliveryToRedshift_Records_total{DeliveryStreamName="clicks"} 3
    "#]]);
    let copied = copies(&database);
    expect![[r#"COPY "t" FROM 's3://way/in/manifests/2026/01/01/00/clicks-1-2026-01-01-00-00-00-3be5734e-13bd-8c92-94fe-4679a47e11c3' MANIFEST IAM_ROLE default"#]].assert_eq(&copied.join("\n"));
    // After a crash it is not known that they are loaded.
    home.deliver_window().await;
    assert_eq!(copies(&database), copied);
    assert_eq!(home.bucket.0.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn objects_that_are_not_loaded_stay_and_are_listed() {
    let database = Database::scripted(vec![Act::Refuse("42P01", "no such table")]).await;
    let home = Home::new(database.port, 0);
    home.deliver_window().await;
    home.check(expect![[r#"
        in/2026/01/01/00/clicks-1-2026-01-01-00-00-00-901f88a6-9f6f-8ad6-bfe3-e0263b411b5d
          1228800 bytes
        in/2026/01/01/00/clicks-1-2026-01-01-00-00-00-ecd3425c-e506-81fc-8646-0169c45cb925
          614400 bytes
        in/errors/manifests/2026/01/01/00/clicks-1-2026-01-01-00-00-00-985367f4-5868-8977-a126-1fa2f239a828
          {"entries":[{"url":"s3://way/in/2026/01/01/00/clicks-1-2026-01-01-00-00-00-901f88a6-9f6f-8ad6-bfe3-e0263b411b5d","mandatory":true},{"url":"s3://way/in/2026/01/01/00/clicks-1-2026-01-01-00-00-00-ecd3425c-e506-81fc-8646-0169c45cb925","mandatory":true}]}
        in/manifests/2026/01/01/00/clicks-1-2026-01-01-00-00-00-3be5734e-13bd-8c92-94fe-4679a47e11c3
          {"entries":[{"url":"s3://way/in/2026/01/01/00/clicks-1-2026-01-01-00-00-00-901f88a6-9f6f-8ad6-bfe3-e0263b411b5d","mandatory":true},{"url":"s3://way/in/2026/01/01/00/clicks-1-2026-01-01-00-00-00-ecd3425c-e506-81fc-8646-0169c45cb925","mandatory":true}]}
        aws_firehose_DeliveryToS3_Records_total{DeliveryStreamName="clicks"} 3
        aws_firehose_BackupToS3_Records_total{DeliveryStreamName="clicks"} 3
    "#]]);
    let failing = home.statuses.of(home.pipeline.name()).failing().unwrap().what;
    assert_eq!(failing, "load: 42P01 ERROR: no such table; DETAIL: A detail.");
}

#[tokio::test]
async fn a_copy_that_fails_is_told_and_tried_again() {
    let statuses = Arc::<Mutex<Option<Arc<crate::Status>>>>::default();
    let failing = Arc::<Mutex<Vec<Option<String>>>>::default();
    let (told, asked) = (Arc::clone(&failing), Arc::clone(&statuses));
    let decide = move |statement: &str| {
        if !statement.starts_with("COPY") {
            return Act::Do;
        }
        let status = asked.lock().unwrap().clone().unwrap();
        let mut told = told.lock().unwrap();
        told.push(status.failing().map(|failing| failing.what));
        if told.len() == 1 { Act::Refuse("53300", "too many connections") } else { Act::Do }
    };
    let database = Database::start(None, decide).await;
    let home = Home::new(database.port, 60);
    *statuses.lock().unwrap() = Some(home.statuses.of(home.pipeline.name()));
    home.deliver_window().await;
    let what = "load: 53300 ERROR: too many connections; DETAIL: A detail.";
    assert_eq!(*failing.lock().unwrap(), [None, Some(what.to_owned())]);
    assert_eq!(home.statuses.of(home.pipeline.name()).failing(), None);
}

#[tokio::test]
async fn what_is_on_its_way_is_held() {
    let database = Database::willing().await;
    let home = Home::new(database.port, 0);
    let place = home.pipeline.place(1, ShardId(0), Offset(5));
    let mut window = Window::new(&home.pipeline, home.pipeline.status(ShardId(0)), place);
    let object = (5..7).map(|offset| record(offset, "x".repeat(600 << 10))).collect();
    window.take(object).await.unwrap();
    assert!(!window.is_over());
    // Its part is 1 MiB of 64 now, and the object, which no thread has put yet, is larger.
    let memory = &home.pipeline.context().memory;
    let others: Vec<Holder> = (1..64).map(|_| memory.hold()).collect();
    assert!(window.is_over());
    drop(others);
    assert!(!window.is_over());
    window.finish().await.unwrap();
}

#[test]
fn a_prefix_with_expressions_is_refused() {
    let (bucket, statuses) = (TestBucket::default(), Statuses::default());
    let prefix = "!{timestamp:yyyy}/";
    let refused = pipeline(&bucket, &mut Registry::default(), &statuses, 1, (prefix, 0));
    assert!(matches!(refused, Err(SetupError::Expression)));
}
