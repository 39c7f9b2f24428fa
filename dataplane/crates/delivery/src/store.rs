//! What objects are put into, one attempt at a time.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{Certificate, ClientOptions, ObjectStore, ObjectStoreExt, RetryConfig};
use operator_api::delivery_stream::S3Destination;
use operator_api::pods::{ClientTls, SecretRef};

use crate::secrets::{MissingSecret, Secrets};

/// Where AWS's own programs find the address of an S3 that is not AWS's.
const ENDPOINT_VARIABLE: &str = "AWS_ENDPOINT_URL_S3";
const REGION_DEFAULT: &str = "us-east-1";
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
    /// An object is larger than it may be.
    #[error("object {key} in bucket {bucket} has {bytes} bytes, which is too much")]
    TooLarge {
        /// Its bucket.
        bucket: String,
        /// Its key.
        key: String,
        /// Its size.
        bytes: u64,
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

/// Something under way.
pub type Putting<'a> = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'a>>;

/// Bytes under way.
pub type Getting<'a> = Pin<Box<dyn Future<Output = Result<Bytes, StoreError>> + Send + 'a>>;

/// What objects are put into.
pub trait Store: Send + Sync {
    /// Puts one object, whole or not at all. One that is there by this key is replaced.
    ///
    /// # Errors
    /// See [`StoreError`]; unknown whether the object is there. Put it again.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether the object is there.
    fn put<'a>(&'a self, key: &'a str, bytes: Bytes) -> Putting<'a>;

    /// Gets one object of so many bytes at the most.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn get<'a>(&'a self, key: &'a str, bytes_max: usize) -> Getting<'a>;
}

/// Where stores are found.
pub trait Stores: Send + Sync {
    /// The bucket. That it is there turns out when first something is put.
    fn s3(&self, s3: &S3Destination) -> Arc<dyn Store>;
}

/// Buckets of Amazon S3 and of what speaks its API.
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
    fn s3(&self, s3: &S3Destination) -> Arc<dyn Store> {
        let (s3, secrets) = (s3.clone(), Arc::clone(&self.secrets));
        Arc::new(S3Bucket { s3, secrets, opened: Mutex::default() })
    }
}

struct S3Bucket {
    s3: S3Destination,
    secrets: Arc<dyn Secrets>,
    /// Opened with the secrets of that time; `None` before, and after they were refused.
    opened: Mutex<Option<Arc<dyn ObjectStore>>>,
}

impl Store for S3Bucket {
    fn put<'a>(&'a self, key: &'a str, bytes: Bytes) -> Putting<'a> {
        Box::pin(async move {
            let store = self.open()?;
            let put = store.put(&path(key), bytes.into()).await;
            self.forget_if_refused(&put);
            put.map(drop).map_err(|source| self.failed(source))
        })
    }

    fn get<'a>(&'a self, key: &'a str, bytes_max: usize) -> Getting<'a> {
        Box::pin(async move {
            let got = self.open()?.get(&path(key)).await;
            self.forget_if_refused(&got);
            let got = got.map_err(|source| self.failed(source))?;
            let bytes = got.meta.size;
            if (bytes_max as u64) < bytes {
                let (bucket, key) = (self.s3.bucket.clone(), key.to_owned());
                return Err(StoreError::TooLarge { bucket, key, bytes });
            }
            got.bytes().await.map_err(|source| self.failed(source))
        })
    }
}

impl S3Bucket {
    fn open(&self) -> Result<Arc<dyn ObjectStore>, StoreError> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = &*opened {
            return Ok(Arc::clone(store));
        }
        let store = self.builder()?.build().map_err(|source| self.failed(source))?;
        let store: Arc<dyn ObjectStore> = Arc::new(store);
        *opened = Some(Arc::clone(&store));
        Ok(store)
    }

    /// The secrets may have been replaced meanwhile.
    fn forget_if_refused<T>(&self, done: &Result<T, object_store::Error>) {
        if let Err(
            object_store::Error::PermissionDenied { .. }
            | object_store::Error::Unauthenticated { .. },
        ) = done
        {
            *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    fn failed(&self, source: object_store::Error) -> StoreError {
        StoreError::Store { bucket: self.s3.bucket.clone(), source }
    }

    fn builder(&self) -> Result<AmazonS3Builder, StoreError> {
        let s3 = &self.s3;
        let named = std::env::var(ENDPOINT_VARIABLE).ok().filter(|text| !text.is_empty());
        let endpoint = s3.endpoint.clone().or(named);
        let is_path_style = s3.force_path_style.unwrap_or(endpoint.is_some());
        // Who is told all attempts decides about the next.
        let once = RetryConfig { max_retries: 0, ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(&s3.bucket)
            .with_region(s3.region.as_deref().unwrap_or(REGION_DEFAULT))
            .with_virtual_hosted_style_request(!is_path_style)
            .with_client_options(self.client_options(endpoint.as_deref())?)
            .with_retry(once);
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(credentials) = &s3.credentials {
            builder = builder
                .with_access_key_id(self.text(&credentials.access_key_id_ref)?)
                .with_secret_access_key(self.text(&credentials.secret_access_key_ref)?);
            if let Some(token) = &credentials.session_token_ref {
                builder = builder.with_token(self.text(token)?);
            }
        }
        if let Some(key) = &s3.kms_key_arn {
            builder = builder.with_sse_kms_encryption(key);
        }
        Ok(builder)
    }

    fn client_options(&self, endpoint: Option<&str>) -> Result<ClientOptions, StoreError> {
        let is_plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
        let mut options = ClientOptions::new()
            .with_allow_http(is_plain)
            .with_connect_timeout(CONNECT_MAX)
            .with_timeout(PUT_MAX);
        let Some(ClientTls { ca_ref, insecure_skip_verify }) = &self.s3.tls else {
            return Ok(options);
        };
        if let Some(of) = ca_ref {
            let pem = self.secrets.get(of)?;
            let certificates = Certificate::from_pem_bundle(&pem);
            for certificate in certificates.map_err(|_| malformed(of, "PEM certificate"))? {
                options = options.with_root_certificate(certificate);
            }
        }
        Ok(options.with_allow_invalid_certificates(*insecure_skip_verify == Some(true)))
    }

    fn text(&self, of: &SecretRef) -> Result<String, StoreError> {
        let bytes = self.secrets.get(of)?;
        let text = String::from_utf8(bytes).map_err(|_| malformed(of, "text"))?;
        Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    }
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
