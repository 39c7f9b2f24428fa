//! Access keys and their secrets.

use std::collections::HashMap;
use std::fmt;

use model::UnixMillis;

use crate::error::AuthError;
use crate::sigv4::SignedRequest;

/// A secret, and the session token that must come with it, if any. Its debug form shows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    secret_key: String,
    session_token: Option<String>,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(..)")
    }
}

/// The access keys that are let in.
#[derive(Clone, Debug, Default)]
pub struct CredentialStore {
    by_access_key: HashMap<String, Credential>,
}

/// What is wrong with a credentials file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsFileError {
    /// A line that is no profile, setting or comment.
    #[error("line {line}: want \"[profile]\" or \"name = value\"")]
    Syntax {
        /// Counted from 1.
        line: usize,
    },
    /// A profile without one of the two keys.
    #[error("profile {profile:?}: missing {missing}")]
    Incomplete {
        /// The profile's name.
        profile: String,
        /// The setting to add.
        missing: &'static str,
    },
    /// Nothing in it.
    #[error("no profile with aws_access_key_id and aws_secret_access_key")]
    Empty,
}

#[derive(Default)]
struct Profile {
    name: String,
    access_key: Option<String>,
    secret_key: Option<String>,
    session_token: Option<String>,
}

impl CredentialStore {
    /// Reads the text of an AWS shared credentials file: the same file that clients use.
    ///
    /// # Errors
    /// See [`CredentialsFileError`].
    pub fn parse(text: &str) -> Result<CredentialStore, CredentialsFileError> {
        let mut profiles: Vec<Profile> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let syntax = CredentialsFileError::Syntax { line: number + 1 };
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                let name = name.trim().to_owned();
                profiles.push(Profile { name, ..Profile::default() });
                continue;
            }
            let (name, value) = line.split_once('=').ok_or(syntax.clone())?;
            let profile = profiles.last_mut().ok_or(syntax)?;
            let value = Some(value.trim().to_owned());
            match name.trim() {
                "aws_access_key_id" => profile.access_key = value,
                "aws_secret_access_key" => profile.secret_key = value,
                "aws_session_token" => profile.session_token = value,
                // Clients keep other settings there, such as a region.
                _ => {}
            }
        }
        let mut by_access_key = HashMap::new();
        for profile in profiles {
            let Profile { name, access_key, secret_key, session_token } = profile;
            let incomplete =
                |missing| CredentialsFileError::Incomplete { profile: name.clone(), missing };
            match (access_key, secret_key) {
                (Some(access_key), Some(secret_key)) => {
                    by_access_key.insert(access_key, Credential { secret_key, session_token });
                }
                (None, Some(_)) => return Err(incomplete("aws_access_key_id")),
                (Some(_), None) => return Err(incomplete("aws_secret_access_key")),
                (None, None) => {}
            }
        }
        if by_access_key.is_empty() {
            return Err(CredentialsFileError::Empty);
        }
        Ok(CredentialStore { by_access_key })
    }
}

/// How callers are let in.
#[derive(Clone, Debug)]
pub enum Authenticator {
    /// Every request that is signed at all, by whomever: for a port that only this machine reaches.
    AnyCredentials,
    /// Requests whose signature holds.
    Store(CredentialStore),
}

impl Authenticator {
    /// Whether the body's hash is needed.
    #[must_use]
    pub fn needs_body(&self) -> bool {
        matches!(self, Authenticator::Store(_))
    }

    /// Refuses access keys that are not known, before the body is read.
    ///
    /// # Errors
    /// `UnrecognizedClient`.
    pub fn recognize(&self, request: &SignedRequest<'_>) -> Result<(), AuthError> {
        match self {
            Authenticator::AnyCredentials => Ok(()),
            Authenticator::Store(store) => store.find(request).map(drop),
        }
    }

    /// Lets a request in, or not.
    ///
    /// # Errors
    /// See [`AuthError`].
    pub fn authenticate(
        &self,
        request: &SignedRequest<'_>,
        body_sha256: impl FnOnce() -> [u8; 32],
        now: UnixMillis,
    ) -> Result<(), AuthError> {
        match self {
            Authenticator::AnyCredentials => Ok(()),
            Authenticator::Store(store) => store.find(request)?.verify(request, body_sha256(), now),
        }
    }
}

impl CredentialStore {
    fn find(&self, request: &SignedRequest<'_>) -> Result<&Credential, AuthError> {
        self.by_access_key.get(request.access_key()).ok_or(AuthError::UnrecognizedClient)
    }
}

impl Credential {
    fn verify(
        &self,
        request: &SignedRequest<'_>,
        body_sha256: [u8; 32],
        now: UnixMillis,
    ) -> Result<(), AuthError> {
        request.verify(&self.secret_key, body_sha256, now)?;
        if self.session_token.as_deref() != request.security_token() {
            return Err(AuthError::UnrecognizedClient);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_credentials_file_is_understood() {
        let text = "# comment\n[default]\naws_access_key_id = AKID\naws_secret_access_key=se=cret\nregion = eu-west-1\n\n[ci]\naws_access_key_id=AK2\naws_secret_access_key=s2\naws_session_token=t\n";
        let store = CredentialStore::parse(text).unwrap();
        assert_eq!(store.by_access_key["AKID"].secret_key, "se=cret");
        assert_eq!(store.by_access_key["AK2"].session_token.as_deref(), Some("t"));
        assert_eq!(format!("{store:?}").contains("cret"), false);
    }

    #[test]
    fn errors_of_a_credentials_file_say_where() {
        let check = |text: &str, want: &str| {
            assert_eq!(CredentialStore::parse(text).unwrap_err().to_string(), want);
        };
        check("", "no profile with aws_access_key_id and aws_secret_access_key");
        check("key = value", "line 1: want \"[profile]\" or \"name = value\"");
        check("[a]\nnonsense", "line 2: want \"[profile]\" or \"name = value\"");
        check("[a]\naws_access_key_id = x", "profile \"a\": missing aws_secret_access_key");
    }
}
