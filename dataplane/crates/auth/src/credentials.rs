//! Access keys and their secrets, and who is let in by them.
//!
//! Reads the text of a credentials file, not the file, and never shows a secret in a debug form.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use model::UnixMillis;

use crate::error::AuthError;
use crate::sigv4::SignedRequest;

/// A secret, and the session token that must come with it, if any. Its debug form shows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    secret_key: String,
    session_token: Option<String>,
    user: User,
}

/// Whose access key it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The account, when it is not the one that owns the streams.
    pub account: Option<String>,
    /// The name: of the profile in the credentials file, or of the access key.
    pub name: String,
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
    /// A profile with one of the two keys missing or empty. An empty secret would let everybody in.
    #[error("line {line}: profile {profile:?} lacks {missing}; add \"{missing} = ...\"")]
    Incomplete {
        /// Where the profile begins, counted from 1.
        line: usize,
        /// The profile's name.
        profile: String,
        /// The setting to add.
        missing: &'static str,
    },
    /// An account that is none.
    #[error("line {line}: profile {profile:?}: aws_account_id is twelve digits")]
    Account {
        /// Where the profile begins, counted from 1.
        line: usize,
        /// The profile's name.
        profile: String,
    },
    /// One access key with two secrets or session tokens.
    #[error("line {line}: access key {access_key} has another secret above; keep one of the two")]
    Contradictory {
        /// Where the second profile begins, counted from 1.
        line: usize,
        /// The access key id.
        access_key: String,
    },
    /// Nothing in it.
    #[error("no profile with aws_access_key_id and aws_secret_access_key")]
    Empty,
}

#[derive(Default)]
struct Profile {
    /// Where it begins, counted from 1.
    line: usize,
    name: String,
    access_key: Option<String>,
    secret_key: Option<String>,
    session_token: Option<String>,
    account: Option<String>,
}

/// An access key, and whose it is. Its debug form shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// Its id.
    pub id: String,
    /// The secret access key.
    pub secret: String,
    /// The session token that must come with it.
    pub session_token: Option<String>,
    /// The account of its user.
    pub account: String,
    /// The name of its user there.
    pub user: String,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl CredentialStore {
    /// These access keys. Of two with one id the first counts.
    #[must_use]
    pub fn of(keys: impl Iterator<Item = AccessKey>) -> CredentialStore {
        let mut by_access_key = HashMap::new();
        for key in keys {
            let AccessKey { id, secret, session_token, account, user } = key;
            let user = User { account: Some(account), name: user };
            let credential = Credential { secret_key: secret, session_token, user };
            by_access_key.entry(id).or_insert(credential);
        }
        CredentialStore { by_access_key }
    }

    /// Reads the text of an AWS shared credentials file: the same file that clients use.
    ///
    /// # Errors
    /// See [`CredentialsFileError`].
    pub fn parse(text: &str) -> Result<CredentialStore, CredentialsFileError> {
        let mut by_access_key = HashMap::new();
        for profile in parse_profiles(text)? {
            let line = profile.line;
            let Some((access_key, credential)) = profile.check()? else {
                continue;
            };
            // Profiles often share a key and differ in their region.
            match by_access_key.entry(access_key) {
                Entry::Vacant(vacant) => {
                    vacant.insert(credential);
                }
                Entry::Occupied(earlier) if credential.is_same_as(earlier.get()) => {}
                Entry::Occupied(earlier) => {
                    let access_key = earlier.key().clone();
                    return Err(CredentialsFileError::Contradictory { line, access_key });
                }
            }
        }
        if by_access_key.is_empty() {
            return Err(CredentialsFileError::Empty);
        }
        Ok(CredentialStore { by_access_key })
    }
}

fn parse_profiles(text: &str) -> Result<Vec<Profile>, CredentialsFileError> {
    let mut profiles: Vec<Profile> = Vec::new();
    // Editors on Windows begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (number, line) in (1..).zip(text.lines()) {
        let syntax = CredentialsFileError::Syntax { line: number };
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let name = name.trim().to_owned();
            profiles.push(Profile { line: number, name, ..Profile::default() });
            continue;
        }
        let (name, value) = line.split_once('=').ok_or(syntax.clone())?;
        let profile = profiles.last_mut().ok_or(syntax)?;
        let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
        match name.trim() {
            "aws_access_key_id" => profile.access_key = value,
            "aws_secret_access_key" => profile.secret_key = value,
            "aws_session_token" => profile.session_token = value,
            "aws_account_id" => profile.account = value,
            // Clients keep other settings there, such as a region.
            _ => {}
        }
    }
    Ok(profiles)
}

impl Profile {
    /// The access key and its credential; `None` for a profile of other settings only.
    fn check(self) -> Result<Option<(String, Credential)>, CredentialsFileError> {
        let Profile { line, name: profile, access_key, secret_key, session_token, account } = self;
        let is_account = |text: &str| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
        if account.as_deref().is_some_and(|account| !is_account(account)) {
            return Err(CredentialsFileError::Account { line, profile });
        }
        let missing = match (access_key, secret_key) {
            (Some(access_key), Some(secret_key)) => {
                let user = User { account, name: profile };
                return Ok(Some((access_key, Credential { secret_key, session_token, user })));
            }
            (None, None) => return Ok(None),
            (None, Some(_)) => "aws_access_key_id",
            (Some(_), None) => "aws_secret_access_key",
        };
        Err(CredentialsFileError::Incomplete { line, profile, missing })
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

    /// Lets a request in, or not; who it is from.
    ///
    /// # Errors
    /// See [`AuthError`].
    pub fn authenticate(
        &self,
        request: &SignedRequest<'_>,
        body_sha256: impl FnOnce() -> [u8; 32],
        now: UnixMillis,
    ) -> Result<User, AuthError> {
        match self {
            Authenticator::AnyCredentials => {
                Ok(User { account: None, name: request.access_key().to_owned() })
            }
            Authenticator::Store(store) => {
                let credential = store.find(request)?;
                credential.verify(request, body_sha256(), now)?;
                Ok(credential.user.clone())
            }
        }
    }
}

impl CredentialStore {
    fn find(&self, request: &SignedRequest<'_>) -> Result<&Credential, AuthError> {
        self.by_access_key.get(request.access_key()).ok_or(AuthError::UnrecognizedClient)
    }
}

impl Credential {
    /// Whether both let the same requests in, for the same account.
    fn is_same_as(&self, other: &Credential) -> bool {
        let of = |c: &Credential| {
            (c.secret_key.clone(), c.session_token.clone(), c.user.account.clone())
        };
        of(self) == of(other)
    }

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
    use crate::{RequestParts, Signer, body_sha256, timestamp};

    const NOW: UnixMillis = UnixMillis(1_440_938_160_000);
    const FILE: &str = "\
# comment
[default]
aws_access_key_id = AKID
aws_secret_access_key=se=cret
region = eu-west-1

[ci]\r
aws_access_key_id=AK2\r
aws_secret_access_key=s2\r
aws_session_token=t\r

[again]
aws_access_key_id = AKID
aws_secret_access_key = se=cret

[region only]
region = eu-west-1
";

    #[test]
    fn a_shared_credentials_file_is_understood() {
        for text in [FILE.to_owned(), format!("\u{feff}{FILE}")] {
            let store = CredentialStore::parse(&text).unwrap();
            assert_eq!(store.by_access_key.len(), 2);
            assert_eq!(store.by_access_key["AKID"].secret_key, "se=cret");
            assert_eq!(store.by_access_key["AK2"].session_token.as_deref(), Some("t"));
        }
    }

    #[test]
    fn errors_of_a_credentials_file_say_where_and_what_to_do() {
        let check = |text: &str, want: &str| {
            assert_eq!(CredentialStore::parse(text).unwrap_err().to_string(), want);
        };
        check("", "no profile with aws_access_key_id and aws_secret_access_key");
        check("key = value", "line 1: want \"[profile]\" or \"name = value\"");
        check("[a]\nnonsense", "line 2: want \"[profile]\" or \"name = value\"");
        let no_secret = "line 2: profile \"a\" lacks aws_secret_access_key; \
                         add \"aws_secret_access_key = ...\"";
        check("\n[a]\naws_access_key_id = x", no_secret);
        check("\n[a]\naws_access_key_id = x\naws_secret_access_key =", no_secret);
        check(
            "[a]\naws_secret_access_key = x",
            "line 1: profile \"a\" lacks aws_access_key_id; add \"aws_access_key_id = ...\"",
        );
        check(
            "[a]\naws_access_key_id=K\naws_secret_access_key=1\n[b]\naws_access_key_id=K\naws_secret_access_key=2",
            "line 4: access key K has another secret above; keep one of the two",
        );
    }

    #[test]
    fn debug_forms_show_no_secret() {
        let store = CredentialStore::parse(FILE).unwrap();
        let signer =
            Signer { access_key: "AKID", secret_key: "se=cret", region: "r", service: "s" };
        let headers = [
            ("host", "h"),
            ("x-amz-security-token", "the token"),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKID/20150830/r/s/aws4_request, SignedHeaders=host, Signature=5eed",
            ),
            ("x-amz-date", "20150830T123600Z"),
        ];
        let parts = RequestParts { method: "POST", path: "/", query: "", headers: &headers };
        let request = SignedRequest::parse(parts).unwrap();
        let shown = format!("{store:?} {:?} {signer:?} {request:?}", store.by_access_key["AKID"]);
        for secret in ["cret", "the token", "5eed"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("AKID"), "{shown}");
    }

    /// Signs as `access_key` with `secret_key` and `token`; what `authenticator` says to that.
    fn check(
        authenticator: &Authenticator,
        (access_key, secret_key, token): (&str, &str, Option<&str>),
        want: Result<(), &str>,
    ) {
        let date = timestamp(NOW);
        let token = token.map(|token| ("x-amz-security-token", token));
        let signed = [("host", "h"), ("x-amz-date", &date)].into_iter().chain(token);
        let mut headers: Vec<(&str, &str)> = signed.collect();
        let signer = Signer { access_key, secret_key, region: "us-east-1", service: "kinesis" };
        let parts = RequestParts { method: "POST", path: "/", query: "", headers: &headers };
        let authorization = SignedRequest::sign(parts, &signer, body_sha256(b"{}"), NOW);
        headers.push(("authorization", &authorization));
        let parts = RequestParts { method: "POST", path: "/", query: "", headers: &headers };
        let request = SignedRequest::parse(parts).unwrap();
        assert_eq!(request.access_key(), access_key);
        let got = authenticator.authenticate(&request, || body_sha256(b"{}"), NOW);
        assert_eq!(
            got.map(drop).map_err(|error| error.code()),
            want,
            "{access_key} {secret_key} {token:?}"
        );
    }

    #[test]
    fn a_store_lets_in_who_has_key_secret_and_token() {
        let store = Authenticator::Store(CredentialStore::parse(FILE).unwrap());
        check(&store, ("AKID", "se=cret", None), Ok(()));
        check(&store, ("AKID", "s2", None), Err("InvalidSignatureException"));
        check(&store, ("AKID", "", None), Err("InvalidSignatureException"));
        check(&store, ("AKID", "se=cret", Some("t")), Err("UnrecognizedClientException"));
        check(&store, ("AK2", "s2", Some("t")), Ok(()));
        check(&store, ("AK2", "s2", Some("u")), Err("UnrecognizedClientException"));
        check(&store, ("AK2", "s2", None), Err("UnrecognizedClientException"));
        check(&store, ("AK3", "s2", None), Err("UnrecognizedClientException"));
    }

    #[test]
    fn users_are_named_by_profile_and_account() {
        const OTHER: &str =
            "[ann]\naws_access_key_id=A\naws_secret_access_key=s\naws_account_id=111111111111\n";
        let store = CredentialStore::parse(&format!("{FILE}{OTHER}")).unwrap();
        let user = |key: &str| store.by_access_key[key].user.clone();
        assert_eq!(user("AKID"), User { account: None, name: "default".to_owned() });
        let ann = User { account: Some("111111111111".to_owned()), name: "ann".to_owned() };
        assert_eq!(user("A"), ann);
        let bad = OTHER.replace("111111111111", "12");
        let error = CredentialStore::parse(&bad).err();
        let profile = "ann".to_owned();
        assert_eq!(error, Some(CredentialsFileError::Account { line: 1, profile }));
        let twice = format!("{OTHER}{}", OTHER.replace("111111111111", "222222222222"));
        assert!(CredentialStore::parse(&twice).is_err());
    }

    #[test]
    fn any_credentials_will_do_where_only_this_machine_calls() {
        check(&Authenticator::AnyCredentials, ("whoever", "whatever", Some("t")), Ok(()));
        assert!(!Authenticator::AnyCredentials.needs_body());
    }
}
