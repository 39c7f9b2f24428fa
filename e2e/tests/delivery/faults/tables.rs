//! Rows in tables: Redshift, Snowflake, Iceberg.

use std::path::Path;

use e2e::bad_day::{BadDay, Speaks};
use e2e::destinations::{SNOWFLAKE_PASSPHRASE, SNOWFLAKE_USER, Server};

use super::{BLOWS, Bad, Repeats, fill, kill, small_disk, through};
use crate::{Site, flights, iceberg, redshift};

/// The reader makes it, before anything is delivered.
fn make_table(site: &Site, of: &Bad) {
    let flights = flights();
    let args = [&[flights.to_str().unwrap(), "-"], &of.reader[..]].concat();
    let mut script = site.script("", "deliver_flights.py", &args);
    script.envs(of.environment.iter().cloned()).env("FLIGHTS", "0");
    assert!(script.status().unwrap().success());
}

#[test]
fn bad_days_lose_no_flight_on_its_way_to_redshift() {
    let site = Site::new();
    let directory = site.directory.path().join("redshift");
    let (mut server, postgres) = redshift::start(&site, &directory, "flights");
    let day = BadDay::before(server.port(), Speaks::Postgres, 7).unwrap();
    let url = redshift::url(postgres);
    let address = format!("127.0.0.1:{}", day.port());
    let bad = Bad {
        spec: format!(
            "buffering: {{sizeMiB: 16, intervalSeconds: 1}}
  retryDurationSeconds: 30
  {}",
            redshift::destination(&address)
        ),
        reader: vec!["postgres", &url, "flights"],
        backup: "listed lake way/errors/manifests/",
        repeats: Repeats::Counted,
        seconds: 35,
        environment: Vec::new(),
        days: vec![day],
        blows: &BLOWS,
    };
    bad.endure(&site, &mut |_| kill(&mut server));
}

#[test]
fn bad_days_lose_and_repeat_no_flight_on_its_way_to_redshift_by_the_data_api() {
    let site = Site::new();
    let directory = site.directory.path();
    let (redshift, postgres) = redshift::start(&site, &directory.join("redshift"), "flights");
    let data_api = directory.join("data-api");
    let mut server = Server::redshift_data(&data_api, (&redshift, postgres)).unwrap();
    let day = BadDay::before(server.port(), Speaks::Http, 11).unwrap();
    let url = redshift::url(postgres);
    let endpoint = format!("http://127.0.0.1:{}", day.port());
    let bad = Bad {
        spec: format!(
            "buffering: {{sizeMiB: 16, intervalSeconds: 1}}
  retryDurationSeconds: 30
  {}",
            redshift::by_data_api(&endpoint, "clusterIdentifier: warehouse, dbUser: loader")
        ),
        reader: vec!["postgres", &url, "flights"],
        backup: "listed lake way/errors/manifests/",
        repeats: Repeats::Forbidden,
        seconds: 35,
        environment: Vec::new(),
        days: vec![day],
        blows: &BLOWS,
    };
    bad.endure(&site, &mut |_| kill(&mut server));
}

/// `also` goes into the destination.
fn to_snowflake(
    start: impl FnOnce(&Path) -> anyhow::Result<Server>,
    (reader, repeats): (&str, Repeats),
    seed: u64,
    also: &str,
) {
    let site = Site::new();
    let directory = site.directory.path().join("snowflake");
    let mut server = start(&directory).unwrap();
    let day = BadDay::before(server.port(), Speaks::Http, seed).unwrap();
    let key = std::fs::read_to_string(directory.join("private.pem")).unwrap();
    let key: String = key.lines().map(|line| format!("    {line}\n")).collect();
    let endpoint = server.named_endpoint();
    let reader = vec![reader, &endpoint, "air", "public", "flights"];
    let bad = Bad {
        spec: format!(
            "buffering: {{sizeMiB: 1, intervalSeconds: 1}}
  retryDurationSeconds: 20
  destination:
    snowflake: {{accountUrl: 'http://localhost:{}', user: {SNOWFLAKE_USER},
      database: air, schema: public, table: flights,
      privateKeyRef: {{name: snowflake, key: key}},
      keyPassphraseRef: {{name: snowflake, key: passphrase}}, {also}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: snowflake}}
stringData:
  passphrase: {SNOWFLAKE_PASSPHRASE}
  key: |
{key}",
            day.port()
        ),
        reader,
        backup: "refused lake refused/",
        repeats,
        seconds: 35,
        environment: Vec::new(),
        days: vec![day],
        blows: &BLOWS,
    };
    make_table(&site, &bad);
    bad.endure(&site, &mut |_| kill(&mut server));
}

#[test]
fn bad_days_lose_and_repeat_no_flight_on_its_way_to_snowflake_by_streaming() {
    let start = |directory: &Path| Server::snowpipe(directory, &[]);
    to_snowflake(start, ("snowpipe", Repeats::Forbidden), 8, "");
}

#[test]
fn bad_days_lose_no_flight_on_its_way_to_snowflake_by_sql() {
    let reader = ("snowflake", Repeats::Counted);
    to_snowflake(Server::fakesnow, reader, 9, "sql: {warehouse: loading}");
}

#[test]
fn bad_days_lose_and_repeat_no_flight_on_its_way_to_iceberg() {
    let site = Site::new();
    let directory = site.directory.path();
    let disk = small_disk(&directory.join("far"), 512);
    let mut s3 = Server::s3(&directory.join("far")).unwrap();
    s3.create_bucket("lake");
    let mut catalog = Server::iceberg(&directory.join("iceberg"), &s3).unwrap();
    let days = vec![
        BadDay::before(catalog.port(), Speaks::Steps, 13).unwrap(),
        BadDay::before(s3.port(), Speaks::Steps, 14).unwrap(),
    ];
    let spec = iceberg::spec(&catalog, "tables: [{database: air, table: flights}]", "");
    let spec = spec.replace("endpoint: S3", &format!("endpoint: {}", s3.endpoint()));
    let spec = through(&days[1], &s3, &through(&days[0], &catalog, &spec));
    let endpoint = catalog.endpoint();
    let backup = format!("refused s3+{}/lake refused/", site.s3.endpoint());
    let bad = Bad {
        spec: format!(
            "buffering: {{sizeMiB: 1, intervalSeconds: 1}}\n  retryDurationSeconds: 90\n  {spec}"
        ),
        reader: vec!["iceberg", &endpoint, "air.flights"],
        backup: &backup,
        repeats: Repeats::Forbidden,
        seconds: 60,
        environment: vec![("AWS_ENDPOINT_URL_S3", s3.endpoint())],
        days,
        blows: &BLOWS,
    };
    make_table(&site, &bad);
    let mut servers = [&mut catalog, &mut s3].into_iter();
    let mut full_disks = disk.iter();
    bad.endure(&site, &mut |leat| {
        if let Some(disk) = full_disks.next() {
            fill(disk, || leat.log().contains("InternalError"));
        }
        servers.next().into_iter().for_each(kill);
    });
}
