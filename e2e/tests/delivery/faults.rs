//! Each destination has a bad day: see [`e2e::bad_day`]. Meanwhile its server is killed, or its disk is
//! full, and Leat is killed.
//!
//! What was acknowledged is then in the destination or in the backup; in object stores, in search engines and
//! in Iceberg it is there once.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use e2e::Leat;
use e2e::bad_day::BadDay;
use e2e::destinations::{Server, free_ports};
use e2e::small_disk::SmallDisk;

use crate::{CREDENTIALS, Site, flights};

mod buckets;
mod own_disk;
mod requests;
mod tables;

/// So many at least in each test, between Leat and each server.
const FAULTS_MIN: u32 = 20;
const FLIGHTS: u32 = 40_000;
/// At a time, and in a put.
const WRITERS: u32 = 4;
const FLIGHTS_OF_A_PUT: u32 = 500;
/// How long the puts may take.
const PUT_MAX: Duration = Duration::from_secs(180);
/// How long it may take until somebody needs more space than there is: some have a little of their own left.
const FULL_MAX: Duration = Duration::from_secs(60);
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
    /// One for each server.
    days: Vec<BadDay>,
    blows: &'a [(u64, Blow)],
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
    /// What was said of the puts. `blow` is what happens to the server.
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
        let mut put = Putting(put.stdout(Stdio::piped()).spawn().unwrap());
        let started = Instant::now();
        for &(at, what) in self.blows {
            std::thread::sleep(Duration::from_secs(at).saturating_sub(started.elapsed()));
            match what {
                Blow::Leat => {
                    leat.kill();
                    leat = Leat::start(&start).unwrap();
                }
                Blow::Server => blow(&leat),
            }
        }
        let status = loop {
            if let Some(status) = put.0.try_wait().unwrap() {
                break status;
            }
            if PUT_MAX < started.elapsed() {
                let _ = put.0.kill();
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        let said = std::io::read_to_string(put.0.stdout.take().unwrap()).unwrap();
        assert!(status.success(), "{said}\n{}", leat.log());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let read = self.script(site, &leat, "-", &self.reader).output().unwrap();
        let (out, err) = (text(&read.stdout), text(&read.stderr));
        let days: Vec<_> = self.days.iter().map(BadDay::dealt).collect();
        eprintln!("{}: {said}{out}  of faults, {days:?}", self.reader[0]);
        assert!(read.status.success(), "{err}\n{}", leat.log());
        for dealt in days {
            assert!(dealt.values().all(|times| 0 < *times), "some fault did not happen: {dealt:?}");
            assert!(FAULTS_MIN <= dealt.values().sum(), "too few faults: {dealt:?}");
        }
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

/// The script that puts: without an end, if Leat is gone.
struct Putting(Child);

impl Drop for Putting {
    fn drop(&mut self) {
        // It has ended by itself, unless the test failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Kills the server, and starts it again after a while.
fn kill(server: &mut Server) {
    server.kill();
    std::thread::sleep(AWAY);
    server.restart().unwrap();
}

/// Has the server end, and starts it again after a while: for those that do not keep at once what they took.
fn end(server: &mut Server) {
    server.stop().unwrap();
    std::thread::sleep(AWAY);
    server.restart().unwrap();
}

/// A disk that can be filled, if there is the right to mount one.
fn small_disk(at: &Path, size_mib: u32) -> Option<SmallDisk> {
    let disk = SmallDisk::mount(at, size_mib);
    disk.inspect_err(|error| eprintln!("SKIPPED: no full disk: {error}")).ok()
}

/// Fills a disk until it shows, and for a while after that.
fn fill(disk: &SmallDisk, shows: impl Fn() -> bool) {
    disk.fill().unwrap();
    let started = Instant::now();
    while !shows() {
        assert!(started.elapsed() < FULL_MAX, "a full disk does not show");
        std::thread::sleep(Duration::from_millis(100));
    }
    std::thread::sleep(AWAY);
    disk.free().unwrap();
}

/// What a delivery stream's spec says of a server, by way of a proxy.
fn through(day: &BadDay, server: &Server, spec: &str) -> String {
    assert!(spec.contains(&server.endpoint()), "{spec}");
    spec.replace(&server.endpoint(), &format!("http://127.0.0.1:{}", day.port()))
}
