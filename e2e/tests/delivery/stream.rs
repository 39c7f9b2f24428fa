//! Records in another Stream.

use crate::{Site, kills};

pub(crate) const TARGET: &str = "apiVersion: leat.dev/v1alpha1
kind: Stream
metadata: {name: target}
spec: {shardCount: 4}
";

#[test]
fn flights_arrive_in_another_stream_by_the_partition_key_of_a_query() {
    let site = Site::new();
    let spec = format!(
        "buffering: {{sizeMiB: 1, intervalSeconds: 1}}
  destination:
    stream: {{name: target, partitionKeyQuery: .carrier}}
---
{TARGET}"
    );
    site.deliver(&spec, &["stream", "target", "carrier"]);
}

#[test]
fn kills_lose_no_flight_on_its_way_to_another_stream() {
    let site = Site::new();
    let spec = format!(
        "buffering: {{sizeMiB: 1, intervalSeconds: 1}}
  destination:
    stream: {{name: target}}
---
{TARGET}"
    );
    kills::deliver(&site, &spec, &["stream-repeating", "target"]);
}
