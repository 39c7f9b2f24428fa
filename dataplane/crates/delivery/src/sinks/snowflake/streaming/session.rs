//! Requests to Snowpipe Streaming.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::{Clock, UnixMillis};
use operator_api::delivery_stream::SnowflakeDestination;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, RequestBuilder, Url};
use serde_json::json;
use tokio::sync::Mutex;

use super::judge::{self, ChannelStatus, Opened};
use super::progress::{Place, Progress};
use crate::secrets::Secrets;
use crate::sinks::client::{Connector, Reply, TransferError, secret_header, send};
use crate::sinks::snowflake::judge::NotNow;
use crate::sinks::snowflake::key::Signer;

/// In which some megabytes are read on any link worth having.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Before Snowflake's hour is over.
const SESSION_MAX: Duration = Duration::from_secs(2_700);

/// Makes requests for the table's pipe, and knows where and as whom.
pub(super) struct Client {
    of: Arc<SnowflakeDestination>,
    /// Snowflake has one for each table, of this name.
    pipe: String,
    connector: Connector,
    signer: Signer,
    clock: Arc<dyn Clock>,
    session: Mutex<Option<Session>>,
}

/// Where rows go, and a token for it.
#[derive(Clone)]
struct Session {
    url: Url,
    authorization: HeaderValue,
    since: UnixMillis,
    /// Whether it was made for this very request: then another would be no better.
    is_new: bool,
}

impl Client {
    pub(super) fn new(
        of: Arc<SnowflakeDestination>,
        secrets: Arc<dyn Secrets>,
        clock: Arc<dyn Clock>,
    ) -> Client {
        Client {
            connector: Connector::new(None, secrets, TIMEOUT),
            signer: Signer::new(Arc::clone(&of)),
            clock,
            session: Mutex::new(None),
            pipe: format!("{}-STREAMING", of.table),
            of,
        }
    }

    /// Opens a channel, and takes it from whoever has it open.
    pub(super) async fn open(&self, channel: &str) -> Result<Opened, NotNow> {
        let path = [&self.pipe_path()[..], &[&self.pipe, "channels", channel]].concat();
        let reply = self.call(Method::PUT, &path, &[], |request| {
            request.header(CONTENT_TYPE, "application/json").body("{}")
        });
        judge::opened(&reply.await?, self.clock.now())
    }

    /// Sends rows, of which `start` is the first, and with which `progress` is reached.
    pub(super) async fn append(
        &self,
        channel: &str,
        continuation: &str,
        (start, progress): (Place, &Progress),
        rows: Bytes,
    ) -> Result<Reply, NotNow> {
        let (start, end) = (start.to_string(), progress.to_string());
        let tokens = [
            ("continuationToken", continuation),
            ("startOffsetToken", &start),
            ("endOffsetToken", &end),
        ];
        let channel = [&self.pipe, "channels", channel, "rows"];
        let path = [&["data"], &self.pipe_path()[..], &channel].concat();
        self.call(Method::POST, &path, &tokens, |request| {
            request.header(CONTENT_TYPE, "application/x-ndjson").body(rows.clone())
        })
        .await
    }

    /// How a channel is doing; `None` when there is none of that name.
    pub(super) async fn status(&self, channel: &str) -> Result<Option<ChannelStatus>, NotNow> {
        let question = format!("{}:bulk-channel-status", self.pipe);
        let path = [&self.pipe_path()[..], &[&question]].concat();
        let body = json!({ "channel_names": [channel] }).to_string();
        let reply = self.call(Method::POST, &path, &[], |request| {
            request.header(CONTENT_TYPE, "application/json").body(body.clone())
        });
        judge::status(&reply.await?, channel, self.clock.now())
    }

    fn pipe_path(&self) -> [&str; 5] {
        ["databases", &self.of.database, "schemas", &self.of.schema, "pipes"]
    }

    /// Once more with a new token, if that is what is wanting.
    async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        finish: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Reply, NotNow> {
        let mut stale = None;
        loop {
            let session = self.session(stale.take()).await?;
            let mut url = session.url.clone();
            if let Ok(mut segments) = url.path_segments_mut() {
                segments.clear().extend(["v2", "streaming"]).extend(path);
            }
            if !query.is_empty() {
                url.query_pairs_mut().extend_pairs(query);
            }
            let request = self.connector.client()?.request(method.clone(), url);
            let request = request.header(AUTHORIZATION, &session.authorization);
            let request = request.header(ACCEPT, "application/json");
            let reply = send(finish(request), judge::BODY_BYTES_MAX).await?;
            if reply.status != 401 || session.is_new {
                return Ok(reply);
            }
            stale = Some(session);
        }
    }

    /// The session, or a new one instead of one that is not good any more.
    async fn session(&self, stale: Option<Session>) -> Result<Session, NotNow> {
        let mut known = self.session.lock().await;
        let now = self.clock.now();
        let is_good = |known: &Session| {
            let is_stale = stale.as_ref().is_some_and(|it| it.authorization == known.authorization);
            !is_stale && now.since(known.since) < SESSION_MAX
        };
        if let Some(known) = known.as_ref().filter(|known| is_good(known)) {
            return Ok(known.clone());
        }
        let new = self.log_in(now).await?;
        *known = Some(Session { is_new: false, ..new.clone() });
        Ok(new)
    }

    /// Asks where rows go, and for a token that is good there alone.
    async fn log_in(&self, now: UnixMillis) -> Result<Session, NotNow> {
        let mut url = self.of.account_url.parse::<Url>().map_err(unusable)?;
        let token = format!("Bearer {}", self.signer.token(&self.connector, now).await?);
        let token = secret_header(token.as_bytes())?;
        let with_token = |request: RequestBuilder| {
            let request = request.header(AUTHORIZATION, &token);
            request.header("X-Snowflake-Authorization-Token-Type", "KEYPAIR_JWT")
        };
        let client = self.connector.client()?;
        url.set_path("/v2/streaming/hostname");
        let reply = send(with_token(client.get(url.clone())), judge::BODY_BYTES_MAX).await?;
        // With an underscore in it, it does not work.
        let host = judge::text(&reply, "hostname", now)?.replace('_', "-");
        let rows_url = format!("{}://{host}", url.scheme()).parse::<Url>().map_err(unusable)?;
        let scope = match &self.of.role {
            None => host,
            Some(role) => format!("{host} session:role:{role}"),
        };
        url.set_path("/oauth/token");
        let form =
            [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("scope", &scope)];
        let reply = send(with_token(client.post(url)).form(&form), judge::BODY_BYTES_MAX).await?;
        let token = format!("Bearer {}", judge::text(&reply, "token", now)?);
        let authorization = secret_header(token.as_bytes())?;
        Ok(Session { url: rows_url, authorization, since: now, is_new: true })
    }
}

fn unusable(error: impl ToString) -> TransferError {
    TransferError::Request(error.to_string())
}
