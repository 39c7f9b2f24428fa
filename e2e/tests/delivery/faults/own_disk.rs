//! Leat's own disk is full. That, and kills, is all that happens on the way to another Stream: it is in the same
//! process, or in pods of the same cluster, where no HTTP is between.

use e2e::Leat;
use e2e::bad_day::{BadDay, Speaks};

use super::{BLOWS, Bad, Blow, FAULTS_MIN, Repeats, fill, small_disk};
use crate::{CREDENTIALS, Site, stream};

/// Whether the metrics say that a shard takes nothing because the disk is full.
fn is_full(leat: &Leat) -> bool {
    let none = r#"leat_shard_unwritable{cause="DiskFull"} 0"#;
    !leat.get("/metrics").unwrap().contains(none)
}

#[test]
fn while_its_own_disk_is_full_leat_refuses_records_and_loses_none() {
    let site = Site::new();
    let Some(disk) = small_disk(&site.directory.path().join("data"), 64) else { return };
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
        days: vec![day],
        blows: &BLOWS,
    };
    let said = bad.endure(&site, &mut |leat| fill(&disk, || is_full(leat)));
    assert!(said.contains("ServiceUnavailableException"), "{said}");
    assert!(said.contains("disk"), "{said}");
}

/// As the others, in seconds from the start; the disk is Leat's.
const BLOWS_TO_STREAM: [(u64, Blow); FAULTS_MIN as usize] = [
    (3, Blow::Leat),
    (5, Blow::Leat),
    (7, Blow::Leat),
    (9, Blow::Server),
    (20, Blow::Leat),
    (22, Blow::Leat),
    (24, Blow::Leat),
    (26, Blow::Leat),
    (28, Blow::Leat),
    (30, Blow::Leat),
    (32, Blow::Server),
    (43, Blow::Leat),
    (45, Blow::Leat),
    (47, Blow::Leat),
    (49, Blow::Leat),
    (51, Blow::Leat),
    (53, Blow::Server),
    (64, Blow::Leat),
    (66, Blow::Leat),
    (68, Blow::Leat),
];

#[test]
fn bad_days_lose_no_flight_on_its_way_to_another_stream() {
    let site = Site::new();
    let Some(disk) = small_disk(&site.directory.path().join("data"), 128) else { return };
    let bad = Bad {
        spec: format!(
            "buffering: {{sizeMiB: 1, intervalSeconds: 1}}
  destination:
    stream: {{name: target}}
---
{}",
            stream::TARGET
        ),
        reader: vec!["stream", "target"],
        backup: "refused lake refused/",
        repeats: Repeats::Counted,
        seconds: 75,
        environment: Vec::new(),
        days: Vec::new(),
        blows: &BLOWS_TO_STREAM,
    };
    let said = bad.endure(&site, &mut |leat| fill(&disk, || is_full(leat)));
    assert!(said.contains("disk"), "{said}");
}
