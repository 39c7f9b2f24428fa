use auth::{RequestParts, SignedRequest, body_sha256};
use operator_api::delivery_stream::{CopyCommand, S3Destination};
use operator_api::pods::AwsCredentials;
use serde_json::{Value, json};

use super::*;
use crate::sinks::testing::{
    Act, NOW, Received, Server, StoppedClock, TestSecrets, json_reply, reply,
};
use crate::testing::SlowMotion;

const SQL: &str = r#"COPY "clicks" FROM 's3://way/m' MANIFEST IAM_ROLE default"#;

fn destination(options: &str) -> RedshiftDestination {
    let copy_command = CopyCommand {
        data_table_name: "clicks".to_owned(),
        copy_options: Some(options.to_owned()),
        ..CopyCommand::default()
    };
    let s3 = S3Destination { bucket: "way".to_owned(), ..S3Destination::default() };
    RedshiftDestination { copy_command, s3, ..RedshiftDestination::default() }
}

fn of(secrets: &TestSecrets, endpoint: &str) -> RedshiftDataApi {
    RedshiftDataApi {
        cluster_identifier: Some("warehouse".to_owned()),
        database: "dev".to_owned(),
        db_user: Some("loader".to_owned()),
        region: "eu-west-1".to_owned(),
        endpoint: Some(endpoint.to_owned()),
        credentials: Some(AwsCredentials {
            access_key_id_ref: secrets.set("id", "AKIDEXAMPLE"),
            secret_access_key_ref: secrets.set("secret", "hush\n"),
            session_token_ref: None,
        }),
        ..RedshiftDataApi::default()
    }
}

fn data_api(endpoint: &str) -> DataApi {
    let secrets = Arc::<TestSecrets>::default();
    let (of, to) = (of(&secrets, endpoint), destination("IAM_ROLE default"));
    DataApi::new(&to, &of, secrets, Arc::new(StoppedClock), Duration::from_secs(60)).unwrap()
}

fn executed(id: &str, seconds_ago: f64) -> Act {
    let now = NOW.0 as f64 / 1_000.0;
    json_reply(200, &json!({"Id": id, "CreatedAt": now - seconds_ago, "Database": "dev"}))
}

fn described(status: &str, more: &Value) -> Act {
    let mut described = json!({"Id": "1", "Status": status, "QueryString": SQL});
    described.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json_reply(200, &described)
}

/// What was asked for, as in `ExecuteStatement TOKEN` and `DescribeStatement ID`.
fn asked(received: &[Received]) -> Vec<String> {
    let line = |request: &Received| {
        let operation = request.header("x-amz-target").unwrap().to_owned();
        let body = request.json();
        let what = body.get("ClientToken").or(body.get("Id")).unwrap().as_str().unwrap();
        format!("{} {what}", operation.strip_prefix("RedshiftData.").unwrap())
    };
    received.iter().map(line).collect()
}

/// One load; what became of it, how many statements are known to have failed, and what was asked for.
async fn load(acts: Vec<Act>, mut failures: u32) -> (Result<(), String>, u32, Vec<String>) {
    let server = Server::scripted(acts).await;
    let _motion = SlowMotion::start();
    let loaded = data_api(&server.url).load(SQL, &mut failures).await;
    let loaded = loaded.map_err(|error| crate::chain(&error));
    (loaded, failures, asked(&server.received()))
}

/// The token of a statement after so many failures: of where it is carried out, too.
fn token(failures: u32) -> String {
    let said = format!(
        r#"{failures} {{"ClusterIdentifier":"warehouse","Database":"dev","DbUser":"loader","Sql":{},"StatementName":"leat","ClientToken":""}}"#,
        json!(SQL)
    );
    format!("{:032x}", guid_of(said.as_bytes()))
}

#[tokio::test(start_paused = true)]
async fn a_statement_is_handed_over_and_asked_about_until_it_has_ended() {
    let server = Server::scripted(vec![
        executed("1", 0.0),
        described("SUBMITTED", &json!({})),
        described("STARTED", &json!({"Error": null})),
        described("FINISHED", &json!({})),
    ])
    .await;
    let _motion = SlowMotion::start();
    let mut failures = 0;
    data_api(&server.url).load(SQL, &mut failures).await.unwrap();
    let received = server.received();
    let execute = format!("ExecuteStatement {}", token(0));
    let describe = "DescribeStatement 1".to_owned();
    assert_eq!(asked(&received), [execute, describe.clone(), describe.clone(), describe]);
    let want = json!({
        "ClusterIdentifier": "warehouse", "Database": "dev", "DbUser": "loader", "Sql": SQL,
        "StatementName": "leat", "ClientToken": token(0),
    });
    assert_eq!((received[0].json(), failures), (want, 0));
}

#[tokio::test]
async fn requests_are_signed_for_the_service_with_what_they_ask_for() {
    let acts = vec![executed("1", 0.0), described("FINISHED", &json!({}))];
    let server = Server::scripted(acts).await;
    data_api(&server.url).load(SQL, &mut 0).await.unwrap();
    for Received { target, headers, body } in server.received() {
        assert_eq!(target, "/");
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let parts = RequestParts { method: "POST", path: "/", query: "", headers: &headers };
        let signed = SignedRequest::parse(parts).unwrap();
        assert_eq!(signed.service(), "redshift-data");
        assert_eq!(signed.verify("hush", body_sha256(&body), NOW), Ok(()));
        let header = |of: &str| headers.iter().find(|(name, _)| *name == of).unwrap().1;
        assert_eq!(header("content-type"), "application/x-amz-json-1.1");
        // What is asked for cannot be changed on the way.
        let authorization = header("authorization");
        assert!(authorization.contains("x-amz-date;x-amz-target,"), "{authorization}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_failed_is_told_and_has_another_token_the_next_time() {
    let error = json!({"Error": "ERROR: relation \"clicks\" does not exist"});
    let acts = vec![executed("1", 0.0), described("FAILED", &error)];
    let (loaded, failures, _) = load(acts, 0).await;
    let want = "load: FAILED ERROR: relation \"clicks\" does not exist";
    assert_eq!((loaded, failures), (Err(want.to_owned()), 1));
    let acts = vec![executed("2", 0.0), described("ABORTED", &json!({}))];
    let (loaded, failures, asked) = load(acts, 1).await;
    assert_eq!((loaded, failures), (Err("load: ABORTED".to_owned()), 2));
    assert_eq!(asked[0], format!("ExecuteStatement {}", token(1)));
}

#[tokio::test(start_paused = true)]
async fn what_failed_before_a_crash_is_passed_over() {
    let old = 3_600.0;
    let acts = vec![
        executed("1", old),
        described("FAILED", &json!({})),
        executed("2", old),
        described("ABORTED", &json!({})),
        executed("3", 0.0),
        described("FINISHED", &json!({})),
    ];
    let (loaded, failures, asked) = load(acts, 0).await;
    assert_eq!((loaded, failures), (Ok(()), 2));
    let tokens: Vec<_> =
        asked.iter().filter_map(|it| it.strip_prefix("ExecuteStatement ")).collect();
    assert_eq!(tokens, [token(0), token(1), token(2)]);
    // One that has loaded has, however long ago.
    let acts = vec![executed("1", old), described("FINISHED", &json!({}))];
    assert_eq!(load(acts, 0).await.0, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_server_whose_times_mean_nothing_is_not_asked_without_end() {
    let server = Server::start(|request| match request.header("x-amz-target") {
        Some("RedshiftData.ExecuteStatement") => {
            json_reply(200, &json!({"Id": "1", "CreatedAt": 0}))
        }
        _ => described("FAILED", &json!({})),
    })
    .await;
    let _motion = SlowMotion::start();
    let mut failures = 0;
    data_api(&server.url).load(SQL, &mut failures).await.unwrap_err();
    assert_eq!(failures, OLD_MAX + 1);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_not_answered_is_asked_again_a_few_times() {
    let busy = || json_reply(400, &json!({"__type": "ThrottlingException", "message": "slowly"}));
    let mut acts = vec![executed("1", 0.0)];
    acts.extend((0..UNANSWERED_MAX).map(|_| busy()));
    acts.push(described("FINISHED", &json!({})));
    assert_eq!(load(acts, 0).await.0, Ok(()));
    let mut acts = vec![executed("1", 0.0)];
    acts.extend((0..=UNANSWERED_MAX).map(|_| busy()));
    let (loaded, failures, _) = load(acts, 0).await;
    // It may have loaded: the next attempt has the same token.
    let want = "ask the Redshift Data API: 400 ThrottlingException: slowly";
    assert_eq!((loaded, failures), (Err(want.to_owned()), 0));
}

#[tokio::test(start_paused = true)]
async fn what_the_service_refuses_is_told() {
    let check = async |act: Act, want: &str| {
        let (loaded, failures, _) = load(vec![act], 0).await;
        assert_eq!((loaded, failures), (Err(format!("ask the Redshift Data API: {want}")), 0));
    };
    let type_ = "com.amazonaws.redshiftdata#ValidationException";
    let refused = json!({"__type": type_, "Message": "no such cluster"});
    check(json_reply(400, &refused), "400 ValidationException: no such cluster").await;
    let header = "x-amzn-ErrorType: InternalServerException:http://aws";
    let message = r#"{"message":"sorry"}"#;
    check(reply(500, &[header], message), "500 InternalServerException: sorry").await;
    check(reply(503, &[], "busy"), "503: busy").await;
    let no_id = "the answer is not what was asked for: missing field `Id` at line 1 column 2";
    check(json_reply(200, &json!({})), no_id).await;
    let long = "the answer is not what was asked for: it is longer than 1048576 bytes";
    check(reply(200, &[], vec![b' '; (1 << 20) + 1]), long).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_takes_too_long_is_cancelled() {
    let server = Server::start(|request| match request.header("x-amz-target") {
        Some("RedshiftData.ExecuteStatement") => executed("1", 0.0),
        Some("RedshiftData.CancelStatement") => json_reply(200, &json!({"Status": true})),
        _ => described("STARTED", &json!({})),
    })
    .await;
    let _motion = SlowMotion::start();
    let error = data_api(&server.url).load(SQL, &mut 0).await.unwrap_err();
    assert!(matches!(error, LoadError::LoadTimeout(_)), "{error:?}");
    assert_eq!(asked(&server.received()).last().unwrap(), "CancelStatement 1");
}

#[test]
fn what_a_resource_has_wrong_is_told_at_once() {
    let check = |options: &str, change: &dyn Fn(&mut RedshiftDataApi), want: &str| {
        let secrets = Arc::<TestSecrets>::default();
        let mut of = of(&secrets, "http://127.0.0.1:1");
        change(&mut of);
        let max = Duration::from_secs(1);
        let api = DataApi::new(&destination(options), &of, secrets, Arc::new(StoppedClock), max);
        let error = api.err().expect(want).to_string();
        assert!(error.starts_with(&format!("spec.destination.redshift.{want}")), "{error}");
    };
    let role = "IAM_ROLE default JSON 'auto'";
    check("JSON 'auto'", &|_| {}, "copyCommand.copyOptions do not say who reads the bucket");
    check(role, &|of| of.cluster_identifier = None, "dataApi needs clusterIdentifier");
    check(role, &|of| of.workgroup_name = of.db_user.clone(), "dataApi needs clusterIdentifier");
    check(role, &|of| of.region = "evil.example/".to_owned(), "dataApi.region names no region");
    check(role, &|of| of.endpoint = Some("http://".to_owned()), "dataApi.endpoint is no address");
}
