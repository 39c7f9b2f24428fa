//! Objects in S3, and in the emulators of Google's and Azure's stores.

use e2e::Leat;
use e2e::bad_day::{BadDay, Speaks};
use e2e::destinations::Server;

use super::{BLOWS, Bad, Repeats, end, fill, kill, small_disk, through};
use crate::buckets::{self, Emulator};
use crate::{CREDENTIALS, Site, s3};

/// Its disk is full the first time; then, and the second time, it is killed.
fn to_s3(prefix: &str, reader: &str, seed: u64, spec: &str) {
    let site = Site::new();
    let directory = site.directory.path().join("far");
    let disk = small_disk(&directory, 512);
    let mut server = Server::s3(&directory).unwrap();
    server.create_bucket("lake");
    let day = BadDay::before(server.port(), Speaks::Http, seed).unwrap();
    let destination = format!(
        "s3: {{bucket: lake, endpoint: '{}', prefix: '{prefix}', errorOutputPrefix: errors/, {CREDENTIALS}}}",
        server.endpoint()
    );
    let bad = Bad {
        spec: format!("{spec}\n  destination:\n    {}", through(&day, &server, &destination)),
        reader: vec![reader, "lake", "flights/"],
        backup: "",
        repeats: Repeats::Forbidden,
        seconds: 35,
        environment: vec![("AWS_ENDPOINT_URL_S3", server.endpoint())],
        days: vec![day],
        blows: &BLOWS,
    };
    let mut full_disks = disk.iter();
    bad.endure(&site, &mut |leat| {
        if let Some(disk) = full_disks.next() {
            // The server's own words.
            fill(disk, || leat.log().contains("InternalError"));
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

/// To an emulator, to which this happens.
fn to_emulator(
    site: &Site,
    emulator: Emulator,
    seed: u64,
    blow: &mut dyn FnMut(&Leat, &mut Server),
) {
    let Emulator { mut server, destination, bucket } = emulator;
    let day = BadDay::before(server.port(), Speaks::Http, seed).unwrap();
    let bad = Bad {
        spec: format!(
            "buffering: {{sizeMiB: 1, intervalSeconds: 1}}
  destination:
    {}, prefix: flights/, errorOutputPrefix: errors/, compression: GZIP}}",
            through(&day, &server, &destination)
        ),
        reader: vec!["json", &bucket, "flights/"],
        backup: "",
        repeats: Repeats::Forbidden,
        seconds: 35,
        environment: Vec::new(),
        days: vec![day],
        blows: &BLOWS,
    };
    bad.endure(site, &mut |leat| blow(leat, &mut server));
}

#[test]
fn bad_days_lose_and_repeat_no_flight_on_its_way_to_google_cloud_storage() {
    let site = Site::new();
    let disk = small_disk(&site.directory.path().join("gcs"), 128);
    let mut full_disks = disk.iter();
    to_emulator(&site, buckets::google(&site), 11, &mut |leat, server| {
        if let Some(disk) = full_disks.next() {
            fill(disk, || leat.log().contains("no space left on device"));
        }
        kill(server);
    });
}

#[test]
fn bad_days_lose_and_repeat_no_flight_on_its_way_to_azure_blob_storage() {
    let site = Site::new();
    // It keeps in memory for five seconds what blobs there are.
    to_emulator(&site, buckets::azure(&site), 12, &mut |_, server| end(server));
}
