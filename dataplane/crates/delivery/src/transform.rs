//! Calls of a transformer: a function behind the Lambda API, or a service that takes and gives the same.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use delivery_core::backoff::Backoff;
use delivery_core::processing::lambda::{self, Envelope};
use delivery_core::processing::{FailureCode, Item, Outcome};
use model::StreamName;
use operator_api::delivery_stream::{LambdaTransform, StreamSource, Transform, WebhookTransform};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use reqwest::{RequestBuilder, Url};

use crate::aws::{Identity, Post, Service, is_region};
use crate::pipeline::{Context, SetupError, delivery_stream_arn};
use crate::sinks::client::{Connector, Reply, TransferError, secret_header, send};

/// Where AWS's own programs find the address of a Lambda that is not AWS's.
const ENDPOINT_VARIABLE: &str = "AWS_ENDPOINT_URL_LAMBDA";
/// As AWS: a function has five minutes.
const TIMEOUT_SECONDS: u32 = 300;
const RETRIES: u32 = 3;
const CALL_MIB: f64 = 1.0;
const INTERVAL_SECONDS: u32 = 60;

/// Who changes a delivery stream's records.
pub(crate) struct Transformer {
    context: Arc<Context>,
    envelope: Envelope,
    connector: Connector,
    callee: Callee,
    call_bytes: usize,
    interval: Duration,
    retries: u32,
}

enum Callee {
    Lambda { arn: String, region: String, endpoint: String, identity: Identity },
    Webhook(WebhookTransform),
}

/// A call that got no answer that counts.
struct CallFailure {
    code: FailureCode,
    message: String,
    is_final: bool,
}

impl Transformer {
    /// `None` where records are transformed in place.
    pub(crate) fn new(
        context: &Arc<Context>,
        name: &StreamName,
        source: Option<&StreamSource>,
        transform: &Transform,
    ) -> Result<Option<Transformer>, SetupError> {
        let (mib, seconds, retries) = match (&transform.lambda, &transform.webhook) {
            (Some(it), _) => (it.buffering_size_mib, it.interval_seconds, it.retries),
            (_, Some(it)) => (it.buffering_size_mib, it.interval_seconds, it.retries),
            (None, None) => return Ok(None),
        };
        let Context { region, account, .. } = &**context;
        let source_arn = |source: &StreamSource| {
            format!("arn:aws:kinesis:{region}:{account}:stream/{}", source.name)
        };
        let envelope = Envelope {
            delivery_stream_arn: delivery_stream_arn(context, name),
            source_kinesis_stream_arn: source.map(source_arn),
            region: region.clone(),
        };
        let webhook = transform.webhook.as_ref();
        let timeout = webhook.and_then(|it| it.timeout_seconds).unwrap_or(TIMEOUT_SECONDS);
        let tls = webhook.and_then(|it| it.tls.clone());
        let connector =
            Connector::new(tls, Arc::clone(&context.secrets), Duration::from_secs(timeout.into()));
        let callee = match (&transform.lambda, webhook) {
            (Some(function), _) => lambda_callee(context, function)?,
            (None, Some(webhook)) => Callee::Webhook(webhook.clone()),
            (None, None) => return Ok(None),
        };
        Ok(Some(Transformer {
            context: Arc::clone(context),
            envelope,
            connector,
            callee,
            call_bytes: lambda::call_bytes(mib.unwrap_or(CALL_MIB)),
            interval: Duration::from_secs(seconds.unwrap_or(INTERVAL_SECONDS).into()),
            retries: retries.unwrap_or(RETRIES),
        }))
    }

    /// How much a call waits for.
    pub(crate) fn call_bytes(&self) -> usize {
        self.call_bytes
    }

    /// How long a call waits for more.
    pub(crate) fn interval(&self) -> Duration {
        self.interval
    }

    /// The function that is called, if one is.
    pub(crate) fn function_arn(&self) -> Option<&str> {
        match &self.callee {
            Callee::Lambda { arn, .. } => Some(arn),
            Callee::Webhook(_) => None,
        }
    }

    /// What became of the records.
    pub(crate) async fn call(&self, items: Vec<Item>) -> Outcome {
        let calls = self.envelope.split(items, self.call_bytes);
        let mut all = Outcome { failed: calls.failed, ..Outcome::default() };
        for items in calls.calls {
            let outcome = self.one_call(items).await;
            all.kept.extend(outcome.kept);
            all.failed.extend(outcome.failed);
            all.dropped += outcome.dropped;
        }
        all
    }

    async fn one_call(&self, items: Vec<Item>) -> Outcome {
        // The same each time, so that a function can tell that it has seen a call.
        let first = items.first().map(|item| lambda::record_id(item.record.origin));
        let payload = self.envelope.encode(&first.unwrap_or_default(), &items);
        let backoff = Backoff::endless();
        for attempt in 0.. {
            let failure = match self.post(payload.clone()).await {
                Ok(reply) => match judge(&reply) {
                    Ok(()) => return lambda::decode(&reply.body, items),
                    Err(failure) => failure,
                },
                Err(error) => transfer_failure(&error),
            };
            let pause = backoff.next(attempt, Duration::ZERO, (self.context.random)());
            if failure.is_final || self.retries <= attempt {
                return lambda::fail_all(items, failure.code, &failure.message, attempt + 1);
            }
            tokio::time::sleep(pause.unwrap_or_default()).await;
        }
        unreachable!("attempts are counted")
    }

    async fn post(&self, payload: Bytes) -> Result<Reply, TransferError> {
        let client = self.connector.client()?;
        let request: RequestBuilder = match &self.callee {
            Callee::Webhook(webhook) => {
                let request = client.post(&webhook.url).header(CONTENT_TYPE, "application/json");
                match &webhook.token_ref {
                    None => request,
                    Some(token) => {
                        let mut value = b"Bearer ".to_vec();
                        value.extend(self.connector.secret(token)?);
                        request.header(AUTHORIZATION, secret_header(&value)?)
                    }
                }
            }
            Callee::Lambda { arn, region, endpoint, identity } => {
                let url = invoke_url(endpoint, arn)?;
                let service = Service { name: "lambda", region };
                let now = self.context.clock.now();
                let post = Post { url: &url, headers: &[], body: &payload };
                let headers: HeaderMap =
                    identity.sign(&self.connector, &service, post, now).await?;
                client.post(url).headers(headers)
            }
        };
        send(request.body(payload), lambda::PAYLOAD_BYTES_MAX + 1).await
    }
}

fn lambda_callee(context: &Context, function: &LambdaTransform) -> Result<Callee, SetupError> {
    // arn:aws:lambda:REGION:ACCOUNT:function:NAME, or a name.
    let region = function.function_arn.split(':').nth(3).unwrap_or(&context.region).to_owned();
    if !is_region(&region) {
        let field = "spec.processing.transform.lambda.functionArn";
        return Err(SetupError::Wrong { field, what: "names no region" });
    }
    let named = std::env::var(ENDPOINT_VARIABLE).ok().filter(|text| !text.is_empty());
    let endpoint = function.endpoint.clone().or(named);
    Ok(Callee::Lambda {
        arn: function.function_arn.clone(),
        endpoint: endpoint.unwrap_or_else(|| format!("https://lambda.{region}.amazonaws.com")),
        region,
        identity: Identity::new(function.credentials.clone()),
    })
}

/// As the Invoke operation of Lambda's API has it.
fn invoke_url(endpoint: &str, function: &str) -> Result<Url, TransferError> {
    let text = |error: &dyn std::fmt::Display| TransferError::Request(error.to_string());
    let mut url = Url::parse(endpoint).map_err(|error| text(&error))?;
    let mut path = url.path_segments_mut().map_err(|()| text(&"the endpoint has no path"))?;
    path.pop_if_empty().extend(["2015-03-31", "functions", function, "invocations"]);
    drop(path);
    Ok(url)
}

/// Whether the function answered.
fn judge(reply: &Reply) -> Result<(), CallFailure> {
    let failure = |code, is_final| CallFailure { code, message: reply.text(), is_final };
    if let Some(error) = reply.header("x-amz-function-error") {
        let mut failure = failure(FailureCode::LambdaFunction, false);
        failure.message = format!("{error}: {}", failure.message);
        return Err(failure);
    }
    match reply.status {
        200..=299 => Ok(()),
        401 | 403 => Err(failure(FailureCode::LambdaAccessDenied, false)),
        404 => Err(failure(FailureCode::LambdaNotFound, false)),
        413 => Err(failure(FailureCode::LambdaTooLarge, true)),
        429 => Err(failure(FailureCode::LambdaThrottled, false)),
        _ => Err(failure(FailureCode::LambdaUnavailable, false)),
    }
}

fn transfer_failure(error: &TransferError) -> CallFailure {
    let code = match error {
        TransferError::Timeout => FailureCode::LambdaTimedOut,
        _ => FailureCode::LambdaUnavailable,
    };
    CallFailure { code, message: error.to_string(), is_final: false }
}
