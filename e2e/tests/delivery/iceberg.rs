//! Rows of tables, through Apache Iceberg's own REST catalog, read by pyiceberg.

use e2e::destinations::Server;

use crate::{CREDENTIALS, Site};

/// A delivery stream's spec: to this table, with more of the destination.
pub(crate) fn spec(catalog: &Server, table: &str, more: &str) -> String {
    format!(
        "destination:
    iceberg:
      catalog: {{rest: {{uri: '{}'}}}}
      s3: {{endpoint: S3, {CREDENTIALS}}}
      {table}
      {more}",
        catalog.endpoint()
    )
}

/// Flights arrive, in a table with these partitions.
fn check(table: &str, more: &str, partitions: &[&str]) {
    let site = Site::new();
    let catalog = Server::iceberg(&site.directory.path().join("iceberg"), &site.s3).unwrap();
    let spec = spec(&catalog, table, more);
    let spec = format!("buffering: {{sizeMiB: 16, intervalSeconds: 5}}\n  {spec}");
    let endpoint = catalog.endpoint();
    site.deliver(&spec, &[&["iceberg", &endpoint, "air.flights"], partitions].concat());
}

#[test]
fn flights_arrive_in_iceberg() {
    check("tables: [{database: air, table: flights}]", "", &[]);
}

#[test]
fn flights_arrive_in_partitions_of_iceberg() {
    check(
        "routing: {database: '\"air\"', table: '\"flights\"'}",
        "",
        &["origin", "bucket[2]:tailnum", "month:time_hour"],
    );
}

#[test]
fn flights_arrive_in_a_table_that_is_made_for_them() {
    let table = "tables: [{database: air, table: flights, partitionBy: [carrier]}]";
    check(table, "tableCreation: true", &["new"]);
}

#[test]
fn every_type_of_a_table_comes_back_as_it_was_put() {
    let site = Site::new();
    let catalog = Server::iceberg(&site.directory.path().join("iceberg"), &site.s3).unwrap();
    let spec =
        spec(&catalog, "tables: [{database: all, table: types, errorOutputPrefix: types/}]", "");
    let leat = site.leat(&format!(
        "apiVersion: leat.dev/v1alpha1\nkind: DeliveryStream\nmetadata: {{name: types}}\n\
         spec:\n  buffering: {{intervalSeconds: 1}}\n  \
         backup: {{s3: {{bucket: lake, endpoint: S3, errorOutputPrefix: refused/, {CREDENTIALS}}}}}\n  {spec}\n"
    ));
    site.python(&leat, "iceberg_types.py", &["types", &catalog.endpoint(), "all.types"]);
    leat.stop().unwrap();
}
