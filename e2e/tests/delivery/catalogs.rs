//! Columns as catalogs describe them: moto's AWS Glue, and Apache Iceberg's own REST catalog.

use std::time::{Duration, Instant};

use e2e::destinations::{ACCESS_KEY, SECRET_KEY, Server};
use e2e::{Leat, Start};

use crate::{CREDENTIALS, Site, flights};

/// How long Leat may take to say what is wrong.
const SAID_MAX: Duration = Duration::from_secs(30);

/// Says in a catalog what flights are made of; what there is to say of that.
fn describe(site: &Site, args: &[&str]) -> String {
    let output = site.script("", "describe_flights.py", args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// To Parquet files in the bucket `lake`, of columns that are described so.
fn spec(schema: &str) -> String {
    format!(
        "buffering: {{sizeMiB: 16, intervalSeconds: 5}}
  formatConversion: {{output: {{parquet: {{}}}}, schema: {schema}}}
  destination:
    s3: {{bucket: lake, endpoint: S3, prefix: flights/, errorOutputPrefix: errors/, {CREDENTIALS}}}"
    )
}

fn wait_until_said(leat: &Leat, what: &str) {
    let started = Instant::now();
    while !leat.log().contains(what) {
        assert!(started.elapsed() < SAID_MAX, "not said: {what}\n{}", leat.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn flights_wait_until_glue_knows_their_table_and_lets_leat_read_it() {
    let site = Site::with_some_flights();
    let glue = Server::glue(&site.directory.path().join("glue")).unwrap();
    let endpoint = glue.endpoint();
    let schema = format!(
        "{{glue: {{database: air, table: flights, region: us-east-1, endpoint: '{endpoint}',
    credentials: {{accessKeyIdRef: {{name: glue, key: id}}, secretAccessKeyRef: {{name: glue, key: secret}}}}}}}}"
    );
    let start = |(id, secret)| {
        site.leat(&format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: glue}}\n\
             stringData: {{id: '{id}', secret: '{secret}'}}\n---\n\
             apiVersion: leat.dev/v1alpha1\nkind: DeliveryStream\nmetadata: {{name: flights}}\n\
             spec:\n  {}\n",
            spec(&schema)
        ))
    };
    let flights = flights();
    let flights = flights.to_str().unwrap();
    let said = "spec.formatConversion.schema.glue: ask AWS Glue: ";

    let leat = start(("any", "any"));
    site.python(&leat, "deliver_flights.py", &[flights, "flights", "nothing"]);
    wait_until_said(&leat, &format!("{said}400 EntityNotFoundException"));
    leat.stop().unwrap();

    describe(&site, &["glue", &endpoint, "air.flights"]);
    let key = describe(&site, &["guard-glue", &endpoint]);
    let key = key.split_once(':').unwrap();
    let leat = start((key.0, "wrong"));
    wait_until_said(&leat, &format!("{said}403"));
    wait_until_said(&leat, "SignatureDoesNotMatch");
    leat.stop().unwrap();

    let leat = start(key);
    site.python(&leat, "deliver_flights.py", &[flights, "-", "parquet", "lake", "flights/"]);
    leat.stop().unwrap();
}

#[test]
fn flights_become_rows_of_the_version_of_a_table_that_a_call_names() {
    let site = Site::with_some_flights();
    let glue = Server::glue(&site.directory.path().join("glue")).unwrap();
    let endpoint = glue.endpoint();
    let version = describe(&site, &["glue", &endpoint, "air.flights"]);
    // The latest is of no use.
    let latest = describe(&site, &["glue", &endpoint, "air.flights", "number"]);
    assert_ne!(version, latest);
    let start = Start::on(&site.directory.path().join("data")).with_environment(&[
        ("AWS_ENDPOINT_URL_GLUE", &endpoint),
        ("AWS_ENDPOINT_URL_S3", &site.s3.endpoint()),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
    ]);
    let leat = Leat::start(&start).unwrap();
    site.python(&leat, "describe_flights.py", &["convert", "flights", "air.flights", &version]);
    let flights = flights();
    let args = [flights.to_str().unwrap(), "flights", "parquet", "lake", "flights/"];
    site.python(&leat, "deliver_flights.py", &args);
    leat.stop().unwrap();
}

#[test]
fn flights_become_rows_as_an_iceberg_catalog_describes_them() {
    let site = Site::with_some_flights();
    let catalog = Server::iceberg(&site.directory.path().join("iceberg"), &site.s3).unwrap();
    let endpoint = catalog.endpoint();
    describe(&site, &["iceberg", &endpoint, "air.flights"]);
    let schema = format!(
        "{{iceberg: {{catalog: {{rest: {{uri: '{endpoint}'}}}}, database: air, table: flights}}}}"
    );
    site.deliver(&spec(&schema), &["parquet", "lake", "flights/"]);
}
