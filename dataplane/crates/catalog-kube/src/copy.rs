//! The copy of the catalog on disk: for a process that starts while the API server is away.

use std::io;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use storage::crashsafe;

/// The copy, if there is one.
pub(crate) fn read<K: DeserializeOwned>(file: &Path) -> io::Result<Option<Vec<K>>> {
    match std::fs::read(file) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces it, whole.
pub(crate) fn write<'a, K: Serialize + 'a>(
    file: &Path,
    resources: impl Iterator<Item = &'a K>,
) -> io::Result<()> {
    let resources: Vec<&K> = resources.collect();
    let bytes = serde_json::to_vec(&resources).map_err(io::Error::other)?;
    crashsafe::write_file(file, &bytes)
}
