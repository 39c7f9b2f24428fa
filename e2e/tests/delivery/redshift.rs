//! Rows of a table, by COPY of objects in S3.

use std::path::Path;

use e2e::destinations::Server;

use crate::{CREDENTIALS, Site};

const COLUMNS: [(&str, &str); 2] = [
    (
        "int",
        "number year month day dep_time sched_dep_time arr_time sched_arr_time flight distance hour minute \
         dep_delay arr_delay air_time again",
    ),
    ("varchar(100)", "carrier tailnum origin dest time_hour"),
];

/// With such a table for flights; on the port that is given back, PostgreSQL as it is.
pub(crate) fn start(site: &Site, directory: &Path, table: &str) -> (Server, u16) {
    let columns = COLUMNS.map(|(kind, names)| {
        let column = |name| format!("{name} {kind}");
        names.split_whitespace().map(column).collect::<Vec<_>>().join(", ")
    });
    let sql = format!("CREATE TABLE {table} ({})", columns.join(", "));
    Server::redshift(directory, &site.s3, &sql).unwrap()
}

/// A destination, and the Secret it needs.
pub(crate) fn destination(address: &str) -> String {
    format!(
        "destination:
    redshift:
      clusterJdbcUrl: jdbc:redshift://{address}/dev?ssl=false
      credentials: {{usernameRef: {{name: redshift, key: user}}, passwordRef: {{name: redshift, key: password}}}}
      copyCommand: {{dataTableName: public.flights, copyOptions: JSON 'auto'}}
      s3: {{bucket: lake, endpoint: S3, prefix: way/, compression: GZIP, {CREDENTIALS}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: redshift}}
stringData: {{user: loader, password: loaded}}"
    )
}

/// The same by the Data API: `at` says where it is, and who loads.
pub(crate) fn by_data_api(endpoint: &str, at: &str) -> String {
    format!(
        "destination:
    redshift:
      dataApi: {{{at}, database: dev, region: us-east-1, endpoint: '{endpoint}', {CREDENTIALS}}}
      copyCommand: {{dataTableName: public.flights, copyOptions: IAM_ROLE default JSON 'auto'}}
      s3: {{bucket: lake, endpoint: S3, prefix: way/, compression: GZIP, {CREDENTIALS}}}"
    )
}

/// PostgreSQL's, for who reads.
pub(crate) fn url(postgres: u16) -> String {
    format!("postgresql://loader:loaded@127.0.0.1:{postgres}/dev")
}

#[test]
fn flights_arrive_in_redshift() {
    let site = Site::new();
    let (server, postgres) = start(&site, &site.directory.path().join("redshift"), "flights");
    let destination = destination(&server.address());
    let spec = format!("buffering: {{sizeMiB: 16, intervalSeconds: 5}}\n  {destination}");
    site.deliver(&spec, &["postgres", &url(postgres), "flights"]);
}

#[test]
fn flights_arrive_in_redshift_by_the_data_api() {
    let site = Site::new();
    let (redshift, postgres) = start(&site, &site.directory.path().join("redshift"), "flights");
    let directory = site.directory.path().join("data-api");
    let server = Server::redshift_data(&directory, (&redshift, postgres)).unwrap();
    let secret = "secretArn: arn:aws:secretsmanager:us-east-1:0:secret:loader";
    let destination = by_data_api(&server.endpoint(), &format!("workgroupName: group, {secret}"));
    let spec = format!("buffering: {{sizeMiB: 16, intervalSeconds: 5}}\n  {destination}");
    site.deliver(&spec, &["postgres", &url(postgres), "flights"]);
}
