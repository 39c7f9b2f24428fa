//! Where the files of tables are.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use delivery_core::guid::guid_of;
use object_store::ObjectStoreExt;
use operator_api::delivery_stream::{IcebergStore, S3Destination};
use operator_api::pods::{AwsCredentials, SecretRef};

use super::catalog::Loaded;
use super::{TableTrouble, step};
use crate::secrets::{MissingSecret, Secrets};
use crate::store::{Bucket, ObjectStores, Store, StoreError, Stores, path};

/// Buckets that are kept open.
const BUCKETS_MAX: usize = 100;

/// Finds the stores of tables: as the resource says, or as the catalog does.
pub(super) struct Places {
    of: Option<IcebergStore>,
    stores: Arc<dyn Stores>,
    /// By bucket, those that the resource gives access to.
    opened: Mutex<HashMap<String, Arc<dyn Store>>>,
}

/// Where the files of a table are.
pub(super) struct Site {
    bucket: String,
    store: Arc<dyn Store>,
}

/// Access that a catalog has handed out.
struct HandedOut(BTreeMap<String, String>);

impl Secrets for HandedOut {
    fn get(&self, of: &SecretRef) -> Result<Vec<u8>, MissingSecret> {
        let found = self.0.get(&of.key).map(|text| text.clone().into_bytes());
        found.ok_or_else(|| MissingSecret { name: of.name.clone(), key: of.key.clone() })
    }
}

impl Places {
    pub(super) fn new(of: Option<IcebergStore>, stores: Arc<dyn Stores>) -> Places {
        Places { of, stores, opened: Mutex::default() }
    }

    pub(super) fn of(&self, loaded: &Loaded) -> Result<Site, TableTrouble> {
        let (bucket, _) = split(&loaded.metadata.location)?;
        let bucket = bucket.to_owned();
        let Some(of) = &self.of else {
            return Ok(Site { store: handed_out(&bucket, &loaded.config, &*self.stores), bucket });
        };
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if BUCKETS_MAX <= opened.len() {
            opened.clear();
        }
        let store = opened.entry(bucket.clone()).or_insert_with(|| {
            let IcebergStore { region, endpoint, credentials } = of.clone();
            let s3 = S3Destination { region, endpoint, credentials, ..bucket_of(&bucket) };
            self.stores.open(Bucket::S3(&s3))
        });
        Ok(Site { store: Arc::clone(store), bucket })
    }
}

fn bucket_of(bucket: &str) -> S3Destination {
    S3Destination { bucket: bucket.to_owned(), ..S3Destination::default() }
}

const KEY_ID: &str = "s3.access-key-id";
const SECRET: &str = "s3.secret-access-key";
const TOKEN: &str = "s3.session-token";

/// The store as the catalog says; by the pod's own identity, if it hands out no keys.
fn handed_out(bucket: &str, config: &BTreeMap<String, String>, own: &dyn Stores) -> Arc<dyn Store> {
    let s3 = said(bucket, config);
    if s3.credentials.is_none() {
        return own.open(Bucket::S3(&s3));
    }
    ObjectStores::new(Arc::new(HandedOut(config.clone()))).open(Bucket::S3(&s3))
}

fn said(bucket: &str, config: &BTreeMap<String, String>) -> S3Destination {
    let get = |name: &str| config.get(name).cloned();
    let entry = |key: &str| SecretRef { name: "of the catalog".to_owned(), key: key.to_owned() };
    let has_keys = config.contains_key(KEY_ID) && config.contains_key(SECRET);
    let credentials = has_keys.then(|| AwsCredentials {
        access_key_id_ref: entry(KEY_ID),
        secret_access_key_ref: entry(SECRET),
        session_token_ref: config.contains_key(TOKEN).then(|| entry(TOKEN)),
    });
    S3Destination {
        region: get("s3.region").or_else(|| get("client.region")),
        endpoint: get("s3.endpoint"),
        force_path_style: get("s3.path-style-access").map(|text| text == "true"),
        credentials,
        ..bucket_of(bucket)
    }
}

impl Site {
    pub(super) async fn put(&self, location: &str, bytes: Bytes) -> Result<(), TableTrouble> {
        let key = self.key(location)?;
        let put = || self.store.put(key, bytes.clone(), None);
        let seed = guid_of(key.as_bytes()) as i64;
        Ok(step::taken(seed, put, StoreError::may_pass).await?)
    }

    pub(super) async fn get(
        &self,
        location: &str,
        bytes_max: usize,
    ) -> Result<Bytes, TableTrouble> {
        let objects = self.store.objects()?;
        let failed = |source| StoreError::Store { bucket: self.bucket.clone(), source };
        let got = objects.get(&path(self.key(location)?)).await.map_err(failed)?;
        if (bytes_max as u64) < got.meta.size {
            let what = format!("{location} has {} bytes, which is too much", got.meta.size);
            return Err(TableTrouble::Location(what));
        }
        Ok(got.bytes().await.map_err(failed)?)
    }

    fn key<'a>(&self, location: &'a str) -> Result<&'a str, TableTrouble> {
        let (bucket, key) = split(location)?;
        if bucket != self.bucket {
            let what = format!("{location} is in another bucket than the table, {}", self.bucket);
            return Err(TableTrouble::Location(what));
        }
        // A file has to be where the table says that it is, letter for letter.
        if path(key).as_ref() != key {
            let what = format!("{location} has characters that this version does not write");
            return Err(TableTrouble::Location(what));
        }
        Ok(key)
    }
}

/// Bucket and key of `s3://bucket/key`.
fn split(location: &str) -> Result<(&str, &str), TableTrouble> {
    let schemes = ["s3://", "s3a://", "s3n://"];
    let rest = schemes.iter().find_map(|scheme| location.strip_prefix(scheme));
    let parts = rest.and_then(|rest| rest.split_once('/')).filter(|(bucket, _)| !bucket.is_empty());
    parts.ok_or_else(|| {
        TableTrouble::Location(format!("{location} is in no S3: tables have to be in one"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalog_hands_out_access() {
        let config =
            [("s3.endpoint", "http://s3"), ("client.region", "eu"), (KEY_ID, "id"), (SECRET, "x")];
        let config =
            BTreeMap::from(config.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let s3 = said("lake", &config);
        assert_eq!((s3.endpoint.as_deref(), s3.region.as_deref()), (Some("http://s3"), Some("eu")));
        let credentials = s3.credentials.unwrap();
        let secrets = HandedOut(config);
        assert_eq!(secrets.get(&credentials.secret_access_key_ref).unwrap(), b"x");
        assert_eq!(credentials.session_token_ref, None);
        assert_eq!(said("lake", &BTreeMap::new()).credentials, None);
    }

    #[test]
    fn files_are_in_the_bucket_of_their_table() {
        let check = |location: &str, want: &str| {
            let stores = ObjectStores::new(Arc::new(HandedOut(BTreeMap::new())));
            let site = Site {
                bucket: "lake".to_owned(),
                store: stores.open(Bucket::S3(&bucket_of("lake"))),
            };
            let found = site.key(location).map_or_else(|error| error.to_string(), str::to_owned);
            assert_eq!(found, want);
        };
        check("s3://lake/a/b.avro", "a/b.avro");
        check("s3a://lake/a", "a");
        check("s3://sea/a", "s3://sea/a is in another bucket than the table, lake");
        check("gs://lake/a", "gs://lake/a is in no S3: tables have to be in one");
        check("s3:///a", "s3:///a is in no S3: tables have to be in one");
        check("s3://lake/a//b", "s3://lake/a//b has characters that this version does not write");
    }
}
