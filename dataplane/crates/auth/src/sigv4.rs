//! Parsing and verifying a signature, in the Authorization header or in the query (presigned).
//!
//! What is signed need not be trusted before it is verified: a name or a length that the signature
//! covers may still be chosen to make verifying costly, so `parse` bounds what `verify` will do.

use std::fmt;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use model::UnixMillis;
use sha2::{Digest, Sha256};

use crate::canonical;
use crate::error::AuthError;
use crate::time::{parse_timestamp, timestamp};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// What every credential scope ends with.
const TERMINATOR: &str = "aws4_request";
/// Names the operation.
const TARGET_HEADER: &str = "x-amz-target";
/// How far a request's clock may be from ours.
const SKEW_MAX: Duration = Duration::from_secs(300);
/// The longest a presigned request may be good for, as in AWS.
const EXPIRES_SECONDS_MAX: u64 = 7 * 24 * 3600;

/// A request as it came in, but for its body.
#[derive(Clone, Copy, Debug)]
pub struct RequestParts<'a> {
    /// `POST`.
    pub method: &'a str,
    /// The path, still encoded.
    pub path: &'a str,
    /// What follows the `?`, still encoded; empty when nothing does.
    pub query: &'a str,
    /// Names in lower case. A name may repeat.
    pub headers: &'a [(&'a str, &'a str)],
}

/// A request with everything its signature needs, not yet verified. Its debug form shows who signed
/// it and for what, but neither signature nor session token.
#[derive(Clone)]
pub struct SignedRequest<'a> {
    parts: RequestParts<'a>,
    access_key: String,
    scope: Scope,
    signed_headers: Vec<String>,
    signature: String,
    /// When it says it was signed, as text and as time.
    signed_at: (String, UnixMillis),
    /// How long a presigned request is good for.
    expires: Option<Duration>,
    security_token: Option<String>,
}

#[derive(Clone, Debug)]
struct Scope {
    date: String,
    region: String,
    service: String,
}

/// Who signs a request, and for whom. Its debug form does not show the secret.
#[derive(Clone, Copy)]
pub struct Signer<'a> {
    /// The access key id.
    pub access_key: &'a str,
    /// Its secret.
    pub secret_key: &'a str,
    /// As in `us-east-1`.
    pub region: &'a str,
    /// As in `kinesis`.
    pub service: &'a str,
}

impl fmt::Debug for SignedRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedRequest")
            .field("access_key", &self.access_key)
            .field("scope", &self.scope)
            .field("signed_at", &self.signed_at.0)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Signer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// The SHA-256 of a request's body.
#[must_use]
pub fn body_sha256(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}

impl<'a> SignedRequest<'a> {
    /// Finds the signature and checks that it is complete.
    ///
    /// # Errors
    /// `MissingAuthenticationToken` without a signature, `InvalidSignature` with two,
    /// `IncompleteSignature` when something is missing or malformed.
    pub fn parse(parts: RequestParts<'a>) -> Result<SignedRequest<'a>, AuthError> {
        let in_query = canonical::query_parameters(parts.query)
            .any(|(name, _)| name == b"X-Amz-Algorithm" || name == b"X-Amz-Signature");
        match (header(&parts, "authorization"), in_query) {
            (Some(_), true) => Err(invalid(
                "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.",
            )),
            (Some(authorization), false) => parse_header(parts, authorization),
            (None, true) => parse_query(parts),
            (None, false) => Err(AuthError::MissingAuthenticationToken),
        }
    }

    /// The access key id it was signed with.
    #[must_use]
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// The service it was signed for: `kinesis`.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.scope.service
    }

    /// The session token it brings, if any.
    #[must_use]
    pub fn security_token(&self) -> Option<&str> {
        self.security_token.as_deref()
    }

    /// Signs a request: the value of its Authorization header. The headers must hold `host` and
    /// `x-amz-date`, the latter from [`timestamp`]; all of them are signed.
    #[must_use]
    pub fn sign(
        parts: RequestParts<'a>,
        signer: &Signer<'_>,
        body_sha256: [u8; 32],
        now: UnixMillis,
    ) -> String {
        let at = timestamp(now);
        let scope = Scope {
            date: at[..8].to_owned(),
            region: signer.region.to_owned(),
            service: signer.service.to_owned(),
        };
        let mut signed_headers: Vec<String> =
            parts.headers.iter().map(|(name, _)| (*name).to_owned()).collect();
        signed_headers.sort_unstable();
        signed_headers.dedup();
        let mut request = SignedRequest {
            parts,
            access_key: signer.access_key.to_owned(),
            scope,
            signed_headers,
            signature: String::new(),
            signed_at: (at, now),
            expires: None,
            security_token: None,
        };
        let (_, to_sign) = request.string_to_sign(body_sha256);
        let mut mac = signing_key(signer.secret_key, &request.scope);
        mac.update(to_sign.as_bytes());
        request.signature = encode_hex(&mac.finalize().into_bytes());
        let Scope { date, region, service } = &request.scope;
        format!(
            "{ALGORITHM} Credential={}/{date}/{region}/{service}/{TERMINATOR}, \
             SignedHeaders={}, Signature={}",
            request.access_key,
            request.signed_headers.join(";"),
            request.signature
        )
    }

    /// Checks that it was signed for this service. Without this, what was signed for one service
    /// could be sent to another that shares the access key.
    ///
    /// # Errors
    /// `InvalidSignature`.
    pub fn check_service(&self, service: &str) -> Result<(), AuthError> {
        if self.scope.service == service {
            return Ok(());
        }
        Err(invalid(format!("Credential should be scoped to correct service: '{service}'.")))
    }

    /// Checks time and signature, and that the signature covers operation and body.
    ///
    /// # Errors
    /// `InvalidSignature`; `ExpiredToken` for a presigned request past its time.
    pub fn verify(
        &self,
        secret_key: &str,
        body_sha256: [u8; 32],
        now: UnixMillis,
    ) -> Result<(), AuthError> {
        self.check_time(now)?;
        self.check_coverage(body_sha256)?;
        let (canonical, to_sign) = self.string_to_sign(body_sha256);
        let mut mac = signing_key(secret_key, &self.scope);
        mac.update(to_sign.as_bytes());
        let given = decode_hex(&self.signature).unwrap_or_default();
        // Compares in constant time.
        mac.verify_slice(&given).map_err(|_| {
            invalid(format!(
                "The request signature we calculated does not match the signature you provided. \
                 Check your AWS Secret Access Key and signing method. Consult the service \
                 documentation for details.\n\nThe Canonical String for this request should have \
                 been\n'{canonical}'\n\nThe String-to-Sign should have been\n'{to_sign}'\n"
            ))
        })
    }

    /// A target outside the signature could be exchanged for another; a body hash that is not the
    /// body's (UNSIGNED-PAYLOAD is none) covers nothing.
    fn check_coverage(&self, body_sha256: [u8; 32]) -> Result<(), AuthError> {
        let is_signed = |name: &str| self.signed_headers.iter().any(|signed| signed == name);
        if header(&self.parts, TARGET_HEADER).is_some() && !is_signed(TARGET_HEADER) {
            return Err(invalid(format!(
                "'{TARGET_HEADER}' must be a 'SignedHeader' in the AWS Authorization."
            )));
        }
        let claimed = header(&self.parts, "x-amz-content-sha256");
        if claimed.is_some_and(|claimed| claimed != encode_hex(&body_sha256)) {
            return Err(invalid(
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
            ));
        }
        Ok(())
    }

    fn check_time(&self, now: UnixMillis) -> Result<(), AuthError> {
        let (text, signed_at) = &self.signed_at;
        let latest = signed_at.saturating_add(self.expires.unwrap_or(SKEW_MAX));
        let minutes = SKEW_MAX.as_secs() / 60;
        if now.saturating_add(SKEW_MAX) < *signed_at {
            return Err(invalid(format!(
                "Signature not yet current: {text} is still later than {} ({} + {minutes} min.)",
                timestamp(now.saturating_add(SKEW_MAX)),
                timestamp(now),
            )));
        }
        if latest < now {
            if self.expires.is_some() {
                return Err(AuthError::ExpiredToken);
            }
            return Err(invalid(format!(
                "Signature expired: {text} is now earlier than {} ({} - {minutes} min.)",
                timestamp(now.saturating_sub(SKEW_MAX)),
                timestamp(now),
            )));
        }
        Ok(())
    }

    /// The canonical request and the string to sign.
    fn string_to_sign(&self, body_sha256: [u8; 32]) -> (String, String) {
        let mut headers = String::new();
        for name in &self.signed_headers {
            let values: Vec<String> = self
                .parts
                .headers
                .iter()
                .filter(|(other, _)| other == name)
                .map(|(_, value)| canonical::header_value(value))
                .collect();
            headers.push_str(&format!("{name}:{}\n", values.join(",")));
        }
        let canonical = format!(
            "{}\n{}\n{}\n{headers}\n{}\n{}",
            self.parts.method,
            canonical::path(self.parts.path),
            canonical::query(self.parts.query),
            self.signed_headers.join(";"),
            encode_hex(&body_sha256),
        );
        let Scope { date, region, service } = &self.scope;
        let to_sign = format!(
            "{ALGORITHM}\n{}\n{date}/{region}/{service}/{TERMINATOR}\n{}",
            self.signed_at.0,
            encode_hex(&Sha256::digest(canonical.as_bytes())),
        );
        (canonical, to_sign)
    }
}

fn parse_header<'a>(
    parts: RequestParts<'a>,
    authorization: &str,
) -> Result<SignedRequest<'a>, AuthError> {
    // AWS takes commas, spaces or both between the fields.
    let mut words = authorization.split([',', ' ', '\t']).filter(|word| !word.is_empty());
    let algorithm = words.next().unwrap_or_default();
    let fields: Vec<&str> = words.collect();
    let field = |name: &str| {
        let mut values =
            fields.iter().filter_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        values.next().filter(|value| !value.is_empty())
    };
    let date = header(&parts, "x-amz-date").or_else(|| header(&parts, "date"));
    let missing: Vec<String> = ["Credential", "Signature", "SignedHeaders"]
        .iter()
        .filter(|name| field(name).is_none())
        .map(|name| format!("Authorization header requires '{name}' parameter."))
        .chain(date.is_none().then(|| {
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
                .to_owned()
        }))
        .collect();
    let (Some(credential), Some(signature), Some(signed_headers), Some(date), []) =
        (field("Credential"), field("Signature"), field("SignedHeaders"), date, missing.as_slice())
    else {
        // Not the whole header, as AWS once did: error messages end up in logs.
        let missing = missing.join(" ");
        return Err(incomplete(format!("{missing} Authorization={algorithm}")));
    };
    check_algorithm(algorithm)?;
    build(parts, credential, signature, signed_headers, date, None)
}

fn parse_query(parts: RequestParts<'_>) -> Result<SignedRequest<'_>, AuthError> {
    let text = |name: &str| {
        let mut parameters = canonical::query_parameters(parts.query);
        let (_, value) = parameters.find(|(other, _)| other == name.as_bytes())?;
        String::from_utf8(value).ok()
    };
    let missing: Vec<String> = [
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Signature",
        "X-Amz-SignedHeaders",
        "X-Amz-Date",
    ]
    .iter()
    .filter(|name| text(name).is_none_or(|value| value.is_empty()))
    .map(|name| format!("AWS query-string parameters must include '{name}'."))
    .collect();
    let (Some(algorithm), Some(credential), Some(signature), Some(signed_headers), Some(date), []) = (
        text("X-Amz-Algorithm"),
        text("X-Amz-Credential"),
        text("X-Amz-Signature"),
        text("X-Amz-SignedHeaders"),
        text("X-Amz-Date"),
        missing.as_slice(),
    ) else {
        let missing = missing.join(" ");
        return Err(incomplete(format!("{missing} Re-examine the query-string parameters.")));
    };
    check_algorithm(&algorithm)?;
    let expires = match text("X-Amz-Expires") {
        None => None,
        Some(seconds) => match seconds.parse::<u64>() {
            Ok(seconds) if seconds <= EXPIRES_SECONDS_MAX => Some(Duration::from_secs(seconds)),
            _ => {
                return Err(incomplete(format!(
                    "X-Amz-Expires '{seconds}' is not 0 to {EXPIRES_SECONDS_MAX} seconds."
                )));
            }
        },
    };
    let mut request = build(parts, &credential, &signature, &signed_headers, &date, expires)?;
    request.security_token = request.security_token.or_else(|| text("X-Amz-Security-Token"));
    Ok(request)
}

fn build<'a>(
    parts: RequestParts<'a>,
    credential: &str,
    signature: &str,
    signed_headers: &str,
    date: &str,
    expires: Option<Duration>,
) -> Result<SignedRequest<'a>, AuthError> {
    let (access_key, scope) = parse_credential(credential)?;
    let Some(signed_at) = parse_timestamp(date) else {
        return Err(incomplete(format!(
            "Date must be in ISO-8601 'basic format'. Got '{date}'. See http://en.wikipedia.org/wiki/ISO_8601"
        )));
    };
    if date.get(..8) != Some(&scope.date) {
        return Err(invalid(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from \
             HTTP: '{}' != '{}', from '{date}'.",
            scope.date,
            date.get(..8).unwrap_or_default(),
        )));
    }
    let signed_headers = parse_signed_headers(signed_headers)?;
    let security_token = header(&parts, "x-amz-security-token").map(str::to_owned);
    Ok(SignedRequest {
        parts,
        access_key,
        scope,
        signed_headers,
        signature: signature.to_owned(),
        signed_at: (date.to_owned(), signed_at),
        expires,
        security_token,
    })
}

fn check_algorithm(algorithm: &str) -> Result<(), AuthError> {
    if algorithm == ALGORITHM {
        return Ok(());
    }
    Err(incomplete(format!("Unsupported AWS 'algorithm': '{algorithm}'.")))
}

/// The names in lower case, each once: a name may stand for a value of any length, which a repeated
/// name would put into the canonical request over and over.
fn parse_signed_headers(text: &str) -> Result<Vec<String>, AuthError> {
    let names: Vec<String> = text.split(';').map(str::to_ascii_lowercase).collect();
    let mut sorted: Vec<&String> = names.iter().collect();
    sorted.sort_unstable();
    if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(invalid(format!("'{}' must be a 'SignedHeader' only once.", twice[0])));
    }
    // Over HTTP/2 the host is the pseudo-header, and the AWS SDK for JavaScript signs it as that.
    if !names.iter().any(|name| matches!(name.as_str(), "host" | ":authority")) {
        return Err(invalid(
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
        ));
    }
    Ok(names)
}

fn parse_credential(credential: &str) -> Result<(String, Scope), AuthError> {
    // An access key id may itself hold slashes, so the scope is taken from the end.
    let mut parts = credential.rsplitn(5, '/');
    let mut next = || parts.next().filter(|part| !part.is_empty());
    match (next(), next(), next(), next(), next()) {
        (Some(terminator), Some(service), Some(region), Some(date), Some(access_key)) => {
            if terminator != TERMINATOR {
                return Err(invalid(format!(
                    "Credential should be scoped with a valid terminator: '{TERMINATOR}', not \
                     '{terminator}'."
                )));
            }
            let scope = Scope {
                date: date.to_owned(),
                region: region.to_owned(),
                service: service.to_owned(),
            };
            Ok((access_key.to_owned(), scope))
        }
        _ => Err(incomplete(format!(
            "Credential must have exactly 5 slash-delimited elements, e.g. \
             keyid/date/region/service/term, got '{credential}'"
        ))),
    }
}

fn signing_key(secret_key: &str, scope: &Scope) -> Hmac<Sha256> {
    let keyed = |key: &[u8]| Hmac::<Sha256>::new_from_slice(key).expect("any length is a key");
    let mut mac = keyed(format!("AWS4{secret_key}").as_bytes());
    for part in [&scope.date, &scope.region, &scope.service, TERMINATOR] {
        mac.update(part.as_bytes());
        mac = keyed(&mac.finalize().into_bytes());
    }
    mac
}

fn header<'a>(parts: &RequestParts<'a>, name: &str) -> Option<&'a str> {
    parts.headers.iter().find(|(other, _)| *other == name).map(|(_, value)| *value)
}

fn invalid(message: impl Into<String>) -> AuthError {
    AuthError::InvalidSignature(message.into())
}

fn incomplete(message: String) -> AuthError {
    AuthError::IncompleteSignature(message)
}

fn encode_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests;
