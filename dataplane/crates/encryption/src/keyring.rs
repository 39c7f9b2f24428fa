//! The data keys of one stream.

use std::collections::BTreeMap;
use std::fmt;

/// 256 bits that batch keys are derived from. Its debug form does not show them.
#[derive(Clone, PartialEq, Eq)]
pub struct DataKey(pub(crate) [u8; 32]);

impl DataKey {
    /// A new one.
    #[must_use]
    pub fn generate() -> DataKey {
        DataKey(crate::random())
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(..)")
    }
}

/// The data keys a stream's records are, and were, encrypted with, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keyring {
    /// Those that could be unwrapped.
    pub keys: BTreeMap<u32, DataKey>,
    /// The one that new batches are sealed with; `None` when they are not.
    pub current: Option<u32>,
}
