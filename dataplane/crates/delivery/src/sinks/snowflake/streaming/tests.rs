use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use operator_api::delivery_stream::SnowflakeDestination;
use serde_json::{Value, json};

use super::*;
use crate::sinks::snowflake::key::PLAIN;
use crate::sinks::snowflake::row::feed;
use crate::sinks::testing::{
    Act, Received, Server, StoppedClock, TestSecrets, batch, json_reply, outline, record, reply,
};
use crate::sinks::{Batch, BatchId};

/// What a pipe with one channel keeps.
#[derive(Default)]
struct Pipe {
    opened: u64,
    appended: u64,
    rows: Vec<String>,
    committed: Option<String>,
    waiting: Option<(String, Vec<String>)>,
    errors: u64,
    bound: Option<String>,
    logged_in: u64,
}

impl Pipe {
    fn continuation(&self) -> String {
        format!("{}_{}", self.opened, self.appended)
    }

    fn status(&self) -> Value {
        json!({
            "channel_status_code": "ACTIVE",
            "last_committed_offset_token": self.committed,
            "rows_error_count": self.errors,
            "last_error_offset_upper_bound": self.bound,
            "last_error_message": "not a number",
        })
    }

    /// Commits what it has taken when it is asked how it is doing; rows with `bad` in them are refused.
    fn act(&mut self, request: &Received) -> Act {
        let (path, _) = request.target.split_once('?').unwrap_or((&request.target, ""));
        if path == "/oauth/token" {
            self.logged_in += 1;
            return json_reply(200, &json!({"token": format!("scoped {}", self.logged_in)}));
        }
        if request.header("authorization") != Some(&format!("Bearer scoped {}", self.logged_in)) {
            return reply(401, &[], "");
        }
        if path.ends_with("/rows") {
            let query = query(request);
            if query["continuationToken"] != self.continuation() {
                return json_reply(400, &json!({"code": "STALE_CONTINUATION_TOKEN_SEQUENCER"}));
            }
            let lines = request.text().lines().map(str::to_owned);
            let (_, rows) = self.waiting.get_or_insert_default();
            rows.extend(lines);
            self.waiting.as_mut().unwrap().0 = query["endOffsetToken"].clone();
            self.appended += 1;
            return json_reply(200, &json!({"next_continuation_token": self.continuation()}));
        }
        if path.ends_with(":bulk-channel-status") {
            if let Some((token, rows)) = self.waiting.take() {
                let (bad, good): (Vec<_>, Vec<_>) =
                    rows.into_iter().partition(|row| row.contains("bad"));
                self.rows.extend(good);
                if !bad.is_empty() {
                    self.errors += bad.len() as u64;
                    self.bound = Some(token.clone());
                }
                self.committed = Some(token);
            }
            let name = request.json()["channel_names"][0].as_str().unwrap().to_owned();
            return json_reply(200, &json!({"channel_statuses": {name: self.status()}}));
        }
        self.opened += 1;
        self.waiting = None;
        let token = self.continuation();
        json_reply(200, &json!({"next_continuation_token": token, "channel_status": self.status()}))
    }
}

fn query(request: &Received) -> BTreeMap<String, String> {
    let url = reqwest::Url::parse(&format!("http://x{}", request.target)).unwrap();
    url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

struct Site {
    server: Server,
    pipe: Arc<Mutex<Pipe>>,
}

impl Site {
    /// A pipe; `first` may do something else with a request.
    async fn new(first: impl Fn(&Received, &mut Pipe) -> Option<Act> + Send + 'static) -> Site {
        let pipe = Arc::<Mutex<Pipe>>::default();
        let of = Arc::clone(&pipe);
        let server = Server::start(move |request| {
            let mut pipe = of.lock().unwrap();
            if request.target == "/v2/streaming/hostname" {
                return reply(200, &[], request.header("host").unwrap());
            }
            first(request, &mut pipe).unwrap_or_else(|| pipe.act(request))
        });
        Site { server: server.await, pipe }
    }

    fn sink(&self, repeats: bool) -> Streaming {
        let secrets = Arc::<TestSecrets>::default();
        let of = SnowflakeDestination {
            account_url: self.server.url.clone(),
            user: "loader".into(),
            private_key_ref: secrets.set("key", PLAIN),
            database: "d".into(),
            schema: "s".into(),
            table: "t".into(),
            ..SnowflakeDestination::default()
        };
        let feed = crate::sinks::Feed { repeats, ..feed(None) };
        let rows = Rows::new(&of, feed);
        let limits = Limits {
            body_bytes_max: 24,
            commit_max: Duration::from_millis(300),
            poll_first: Duration::from_millis(5),
        };
        let streaming = Streaming::new(Arc::new(of), rows, secrets, Arc::new(StoppedClock));
        Streaming { limits, ..streaming }
    }

    fn rows(&self) -> String {
        self.pipe.lock().unwrap().rows.join(" ")
    }

    fn appends(&self) -> usize {
        self.server.received().iter().filter(|it| it.target.contains("/rows?")).count()
    }
}

async fn deliver(sink: &Streaming, data: &[&str]) -> String {
    outline(&sink.attempt(&batch(data)).await)
}

#[tokio::test]
async fn rows_are_delivered_when_they_are_committed() {
    let site = Site::new(|_, _| None).await;
    let sink = site.sink(true);
    let data = ["{\"a\":1}", "{\"a\":2}", "no", "{\"a\":3}", "{\"a\":4}", "{\"a\":5}"];
    assert_eq!(deliver(&sink, &data).await, "refused 2 Snowflake.InvalidInput");
    assert_eq!(site.rows(), "{\"a\":1} {\"a\":2} {\"a\":3} {\"a\":4} {\"a\":5}");
    let received = site.server.received();
    let rows: Vec<&Received> = received.iter().filter(|it| it.target.contains("/rows?")).collect();
    let channel = "LEAT_00000000000000000000000000000007_0";
    let pipe = "databases/d/schemas/s/pipes/t-STREAMING";
    let path = format!("/v2/streaming/data/{pipe}/channels/{channel}/rows?continuationToken=1_0&");
    assert!(rows[0].target.starts_with(&path), "{}", rows[0].target);
    assert_eq!(rows[0].header("content-type"), Some("application/x-ndjson"));
    // Three rows are in the first, as many as fit.
    assert_eq!(rows.len(), 2);
    let host = received[0].header("host").unwrap();
    assert_eq!(received[0].target, "/v2/streaming/hostname");
    let kind = received[1].header("x-snowflake-authorization-token-type");
    assert_eq!((&received[1].target[..], kind), ("/oauth/token", Some("KEYPAIR_JWT")));
    let grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
    let scope = host.replace(':', "%3A");
    assert_eq!(received[1].text(), format!("{grant}&scope={scope}"));
    assert_eq!(received[2].target, format!("/v2/streaming/{pipe}/channels/{channel}"));
}

#[tokio::test]
async fn what_is_committed_is_not_sent_after_a_crash() {
    let site = Site::new(|_, _| None).await;
    assert_eq!(deliver(&site.sink(true), &["{\"a\":1}", "{\"a\":2}"]).await, "delivered");
    // Another process, which reads the same and more.
    let data = ["{\"a\":1}", "{\"a\":2}", "{\"a\":3}"];
    assert_eq!(deliver(&site.sink(true), &data).await, "delivered");
    assert_eq!(site.rows(), "{\"a\":1} {\"a\":2} {\"a\":3}");
    // What is read again may be something else.
    assert_eq!(deliver(&site.sink(false), &data).await, "delivered");
    assert_eq!(site.rows().matches("{\"a\":1}").count(), 2);
}

#[tokio::test]
async fn what_was_given_up_and_comes_again_does_not_make_it_forget_what_is_committed() {
    let is_down = Arc::new(AtomicBool::new(true));
    let down = Arc::clone(&is_down);
    let site = Site::new(move |request, _| {
        let is_refused = down.load(Ordering::Relaxed) && request.target.contains("/rows?");
        is_refused.then(|| reply(503, &[], ""))
    });
    let site = site.await;
    let first = batch(&["{\"a\":0}", "{\"a\":1}"]);
    let records = (2..4).map(|at| record(at, format!("{{\"a\":{at}}}"))).collect();
    let second = Batch { id: BatchId(8), records, ..batch(&[]) };
    // Two batches of a window. The first is given up, the second arrives, and then there is a crash, and
    // another: each time the window is read again.
    let sink = site.sink(true);
    let attempt = sink.attempt(&first).await;
    assert_eq!(outline(&attempt), "again 0 1 Snowflake.ServiceBusy");
    is_down.store(false, Ordering::Relaxed);
    assert_eq!(outline(&sink.attempt(&second).await), "delivered");
    for _ in 0..2 {
        let sink = site.sink(true);
        for batch in [&first, &second] {
            assert_eq!(outline(&sink.attempt(batch).await), "delivered");
        }
    }
    assert_eq!(site.rows(), "{\"a\":2} {\"a\":3} {\"a\":0} {\"a\":1}");
}

#[tokio::test]
async fn a_reply_that_is_lost_costs_no_row_and_repeats_none() {
    // The second request with rows is taken, and nobody is told.
    let site = Site::new(|request, pipe| {
        if request.target.contains("/rows?") && pipe.appended == 1 {
            pipe.act(request);
            return Some(Act::Say(Vec::new()));
        }
        None
    })
    .await;
    let sink = site.sink(true);
    let data = ["{\"a\":11111111111111}", "{\"a\":2}", "{\"a\":3}"];
    let attempt = sink.attempt(&batch(&data)).await;
    assert_eq!(outline(&attempt), "again 0 1 2 Snowflake.ConnectionReset");
    // Opening the channel discards what is not committed.
    assert_eq!(deliver(&sink, &data).await, "delivered");
    assert_eq!(site.rows(), "{\"a\":11111111111111} {\"a\":2} {\"a\":3}");
}

#[tokio::test]
async fn a_channel_that_another_took_is_opened_again() {
    let site = Site::new(|_, _| None).await;
    let (one, other) = (site.sink(true), site.sink(true));
    assert_eq!(deliver(&one, &["{\"a\":1}"]).await, "delivered");
    assert_eq!(deliver(&other, &["{\"a\":1}", "{\"a\":2}"]).await, "delivered");
    let data = ["{\"a\":1}", "{\"a\":2}", "{\"a\":3}"];
    assert_eq!(deliver(&one, &data).await, "delivered");
    assert_eq!(site.rows(), "{\"a\":1} {\"a\":2} {\"a\":3}");
}

#[tokio::test]
async fn rows_that_the_table_does_not_take_are_refused_with_those_around() {
    let site = Site::new(|_, _| None).await;
    let sink = site.sink(true);
    let data = ["{\"a\":1}", "{\"a\":\"bad\"}", "{\"a\":3}"];
    let attempt = sink.attempt(&batch(&data)).await;
    assert_eq!(outline(&attempt), "refused 0 1 2 Snowflake.InvalidValue");
    let message = &attempt.refused[0].1.message;
    assert!(message.starts_with("Snowflake refused 1 of 3 rows"), "{message}");
    assert!(message.ends_with("not a number"), "{message}");
    // From then on fewer share a fate: a request is settled before the next.
    let more =
        ["{\"a\":4444444444444444}", "{\"a\":\"bad, and long\"}", "{\"a\":6666666666666666}"];
    let records = more.iter().zip(3..).map(|(data, offset)| record(offset, data)).collect();
    let attempt = sink.attempt(&Batch { id: BatchId(8), records, ..batch(&[]) }).await;
    assert_eq!(outline(&attempt), "refused 1 Snowflake.InvalidValue");
    // What is read again is sent again: nobody here knows whether it is in the backup.
    assert_eq!(deliver(&sink, &data).await, "refused 0 1 Snowflake.InvalidValue");
}

#[tokio::test]
async fn the_record_that_spoils_a_request_is_found() {
    let site = Site::new(|request, _| {
        let is_spoiled = request.target.contains("/rows?") && request.text().contains("\"x\"");
        is_spoiled.then(|| json_reply(400, &json!({"code": "INVALID_ROW", "message": "no x"})))
    })
    .await;
    let data = ["{\"a\":1}", "{\"x\":2}", "{\"a\":3}", "{\"a\":4}"];
    assert_eq!(deliver(&site.sink(true), &data).await, "refused 1 Snowflake.InvalidInput");
    assert_eq!(site.rows(), "{\"a\":1} {\"a\":3} {\"a\":4}");
}

#[tokio::test]
async fn a_token_that_ran_out_is_replaced_once() {
    let site = Site::new(|request, pipe| {
        let ran_out = pipe.logged_in == 1 && request.target.contains("/rows?");
        ran_out.then(|| reply(401, &[], ""))
    })
    .await;
    assert_eq!(deliver(&site.sink(true), &["{\"a\":1}"]).await, "delivered");
    assert_eq!((site.rows(), site.pipe.lock().unwrap().logged_in), ("{\"a\":1}".into(), 2));
    let site = Site::new(|request, _| {
        request.target.contains("/rows?").then(|| reply(401, &[], "who are you"))
    })
    .await;
    assert_eq!(deliver(&site.sink(true), &["{\"a\":1}"]).await, "again 0 Snowflake.AccessDenied");
    assert_eq!(site.appends(), 2);
}

#[tokio::test]
async fn a_busy_server_is_left_alone_for_as_long_as_it_asks() {
    let site = Site::new(|request, _| {
        request.target.contains("/rows?").then(|| reply(429, &["Retry-After: 7"], "slow down"))
    })
    .await;
    let want = "again 0 1 Snowflake.ServiceBusy; pause 7s";
    assert_eq!(deliver(&site.sink(true), &["{\"a\":1}", "{\"a\":2}"]).await, want);
    assert_eq!(site.appends(), 1);
}

#[tokio::test]
async fn rows_that_are_not_committed_are_not_delivered() {
    let site = Site::new(|request, _| {
        let name = "LEAT_00000000000000000000000000000007_0";
        let is_poll = request.target.ends_with(":bulk-channel-status");
        is_poll.then(|| json_reply(200, &json!({"channel_statuses": {name: {}}})))
    })
    .await;
    assert_eq!(deliver(&site.sink(true), &["{\"a\":1}"]).await, "again 0 Snowflake.CommitTimeout");
    // The channel is gone, however often it is opened.
    let site = Site::new(|request, _| {
        let is_poll = request.target.ends_with(":bulk-channel-status");
        is_poll.then(|| json_reply(200, &json!({"channel_statuses": {}})))
    })
    .await;
    assert_eq!(deliver(&site.sink(true), &["{\"a\":1}"]).await, "again 0 Snowflake.ChannelLost");
    assert_eq!(site.pipe.lock().unwrap().opened, 4);
}
