//! Services that take requests: search engines, Splunk's collector, an HTTP endpoint.

use e2e::bad_day::{BadDay, Speaks};
use e2e::destinations::Server;

use super::{BLOWS, Bad, Repeats, end, kill};
use crate::Site;

fn to_search_engine(kind: &str, version: &str, seed: u64) {
    let site = Site::new();
    let mut server = Server::search(kind, version, &site.directory.path().join(kind)).unwrap();
    let day = BadDay::before(server.port(), Speaks::Bulk, seed).unwrap();
    let endpoint = server.endpoint();
    let bad = Bad {
        spec: format!(
            "buffering: {{sizeMiB: 1, intervalSeconds: 1}}
  retryDurationSeconds: 90
  destination:
    {kind}: {{endpoint: 'http://127.0.0.1:{}', indexName: flights}}",
            day.port()
        ),
        reader: vec!["search", &endpoint, "flights"],
        backup: "refused lake refused/",
        repeats: Repeats::Forbidden,
        seconds: 60,
        environment: Vec::new(),
        days: vec![day],
        blows: &BLOWS,
    };
    // Once: it takes long to start.
    let mut servers = Some(&mut server).into_iter();
    bad.endure(&site, &mut |_| servers.next().into_iter().for_each(kill));
}

#[test]
fn bad_days_lose_and_repeat_no_flight_on_its_way_to_elasticsearch() {
    to_search_engine("elasticsearch", "8.19.21", 3);
}

#[test]
fn bad_days_lose_and_repeat_no_flight_on_its_way_to_opensearch() {
    to_search_engine("opensearch", "2.19.4", 4);
}

#[test]
fn bad_days_lose_no_flight_on_its_way_to_an_http_endpoint() {
    let site = Site::new();
    let directory = site.directory.path().join("collector");
    let (mut server, port) = Server::collector(&directory).unwrap();
    let day = BadDay::before(port, Speaks::Http, 5).unwrap();
    let taken = directory.join("taken.jsonl");
    let bad = Bad {
        spec: format!(
            "buffering: {{sizeMiB: 1, intervalSeconds: 1}}
  retryDurationSeconds: 5
  destination:
    httpEndpoint: {{url: 'http://127.0.0.1:{}/', contentEncoding: GZIP, accessKeyRef: {{name: endpoint, key: key}}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: endpoint}}
stringData: {{key: key}}",
            day.port()
        ),
        reader: vec!["logs", taken.to_str().unwrap()],
        backup: "refused lake refused/",
        repeats: Repeats::Counted,
        seconds: 35,
        environment: vec![("AS_LOGS", "yes".to_owned())],
        days: vec![day],
        blows: &BLOWS,
    };
    // It keeps what it took in memory for a second, so it is not killed, but told to end.
    bad.endure(&site, &mut |_| end(&mut server));
}

#[test]
fn bad_days_lose_no_flight_on_its_way_to_splunk() {
    let site = Site::new();
    let directory = site.directory.path().join("collector");
    let (mut server, _) = Server::collector(&directory).unwrap();
    let day = BadDay::before(server.port(), Speaks::Http, 6).unwrap();
    let taken = directory.join("taken.jsonl");
    let bad = Bad {
        spec: format!(
            "buffering: {{sizeMiB: 1, intervalSeconds: 1}}
  retryDurationSeconds: 10
  destination:
    splunk: {{hecEndpoint: 'http://127.0.0.1:{}', hecTokenRef: {{name: s3, key: id}},
      hecAcknowledgmentTimeoutSeconds: 180}}",
            day.port()
        ),
        reader: vec!["taken", taken.to_str().unwrap()],
        backup: "refused lake refused/",
        repeats: Repeats::Counted,
        seconds: 35,
        environment: Vec::new(),
        days: vec![day],
        blows: &BLOWS,
    };
    // Once: it forgets what it was to acknowledge, and that is waited for, not less than three minutes.
    let mut servers = Some(&mut server).into_iter();
    bad.endure(&site, &mut |_| servers.next().into_iter().for_each(end));
}
