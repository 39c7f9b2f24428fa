//! Secrets of this process: those in the files it was started with, and those that were handed over in
//! calls, which lie beside their delivery streams.

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::Entries;
use delivery::{MissingSecret, Secrets};
use delivery_catalog::{DeliveryStream, LocalDeliveryCatalog};
use k8s_openapi::api::core::v1::Secret;
use operator_api::pods::SecretRef;

/// Secrets of files: their entries by the names of both.
#[derive(Default)]
pub(super) struct LocalSecrets {
    entries: BTreeMap<(String, String), Vec<u8>>,
    catalog: Option<Arc<LocalDeliveryCatalog>>,
}

impl LocalSecrets {
    /// As `kubectl apply` would: `stringData` goes before `data`.
    pub(super) fn add(&mut self, secret: Secret) {
        let name = secret.metadata.name.unwrap_or_default();
        let data = secret.data.unwrap_or_default().into_iter().map(|(key, data)| (key, data.0));
        let texts = secret.string_data.unwrap_or_default().into_iter();
        let texts = texts.map(|(key, text)| (key, text.into_bytes()));
        self.entries.extend(data.chain(texts).map(|(key, bytes)| ((name.clone(), key), bytes)));
    }

    /// And those of delivery streams.
    pub(super) fn with(self, catalog: Arc<LocalDeliveryCatalog>) -> LocalSecrets {
        LocalSecrets { catalog: Some(catalog), ..self }
    }
}

impl Secrets for LocalSecrets {
    fn get(&self, of: &SecretRef) -> Result<Vec<u8>, MissingSecret> {
        if let Some(bytes) = self.entries.get(&(of.name.clone(), of.key.clone())) {
            return Ok(bytes.clone());
        }
        let handed_over = self.catalog.as_ref().and_then(|catalog| {
            let all = catalog.list(None, usize::MAX).into_iter();
            let mut owner = all.filter(|it| DeliveryStream::secret_name(&it.name) == of.name);
            owner.next()?.secrets.get(&of.key).cloned()
        });
        let missing = || MissingSecret { name: of.name.clone(), key: of.key.clone() };
        handed_over.map(String::into_bytes).ok_or_else(missing)
    }
}
