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

/// The columns of the flights, and this about the files.
pub(crate) fn columns(output: &str) -> String {
    let numbers = "number year month day dep_time sched_dep_time arr_time sched_arr_time flight distance hour minute \
        dep_delay arr_delay air_time again";
    let texts = "carrier tailnum origin dest time_hour";
    let column = |type_| move |name| format!("{{name: {name}, type: {type_}}}");
    let numbers = numbers.split_whitespace().map(column("int"));
    let columns: Vec<String> =
        numbers.chain(texts.split_whitespace().map(column("string"))).collect();
    let columns = columns.join(", ");
    format!("formatConversion: {{output: {output}, schema: {{columns: [{columns}]}}}}")
}

#[test]
fn flights_arrive_in_s3_as_parquet() {
    deliver("parquet", &columns("{parquet: {}}"), "errorOutputPrefix: errors/");
}

#[test]
fn flights_arrive_in_s3_as_orc() {
    deliver("orc", &columns("{orc: {}}"), "errorOutputPrefix: errors/");
}
