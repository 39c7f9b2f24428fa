//! Few large objects out of many small ones.

use crate::{CREDENTIALS, Site, kills, s3};

/// Leat is killed while it makes one large object of many small ones, in a folder for each carrier, and
/// starts each time with what it was at.
fn compact(spec: &str, s3: &str, reader: &str) {
    let site = Site::new();
    let spec = format!(
        "source: {{directPut: {{shardCount: 2}}}}
  buffering: {{sizeMiB: 1, intervalSeconds: 1}}
  compaction: {{ageSecondsMin: 0, intervalSeconds: 60, targetSizeMiB: 64}}
  processing: {{metadataExtraction: {{query: '{{carrier: .carrier}}'}}}}
  dynamicPartitioning: {{enabled: true}}
  {spec}
  destination:
    s3:
      {{bucket: lake, endpoint: S3, prefix: 'flights/!{{partitionKeyFromQuery:carrier}}/',
      errorOutputPrefix: errors/, {s3} {CREDENTIALS}}}"
    );
    kills::deliver(&site, &spec, &[reader, "lake", "flights/"]);
    // What is left is merged at the next start: up to five objects for each of the 16 carriers.
    let leat = e2e::Leat::start(&site.start(&[])).unwrap();
    let flights = crate::flights();
    let args = [flights.to_str().unwrap(), "-", reader, "lake", "flights/", "80"];
    site.python(&leat, "deliver_flights.py", &args);
    leat.stop().unwrap();
}

#[test]
fn kills_lose_and_repeat_no_flight_while_compressed_objects_are_merged() {
    compact("", "compression: GZIP,", "json");
}

#[test]
fn kills_lose_and_repeat_no_flight_while_parquet_files_are_merged() {
    compact(&s3::columns("{parquet: {}}"), "", "parquet");
}
