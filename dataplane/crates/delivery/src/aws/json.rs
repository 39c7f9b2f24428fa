//! Services of AWS whose operations take and give JSON, by the protocol JSON 1.1.

use std::sync::Arc;
use std::time::Duration;

use model::Clock;
use operator_api::pods::{AwsCredentials, ClientTls};
use reqwest::Url;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Identity, Post, Service, is_region};
use crate::secrets::Secrets;
use crate::sinks::client::{Connector, Reply, TransferError, send, shorten};

const TIMEOUT: Duration = Duration::from_secs(30);

/// What an API is like.
pub(crate) struct Api {
    /// By what name requests are signed for it; its host is called the same.
    pub(crate) name: &'static str,
    /// What the names of its operations follow.
    pub(crate) target: &'static str,
    /// Where AWS's own programs find the address of one that is not AWS's.
    pub(crate) endpoint_variable: &'static str,
    /// The longest answer that is read.
    pub(crate) answer_bytes_max: usize,
}

/// Where an API is, and who calls it.
pub(crate) struct Place<'a> {
    pub(crate) region: &'a str,
    pub(crate) endpoint: Option<&'a str>,
    pub(crate) credentials: Option<&'a AwsCredentials>,
    pub(crate) tls: Option<&'a ClientTls>,
}

/// There is no such place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlaceError {
    Region,
    Endpoint,
}

/// An API that is called.
pub(crate) struct JsonApi {
    api: &'static Api,
    region: String,
    url: Url,
    identity: Identity,
    connector: Connector,
    clock: Arc<dyn Clock>,
}

/// An operation did not give what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// It may have been carried out.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// It was not, if the status is less than 500. As in `400 EntityNotFoundException: no such table`.
    #[error("{0}")]
    Refused(String),
    /// It was, as far as is known.
    #[error("the answer is not what was asked for: {0}")]
    Malformed(String),
}

impl JsonApi {
    pub(crate) fn new(
        api: &'static Api,
        place: &Place<'_>,
        secrets: Arc<dyn Secrets>,
        clock: Arc<dyn Clock>,
    ) -> Result<JsonApi, PlaceError> {
        let region = place.region.to_owned();
        if !is_region(&region) {
            return Err(PlaceError::Region);
        }
        let named = std::env::var(api.endpoint_variable).ok().filter(|text| !text.is_empty());
        let endpoint = place.endpoint.map(str::to_owned).or(named);
        let endpoint =
            endpoint.unwrap_or_else(|| format!("https://{}.{region}.amazonaws.com", api.name));
        let url = Url::parse(&endpoint).map_err(|_| PlaceError::Endpoint)?;
        let identity = Identity::new(place.credentials.cloned());
        let connector = Connector::new(place.tls.cloned(), secrets, TIMEOUT);
        Ok(JsonApi { api, region, url, identity, connector, clock })
    }

    /// Calls an operation once.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether it is carried out.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        operation: &str,
        request: &impl Serialize,
    ) -> Result<T, CallError> {
        let body = serde_json::to_vec(request);
        let body = body.map_err(|error| TransferError::Request(error.to_string()))?;
        let service = Service { name: self.api.name, region: &self.region };
        let target = format!("{}.{operation}", self.api.target);
        let headers =
            [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target.as_str())];
        let post = Post { url: &self.url, headers: &headers, body: &body };
        let (connector, now) = (&self.connector, self.clock.now());
        let headers = self.identity.sign(connector, &service, post, now).await?;
        let post = connector.client()?.post(self.url.clone()).headers(headers).body(body);
        judge(&send(post, self.api.answer_bytes_max).await?)
    }
}

fn judge<T: DeserializeOwned>(reply: &Reply) -> Result<T, CallError> {
    if !(200..300).contains(&reply.status) {
        return Err(refused(reply));
    }
    if reply.is_cut {
        let what = format!("it is longer than {} bytes", reply.body.len());
        return Err(CallError::Malformed(what));
    }
    let parsed = serde_json::from_slice(&reply.body);
    parsed.map_err(|error| CallError::Malformed(shorten(&error.to_string())))
}

/// What a service says is wrong. Services differ in where they say it.
fn refused(reply: &Reply) -> CallError {
    #[derive(Default, Deserialize)]
    struct Said {
        #[serde(rename = "__type", default)]
        type_: String,
        #[serde(alias = "Message")]
        message: Option<String>,
    }
    let said = serde_json::from_slice(&reply.body).unwrap_or_else(|_| Said::default());
    // As in `com.amazonaws.glue#EntityNotFoundException`, or with a `:` and an address behind it.
    let header = reply.header("x-amzn-errortype").unwrap_or_default();
    let code = if said.type_.is_empty() { header } else { &said.type_ };
    let code = code.rsplit('#').next().unwrap_or_default().split(':').next().unwrap_or_default();
    let message = said.message.unwrap_or_default();
    CallError::Refused(match code {
        "" => reply.text(),
        _ => shorten(format!("{} {code}: {message}", reply.status).trim_end_matches(": ")),
    })
}
