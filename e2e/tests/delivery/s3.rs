//! Objects in an S3 server.

use crate::{CREDENTIALS, Site, flights};

fn deliver(reader: &str, spec: &str, s3: &str) {
    let site = Site::new();
    let yaml = format!(
        "apiVersion: leat.dev/v1alpha1
kind: DeliveryStream
metadata: {{name: flights}}
spec:
  buffering: {{sizeMiB: 16, intervalSeconds: 5}}
  {spec}
  destination:
    s3: {{bucket: lake, endpoint: S3, prefix: flights/, {s3}, {CREDENTIALS}}}
"
    );
    let leat = site.leat(&yaml);
    let flights = flights();
    let args = [flights.to_str().unwrap(), "flights", reader, "lake", "flights/"];
    site.python(&leat, "deliver_flights.py", &args);
    leat.stop().unwrap();
}

#[test]
fn flights_arrive_in_s3_as_compressed_json() {
    deliver("json", "", "compression: GZIP");
}

#[test]
fn flights_arrive_in_s3_as_parquet() {
    let columns = "number year month day dep_time sched_dep_time arr_time sched_arr_time flight distance hour minute \
        dep_delay arr_delay air_time";
    let number = |name| format!("{{name: {name}, type: int}}");
    let text = |name| format!("{{name: {name}, type: string}}");
    let columns = columns.split_whitespace().map(number);
    let texts = ["carrier", "tailnum", "origin", "dest", "time_hour"].into_iter().map(text);
    let columns: Vec<String> = columns.chain(texts).collect();
    let conversion = format!("formatConversion: {{schema: {{columns: [{}]}}}}", columns.join(", "));
    deliver("parquet", &conversion, "errorOutputPrefix: errors/");
}
