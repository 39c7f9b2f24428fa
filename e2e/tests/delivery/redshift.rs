//! Rows of a table, by COPY of objects in S3.

use e2e::destinations::Server;

use crate::{CREDENTIALS, Site};

const COLUMNS: [(&str, &str); 2] = [
    (
        "int",
        "number year month day dep_time sched_dep_time arr_time sched_arr_time flight distance hour minute \
         dep_delay arr_delay air_time",
    ),
    ("varchar(100)", "carrier tailnum origin dest time_hour"),
];

#[test]
fn flights_arrive_in_redshift() {
    let site = Site::new();
    let columns = COLUMNS.map(|(kind, names)| {
        let column = |name| format!("{name} {kind}");
        names.split_whitespace().map(column).collect::<Vec<_>>().join(", ")
    });
    let table = format!("CREATE TABLE flights ({})", columns.join(", "));
    let directory = site.directory.path().join("redshift");
    let (server, postgres) = Server::redshift(&directory, &site.s3, &table).unwrap();
    let address = server.address();
    let spec = format!(
        "buffering: {{sizeMiB: 16, intervalSeconds: 5}}
  destination:
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
    );
    let url = format!("postgresql://loader:loaded@127.0.0.1:{postgres}/dev");
    site.deliver(&spec, &["postgres", &url, "flights"]);
}
