//! What objects are put into, one attempt at a time.

mod azure;
mod gcs;
mod s3;

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Attribute, Attributes, ClientOptions, ObjectStore, PutOptions, RetryConfig};
use operator_api::delivery_stream::{
    AzureBlobDestination, Destination, GcsDestination, Objects, S3Destination,
};
use operator_api::pods::SecretRef;

use crate::secrets::{MissingSecret, Secrets};

const CONNECT_MAX: Duration = Duration::from_secs(10);
/// For the largest object, 128 MiB, at 1 MiB/s.
const PUT_MAX: Duration = Duration::from_secs(180);

/// Why nothing can be put into a bucket.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A secret is not there.
    #[error(transparent)]
    Secret(#[from] MissingSecret),
    /// A secret is not what it should be.
    #[error("entry {key} in Secret {name} is no {what}")]
    Malformed {
        /// The Secret.
        name: String,
        /// The entry.
        key: String,
        /// What it should be.
        what: &'static str,
    },
    /// The store cannot be reached, or refuses.
    #[error("bucket {bucket}")]
    Store {
        /// Which.
        bucket: String,
        /// What went wrong.
        #[source]
        source: object_store::Error,
    },
}

impl StoreError {
    /// Whether the same may go well in a moment: nothing is known but that it failed.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, StoreError::Store { source: object_store::Error::Generic { .. }, .. })
    }
}

/// The entry of an object's metadata that says where the object comes from.
pub(crate) const MARK: &str = "leat";

/// Something under way.
pub type Putting<'a> = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'a>>;

/// What objects are put into.
pub trait Store: Send + Sync {
    /// Puts one object, whole or not at all. One that is there by this key is replaced. `mark` is kept
    /// in its metadata.
    ///
    /// # Errors
    /// See [`StoreError`]; unknown whether the object is there. Put it again.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether the object is there.
    fn put<'a>(&'a self, key: &'a str, bytes: Bytes, mark: Option<&'a str>) -> Putting<'a>;

    /// For all else that can be done with its objects. What fails is tried again a few times.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn objects(&self) -> Result<Arc<dyn ObjectStore>, StoreError>;
}

/// Where objects are put, as a resource says it.
#[derive(Clone, Copy, Debug)]
pub enum Bucket<'a> {
    /// A bucket of Amazon S3 or of what speaks its API.
    S3(&'a S3Destination),
    /// A bucket of Google Cloud Storage.
    Gcs(&'a GcsDestination),
    /// A container of Azure Blob Storage.
    AzureBlob(&'a AzureBlobDestination),
}

impl<'a> Bucket<'a> {
    /// The destination's, if it is one.
    #[must_use]
    pub fn of(destination: &'a Destination) -> Option<Bucket<'a>> {
        let s3 = destination.s3.as_ref().map(Bucket::S3);
        let gcs = destination.gcs.as_ref().map(Bucket::Gcs);
        let azure = destination.azure_blob.as_ref().map(Bucket::AzureBlob);
        s3.or(gcs).or(azure)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'a str {
        match self {
            Bucket::S3(of) => &of.bucket,
            Bucket::Gcs(of) => &of.bucket,
            Bucket::AzureBlob(of) => &of.container,
        }
    }

    /// What is said of the objects themselves.
    #[must_use]
    pub fn objects(self) -> Objects<'a> {
        match self {
            Bucket::S3(of) => of.objects(),
            Bucket::Gcs(of) => of.objects(),
            Bucket::AzureBlob(of) => of.objects(),
        }
    }
}

/// Where stores are found.
pub trait Stores: Send + Sync {
    /// The bucket. That it is there turns out when first something is put.
    fn open(&self, bucket: Bucket<'_>) -> Arc<dyn Store>;
}

/// Buckets over the network.
pub struct ObjectStores {
    secrets: Arc<dyn Secrets>,
}

impl ObjectStores {
    /// With access keys from there.
    #[must_use]
    pub fn new(secrets: Arc<dyn Secrets>) -> ObjectStores {
        ObjectStores { secrets }
    }
}

impl Stores for ObjectStores {
    fn open(&self, bucket: Bucket<'_>) -> Arc<dyn Store> {
        let name = bucket.name().to_owned();
        let secrets = Arc::clone(&self.secrets);
        let open: Open = match bucket {
            Bucket::S3(of) => {
                let of = of.clone();
                Box::new(move |retry| s3::open(&of, &*secrets, retry))
            }
            Bucket::Gcs(of) => {
                let of = of.clone();
                Box::new(move |retry| gcs::open(&of, &*secrets, retry))
            }
            Bucket::AzureBlob(of) => {
                let of = of.clone();
                Box::new(move |retry| azure::open(&of, &*secrets, retry))
            }
        };
        Arc::new(Remote { name, open, opened: Mutex::default() })
    }
}

type Open = Box<dyn Fn(RetryConfig) -> Result<Arc<dyn ObjectStore>, StoreError> + Send + Sync>;

/// A bucket that is opened when something is to be put into it.
struct Remote {
    name: String,
    open: Open,
    /// Opened with the secrets of that time; `None` before, and after they were refused.
    opened: Mutex<Option<Arc<dyn ObjectStore>>>,
}

impl Store for Remote {
    fn put<'a>(&'a self, key: &'a str, bytes: Bytes, mark: Option<&'a str>) -> Putting<'a> {
        Box::pin(async move {
            let store = self.opened()?;
            let put = store.put_opts(&path(key), bytes.into(), marked(mark)).await;
            if let Err(
                object_store::Error::PermissionDenied { .. }
                | object_store::Error::Unauthenticated { .. },
            ) = &put
            {
                // The secrets may have been replaced meanwhile.
                *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = None;
            }
            put.map(drop).map_err(|source| failed(&self.name, source))
        })
    }

    fn objects(&self) -> Result<Arc<dyn ObjectStore>, StoreError> {
        (self.open)(RetryConfig::default())
    }
}

impl Remote {
    fn opened(&self) -> Result<Arc<dyn ObjectStore>, StoreError> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = &*opened {
            return Ok(Arc::clone(store));
        }
        // Who is told all attempts decides about the next.
        let once = RetryConfig { max_retries: 0, ..RetryConfig::default() };
        let store = (self.open)(once)?;
        *opened = Some(Arc::clone(&store));
        Ok(store)
    }
}

fn failed(bucket: &str, source: object_store::Error) -> StoreError {
    StoreError::Store { bucket: bucket.to_owned(), source }
}

/// How servers are called: plainly only where the endpoint says so.
fn client_options(endpoint: Option<&str>) -> ClientOptions {
    let is_plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
    ClientOptions::new()
        .with_allow_http(is_plain)
        .with_connect_timeout(CONNECT_MAX)
        .with_timeout(PUT_MAX)
}

/// An entry of a Secret that is a line of text.
fn line(secrets: &dyn Secrets, of: &SecretRef) -> Result<String, StoreError> {
    let text = text(secrets, of)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn text(secrets: &dyn Secrets, of: &SecretRef) -> Result<String, StoreError> {
    String::from_utf8(secrets.get(of)?).map_err(|_| malformed(of, "text"))
}

/// With this in an object's metadata.
pub(crate) fn marked(mark: Option<&str>) -> PutOptions {
    let mark = mark.map(|mark| (Attribute::Metadata(MARK.into()), mark.to_owned()));
    PutOptions { attributes: Attributes::from_iter(mark), ..PutOptions::default() }
}

/// What an object is put by: what S3 allows in a key and a path does not, `//` or a `/` in front, is left
/// out.
pub(crate) fn path(key: &str) -> Path {
    let parts: Vec<&str> = key.split('/').filter(|part| !part.is_empty()).collect();
    let key = parts.join("/");
    Path::parse(&key).unwrap_or_else(|_| Path::from(key))
}

fn malformed(of: &SecretRef, what: &'static str) -> StoreError {
    StoreError::Malformed { name: of.name.clone(), key: of.key.clone(), what }
}

#[cfg(test)]
mod tests;
