//! The key file: the master keys, each on a line with its id.
//!
//! ```text
//! # id               32 bytes in base64
//! alias/aws/kinesis  jZ0i...=
//! ```

use std::fmt::Write;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::keyring::DataKey;

/// The id that AWS gives to the key it manages itself, and that clients name by default.
const DEFAULT_ID: &str = "alias/aws/kinesis";
const KEY_BYTES: usize = 32;
/// Of the form of a wrapped key: nonce, encrypted key, tag.
const VERSION: u8 = 1;

/// Keys that wrap data keys; none by default. Its debug form shows only their ids.
#[derive(Default)]
pub struct MasterKeys {
    keys: Vec<(String, LessSafeKey)>,
}

impl std::fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(id, _)| id)).finish()
    }
}

/// What is wrong with a key file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// A line that is no key.
    #[error(
        "line {line}: want a key id and 32 bytes in base64; `openssl rand -base64 32` makes some"
    )]
    Syntax {
        /// Counted from 1.
        line: usize,
    },
    /// Two keys of one id.
    #[error("line {line}: key {id} is there twice")]
    Repeated {
        /// Counted from 1.
        line: usize,
        /// The id.
        id: String,
    },
    /// Nothing in it.
    #[error("no key in it")]
    Empty,
}

/// Why a data key was not unwrapped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnwrapError {
    /// The master key is not in the key file.
    #[error("key {0} is not in the key file")]
    NoSuchKey(String),
    /// It was wrapped with another key of this id, for another stream, or was damaged.
    #[error("key {0} does not decrypt the stream's data key: it is not the one that encrypted it")]
    Refused(String),
}

impl MasterKeys {
    /// Reads the text of a key file.
    ///
    /// # Errors
    /// See [`KeyFileError`].
    pub fn parse(text: &str) -> Result<MasterKeys, KeyFileError> {
        let mut keys: Vec<(String, LessSafeKey)> = Vec::new();
        for (line, content) in (1..).zip(text.lines()) {
            let content = content.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let syntax = || KeyFileError::Syntax { line };
            let (id, secret) = content.split_once(char::is_whitespace).ok_or_else(syntax)?;
            let secret =
                base64_simd::STANDARD.decode_to_vec(secret.trim()).map_err(|_| syntax())?;
            let secret: [u8; KEY_BYTES] = secret.try_into().map_err(|_| syntax())?;
            let id = bare_id(id).to_owned();
            if keys.iter().any(|(known, _)| *known == id) {
                return Err(KeyFileError::Repeated { line, id });
            }
            keys.push((id, aes(&secret)));
        }
        if keys.is_empty() {
            return Err(KeyFileError::Empty);
        }
        Ok(MasterKeys { keys })
    }

    /// The text of a new key file, with one new key under AWS's default id.
    #[must_use]
    pub fn new_file() -> String {
        let secret = base64_simd::STANDARD.encode_to_string(crate::random::<KEY_BYTES>());
        let mut text = String::from(
            "# Master keys: an id and 32 bytes in base64. Without this file what was encrypted is lost:\n\
             # keep a copy of it apart from the data. Add lines for further keys.\n",
        );
        writeln!(text, "{DEFAULT_ID} {secret}").expect("a string takes all text");
        text
    }

    /// Whether there is a key of this id: bare, an alias, or in an ARN.
    #[must_use]
    pub fn contains(&self, key_id: &str) -> bool {
        self.find(key_id).is_some()
    }

    /// Encrypts a data key under a master key; `context` is whose data key it is.
    ///
    /// # Errors
    /// `NoSuchKey`.
    pub fn wrap(
        &self,
        key_id: &str,
        context: &[u8],
        key: &DataKey,
    ) -> Result<Vec<u8>, UnwrapError> {
        let master = self.find(key_id).ok_or_else(|| UnwrapError::NoSuchKey(key_id.to_owned()))?;
        let nonce: [u8; NONCE_LEN] = crate::random();
        let mut sealed = key.0.to_vec();
        master
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(context),
                &mut sealed,
            )
            .expect("32 bytes are not too long for AES-GCM");
        Ok([&[VERSION], &nonce[..], &sealed].concat())
    }

    /// The inverse of [`wrap`](Self::wrap).
    ///
    /// # Errors
    /// See [`UnwrapError`].
    pub fn unwrap(
        &self,
        key_id: &str,
        context: &[u8],
        wrapped: &[u8],
    ) -> Result<DataKey, UnwrapError> {
        let master = self.find(key_id).ok_or_else(|| UnwrapError::NoSuchKey(key_id.to_owned()))?;
        let refused = || UnwrapError::Refused(key_id.to_owned());
        let [VERSION, rest @ ..] = wrapped else {
            return Err(refused());
        };
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(refused)?;
        let mut sealed = sealed.to_vec();
        let opened = master.open_in_place(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(context),
            &mut sealed,
        );
        let key = <[u8; KEY_BYTES]>::try_from(&*opened.map_err(|_| refused())?);
        key.map(DataKey).map_err(|_| refused())
    }

    fn find(&self, key_id: &str) -> Option<&LessSafeKey> {
        let wanted = bare_id(key_id);
        self.keys.iter().find(|(id, _)| id == wanted).map(|(_, key)| key)
    }
}

pub(crate) fn aes(key: &[u8; KEY_BYTES]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("AES-256 takes 32 bytes"))
}

/// The id in `arn:aws:kms:REGION:ACCOUNT:key/ID` and `arn:aws:kms:REGION:ACCOUNT:alias/NAME`.
fn bare_id(key_id: &str) -> &str {
    let in_arn = key_id.strip_prefix("arn:").and_then(|rest| rest.splitn(5, ':').last());
    let id = in_arn.unwrap_or(key_id);
    id.strip_prefix("key/").unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[test]
    fn keys_are_found_by_id_alias_and_arn() {
        let file = format!("# mine\n\nalias/a {SECRET}\n1234-5678\t{SECRET}\n");
        let keys = MasterKeys::parse(&file).unwrap();
        let check = |id: &str, want: bool| assert_eq!(keys.contains(id), want, "{id}");
        check("alias/a", true);
        check("1234-5678", true);
        check("arn:aws:kms:us-east-1:000000000000:key/1234-5678", true);
        check("arn:aws:kms:us-east-1:000000000000:alias/a", true);
        check("alias/b", false);
        check("", false);
        check("arn:aws:kms", false);
        assert_eq!(format!("{keys:?}"), r#"["alias/a", "1234-5678"]"#);
    }

    #[test]
    fn a_new_file_has_the_default_key() {
        let (one, other) = (MasterKeys::new_file(), MasterKeys::new_file());
        assert_ne!(one, other);
        assert!(MasterKeys::parse(&one).unwrap().contains("alias/aws/kinesis"));
    }

    #[test]
    fn what_is_wrong_with_a_key_file_is_told() {
        let check = |text: &str, want: KeyFileError| {
            assert_eq!(MasterKeys::parse(text).err(), Some(want), "{text}");
        };
        check("", KeyFileError::Empty);
        check("# nothing", KeyFileError::Empty);
        check("alias/a", KeyFileError::Syntax { line: 1 });
        check("\nalias/a c2hvcnQ=", KeyFileError::Syntax { line: 2 });
        check("alias/a not-base64", KeyFileError::Syntax { line: 1 });
        let twice = format!("a {SECRET}\na {SECRET}");
        check(&twice, KeyFileError::Repeated { line: 2, id: "a".to_owned() });
    }

    #[test]
    fn a_data_key_comes_back_under_its_own_master_key_and_context_only() {
        let keys = MasterKeys::parse(&format!("a {SECRET}")).unwrap();
        let others = MasterKeys::parse(&MasterKeys::new_file().replace(DEFAULT_ID, "a")).unwrap();
        let key = DataKey::generate();
        let wrapped = keys.wrap("a", b"stream 1", &key).unwrap();
        assert_eq!(keys.unwrap("a", b"stream 1", &wrapped), Ok(key.clone()));
        let refused = Err(UnwrapError::Refused("a".to_owned()));
        assert_eq!(keys.unwrap("a", b"stream 2", &wrapped), refused);
        assert_eq!(others.unwrap("a", b"stream 1", &wrapped), refused);
        for end in 0..wrapped.len() {
            assert_eq!(keys.unwrap("a", b"stream 1", &wrapped[..end]), refused);
        }
        let missing = Err(UnwrapError::NoSuchKey("b".to_owned()));
        assert_eq!(keys.unwrap("b", b"stream 1", &wrapped), missing);
        assert_ne!(keys.wrap("a", b"stream 1", &key).unwrap(), wrapped);
        assert_eq!(format!("{key:?}"), "DataKey(..)");
    }
}
