//! Rows in stand-ins for Snowflake: there is none that runs on a machine.

use e2e::Leat;
use e2e::destinations::{SNOWFLAKE_PASSPHRASE, SNOWFLAKE_USER, Server};

use crate::{Site, flights};

/// A stand-in, and a server for what it refuses.
struct Place {
    site: Site,
    snowflake: Server,
    yaml: String,
}

impl Place {
    /// With a delivery stream into the stand-in; `also` goes into its destination.
    fn new(start: impl FnOnce(&std::path::Path) -> anyhow::Result<Server>, also: &str) -> Place {
        let site = Site::new();
        let directory = site.directory.path().join("snowflake");
        let snowflake = start(&directory).unwrap();
        let key = std::fs::read_to_string(directory.join("private.pem")).unwrap();
        let key: String = key.lines().map(|line| format!("    {line}\n")).collect();
        let endpoint = snowflake.named_endpoint();
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
      credentials: {{accessKeyIdRef: {{name: s3, key: id}},
        secretAccessKeyRef: {{name: s3, key: secret}}}}}}
  destination:
    snowflake: {{accountUrl: '{endpoint}', user: {SNOWFLAKE_USER},
      database: air, schema: public, table: flights,
      privateKeyRef: {{name: snowflake, key: key}},
      keyPassphraseRef: {{name: snowflake, key: passphrase}}, {also}}}
"
        );
        Place { site, snowflake, yaml }
    }

    fn leat(&self) -> Leat {
        self.site.leat(&self.yaml)
    }

    /// Puts flights into `stream`, and reads them with `reader`.
    fn flights(&self, leat: &Leat, stream: &str, reader: &str) {
        let (flights, endpoint) = (flights(), self.snowflake.named_endpoint());
        let table = [&endpoint, "air", "public", "flights"];
        let args = [&[flights.to_str().unwrap(), stream, reader], &table[..]].concat();
        self.site.python(leat, "deliver_flights.py", &args);
    }
}

#[test]
fn flights_arrive_in_snowflake_by_streaming() {
    // Whatever goes wrong, each comes once.
    let flags = "--fail-every 9 --busy-every 16 --lose-every 11 --forget-tokens-every 13";
    let flags: Vec<&str> = flags.split(' ').collect();
    let place = Place::new(|directory| Server::snowpipe(directory, &flags), "");
    let leat = place.leat();
    place.flights(&leat, "flights", "snowpipe");
    leat.stop().unwrap();
    let log = place.snowflake.logged();
    for what in ["INTERNAL_ERROR", "TOO_MANY_REQUESTS", "token expired", "not answered"] {
        assert!(log.contains(what), "{what} did not happen: {log}");
    }
}

#[test]
fn flights_come_to_snowflake_once_though_leat_is_killed() {
    let slow = ["--commit-seconds", "1"];
    let place = Place::new(|directory| Server::snowpipe(directory, &slow), "");
    let leat = place.leat();
    place.flights(&leat, "flights", "nothing");
    leat.kill();
    let leat = place.leat();
    place.flights(&leat, "-", "snowpipe");
    leat.stop().unwrap();
}

#[test]
fn flights_arrive_in_snowflake_by_sql() {
    let place = Place::new(Server::fakesnow, "sql: {warehouse: loading}");
    let leat = place.leat();
    place.flights(&leat, "flights", "snowflake");
    leat.stop().unwrap();
}
