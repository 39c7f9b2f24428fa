//! Rows in stand-ins for Snowflake: there is none that runs on a machine.

use e2e::destinations::{SNOWFLAKE_PASSPHRASE, SNOWFLAKE_USER, Server};

use crate::{Site, flights};

fn deliver(
    start: impl FnOnce(&std::path::Path) -> anyhow::Result<Server>,
    reader: &str,
    snowflake: &str,
) -> String {
    let site = Site::new();
    let directory = site.directory.path().join("snowflake");
    let server = start(&directory).unwrap();
    let key = std::fs::read_to_string(directory.join("private.pem")).unwrap();
    let key: String = key.lines().map(|line| format!("    {line}\n")).collect();
    let endpoint = server.named_endpoint();
    let yaml = format!(
        "apiVersion: v1
kind: Secret
metadata: {{name: snowflake}}
stringData:
  passphrase: {SNOWFLAKE_PASSPHRASE}
  key: |
{key}---
apiVersion: leat.dev/v1alpha1
kind: DeliveryStream
metadata: {{name: flights}}
spec:
  buffering: {{sizeMiB: 16, intervalSeconds: 2}}
  backup:
    s3: {{bucket: lake, endpoint: S3, prefix: backup/,
      credentials: {{accessKeyIdRef: {{name: s3, key: id}}, secretAccessKeyRef: {{name: s3, key: secret}}}}}}
  destination:
    snowflake: {{accountUrl: '{endpoint}', user: {SNOWFLAKE_USER}, database: air, schema: public, table: flights,
      privateKeyRef: {{name: snowflake, key: key}},
      keyPassphraseRef: {{name: snowflake, key: passphrase}}, {snowflake}}}
"
    );
    let leat = site.leat(&yaml);
    let flights = flights();
    let args =
        [flights.to_str().unwrap(), "flights", reader, &endpoint, "air", "public", "flights"];
    site.python(&leat, "deliver_flights.py", &args);
    leat.stop().unwrap();
    server.logged()
}

#[test]
fn flights_arrive_in_snowflake_by_streaming() {
    // Whatever goes wrong, each comes once.
    let flags = "--fail-every 7 --busy-every 11 --lose-every 5 --forget-tokens-every 13";
    let flags: Vec<&str> = flags.split(' ').collect();
    let log = deliver(|directory| Server::snowpipe(directory, &flags), "snowpipe", "");
    for what in ["INTERNAL_ERROR", "TOO_MANY_REQUESTS", "OAuth access token expired"] {
        assert!(log.contains(what), "{what} did not happen: {log}");
    }
}

#[test]
fn flights_arrive_in_snowflake_by_sql() {
    deliver(Server::fakesnow, "snowflake", "sql: {warehouse: loading}");
}
