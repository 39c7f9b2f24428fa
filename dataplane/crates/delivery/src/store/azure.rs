//! Azure Blob Storage.

use std::sync::Arc;

use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::{ObjectStore, RetryConfig};
use operator_api::delivery_stream::AzureBlobDestination;

use super::{StoreError, client_options, failed, line};
use crate::secrets::Secrets;

/// Opens the container with the secrets as they are now.
pub(super) fn open(
    azure: &AzureBlobDestination,
    secrets: &dyn Secrets,
    retry: RetryConfig,
) -> Result<Arc<dyn ObjectStore>, StoreError> {
    // A key of the environment would come before a Secret's.
    let own = MicrosoftAzureBuilder::new;
    let mut builder = match (&azure.account_key_ref, &azure.sas_token_ref) {
        (Some(of), _) => own().with_access_key(line(secrets, of)?),
        (None, Some(of)) => own().with_config(AzureConfigKey::SasKey, line(secrets, of)?),
        // The pod's own token is good for all of Azure: it is for nobody else to see.
        (None, None) => {
            MicrosoftAzureBuilder::from_env().with_skip_signature(azure.endpoint.is_some())
        }
    };
    if let Some(endpoint) = &azure.endpoint {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_owned());
    }
    let builder = builder
        .with_account(&azure.account)
        .with_container_name(&azure.container)
        .with_client_options(client_options(azure.endpoint.as_deref()))
        .with_retry(retry);
    let store = builder.build().map_err(|source| failed(&azure.container, source))?;
    Ok(Arc::new(store))
}
