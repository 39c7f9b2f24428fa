//! Few large objects out of many small ones.

use e2e::Leat;

use crate::{CREDENTIALS, Site, buckets, kills, s3};

/// From two shards, an object for each carrier and second. `destination` lacks its end.
fn spec(more: &str, destination: &str) -> String {
    format!(
        "source: {{directPut: {{shardCount: 2}}}}
  buffering: {{sizeMiB: 1, intervalSeconds: 1}}
  compaction: {{ageSecondsMin: 0, intervalSeconds: 60, targetSizeMiB: 64}}
  processing: {{metadataExtraction: {{query: '{{carrier: .carrier}}'}}}}
  dynamicPartitioning: {{enabled: true}}
  {more}
  destination:
    {destination}, prefix: 'flights/!{{partitionKeyFromQuery:carrier}}/', errorOutputPrefix: errors/}}"
    )
}

/// What is left is merged at the next start: up to five objects for each of the 16 carriers stay.
fn is_merged(site: &Site, reader: &str, bucket: &str) {
    let leat = Leat::start(&site.start(&[])).unwrap();
    let flights = crate::flights();
    let args = [flights.to_str().unwrap(), "-", reader, bucket, "flights/", "80"];
    site.python(&leat, "deliver_flights.py", &args);
    leat.stop().unwrap();
}

/// Leat is killed while it merges, and goes on at each start with what it was at.
fn merge_and_kill(more: &str, reader: &str) {
    let site = Site::new();
    let s3 = format!("s3: {{bucket: lake, endpoint: S3, {CREDENTIALS}");
    kills::deliver(&site, &spec(more, &s3), &[reader, "lake", "flights/"]);
    is_merged(&site, reader, "lake");
}

#[test]
fn kills_lose_and_repeat_no_flight_while_objects_of_json_are_merged() {
    // Those of the large carriers get large enough to be written in parts.
    merge_and_kill("", "json");
}

#[test]
fn kills_lose_and_repeat_no_flight_while_parquet_files_are_merged() {
    merge_and_kill(&s3::columns("{parquet: {}}"), "parquet");
}

fn merge(site: &Site, to: &buckets::Emulator, compression: &str) {
    let destination = format!("{}, compression: {compression}", to.destination);
    site.deliver(&spec("", &destination), &["json", &to.bucket, "flights/"]);
    is_merged(site, "json", &to.bucket);
}

#[test]
fn objects_are_merged_in_google_cloud_storage() {
    let site = Site::new();
    // Small: the emulator takes no uploads in parts.
    merge(&site, &buckets::google(&site), "GZIP");
}

#[test]
fn objects_are_merged_in_azure_blob_storage() {
    let site = Site::new();
    merge(&site, &buckets::azure(&site), "UNCOMPRESSED");
}
