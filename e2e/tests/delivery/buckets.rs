//! Objects in Google Cloud Storage and Azure Blob Storage, which are emulators here.

use e2e::destinations::{AZURE_ACCOUNT, Server};

use crate::{Site, kills, s3};

/// A server, how it is set as a destination with an empty bucket, and what its bucket is called by who
/// reads it.
pub(crate) struct Emulator {
    pub(crate) server: Server,
    pub(crate) destination: String,
    pub(crate) bucket: String,
}

pub(crate) fn google(site: &Site) -> Emulator {
    let server = Server::gcs(&site.directory.path().join("gcs")).unwrap();
    let endpoint = server.endpoint();
    let destination = format!(
        "gcs: {{bucket: lake, endpoint: '{endpoint}', \
         serviceAccountRef: {{name: emulators, key: google}}"
    );
    Emulator { server, destination, bucket: format!("gs+{endpoint}/lake") }
}

pub(crate) fn azure(site: &Site) -> Emulator {
    let server = Server::azure(&site.directory.path().join("azure")).unwrap();
    let endpoint = format!("{}/{AZURE_ACCOUNT}", server.endpoint());
    let destination = format!(
        "azureBlob: {{account: {AZURE_ACCOUNT}, container: lake, endpoint: '{endpoint}', \
         accountKeyRef: {{name: emulators, key: azure}}"
    );
    Emulator { server, destination, bucket: format!("az+{endpoint}/lake") }
}

#[test]
fn flights_arrive_in_google_cloud_storage_as_parquet() {
    let site = Site::new();
    let Emulator { server: _server, destination, bucket } = google(&site);
    let spec = format!(
        "buffering: {{sizeMiB: 16, intervalSeconds: 5}}
  {}
  destination:
    {destination}, prefix: flights/, errorOutputPrefix: errors/}}",
        s3::columns("{parquet: {}}"),
    );
    site.deliver(&spec, &["parquet", &bucket, "flights/"]);
}

#[test]
fn flights_arrive_in_azure_blob_storage_as_compressed_json() {
    let site = Site::new();
    let Emulator { server: _server, destination, bucket } = azure(&site);
    let spec = format!(
        "buffering: {{sizeMiB: 16, intervalSeconds: 5}}
  destination:
    {destination}, prefix: flights/, compression: GZIP}}"
    );
    site.deliver(&spec, &["json", &bucket, "flights/"]);
}

fn kill(site: &Site, emulator: &Emulator) {
    let Emulator { destination, bucket, .. } = emulator;
    let spec = kills::by_carrier(&format!(
        "{destination}, prefix: 'flights/!{{partitionKeyFromQuery:carrier}}/', \
         errorOutputPrefix: errors/}}"
    ));
    kills::deliver(site, &spec, &["json", bucket, "flights/"]);
}

#[test]
fn kills_lose_and_repeat_no_flight_on_its_way_to_google_cloud_storage() {
    let site = Site::new();
    kill(&site, &google(&site));
}

#[test]
fn kills_lose_and_repeat_no_flight_on_its_way_to_azure_blob_storage() {
    let site = Site::new();
    kill(&site, &azure(&site));
}
