//! A small Kinesis client for `leat bench`: one connection, signed JSON calls.

use anyhow::{Context, bail};
use auth::{RequestParts, SignedRequest, Signer, body_sha256, timestamp};
use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use model::Clock;
use serde::de::DeserializeOwned;
use serde_json::Value;
use shard::SystemClock;

use crate::args::BenchArgs;

const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// Calls operations of one endpoint. A clone is another connection.
#[derive(Clone)]
pub(crate) struct Client {
    http: HttpClient<HttpConnector, Full<Bytes>>,
    uri: Uri,
    host: String,
    region: String,
    access_key: String,
    secret_key: String,
}

/// What an endpoint answered.
pub(crate) enum Answer<T> {
    /// The operation's reply.
    Reply(T),
    /// An AWS error, by its name and text.
    Error { code: String, message: String },
}

impl Client {
    pub(crate) fn new(args: &BenchArgs) -> anyhow::Result<Client> {
        let uri: Uri =
            args.endpoint.parse().with_context(|| format!("--endpoint {}", args.endpoint))?;
        if uri.scheme_str() != Some("http") {
            bail!("--endpoint {}: want http://HOST:PORT", args.endpoint);
        }
        let host = uri.authority().context("--endpoint has no host")?.to_string();
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Ok(Client {
            http: HttpClient::builder(TokioExecutor::new()).build(connector),
            uri,
            host,
            region: args.region.clone(),
            access_key: args.access_key_id.clone(),
            secret_key: args.secret_access_key.clone(),
        })
    }

    /// Calls an operation that must succeed.
    pub(crate) async fn call(&self, operation: &str, request: &Value) -> anyhow::Result<Value> {
        match self.send(operation, request.to_string().into()).await? {
            Answer::Reply(reply) => Ok(reply),
            Answer::Error { code, message } => bail!("{operation}: {code}: {message}"),
        }
    }

    /// Sends an encoded request.
    pub(crate) async fn send<T: DeserializeOwned + Default>(
        &self,
        operation: &str,
        body: Bytes,
    ) -> anyhow::Result<Answer<T>> {
        let now = SystemClock.now();
        let date = timestamp(now);
        let target = format!("Kinesis_20131202.{operation}");
        let headers = [
            ("content-type", CONTENT_TYPE),
            ("host", &self.host),
            ("x-amz-date", &date),
            ("x-amz-target", &target),
        ];
        let parts = RequestParts { method: "POST", path: "/", query: "", headers: &headers };
        let signer = Signer {
            access_key: &self.access_key,
            secret_key: &self.secret_key,
            region: &self.region,
            service: "kinesis",
        };
        let authorization = SignedRequest::sign(parts, &signer, body_sha256(&body), now);
        let mut request = Request::post(&self.uri).header("authorization", authorization);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let response = self.http.request(request.body(Full::new(body))?).await;
        let response = response.with_context(|| format!("{operation} at {}", self.uri))?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if status == StatusCode::OK {
            let reply = if body.is_empty() { T::default() } else { serde_json::from_slice(&body)? };
            return Ok(Answer::Reply(reply));
        }
        let error: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = |name: &str| error[name].as_str().map(str::to_owned);
        Ok(Answer::Error {
            code: text("__type").unwrap_or_else(|| status.to_string()),
            message: text("message").or_else(|| text("Message")).unwrap_or_default(),
        })
    }
}
