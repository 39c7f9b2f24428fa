//! Google Cloud Storage.

use std::sync::Arc;

use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder};
use object_store::{ObjectStore, RetryConfig, StaticCredentialProvider};
use operator_api::delivery_stream::GcsDestination;

use super::{StoreError, client_options, failed, text};
use crate::secrets::Secrets;

/// Opens the bucket with the secrets as they are now.
pub(super) fn open(
    gcs: &GcsDestination,
    secrets: &dyn Secrets,
    retry: RetryConfig,
) -> Result<Arc<dyn ObjectStore>, StoreError> {
    // The environment's key beside that of a Secret would be one too many.
    let mut builder = match &gcs.service_account_ref {
        Some(of) => GoogleCloudStorageBuilder::new().with_service_account_key(text(secrets, of)?),
        None => GoogleCloudStorageBuilder::from_env(),
    };
    if let Some(endpoint) = &gcs.endpoint {
        builder = builder.with_base_url(endpoint.trim_end_matches('/'));
        if gcs.service_account_ref.is_none() {
            // The pod's own token is good for all of Google: it is for nobody else to see. (Skipping
            // the signature, as there is an option for, fetches and sends it with every put.)
            let nobody = GcpCredential { bearer: String::new() };
            builder = builder.with_credentials(Arc::new(StaticCredentialProvider::new(nobody)));
        }
    }
    let builder = builder
        .with_bucket_name(&gcs.bucket)
        .with_client_options(client_options(gcs.endpoint.as_deref()))
        .with_retry(retry);
    let store = builder.build().map_err(|source| failed(&gcs.bucket, source))?;
    Ok(Arc::new(store))
}
