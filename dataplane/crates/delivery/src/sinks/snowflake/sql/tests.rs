use std::cell::Cell;
use std::time::Duration;

use operator_api::delivery_stream::SnowflakeSql;
use serde_json::{Value, json};

use super::*;
use crate::sinks::snowflake::key::PLAIN;
use crate::sinks::snowflake::row::feed;
use crate::sinks::testing::{
    Act, Received, Server, StoppedClock, TestSecrets, batch, json_reply, outline, reply,
};

/// An account with one table, whose column `A` takes numbers.
fn account(
    first: impl Fn(&Received) -> Option<Act> + Send + 'static,
) -> impl FnMut(&Received) -> Act + Send + 'static {
    move |request| first(request).unwrap_or_else(|| act(request))
}

fn act(request: &Received) -> Act {
    if request.target.starts_with("/session/v1/login-request?") {
        return json_reply(200, &json!({"success": true, "data": {"token": "t"}}));
    }
    if request.header("authorization") != Some("Snowflake Token=\"t\"") {
        return json_reply(401, &json!({"success": false, "code": "390104"}));
    }
    let body = request.json();
    if body["describeOnly"] == true {
        let columns = json!([{"name": "A", "type": "fixed", "precision": 38, "scale": 0}]);
        return json_reply(200, &json!({"success": true, "data": {"rowtype": columns}}));
    }
    match rows(&body).iter().find(|row| row["A"].is_string()) {
        Some(row) => {
            let message = format!("{} is no number", row["A"]);
            let said = json!({"success": false, "code": "100038", "message": message});
            json_reply(200, &said)
        }
        None => json_reply(200, &json!({"success": true, "data": {"rowset": [["1"]]}})),
    }
}

fn rows(body: &Value) -> Vec<Value> {
    let bound = body["bindings"]["1"]["value"].as_str().unwrap_or("[]");
    serde_json::from_str(bound).unwrap()
}

fn sink(server: &Server) -> Sql {
    let secrets = Arc::<TestSecrets>::default();
    let of = SnowflakeDestination {
        account_url: server.url.clone(),
        user: "loader".into(),
        private_key_ref: secrets.set("key", PLAIN),
        role: Some("r".into()),
        database: "d".into(),
        schema: "s".into(),
        table: "t".into(),
        sql: Some(SnowflakeSql { warehouse: Some("w".into()) }),
        ..SnowflakeDestination::default()
    };
    let rows = Rows::new(&of, feed(None));
    Sql::new(Arc::new(of), rows, secrets, Arc::new(StoppedClock))
}

async fn check(
    data: &[&str],
    first: impl Fn(&Received) -> Option<Act> + Send + 'static,
    want: &str,
) -> Server {
    let server = Server::start(account(first)).await;
    let attempt = sink(&server).attempt(&batch(data)).await;
    assert_eq!(outline(&attempt), want);
    server
}

#[tokio::test]
async fn rows_are_inserted_in_a_session() {
    let data = ["{\"a\":1}", "no", "{\"A\":2}", "{\"b\":3}"];
    let want = "refused 3 Snowflake.ExtraColumns; refused 1 Snowflake.InvalidInput";
    let server = check(&data, |_| None, want).await;
    let [login, describe, insert] = &server.received()[..] else { panic!() };
    let query = "?databaseName=d&schemaName=s&warehouse=w&roleName=r&requestId=";
    let path = format!("/session/v1/login-request{query}");
    assert!(login.target.starts_with(&path), "{}", login.target);
    let login = &login.json()["data"];
    assert_eq!(
        (&login["AUTHENTICATOR"], &login["LOGIN_NAME"]),
        (&json!("SNOWFLAKE_JWT"), &json!("loader"))
    );
    assert_eq!(login["TOKEN"].as_str().unwrap().split('.').count(), 3);
    assert_eq!(describe.json()["sqlText"], "SELECT * FROM \"D\".\"S\".\"T\"");
    assert_eq!(rows(&insert.json()), [json!({"A": 1}), json!({"A": 2})]);
    assert_ne!(describe.target, insert.target);
}

#[tokio::test]
async fn the_rows_that_spoil_a_statement_are_found() {
    let data = ["{\"a\":0}", "{\"a\":\"x\"}", "{\"a\":2}", "{\"a\":3}", "{\"a\":\"y\"}"];
    let server = check(&data, |_| None, "refused 1 4 Snowflake.InvalidValue").await;
    let good: Vec<Value> = server.received()[2..]
        .iter()
        .map(|request| rows(&request.json()))
        .filter(|rows| rows.iter().all(|row| row["A"].is_number()))
        .flatten()
        .collect();
    assert_eq!(good, [json!({"A": 0}), json!({"A": 2}), json!({"A": 3})]);
}

#[tokio::test]
async fn a_statement_that_takes_long_is_asked_for() {
    let (started, asked) = (Instant::now(), Cell::new(0));
    let server = check(
        &["{\"a\":1}"],
        move |request| {
            let later = json!({"code": "333334", "data": {"getResultUrl": "/queries/7/result"}});
            if request.target.starts_with("/queries/7/result") {
                asked.set(asked.get() + 1);
                let done = json!({"success": true});
                return Some(json_reply(200, if asked.get() < 3 { &later } else { &done }));
            }
            let is_insert = request.text().contains("INSERT");
            is_insert.then(|| json_reply(200, &later))
        },
        "delivered",
    )
    .await;
    assert_eq!(server.received().len(), 6);
    // Even of one that answers at once it is asked ever more rarely: after 100, 200 and 400 ms.
    assert!(Duration::from_millis(700) <= started.elapsed(), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_session_that_is_over_is_replaced_once() {
    let server = Server::start(account(|_| None)).await;
    let sink = sink(&server);
    *sink.client.session.lock().await = Some("Snowflake Token=\"old\"".parse().unwrap());
    assert_eq!(outline(&sink.attempt(&batch(&["{\"a\":1}"])).await), "delivered");
    let targets: Vec<String> = server.received().into_iter().map(|it| it.target).collect();
    assert_eq!(targets.iter().filter(|it| it.starts_with("/session")).count(), 1);
    check(
        &["{}"],
        |request| {
            let over = json!({"success": false, "code": "390112"});
            request.target.starts_with("/queries").then(|| json_reply(200, &over))
        },
        "again 0 Snowflake.AccessDenied",
    )
    .await;
}

#[tokio::test]
async fn what_is_no_records_fault_is_tried_again() {
    let busy = |request: &Received| {
        let is_insert = request.text().contains("INSERT");
        is_insert.then(|| reply(503, &["Retry-After: 9"], "busy"))
    };
    let data = ["{\"a\":0}", "no", "{\"a\":2}"];
    let want = "refused 1 Snowflake.InvalidInput; again 0 2 Snowflake.ServiceBusy; pause 9s";
    check(&data, busy, want).await;
    let unknown = |request: &Received| {
        let missing = json!({"success": false, "code": "002003", "message": "no table"});
        request.text().contains("describeOnly").then(|| json_reply(200, &missing))
    };
    check(&data, unknown, "again 0 1 2 Snowflake.NotFound").await;
    let refused = json!({"success": false, "code": "390144", "message": "JWT token is invalid."});
    let no_login = move |request: &Received| {
        request.target.starts_with("/session").then(|| json_reply(200, &refused))
    };
    check(&data, no_login, "again 0 1 2 Snowflake.AccessDenied").await;
}
