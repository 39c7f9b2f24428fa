//! Requests to services of AWS, signed with an access key.

pub(crate) mod json;

use std::sync::Arc;
use std::time::Duration;

use auth::{RequestParts, SignedRequest, Signer, body_sha256, timestamp};
use model::UnixMillis;
use object_store::aws::{AmazonS3Builder, AwsCredential, AwsCredentialProvider};
use operator_api::pods::AwsCredentials;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::OnceCell;

use crate::sinks::client::{Connector, TransferError, secret_header};

/// How long the pod's own identity may take to be found.
const IDENTITY_TIMEOUT: Duration = Duration::from_secs(30);

/// Who is called.
#[derive(Clone, Copy)]
pub(crate) struct Service<'a> {
    /// By what name requests are signed for it.
    pub(crate) name: &'a str,
    pub(crate) region: &'a str,
}

/// A request that is posted.
#[derive(Clone, Copy)]
pub(crate) struct Post<'a> {
    pub(crate) url: &'a Url,
    /// Beside those that all signed requests have.
    pub(crate) headers: &'a [(&'static str, &'a str)],
    pub(crate) body: &'a [u8],
}

/// Who calls: the access key of a Secret, or the pod's own.
pub(crate) struct Identity {
    of: Option<AwsCredentials>,
    own: OnceCell<AwsCredentialProvider>,
}

impl Identity {
    pub(crate) fn new(of: Option<AwsCredentials>) -> Identity {
        Identity { of, own: OnceCell::new() }
    }

    /// The request's headers, among them who posts it, from the Secrets as they are now.
    pub(crate) async fn sign(
        &self,
        connector: &Connector,
        service: &Service<'_>,
        post: Post<'_>,
        now: UnixMillis,
    ) -> Result<HeaderMap, TransferError> {
        let credential = self.credential(connector, service.region).await?;
        sign(service, &credential, post, now)
    }

    /// The access key, from the Secrets as they are now.
    pub(crate) async fn credential(
        &self,
        connector: &Connector,
        region: &str,
    ) -> Result<Arc<AwsCredential>, TransferError> {
        if let Some(of) = &self.of {
            return secret(connector, of);
        }
        let own = tokio::time::timeout(IDENTITY_TIMEOUT, self.own(region));
        own.await.unwrap_or_else(|_| Err(unknown("nobody told it in 30 seconds")))
    }

    /// The pod's own: found where AWS puts it, kept until shortly before it expires.
    async fn own(&self, region: &str) -> Result<Arc<AwsCredential>, TransferError> {
        // It becomes a part of the address that the pod's own token is sent to.
        if !is_region(region) {
            return Err(unknown("the region is no name of a region"));
        }
        let find = async || {
            // The bucket is never asked for: only what finds credentials for it is of use here.
            let builder = AmazonS3Builder::from_env().with_region(region);
            let store = builder.with_bucket_name("none").build().map_err(|e| unknown(&e))?;
            Ok::<_, TransferError>(store.credentials().clone())
        };
        let provider = self.own.get_or_try_init(find).await?;
        provider.get_credential().await.map_err(|error| unknown(&error))
    }
}

fn secret(connector: &Connector, of: &AwsCredentials) -> Result<Arc<AwsCredential>, TransferError> {
    let text = |of| {
        let secret = String::from_utf8(connector.secret(of)?);
        secret.map_err(|_| unknown("the access key in the Secret is not text"))
    };
    Ok(Arc::new(AwsCredential {
        key_id: text(&of.access_key_id_ref)?,
        secret_key: text(&of.secret_access_key_ref)?,
        token: of.session_token_ref.as_ref().map(text).transpose()?,
    }))
}

/// Whether this can be a region's name, and nothing else in an address.
pub(crate) fn is_region(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=64).contains(&text.len()) && text.bytes().all(is_part)
}

fn unknown(error: &(impl ToString + ?Sized)) -> TransferError {
    TransferError::Credentials(error.to_string())
}

/// With the body's hash as a header, on which some services insist.
fn sign(
    service: &Service<'_>,
    credential: &AwsCredential,
    Post { url, headers: own, body }: Post<'_>,
    now: UnixMillis,
) -> Result<HeaderMap, TransferError> {
    let host = url.host_str().unwrap_or_default();
    let host = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let hash = body_sha256(body);
    let at = timestamp(now);
    let hash_hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut headers = vec![
        ("host", host.as_str()),
        ("x-amz-content-sha256", hash_hex.as_str()),
        ("x-amz-date", at.as_str()),
    ];
    if let Some(token) = &credential.token {
        headers.push(("x-amz-security-token", token));
    }
    headers.extend(own);
    let query = url.query().unwrap_or_default();
    let parts = RequestParts { method: "POST", path: url.path(), query, headers: &headers };
    let signer = Signer {
        access_key: &credential.key_id,
        secret_key: &credential.secret_key,
        region: service.region,
        service: service.name,
    };
    let authorization = SignedRequest::sign(parts, &signer, hash, now);
    headers.push(("authorization", &authorization));
    let pair = |(name, value): (&'static str, &str)| {
        Ok((HeaderName::from_static(name), secret_header(value.as_bytes())?))
    };
    headers.into_iter().map(pair).collect::<Result<HeaderMap<HeaderValue>, _>>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_no_way_to_another_host() {
        for text in ["us-east-1", "eu-central-2", "local"] {
            assert!(is_region(text), "{text}");
        }
        for text in ["", "evil.example/#", "x@10.0.0.1/#", "us-east-1.evil.example", "a?b", "A"] {
            assert!(!is_region(text), "{text}");
        }
        assert!(!is_region(&"a".repeat(65)));
    }
}
