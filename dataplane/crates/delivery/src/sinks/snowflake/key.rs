//! Who Snowflake is told that we are: a JSON Web Token, signed with the user's private key.

use std::sync::{Arc, Mutex, PoisonError};

use base64_simd::{STANDARD, URL_SAFE_NO_PAD, forgiving_decode_to_vec};
use model::UnixMillis;
use operator_api::delivery_stream::SnowflakeDestination;
use pkcs8::der::Encode;
use pkcs8::der::asn1::{AnyRef, BitStringRef};
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::Kdf;
use pkcs8::spki::{AlgorithmIdentifier, SubjectPublicKeyInfo};
use pkcs8::{EncryptedPrivateKeyInfoRef, ObjectIdentifier};
use reqwest::Url;
use ring::rand::SystemRandom;
use ring::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::sinks::client::{Connector, TransferError};

/// Snowflake takes an hour at most.
const LIFETIME_SECONDS: u64 = 3_000;
/// A key of 4096 bits takes 3.3 KiB.
const PEM_BYTES_MAX: usize = 16 << 10;
/// Some seconds of work.
const ITERATIONS_MAX: u32 = 10_000_000;
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// A private key that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeyError {
    #[error("the private key is not PKCS #8 in PEM: it has no part PRIVATE KEY")]
    NotPem,
    #[error("the private key is encrypted: set keyPassphraseRef")]
    Encrypted,
    #[error("the private key is encrypted as it should not be: use PBES2 with PBKDF2, as openssl")]
    Encryption,
    #[error("the private key's passphrase is another")]
    Passphrase,
    #[error("the private key is not an RSA key of 2048 to 4096 bits")]
    NotRsa,
}

/// Signs for a user of an account.
pub(super) struct Signer {
    account: String,
    user: String,
    of: Arc<SnowflakeDestination>,
    known: Mutex<Option<Known>>,
}

/// A key, and the secrets it was made of.
struct Known {
    pem: Vec<u8>,
    passphrase: Option<Vec<u8>>,
    key: Arc<Key>,
}

impl Signer {
    pub(super) fn new(of: Arc<SnowflakeDestination>) -> Signer {
        let account = account(&of.account_url);
        Signer { account, user: of.user.to_uppercase(), of, known: Mutex::new(None) }
    }

    /// The account, as tokens name it.
    pub(super) fn account(&self) -> &str {
        &self.account
    }

    /// A token, from the Secrets as they are now.
    pub(super) async fn token(
        &self,
        connector: &Connector,
        now: UnixMillis,
    ) -> Result<String, TransferError> {
        let key = self.key(connector).await?;
        key.token(&self.account, &self.user, now)
            .map_err(|error| TransferError::Credentials(error.to_string()))
    }

    async fn key(&self, connector: &Connector) -> Result<Arc<Key>, TransferError> {
        let pem = connector.secret(&self.of.private_key_ref)?;
        let passphrase = self.of.key_passphrase_ref.as_ref();
        let passphrase = passphrase.map(|of| connector.secret(of)).transpose()?;
        if let Some(known) = &*self.known.lock().unwrap_or_else(PoisonError::into_inner)
            && (&known.pem, &known.passphrase) == (&pem, &passphrase)
        {
            return Ok(Arc::clone(&known.key));
        }
        let secrets = (pem.clone(), passphrase.clone());
        // A passphrase is made slow to try.
        let read = move || Key::read(&secrets.0, secrets.1.as_deref());
        let key = tokio::task::spawn_blocking(read).await;
        let key = key.map_err(|error| TransferError::Credentials(error.to_string()))?;
        let key = key.map_err(|error| TransferError::Credentials(error.to_string()))?;
        let key = Arc::new(key);
        let known = Known { pem, passphrase, key: Arc::clone(&key) };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
        Ok(key)
    }
}

/// The account of an address: its first label, without what tells the regions of a replicated one
/// apart.
fn account(url: &str) -> String {
    let url = Url::parse(url).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    let label = host.split('.').next().unwrap_or_default();
    let label = match host.contains(".global.") {
        true => label.rsplit_once('-').map_or(label, |(account, _)| account),
        false => label,
    };
    label.to_uppercase()
}

/// A private key.
struct Key {
    pair: RsaKeyPair,
    /// Of the public key, as Snowflake shows it: the user may have two.
    fingerprint: String,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    iat: u64,
    exp: u64,
}

impl Key {
    fn read(pem: &[u8], passphrase: Option<&[u8]>) -> Result<Key, KeyError> {
        let text = str::from_utf8(pem).ok().filter(|text| text.len() <= PEM_BYTES_MAX);
        let text = text.ok_or(KeyError::NotPem)?;
        let pair = match (part(text, "ENCRYPTED PRIVATE KEY"), passphrase) {
            (Some(der), Some(passphrase)) => {
                let der = decrypt(&der, passphrase)?;
                RsaKeyPair::from_pkcs8(&der)
            }
            (Some(_), None) => return Err(KeyError::Encrypted),
            (None, _) => {
                RsaKeyPair::from_pkcs8(&part(text, "PRIVATE KEY").ok_or(KeyError::NotPem)?)
            }
        };
        let pair = pair.map_err(|_| KeyError::NotRsa)?;
        let public = public_key(pair.public_key().as_ref()).ok_or(KeyError::NotRsa)?;
        let hash = STANDARD.encode_to_string(Sha256::digest(public));
        Ok(Key { pair, fingerprint: format!("SHA256:{hash}") })
    }

    fn token(&self, account: &str, user: &str, now: UnixMillis) -> Result<String, KeyError> {
        const HEADER: &str = r#"{"alg":"RS256","typ":"JWT"}"#;
        let subject = format!("{account}.{user}");
        let issuer = format!("{subject}.{}", self.fingerprint);
        let iat = now.0 / 1_000;
        let claims = Claims { iss: &issuer, sub: &subject, iat, exp: iat + LIFETIME_SECONDS };
        let claims = serde_json::to_vec(&claims).expect("texts and numbers are JSON");
        let mut token = URL_SAFE_NO_PAD.encode_to_string(HEADER);
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode_to_string(claims));
        let mut signature = vec![0; self.pair.public().modulus_len()];
        let random = SystemRandom::new();
        self.pair
            .sign(&RSA_PKCS1_SHA256, &random, token.as_bytes(), &mut signature)
            .map_err(|_| KeyError::NotRsa)?;
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode_to_string(signature));
        Ok(token)
    }
}

/// The bytes of a part of PEM.
fn part(text: &str, label: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (base64, _) = rest.split_once(&format!("-----END {label}-----"))?;
    forgiving_decode_to_vec(base64.as_bytes()).ok()
}

fn decrypt(der: &[u8], passphrase: &[u8]) -> Result<Vec<u8>, KeyError> {
    let encrypted = EncryptedPrivateKeyInfoRef::try_from(der).map_err(|_| KeyError::Encryption)?;
    match &encrypted.encryption_algorithm {
        EncryptionScheme::Pbes2(of) => match &of.kdf {
            Kdf::Pbkdf2(of) if of.iteration_count <= ITERATIONS_MAX => {}
            _ => return Err(KeyError::Encryption),
        },
        _ => return Err(KeyError::Encryption),
    }
    let decrypted = encrypted.decrypt(passphrase).map_err(|_| KeyError::Passphrase)?;
    Ok(decrypted.as_bytes().to_vec())
}

/// As X.509 writes public keys, which is what Snowflake is given and hashes.
fn public_key(pkcs1: &[u8]) -> Option<Vec<u8>> {
    let algorithm = AlgorithmIdentifier { oid: RSA_ENCRYPTION, parameters: Some(AnyRef::NULL) };
    let subject_public_key = BitStringRef::from_bytes(pkcs1).ok()?;
    SubjectPublicKeyInfo { algorithm, subject_public_key }.to_der().ok()
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) use tests::PLAIN;
