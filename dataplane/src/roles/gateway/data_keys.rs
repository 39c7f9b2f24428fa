//! Data keys for streams whose encryption was asked for in their resource: StartStreamEncryption makes
//! them itself, `kubectl apply` cannot.

use std::sync::Arc;

use catalog::{ChangeError, DataKey, Entries, Stream};
use catalog_kube::{NamespaceCatalog, Streams};
use encryption::MasterKeys;

/// Looks after them in the background.
pub(super) fn start(streams: Arc<Streams>, keys: Arc<MasterKeys>) {
    let mut changes = streams.changes();
    tokio::spawn(async move {
        loop {
            for (namespace, stream, key_id) in streams.without_data_key() {
                let catalog = NamespaceCatalog::new(Arc::clone(&streams), &namespace);
                match add_key(&catalog, &keys, &stream, &key_id).await {
                    // Another gateway was first.
                    Ok(()) | Err(Failed::Change(ChangeError::Conflict(_))) => {}
                    Err(error) => {
                        let error = anyhow::Error::from(error);
                        tracing::warn!(stream = %stream.name, "not encrypted: {error:#}");
                    }
                }
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    });
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Key(#[from] encryption::UnwrapError),
    #[error(transparent)]
    Change(#[from] ChangeError),
}

async fn add_key(
    catalog: &NamespaceCatalog,
    keys: &MasterKeys,
    stream: &Stream,
    key_id: &str,
) -> Result<(), Failed> {
    let wrapped = keys.wrap(key_id, &stream.key_context(), &encryption::DataKey::generate())?;
    let mut changed = stream.clone();
    let number = stream.data_keys.last().map_or(1, |last| last.number + 1);
    changed.data_keys.push(DataKey { number, key_id: key_id.to_owned(), wrapped });
    changed.settings.encryption = Some(number);
    catalog.replace(changed).await?;
    Ok(())
}
