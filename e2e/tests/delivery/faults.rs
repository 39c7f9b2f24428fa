//! Each destination has a bad day: see [`e2e::bad_day`]. Meanwhile its server is killed, or its disk is
//! full, and Leat is killed.
//!
//! What was acknowledged is then in the destination or in the backup; in S3 and in search engines it is
//! there once.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use e2e::Leat;
use e2e::bad_day::{BadDay, Speaks};
use e2e::destinations::{SNOWFLAKE_PASSPHRASE, SNOWFLAKE_USER, Server, free_ports};
use e2e::small_disk::SmallDisk;

use crate::{CREDENTIALS, Site, flights, redshift, s3};

/// So many at least in each test.
const FAULTS_MIN: u32 = 20;
const FLIGHTS: u32 = 40_000;
/// At a time, and in a put.
const WRITERS: u32 = 4;
const FLIGHTS_OF_A_PUT: u32 = 500;
/// How long the puts may take.
const PUT_MAX: Duration = Duration::from_secs(180);
/// How long it may take until Leat needs more space than it has.
const FULL_MAX: Duration = Duration::from_secs(30);
/// How long servers and disks are away.
const AWAY: Duration = Duration::from_secs(6);

/// What happens while flights are put, in seconds from the start. Faults happen all the time.
const BLOWS: [(u64, Blow); 6] = [
    (3, Blow::Leat),
    (7, Blow::Server),
    (17, Blow::Leat),
    (20, Blow::Leat),
    (24, Blow::Server),
    (31, Blow::Leat),
];

#[derive(Clone, Copy)]
enum Blow {
    /// Leat is killed, and started again.
    Leat,
    /// What the test does to the server.
    Server,
}

/// Where flights are delivered to, and read.
struct Bad<'a> {
    day: BadDay,
    /// Of the delivery stream, all but the backup.
    spec: String,
    /// As `deliver_flights.py` has it.
    reader: Vec<&'a str>,
    /// Where what was refused is, as it has it.
    backup: &'a str,
    repeats: Repeats,
    /// For how long flights are put. Longer than servers are away.
    seconds: u32,
    /// What else it is to know.
    environment: Vec<(&'a str, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeats {
    Forbidden,
    Counted,
}

impl Bad<'_> {
    /// What was said of the puts.
    fn endure(&self, site: &Site, blow: &mut dyn FnMut(&Leat)) -> String {
        let backup = format!(
            "backup: {{s3: {{bucket: lake, endpoint: S3, prefix: refused/, {CREDENTIALS}}}}}"
        );
        let first = site.leat(&format!(
            "apiVersion: leat.dev/v1alpha1\nkind: DeliveryStream\nmetadata: {{name: flights}}\n\
             spec:\n  {backup}\n  source: {{directPut: {{shardCount: 4}}}}\n  {}\n",
            self.spec
        ));
        first.stop().unwrap();
        let address = format!("127.0.0.1:{}", free_ports(1).unwrap()[0]);
        let start = site.start(&["--listen", &address]);
        let mut leat = Leat::start(&start).unwrap();
        let mut put = self.script(site, &leat, "flights", &["nothing"]);
        let mut put = put.stdout(Stdio::piped()).spawn().unwrap();
        let started = Instant::now();
        for (at, what) in BLOWS {
            std::thread::sleep(Duration::from_secs(at).saturating_sub(started.elapsed()));
            match what {
                Blow::Leat => {
                    leat.kill();
                    leat = Leat::start(&start).unwrap();
                }
                Blow::Server => blow(&leat),
            }
        }
        while put.try_wait().unwrap().is_none() {
            if PUT_MAX < started.elapsed() {
                let _ = put.kill();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let put = put.wait_with_output().unwrap();
        let said = text(&put.stdout);
        assert!(put.status.success(), "{said}\n{}", leat.log());
        let read = self.script(site, &leat, "-", &self.reader).output().unwrap();
        let (out, err) = (text(&read.stdout), text(&read.stderr));
        let dealt = self.day.dealt();
        eprintln!("{}: {said}{out}  of faults, {dealt:?}", self.reader[0]);
        assert!(read.status.success(), "{err}\n{}", leat.log());
        assert!(dealt.values().all(|times| 0 < *times), "some fault did not happen: {dealt:?}");
        assert!(FAULTS_MIN <= dealt.values().sum(), "too few faults: {dealt:?}");
        leat.stop().unwrap();
        said
    }

    fn script(&self, site: &Site, leat: &Leat, stream: &str, reader: &[&str]) -> Command {
        let flights = flights();
        let args = [&[flights.to_str().unwrap(), stream], reader].concat();
        let mut script = site.script(&leat.endpoint(), "deliver_flights.py", &args);
        let puts = FLIGHTS / FLIGHTS_OF_A_PUT / WRITERS;
        let pause = f64::from(self.seconds) / f64::from(puts);
        script.env("FLIGHTS", FLIGHTS.to_string()).env("SECONDS_BETWEEN_PUTS", pause.to_string());
        script.env("ACKNOWLEDGED", site.directory.path().join("acknowledged.json"));
        script.env("BACKUP", self.backup).env("SECONDS_TO_SETTLE", "4");
        if self.repeats == Repeats::Counted {
            script.env("REPEATS", "counted");
        }
        script.envs(self.environment.iter().cloned());
        script
    }
}

/// Kills the server, and starts it again after a while.
fn kill(server: &mut Server) {
    server.kill();
    std::thread::sleep(AWAY);
    server.restart().unwrap();
}

/// To a server with S3 whose disk is full the first time, and which is killed then and the second time.
fn to_s3(prefix: &str, reader: &str, seed: u64, spec: &str) {
    let site = Site::new();
    let directory = site.directory.path().join("far");
    // Else it is only killed.
    let disk = SmallDisk::mount(&directory, 512);
    let disk = disk.inspect_err(|error| eprintln!("SKIPPED: no full disk: {error}")).ok();
    let mut server = Server::s3(&directory).unwrap();
    server.create_bucket("lake");
    let day = BadDay::before(server.port(), Speaks::Http, seed).unwrap();
    let endpoint = format!("http://127.0.0.1:{}", day.port());
    let bad = Bad {
        spec: format!(
            "{spec}
  destination:
    s3: {{bucket: lake, endpoint: '{endpoint}', prefix: '{prefix}', errorOutputPrefix: errors/, {CREDENTIALS}}}"
        ),
        reader: vec![reader, "lake", "flights/"],
        backup: "",
        repeats: Repeats::Forbidden,
        seconds: 35,
        environment: vec![("AWS_ENDPOINT_URL_S3", server.endpoint())],
        day,
    };
    let mut full_disks = disk.iter();
    bad.endure(&site, &mut |leat| {
        if let Some(disk) = full_disks.next() {
            disk.fill().unwrap();
            std::thread::sleep(AWAY);
            disk.free().unwrap();
            // The server's own words.
            assert!(leat.log().contains("InternalError"), "{}", leat.log());
        }
        kill(&mut server);
    });
    drop(server);
}

#[test]
fn bad_days_lose_and_repeat_no_flight_on_its_way_to_s3_by_partition() {
    let spec = "buffering: {sizeMiB: 1, intervalSeconds: 2}
  processing: {metadataExtraction: {query: '{origin: .origin}'}}
  dynamicPartitioning: {enabled: true}";
    to_s3("flights/!{partitionKeyFromQuery:origin}/", "json", 1, spec);
}

#[test]
fn bad_days_lose_and_repeat_no_flight_on_its_way_to_s3_as_parquet() {
    let columns = s3::columns("{parquet: {}}");
    let spec = format!("buffering: {{sizeMiB: 64, intervalSeconds: 0}}\n  {columns}");
    to_s3("flights/", "parquet", 2, &spec);
}

#[test]
fn while_its_own_disk_is_full_leat_refuses_records_and_loses_none() {
    let site = Site::new();
    let Ok(disk) = SmallDisk::mount(&site.directory.path().join("data"), 64) else {
        eprintln!("SKIPPED: it takes root to mount a small disk");
        return;
    };
    let day = BadDay::before(site.s3.port(), Speaks::Http, 10).unwrap();
    let endpoint = format!("http://127.0.0.1:{}", day.port());
    let bad = Bad {
        spec: format!(
            "buffering: {{sizeMiB: 1, intervalSeconds: 1}}
  destination:
    s3: {{bucket: lake, endpoint: '{endpoint}', prefix: flights/, errorOutputPrefix: errors/, {CREDENTIALS}}}"
        ),
        reader: vec!["json", "lake", "flights/"],
        backup: "",
        repeats: Repeats::Forbidden,
        seconds: 35,
        environment: Vec::new(),
        day,
    };
    let said = bad.endure(&site, &mut |leat| {
        disk.fill().unwrap();
        // It has some space of its own left.
        let started = Instant::now();
        let is_full = r#"leat_shard_unwritable{cause="DiskFull"} 0"#;
        while leat.get("/metrics").unwrap().contains(is_full) && started.elapsed() < FULL_MAX {
            std::thread::sleep(Duration::from_millis(100));
        }
        std::thread::sleep(AWAY);
        disk.free().unwrap();
    });
    assert!(said.contains("ServiceUnavailableException"), "{said}");
    assert!(said.contains("disk"), "{said}");
}

fn to_search_engine(kind: &str, version: &str, seed: u64) {
    let site = Site::new();
    let mut server = Server::search(kind, version, &site.directory.path().join(kind)).unwrap();
    let day = BadDay::before(server.port(), Speaks::Bulk, seed).unwrap();
    let endpoint = server.endpoint();
    let bad = Bad {
        spec: format!(
            "buffering: {{sizeMiB: 1, intervalSeconds: 1}}
  retryDurationSeconds: 30
  destination:
    {kind}: {{endpoint: 'http://127.0.0.1:{}', indexName: flights}}",
            day.port()
        ),
        reader: vec!["search", &endpoint, "flights"],
        backup: "refused lake refused/",
        repeats: Repeats::Forbidden,
        seconds: 60,
        environment: Vec::new(),
        day,
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

/// It keeps what it took in memory for a second, so it is not killed, but told to end.
fn end(collector: &mut Server) {
    collector.stop().unwrap();
    std::thread::sleep(AWAY);
    collector.restart().unwrap();
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
        day,
    };
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
        day,
    };
    // Once: it forgets what it was to acknowledge, and that is waited for, not less than three minutes.
    let mut servers = Some(&mut server).into_iter();
    bad.endure(&site, &mut |_| servers.next().into_iter().for_each(end));
}

#[test]
fn bad_days_lose_no_flight_on_its_way_to_redshift() {
    let site = Site::new();
    let directory = site.directory.path().join("redshift");
    let (mut server, postgres) = redshift::start(&site, &directory);
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
        day,
    };
    bad.endure(&site, &mut |_| kill(&mut server));
}

#[test]
fn bad_days_lose_and_repeat_no_flight_on_its_way_to_redshift_by_the_data_api() {
    let site = Site::new();
    let (redshift, postgres) = redshift::start(&site, &site.directory.path().join("redshift"));
    let directory = site.directory.path().join("data-api");
    let mut server = Server::redshift_data(&directory, (&redshift, postgres)).unwrap();
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
        day,
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
    // There has to be a table.
    let flights = flights();
    let args = [&[flights.to_str().unwrap(), "-"], &reader[..]].concat();
    let made = site.script("", "deliver_flights.py", &args).env("FLIGHTS", "0").status().unwrap();
    assert!(made.success());
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
        day,
    };
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
