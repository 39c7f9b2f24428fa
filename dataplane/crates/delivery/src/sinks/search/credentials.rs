//! Who the search engine is told that we are.

use model::UnixMillis;
use operator_api::delivery_stream::SearchCredentials;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap};

use crate::aws::{Identity, Post, Service};
use crate::sinks::client::{Connector, TransferError, secret_header};

pub(super) struct Credentials {
    of: Option<SearchCredentials>,
    /// Where requests are signed.
    identity: Identity,
}

impl Credentials {
    pub(super) fn new(of: Option<SearchCredentials>) -> Credentials {
        let signing = of.as_ref().and_then(|of| of.aws.as_ref());
        let identity = Identity::new(signing.and_then(|signing| signing.credentials.clone()));
        Credentials { of, identity }
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
            // Amazon OpenSearch Service, and its serverless collections.
            let name = if signing.serverless.unwrap_or(false) { "aoss" } else { "es" };
            let service = Service { name, region: &signing.region };
            let post = Post { url, headers: &[], body };
            return self.identity.sign(connector, &service, post, now).await;
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
}

#[cfg(test)]
mod tests;
