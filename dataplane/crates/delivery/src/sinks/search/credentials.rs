//! Who the search engine is told that we are.

use std::sync::Arc;
use std::time::Duration;

use auth::{RequestParts, SignedRequest, Signer, body_sha256, timestamp};
use model::UnixMillis;
use object_store::aws::{AmazonS3Builder, AwsCredential, AwsCredentialProvider};
use operator_api::delivery_stream::{SearchCredentials, SearchSigning};
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use tokio::sync::OnceCell;

use crate::sinks::client::{Connector, TransferError, secret_header};

/// How long the pod's own identity may take to be found.
const IDENTITY_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) struct Credentials {
    of: Option<SearchCredentials>,
    pod_identity: OnceCell<AwsCredentialProvider>,
}

impl Credentials {
    pub(super) fn new(of: Option<SearchCredentials>) -> Credentials {
        Credentials { of, pod_identity: OnceCell::new() }
    }

    /// The headers that say it, from the Secrets as they are now.
    pub(super) async fn headers(
        &self,
        connector: &Connector,
        url: &Url,
        body: &[u8],
        now: UnixMillis,
    ) -> Result<HeaderMap, TransferError> {
        let Some(SearchCredentials { basic, api_key_ref, aws }) = &self.of else {
            return Ok(HeaderMap::new());
        };
        if let Some(signing) = aws {
            let credential = self.credential(connector, signing).await?;
            return sign(signing, &credential, url, body, now);
        }
        let mut authorization = Vec::new();
        if let Some(user) = basic {
            let mut pair = connector.secret(&user.username_ref)?;
            pair.push(b':');
            pair.extend(connector.secret(&user.password_ref)?);
            authorization.extend_from_slice(b"Basic ");
            base64_simd::STANDARD.encode_append(&pair, &mut authorization);
        } else if let Some(api_key) = api_key_ref {
            authorization.extend_from_slice(b"ApiKey ");
            authorization.extend(connector.secret(api_key)?);
        }
        Ok(HeaderMap::from_iter([(AUTHORIZATION, secret_header(&authorization)?)]))
    }

    async fn credential(
        &self,
        connector: &Connector,
        signing: &SearchSigning,
    ) -> Result<Arc<AwsCredential>, TransferError> {
        let Some(of) = &signing.credentials else {
            let credential = tokio::time::timeout(IDENTITY_TIMEOUT, self.identity(signing)).await;
            return credential.unwrap_or_else(|_| Err(unknown("nobody told it in 30 seconds")));
        };
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

    /// The pod's own: found where AWS puts it, kept until shortly before it expires.
    async fn identity(&self, signing: &SearchSigning) -> Result<Arc<AwsCredential>, TransferError> {
        let find = async || {
            // The bucket is never asked for: only what finds credentials for it is of use here.
            let builder = AmazonS3Builder::from_env().with_region(&signing.region);
            let store = builder.with_bucket_name("none").build().map_err(|e| unknown(&e))?;
            Ok::<_, TransferError>(store.credentials().clone())
        };
        let provider = self.pod_identity.get_or_try_init(find).await?;
        provider.get_credential().await.map_err(|error| unknown(&error))
    }
}

fn unknown(error: &(impl ToString + ?Sized)) -> TransferError {
    TransferError::Credentials(error.to_string())
}

/// As Amazon OpenSearch Service wants requests signed, and its serverless collections, which insist on
/// the body's hash as a header.
fn sign(
    signing: &SearchSigning,
    credential: &AwsCredential,
    url: &Url,
    body: &[u8],
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
    let query = url.query().unwrap_or_default();
    let parts = RequestParts { method: "POST", path: url.path(), query, headers: &headers };
    let signer = Signer {
        access_key: &credential.key_id,
        secret_key: &credential.secret_key,
        region: &signing.region,
        service: if signing.serverless.unwrap_or(false) { "aoss" } else { "es" },
    };
    let authorization = SignedRequest::sign(parts, &signer, hash, now);
    headers.push(("authorization", &authorization));
    let pair = |(name, value): (&'static str, &str)| {
        Ok((HeaderName::from_static(name), secret_header(value.as_bytes())?))
    };
    headers.into_iter().map(pair).collect::<Result<HeaderMap<HeaderValue>, _>>()
}

#[cfg(test)]
mod tests;
