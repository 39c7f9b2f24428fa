//! A bad day of a delivery stream on Kubernetes: its pods, those of its Stream, a node's network, the API server and the
//! destination go away and come back, again and again.

use std::process::Command;
use std::time::Duration;

use super::{Away, Cut};
use crate::deliveries::{Site, flights, kill, python, succeeds};
use crate::installed;

const FLIGHTS: u32 = 60_000;
/// In a put, and at a time.
const FLIGHTS_OF_A_PUT: u32 = 500;
const WRITERS: u32 = 4;
/// How long something is away, and how long nothing is afterwards.
const AWAY: Duration = Duration::from_secs(4);
const PAUSE: Duration = Duration::from_secs(2);
/// Blows at processes that were not there, for an earlier one had struck them.
const MISSED_MAX: usize = 2;
/// For how long flights are put at least: as long as blows fall.
const PUT_SECONDS: u32 = 130;

#[derive(Clone, Copy)]
enum Blow {
    /// The process of a delivery pod is killed, and started again where it was.
    Process(u8),
    /// A delivery pod is deleted by force: another takes its name, while the first may go on for a while.
    Pod(u8),
    /// A pod of the Stream that holds what was put is killed.
    Source,
    /// node-2 is off the network.
    Network,
    /// The destination is killed.
    Destination,
    /// The API server does not run.
    ApiServer,
}

const BLOWS: [Blow; 22] = [
    Blow::Process(0),
    Blow::Network,
    Blow::Pod(1),
    Blow::Source,
    Blow::Destination,
    Blow::Process(2),
    Blow::Pod(0),
    Blow::Network,
    Blow::ApiServer,
    Blow::Process(1),
    Blow::Pod(2),
    Blow::Destination,
    Blow::Network,
    Blow::Process(0),
    Blow::Source,
    Blow::Pod(1),
    Blow::ApiServer,
    Blow::Process(2),
    Blow::Network,
    Blow::Pod(0),
    Blow::Source,
    Blow::Process(1),
];

/// Whether it struck.
fn strike(site: &mut Site, blow: Blow) -> bool {
    let cluster = &installed().cluster;
    let namespace = site.fixture.namespace.name();
    let pod = |ordinal: u8| format!("flights-delivery-{ordinal}");
    match blow {
        // One that is not there at the moment is dead already.
        Blow::Process(ordinal) => return cluster.kill_pod(namespace, &pod(ordinal)).is_ok(),
        Blow::Source => return cluster.kill_pod(namespace, "flights-delivery-stream-0").is_ok(),
        Blow::Pod(ordinal) => kill(site, &pod(ordinal)),
        Blow::Network => {
            let _cut = Cut::new();
            std::thread::sleep(AWAY);
        }
        Blow::ApiServer => {
            let _away = Away::new();
            std::thread::sleep(AWAY);
        }
        Blow::Destination => {
            site.s3.kill();
            std::thread::sleep(AWAY);
            site.s3.restart().unwrap();
        }
    }
    true
}

/// `deliver_flights.py`, which notes what was acknowledged and then looks for just that.
fn script(site: &Site, stream: &str, reader: &[&str]) -> Command {
    let mut script = python(&site.fixture, "deliver_flights.py");
    script.arg(flights()).arg(stream).args(reader);
    script.env("AWS_ENDPOINT_URL_S3", site.s3.endpoint()).env("FLIGHTS", FLIGHTS.to_string());
    script.env("ACKNOWLEDGED", site.directory.path().join("acknowledged.json"));
    let pause = f64::from(PUT_SECONDS) / f64::from(FLIGHTS / FLIGHTS_OF_A_PUT / WRITERS);
    script.env("SECONDS_BETWEEN_PUTS", pause.to_string()).env("SECONDS_TO_SETTLE", "10");
    script
}

#[test]
fn bad_days_lose_and_repeat_no_flight_on_its_way_to_s3() {
    let mut site = Site::new("bad-day");
    let destination = site.destination("flights/");
    let spec = format!(
        "{{source: {{directPut: {{shardCount: 3}}}}, replicas: 3, \
         buffering: {{sizeMiB: 1, intervalSeconds: 3}}, destination: {destination}}}"
    );
    site.apply("flights", &spec);
    site.wait_for_ready("flights");
    let mut putting = script(&site, "flights", &["nothing"]).spawn().unwrap();
    let mut struck = 0;
    for blow in BLOWS {
        std::thread::sleep(PAUSE);
        struck += usize::from(strike(&mut site, blow));
    }
    eprintln!("{struck} of {} blows struck", BLOWS.len());
    assert!(BLOWS.len() - MISSED_MAX <= struck, "{struck} of {} blows struck", BLOWS.len());
    let is_putting = putting.try_wait().unwrap().is_none();
    succeeds(putting);
    assert!(is_putting, "the last blows fell when everything was put: they take longer now");
    succeeds(script(&site, "-", &["json", "lake", "flights/"]).spawn().unwrap());
}
