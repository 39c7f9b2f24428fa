//! Encryption of records at rest, in three layers.
//!
//! ```text
//!  master key   in the key file                 wraps ─► data keys
//!  data key     of a stream, wrapped in the     derives ─► batch keys
//!               catalog, one for each StartStreamEncryption
//!  batch key    of a shard, from the data key   seals ─► batches, AES-256-GCM
//!               and a salt, each time it starts
//! ```
//!
//! A nonce must never be used twice under one key. Batches are counted, and a batch whose write failed
//! may be written again with other content: therefore each start of a shard draws a salt, and with it
//! gets a key of its own to count under.
//!
//! It knows bytes and keys; not files, shards or streams.

mod keyring;
mod master;
mod seal;

pub use keyring::{DataKey, Keyring};
pub use master::{KeyFileError, MasterKeys, UnwrapError};
pub use seal::{OpenError, Opener, SEAL_BYTES, Sealer};

/// Fills `bytes` from the operating system.
fn random<const N: usize>() -> [u8; N] {
    use ring::rand::{SecureRandom, SystemRandom};
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}
