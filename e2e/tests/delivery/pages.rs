//! The pages about destinations: their manifests as they are pasted, but for where servers are and what lets
//! into them. What is put arrives.

use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::destinations::{
    ACCESS_KEY, AZURE_ACCOUNT, AZURE_KEY, SECRET_KEY, SNOWFLAKE_PASSPHRASE, Server,
};
use e2e::{Leat, Start};

use crate::{Site, buckets, flights, redshift};

const FLIGHTS: &str = "600";

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../dataplane/crates/delivery/destinations")
}

/// The manifests of a page, in one file.
struct Page {
    manifests: String,
}

impl Page {
    fn about(destination: &str) -> Page {
        let page = directory().join(destination).with_extension("md");
        let text = std::fs::read_to_string(page).unwrap();
        let blocks = text.split("```yaml\n").skip(1);
        let manifests = blocks.map(|block| block.split_once("```").unwrap().0);
        Page { manifests: manifests.collect::<Vec<_>>().join("---\n") }
    }

    /// With something else instead of what is on the page.
    fn but(mut self, said: &str, instead: &str) -> Page {
        assert!(self.manifests.contains(said), "{said} is not in {}", self.manifests);
        self.manifests = self.manifests.replace(said, instead);
        self
    }

    /// To the server with S3, where the page says where it is.
    fn with_s3(self, site: &Site) -> Page {
        self.but("http://127.0.0.1:8333", &site.s3.endpoint())
    }

    /// What is put is delivered a second later.
    fn soon(self, interval: &str) -> Page {
        self.but(&format!("intervalSeconds: {interval}\n"), "intervalSeconds: 1\n")
    }

    /// The same where it is not said how long that takes, in front of this member of the spec.
    fn soon_before(self, member: &str) -> Page {
        let member = format!("\n  {member}:");
        let with_interval = format!("\n  buffering: {{intervalSeconds: 1}}{member}");
        self.but(&member, &with_interval)
    }

    /// A process that has the manifests. Where they do not say where S3 is, and what lets into it, that is in its
    /// environment.
    fn start(&self, site: &Site) -> Start {
        let file = site.directory.path().join("page.yaml");
        std::fs::write(&file, &self.manifests).unwrap();
        let start = Start::on(&site.directory.path().join("page"));
        start.with(&["-f", file.to_str().unwrap()]).with_environment(&[
            ("AWS_ENDPOINT_URL_S3", &site.s3.endpoint()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
            ("AWS_REGION", "us-east-1"),
        ])
    }

    /// Puts flights into a delivery stream, and has them read back.
    fn deliver(&self, site: &Site, stream: &str, reader: &[&str]) {
        let leat = Leat::start(&self.start(site)).unwrap();
        bring(site, &leat, stream, &[("FLIGHTS", FLIGHTS)], reader);
        leat.stop().unwrap();
    }
}

fn bring(site: &Site, leat: &Leat, stream: &str, how: &[(&str, &str)], reader: &[&str]) {
    let flights = flights();
    let args = [&[flights.to_str().unwrap(), stream], reader].concat();
    let mut script = site.script(&leat.endpoint(), "deliver_flights.py", &args);
    let output = script.env("SECONDS_TO_SETTLE", "1").envs(how.iter().copied()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}\n{}", leat.log());
    eprintln!("{stream}: {out}");
}

#[test]
fn every_page_with_a_manifest_is_tested() {
    for entry in std::fs::read_dir(directory()).unwrap() {
        let page = entry.unwrap().path();
        let tested = format!("Page::about({:?})", page.file_stem().unwrap());
        let has_manifest = std::fs::read_to_string(&page).unwrap().contains("```yaml");
        assert_eq!(has_manifest, include_str!("pages.rs").contains(&tested), "{}", page.display());
    }
}

#[test]
fn the_page_about_s3_works_as_pasted() {
    let site = Site::new();
    let page = Page::about("s3")
        .with_s3(&site)
        .soon("60")
        .soon_before("formatConversion")
        .soon_before("processing");
    let leat = Leat::start(&page.start(&site)).unwrap();
    let clicks = [("FLIGHTS", FLIGHTS), ("AS_CLICKS", "yes")];
    let objects = |kind: &'static str, prefix: &'static str| [kind, "lake", prefix];
    bring(&site, &leat, "clicks-to-lake", &clicks, &objects("json", "clicks/"));
    bring(&site, &leat, "clicks-to-parquet", &clicks, &objects("parquet", "clicks-parquet/"));
    bring(&site, &leat, "clicks-by-customer", &clicks, &objects("json", "customer="));
    leat.stop().unwrap();
}

#[test]
fn the_page_about_google_cloud_storage_works_as_pasted() {
    let site = Site::new();
    let to = buckets::google(&site);
    let key = r#""private_key": "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----\n""#;
    Page::about("gcs")
        .soon("60")
        .but("bucket: lake\n", &format!("bucket: lake\n      endpoint: {}\n", to.server.endpoint()))
        // No token is fetched with it.
        .but(key, r#""private_key": "any", "disable_oauth": true"#)
        .deliver(&site, "clicks-to-google", &["json", &to.bucket, "clicks/"]);
}

#[test]
fn the_page_about_azure_blob_storage_works_as_pasted() {
    let site = Site::new();
    let to = buckets::azure(&site);
    let endpoint = format!("{}/{AZURE_ACCOUNT}", to.server.endpoint());
    Page::about("azure-blob")
        .soon("60")
        .but("container: lake\n", &format!("container: lake\n      endpoint: {endpoint}\n"))
        .but("account: leatlake", &format!("account: {AZURE_ACCOUNT}"))
        .but("Zm9yIHlvdXIgb3duIGtleSwgd2hpY2ggaXMgQmFzZTY0", AZURE_KEY)
        .deliver(&site, "clicks-to-azure", &["json", &to.bucket, "clicks/"]);
}

/// For the tests of search engines, which take long to start.
pub(crate) fn search(site: &Site, server: &Server, kind: &str) {
    let endpoint = server.endpoint();
    Page::about("search")
        .with_s3(site)
        .soon("10")
        .but("http://127.0.0.1:9200", &endpoint)
        // Or opensearch, as it says there.
        .but(" elasticsearch: ", &format!(" {kind}: "))
        .deliver(site, "logs-to-search", &["search", &endpoint, "logs"]);
}

#[test]
fn the_page_about_redshift_works_as_pasted() {
    let site = Site::new();
    let directory = site.directory.path().join("redshift");
    let (server, postgres) = redshift::start(&site, &directory, "clicks");
    Page::about("redshift")
        .soon("60")
        .but("127.0.0.1:5439/dev ", &format!("{}/dev?ssl=false ", server.address()))
        .but("password: changeme", "password: loaded")
        .deliver(&site, "clicks-to-redshift", &["postgres", &redshift::url(postgres), "clicks"]);
}

#[test]
fn the_page_about_iceberg_works_as_pasted() {
    let site = Site::new();
    let catalog = Server::iceberg(&site.directory.path().join("iceberg"), &site.s3).unwrap();
    let endpoint = catalog.endpoint();
    Page::about("iceberg")
        .with_s3(&site)
        .soon("60")
        .but("http://127.0.0.1:8181", &endpoint)
        .deliver(&site, "clicks-to-iceberg", &["iceberg", &endpoint, "web.clicks", "new"]);
}

#[test]
fn the_page_about_snowflake_works_as_pasted() {
    let site = Site::new();
    let directory = site.directory.path().join("snowflake");
    let server = Server::snowpipe(&directory, &[]).unwrap();
    let endpoint = server.named_endpoint();
    let passphrase = format!("pass:{SNOWFLAKE_PASSPHRASE}");
    let mut openssl = Command::new("openssl");
    openssl.args(["pkey", "-passin", &passphrase, "-in"]).arg(directory.join("private.pem"));
    let key = String::from_utf8(openssl.output().unwrap().stdout).unwrap();
    let key: Vec<&str> = key.lines().collect();
    Page::about("snowflake")
        .but("https://ORGANISATION-ACCOUNT.snowflakecomputing.com", &endpoint)
        .but(
            "-----BEGIN PRIVATE KEY-----\n    ...\n    -----END PRIVATE KEY-----",
            &key.join("\n    "),
        )
        .deliver(
            &site,
            "clicks-to-snowflake",
            &["snowpipe", &endpoint, "ANALYTICS", "PUBLIC", "CLICKS"],
        );
}

#[test]
fn the_page_about_streams_works_as_pasted() {
    let site = Site::new();
    let leat = Leat::start(&Page::about("stream").start(&site)).unwrap();
    let clicks = [("FLIGHTS", FLIGHTS), ("AS_CLICKS", "yes")];
    bring(&site, &leat, "clicks-to-purchases", &clicks, &["stream", "purchases", "customer"]);
    leat.stop().unwrap();
}

#[test]
fn the_page_about_http_endpoints_works_as_pasted() {
    let site = Site::new();
    let directory = site.directory.path().join("collector");
    let (_server, port) = Server::collector(&directory).unwrap();
    Page::about("http-endpoint")
        .with_s3(&site)
        .soon("5")
        .but("http://127.0.0.1:4433/", &format!("http://127.0.0.1:{port}/"))
        .but("the-access-key", "key")
        .deliver(
            &site,
            "events-to-endpoint",
            &["logs", directory.join("taken.jsonl").to_str().unwrap()],
        );
}

#[test]
fn the_page_about_splunk_works_as_pasted() {
    let site = Site::new();
    let directory = site.directory.path().join("collector");
    let (server, _) = Server::collector(&directory).unwrap();
    Page::about("splunk")
        .with_s3(&site)
        .soon_before("retryDurationSeconds")
        .but("http://127.0.0.1:8088", &server.endpoint())
        .deliver(
            &site,
            "logs-to-splunk",
            &["taken", directory.join("taken.jsonl").to_str().unwrap()],
        );
}

#[test]
fn the_page_about_compaction_works_as_pasted() {
    let site = Site::new();
    let page = Page::about("compaction").soon("10").but("ageSecondsMin: 900", "ageSecondsMin: 0");
    // Three objects at least, one a second.
    let slowly = [("FLIGHTS", "6000"), ("SECONDS_BETWEEN_PUTS", "1.2")];
    let leat = Leat::start(&page.start(&site)).unwrap();
    bring(&site, &leat, "clicks-compacted", &slowly, &["json", "lake", "clicks/"]);
    leat.stop().unwrap();
    // They are merged at the next start; those of two days, or one that came late, are two.
    let leat = Leat::start(&page.start(&site)).unwrap();
    bring(&site, &leat, "-", &slowly[..1], &["json", "lake", "clicks/", "2"]);
    leat.stop().unwrap();
}
