//! Sealed payloads.
//!
//! ```text
//!  bytes  field            integers little-endian
//!   4     data key         its number in the stream
//!   16    salt             drawn when the shard started
//!   8     count            of the batches sealed since then
//!   ..    payload          AES-256-GCM under HMAC-SHA256(data key, "leat batch key" salt),
//!                          nonce: count and four zeros
//!   16    tag
//! ```

use std::collections::HashMap;
use std::fmt;

use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};
use ring::hmac;

use crate::keyring::{DataKey, Keyring};
use crate::master::aes;

const SALT_BYTES: usize = 16;
const COUNT_BYTES: usize = 8;
const HEAD_BYTES: usize = 4 + SALT_BYTES + COUNT_BYTES;
const TAG_BYTES: usize = 16;
/// What sealing adds to a payload.
pub const SEAL_BYTES: usize = HEAD_BYTES + TAG_BYTES;
/// Batch keys an opener remembers.
const REMEMBERED_MAX: usize = 64;
const PURPOSE: &[u8] = b"leat batch key";

type Salt = [u8; SALT_BYTES];

/// Seals the batches of one shard, from one start on.
pub struct Sealer {
    number: u32,
    salt: Salt,
    key: LessSafeKey,
    count: u64,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Sealer {
    /// A sealer with the keyring's current key: `None` when batches are not to be sealed.
    ///
    /// # Errors
    /// The number of the current key, which is not there.
    pub fn new(keyring: &Keyring) -> Result<Option<Sealer>, u32> {
        let Some(number) = keyring.current else {
            return Ok(None);
        };
        let data_key = keyring.keys.get(&number).ok_or(number)?;
        let salt: Salt = crate::random();
        let key = batch_key(data_key, &salt);
        Ok(Some(Sealer { number, salt, key, count: 0 }))
    }

    /// Seals `parts` as one payload, which opens only under the same `context`.
    pub fn seal(&mut self, context: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let mut sealed = Vec::with_capacity(length + SEAL_BYTES);
        sealed.extend(self.number.to_le_bytes());
        sealed.extend(self.salt);
        sealed.extend(self.count.to_le_bytes());
        parts.iter().for_each(|part| sealed.extend_from_slice(part));
        let nonce = nonce(self.count);
        self.count += 1;
        let (_, payload) = sealed.split_at_mut(HEAD_BYTES);
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::from(context), payload);
        sealed.extend(tag.expect("a batch is not too long for AES-GCM").as_ref());
        sealed
    }
}

/// Why a sealed payload was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The data key of this number could not be unwrapped.
    #[error("data key {0} of the stream is not available")]
    NoKey(u32),
    /// Not what was sealed there.
    #[error("a sealed batch does not decrypt")]
    Refused,
}

/// Opens sealed payloads, and remembers the keys it has derived.
#[derive(Default)]
pub struct Opener {
    derived: HashMap<(u32, Salt), LessSafeKey>,
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opener(..)")
    }
}

impl Opener {
    /// The payload that was sealed in this context.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(
        &mut self,
        keyring: &Keyring,
        context: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, OpenError> {
        let (number, rest) = sealed.split_first_chunk::<4>().ok_or(OpenError::Refused)?;
        let (salt, rest) = rest.split_first_chunk::<SALT_BYTES>().ok_or(OpenError::Refused)?;
        let (count, payload) = rest.split_first_chunk::<COUNT_BYTES>().ok_or(OpenError::Refused)?;
        let number = u32::from_le_bytes(*number);
        let data_key = keyring.keys.get(&number).ok_or(OpenError::NoKey(number))?;
        if REMEMBERED_MAX <= self.derived.len() {
            self.derived.clear();
        }
        let key = self.derived.entry((number, *salt)).or_insert_with(|| batch_key(data_key, salt));
        let mut payload = payload.to_vec();
        let nonce = nonce(u64::from_le_bytes(*count));
        let opened = key.open_in_place(nonce, Aad::from(context), &mut payload);
        let length = opened.map_err(|_| OpenError::Refused)?.len();
        payload.truncate(length);
        Ok(payload)
    }
}

fn batch_key(data_key: &DataKey, salt: &Salt) -> LessSafeKey {
    let mac = hmac::Key::new(hmac::HMAC_SHA256, &data_key.0);
    let derived = hmac::sign(&mac, &[PURPOSE, salt].concat());
    aes(derived.as_ref().try_into().expect("SHA-256 gives 32 bytes"))
}

fn nonce(count: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[..COUNT_BYTES].copy_from_slice(&count.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keyring(current: Option<u32>) -> Keyring {
        let keys = [1, 2].map(|number| (number, DataKey::generate()));
        Keyring { keys: keys.into(), current }
    }

    #[test]
    fn sealed_batches_open_with_their_own_key_and_context_only() {
        let keys = keyring(Some(1));
        let mut sealer = Sealer::new(&keys).unwrap().unwrap();
        let sealed = sealer.seal(b"here", &[b"one ", b"two"]);
        assert_eq!(sealed.len(), 7 + SEAL_BYTES);
        let mut opener = Opener::default();
        assert_eq!(opener.open(&keys, b"here", &sealed).as_deref(), Ok(&b"one two"[..]));
        assert_eq!(opener.open(&keys, b"there", &sealed), Err(OpenError::Refused));
        let without = Keyring { keys: [(2, DataKey::generate())].into(), current: Some(2) };
        assert_eq!(opener.open(&without, b"here", &sealed), Err(OpenError::NoKey(1)));
        for at in 4..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert_eq!(opener.open(&keys, b"here", &damaged), Err(OpenError::Refused), "{at}");
        }
        for end in 0..sealed.len() {
            assert!(opener.open(&keys, b"here", &sealed[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn nothing_is_sealed_the_same_way_twice() {
        let keys = keyring(Some(1));
        let mut sealer = Sealer::new(&keys).unwrap().unwrap();
        let mut restarted = Sealer::new(&keys).unwrap().unwrap();
        let all =
            [sealer.seal(b"", &[b"x"]), sealer.seal(b"", &[b"x"]), restarted.seal(b"", &[b"x"])];
        assert_ne!(all[0], all[1]);
        assert_ne!(all[0][HEAD_BYTES..], all[2][HEAD_BYTES..]);
    }

    #[test]
    fn without_a_current_key_nothing_is_sealed_and_a_missing_one_is_named() {
        assert!(Sealer::new(&keyring(None)).unwrap().is_none());
        assert_eq!(Sealer::new(&keyring(Some(3))).err(), Some(3));
    }

    proptest! {
        #[test]
        fn junk_is_refused(bytes: Vec<u8>) {
            prop_assert!(Opener::default().open(&keyring(None), b"", &bytes).is_err());
        }
    }
}
