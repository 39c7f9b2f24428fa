//! Leat is killed again and again while it delivers.

use std::process::Command;
use std::time::{Duration, Instant};

use e2e::destinations::{Server, free_ports};
use e2e::{Leat, Start};
use rand::RngExt;

use crate::{CREDENTIALS, Site, flights, iceberg, redshift};

const KILLS: u32 = 20;
/// How long all may take.
const ALL_MAX: Duration = Duration::from_secs(400);

/// Delivers the flights with this spec, and has them read back, while the process is killed.
pub(crate) fn deliver(site: &Site, spec: &str, reader: &[&str]) {
    let backup =
        format!("backup: {{s3: {{bucket: lake, endpoint: S3, prefix: refused/, {CREDENTIALS}}}}}");
    let first = site.leat(&format!(
        "apiVersion: leat.dev/v1alpha1\nkind: DeliveryStream\nmetadata: {{name: flights}}\n\
         spec:\n  {backup}\n  {spec}\n"
    ));
    first.stop().unwrap();
    let address = format!("127.0.0.1:{}", free_ports(1).unwrap()[0]);
    let start = site.start(&["--listen", &address]);
    let leat = Leat::start(&start).unwrap();
    let flights = flights();
    let args = [&[flights.to_str().unwrap(), "flights"], reader].concat();
    // Slow enough for all kills, and settled when the last window has ended.
    let mut script = site.script(&leat.endpoint(), "deliver_flights.py", &args);
    script.env("SECONDS_BETWEEN_PUTS", "0.15").env("SECONDS_TO_SETTLE", "5");
    run(leat, &start, script, KILLS).stop().unwrap();
}

/// Runs a script, which must end well, while the process is killed so often. Leat as it was started last.
pub(crate) fn run(mut leat: Leat, start: &Start, mut script: Command, kills_wanted: u32) -> Leat {
    let mut script = script.spawn().unwrap();
    let started = Instant::now();
    let mut kills = 0;
    let status = loop {
        std::thread::sleep(Duration::from_millis(rand::rng().random_range(200..1_200)));
        if let Some(status) = script.try_wait().unwrap() {
            break status;
        }
        if kills < kills_wanted {
            leat.kill();
            leat = Leat::start(start).unwrap();
            kills += 1;
        }
        if ALL_MAX < started.elapsed() {
            let _ = script.kill();
        }
    };
    assert!(status.success(), "{status} after {kills} kills\n{}", leat.log());
    assert_eq!(kills, kills_wanted, "it was over too soon");
    leat
}

/// An object for each carrier, from two shards.
pub(crate) fn by_carrier(destination: &str) -> String {
    format!(
        "source: {{directPut: {{shardCount: 2}}}}
  buffering: {{sizeMiB: 1, intervalSeconds: 2}}
  processing: {{metadataExtraction: {{query: '{{carrier: .carrier}}'}}}}
  dynamicPartitioning: {{enabled: true}}
  destination:
    {destination}"
    )
}

#[test]
fn kills_lose_and_repeat_no_flight_on_its_way_to_s3() {
    let site = Site::new();
    let spec = by_carrier(&format!(
        "s3: {{bucket: lake, endpoint: S3, prefix: 'flights/!{{partitionKeyFromQuery:carrier}}/', \
         errorOutputPrefix: errors/, {CREDENTIALS}}}"
    ));
    deliver(&site, &spec, &["json", "lake", "flights/"]);
}

#[test]
fn kills_lose_and_repeat_no_flight_on_its_way_to_opensearch() {
    let site = Site::new();
    let directory = site.directory.path().join("opensearch");
    let server = Server::search("opensearch", "2.19.4", &directory).unwrap();
    let endpoint = server.endpoint();
    let spec = format!(
        "source: {{directPut: {{shardCount: 2}}}}
  buffering: {{sizeMiB: 1, intervalSeconds: 1}}
  destination:
    opensearch: {{endpoint: '{endpoint}', indexName: flights}}"
    );
    deliver(&site, &spec, &["search", &endpoint, "flights"]);
}

#[test]
fn kills_lose_and_repeat_no_flight_on_its_way_to_iceberg() {
    let site = Site::new();
    let catalog = Server::iceberg(&site.directory.path().join("iceberg"), &site.s3).unwrap();
    let spec = iceberg::spec(&catalog, "tables: [{database: air, table: flights}]", "");
    let spec = format!(
        "source: {{directPut: {{shardCount: 2}}}}
  buffering: {{sizeMiB: 1, intervalSeconds: 1}}
  {spec}"
    );
    deliver(&site, &spec, &["iceberg", &catalog.endpoint(), "air.flights", "carrier"]);
}

#[test]
fn kills_lose_and_repeat_no_flight_on_its_way_to_redshift_by_the_data_api() {
    let site = Site::new();
    let (server, postgres) =
        redshift::start(&site, &site.directory.path().join("redshift"), "flights");
    let directory = site.directory.path().join("data-api");
    let api = Server::redshift_data(&directory, (&server, postgres)).unwrap();
    let at = "clusterIdentifier: warehouse, dbUser: loader";
    let spec = format!(
        "source: {{directPut: {{shardCount: 2}}}}
  buffering: {{sizeMiB: 1, intervalSeconds: 1}}
  {}",
        redshift::by_data_api(&api.endpoint(), at)
    );
    deliver(&site, &spec, &["postgres", &redshift::url(postgres), "flights"]);
}
