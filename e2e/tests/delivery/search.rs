//! Documents in search engines.

use e2e::destinations::Server;

use crate::{Site, pages};

fn deliver(kind: &str, version: &str) {
    let site = Site::new();
    let server = Server::search(kind, version, &site.directory.path().join(kind)).unwrap();
    let endpoint = server.endpoint();
    let spec = format!(
        "buffering: {{sizeMiB: 5, intervalSeconds: 1}}
  destination:
    {kind}: {{endpoint: '{endpoint}', indexName: flights}}"
    );
    site.deliver(&spec, &["search", &endpoint, "flights"]);
    pages::search(&site, &server, kind);
}

#[test]
fn flights_arrive_in_elasticsearch_and_by_its_page_as_pasted() {
    deliver("elasticsearch", "8.19.21");
}

#[test]
fn flights_arrive_in_opensearch_and_by_its_page_as_pasted() {
    deliver("opensearch", "2.19.4");
}
