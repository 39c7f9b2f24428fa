//! Rows of tables, through Apache Iceberg's own REST catalog, read by pyiceberg, and by Apache's own reader in
//! Java where rows are taken out.

use std::path::Path;
use std::process::Command;

use e2e::destinations::{Server, free_ports, iceberg_reader};
use e2e::{Leat, Start};

use crate::{CREDENTIALS, Site, flights, kills};

const KILLS: u32 = 10;

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

/// A site with a catalog, and Leat with a delivery stream `flights` to the table `air.flights`.
struct Changing {
    site: Site,
    catalog: Server,
    start: Start,
    leat: Leat,
}

impl Changing {
    fn new(table: &str, more: &str) -> Changing {
        let site = Site::new();
        let catalog = Server::iceberg(&site.directory.path().join("iceberg"), &site.s3).unwrap();
        let spec = spec(&catalog, table, more);
        let first = site.leat(&format!(
            "apiVersion: leat.dev/v1alpha1\nkind: DeliveryStream\nmetadata: {{name: flights}}\n\
             spec:\n  buffering: {{sizeMiB: 1, intervalSeconds: 1}}\n  \
             backup: {{s3: {{bucket: lake, endpoint: S3, errorOutputPrefix: refused/, {CREDENTIALS}}}}}\n  {spec}\n"
        ));
        first.stop().unwrap();
        let address = format!("127.0.0.1:{}", free_ports(1).unwrap()[0]);
        let start = site.start(&["--listen", &address]);
        let leat = Leat::start(&start).unwrap();
        Changing { site, catalog, start, leat }
    }

    /// `iceberg_changes.py`, to do this.
    fn script(&self, what: &str, partitions: &[&str]) -> Command {
        let (flights, catalog) = (flights(), self.catalog.endpoint());
        let args = [what, flights.to_str().unwrap(), "flights", &catalog, "air.flights"];
        let args = [&args, partitions].concat();
        let mut script = self.site.script(&self.leat.endpoint(), "iceberg_changes.py", &args);
        script.env("ICEBERG_READER", iceberg_reader().unwrap());
        script
    }

    fn run(&self, what: &str, partitions: &[&str]) {
        let status = self.script(what, partitions).status().unwrap();
        assert!(status.success(), "{status}\n{}", self.leat.log());
    }

    /// Runs the script while Leat is killed again and again.
    fn run_under_kills(mut self, what: &str) -> Changing {
        let mut script = self.script(what, &[]);
        script.env("SECONDS_BETWEEN_PUTS", "0.2").env("SECONDS_TO_SETTLE", "5");
        self.leat = kills::run(self.leat, &self.start, script, KILLS);
        self
    }

    fn stop(self) {
        self.leat.stop().unwrap();
    }
}

#[test]
fn kills_leave_flights_in_iceberg_as_their_changes_say() {
    let table = "tables: [{database: air, table: flights, uniqueKeys: [number]}]";
    let changing = Changing::new(table, "routing: {operation: .op}");
    changing.run("insert", &[]);
    changing.run_under_kills("change").stop();
}

#[test]
fn changes_move_flights_between_partitions_of_iceberg() {
    let table = "tables: [{database: air, table: flights, uniqueKeys: [number]}]";
    let changing = Changing::new(table, "routing: {operation: .op}");
    changing.run("insert", &["carrier", "bucket[2]:number"]);
    changing.run("change", &[]);
    changing.stop();
}

#[test]
fn tables_of_iceberg_grow_with_what_records_hold() {
    let table = "tables: [{database: air, table: flights}]";
    let changing = Changing::new(table, "schemaEvolution: true");
    changing.run("grow", &[]);
    changing.stop();
}

#[test]
fn the_example_of_orders_is_carried_out() {
    let site = Site::new();
    let catalog = Server::iceberg(&site.directory.path().join("iceberg"), &site.s3).unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/examples/deliverystream.yaml");
    let examples = std::fs::read_to_string(file).unwrap();
    let example = examples.split("---\n").find(|text| text.contains("name: orders-to-iceberg"));
    // As it is, but for where the servers are and how soon it delivers.
    let example = example.unwrap().trim_end();
    let replaced = [
        ("http://polaris.lake:8181/api/catalog", catalog.endpoint()),
        ("      tables:\n", format!("      s3: {{endpoint: S3, {CREDENTIALS}}}\n      tables:\n")),
        ("{bucket: refused, ", format!("{{bucket: lake, endpoint: S3, {CREDENTIALS}, ")),
    ];
    let example = replaced.iter().fold(example.to_owned(), |example, (from, to)| {
        assert!(example.contains(from), "{from} is not in {example}");
        example.replace(from, to)
    });
    let leat = site.leat(&format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: polaris}}\nstringData: {{credential: 'id:secret'}}\n---\n\
         apiVersion: leat.dev/v1alpha1\nkind: Stream\nmetadata: {{name: orders}}\nspec: {{shardCount: 2}}\n---\n\
         {example}\n  buffering: {{intervalSeconds: 2}}\n"
    ));
    let mut script = site.script(&leat.endpoint(), "iceberg_orders.py", &[&catalog.endpoint()]);
    let status = script.env("ICEBERG_READER", iceberg_reader().unwrap()).status().unwrap();
    assert!(status.success(), "{status}\n{}", leat.log());
    leat.stop().unwrap();
}
