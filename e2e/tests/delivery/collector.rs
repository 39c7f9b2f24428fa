//! Services that take requests: Splunk's HTTP event collector with acknowledgments, and an HTTP endpoint
//! as AWS documents it, both as the OpenTelemetry collector has them.

use e2e::destinations::Server;

use crate::Site;

#[test]
fn flights_arrive_at_splunks_collector() {
    let site = Site::new();
    let directory = site.directory.path().join("collector");
    let (server, _) = Server::collector(&directory).unwrap();
    let spec = format!(
        "buffering: {{sizeMiB: 5, intervalSeconds: 1}}
  destination:
    splunk: {{hecEndpoint: '{}', hecTokenRef: {{name: s3, key: id}}}}",
        server.endpoint()
    );
    site.deliver(&spec, &["taken", directory.join("taken.jsonl").to_str().unwrap()]);
}

#[test]
fn flights_in_log_messages_arrive_at_an_http_endpoint() {
    let site = Site::new();
    let directory = site.directory.path().join("collector");
    let (_server, port) = Server::collector(&directory).unwrap();
    let spec = format!(
        "buffering: {{sizeMiB: 5, intervalSeconds: 1}}
  destination:
    httpEndpoint: {{url: 'http://127.0.0.1:{port}/', contentEncoding: GZIP, accessKeyRef: {{name: endpoint, key: key}}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: endpoint}}
stringData: {{key: key}}"
    );
    site.deliver(&spec, &["logs", directory.join("taken.jsonl").to_str().unwrap()]);
}
