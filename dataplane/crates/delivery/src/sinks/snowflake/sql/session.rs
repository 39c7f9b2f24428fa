//! Sessions, in which statements are run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::Clock;
use operator_api::delivery_stream::SnowflakeDestination;
use reqwest::header::CONTENT_TYPE;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use reqwest::{RequestBuilder, Url};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::judge::{self, Answer, Ran};
use super::statement::Column;
use crate::secrets::Secrets;
use crate::sinks::client::{Connector, Reply, TransferError, secret_header, send};
use crate::sinks::snowflake::judge::NotNow;
use crate::sinks::snowflake::key::Signer;
use delivery_core::guid::{guid, guid_of};

/// Snowflake says after three quarters of a minute where to ask for the answer.
const TIMEOUT: Duration = Duration::from_secs(120);
/// A statement with some megabytes takes seconds, and the warehouse may have to be started.
const STATEMENT_MAX: Duration = Duration::from_secs(600);
/// Before it is asked again whether a statement has ended: doubled each time.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);
const QUERY: &str = "/queries/v1/query-request";

/// Runs statements, and knows where and as whom.
pub(super) struct Client {
    of: Arc<SnowflakeDestination>,
    connector: Connector,
    signer: Signer,
    clock: Arc<dyn Clock>,
    pub(super) session: Mutex<Option<HeaderValue>>,
    requests: AtomicU64,
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
            requests: AtomicU64::new(0),
            of,
        }
    }

    /// The columns that a query would have.
    pub(super) async fn describe(&self, query: &str) -> Result<Vec<Column>, NotNow> {
        let body = json!({ "sqlText": query, "describeOnly": true });
        match self.ask(&body, judge::described).await? {
            Answer::Given(columns) => Ok(columns),
            Answer::Failed(not_now) | Answer::LoggedOut(not_now) => Err(not_now),
            Answer::BadData(failure) => Err(NotNow { failure, pause: None }),
            Answer::Running(_) => Err(late()),
        }
    }

    /// Runs a statement with one text bound to it.
    pub(super) async fn run(&self, statement: &str, bound: &str) -> Ran {
        let bindings = json!({ "1": { "type": "TEXT", "value": bound } });
        let body = json!({ "sqlText": statement, "bindings": bindings });
        match self.ask(&body, judge::inserted).await {
            Ok(Answer::Given(())) => Ran::Done,
            Ok(Answer::BadData(failure)) => Ran::Spoiled(failure),
            Ok(Answer::Failed(not_now) | Answer::LoggedOut(not_now)) | Err(not_now) => {
                Ran::NotNow(not_now)
            }
            Ok(Answer::Running(_)) => Ran::NotNow(late()),
        }
    }

    /// Once more in a new session, if that is what is wanting.
    async fn ask<T>(
        &self,
        body: &Value,
        judge: impl Fn(&Reply, model::UnixMillis) -> Answer<T>,
    ) -> Result<Answer<T>, NotNow> {
        let mut stale = None;
        loop {
            let (session, is_new) = self.session(stale.take()).await?;
            let url = self.url(QUERY, &[])?;
            let request = self.connector.client()?.post(url);
            let request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
            let reply = send(authorized(request, &session), judge::BODY_BYTES_MAX).await?;
            let mut answer = judge(&reply, self.clock.now());
            let deadline = Instant::now() + STATEMENT_MAX;
            let mut pause = PAUSE_FIRST;
            while let Answer::Running(path) = &answer
                && Instant::now() < deadline
            {
                // Snowflake keeps who asks waiting; what is between may not.
                sleep(pause).await;
                pause = (2 * pause).min(PAUSE_MAX);
                let request = self.connector.client()?.get(self.url(path, &[])?);
                let reply = send(authorized(request, &session), judge::BODY_BYTES_MAX).await?;
                answer = judge(&reply, self.clock.now());
            }
            if is_new || !matches!(answer, Answer::LoggedOut(_)) {
                return Ok(answer);
            }
            stale = Some(session);
        }
    }

    /// The session, or a new one instead of one that is over.
    async fn session(&self, stale: Option<HeaderValue>) -> Result<(HeaderValue, bool), NotNow> {
        let mut known = self.session.lock().await;
        if let Some(known) = known.as_ref().filter(|known| Some(*known) != stale.as_ref()) {
            return Ok((known.clone(), false));
        }
        *known = None;
        let new = self.log_in().await?;
        *known = Some(new.clone());
        Ok((new, true))
    }

    async fn log_in(&self) -> Result<HeaderValue, NotNow> {
        let now = self.clock.now();
        let SnowflakeDestination { user, role, database, schema, sql, .. } = &*self.of;
        let warehouse = sql.as_ref().and_then(|sql| sql.warehouse.as_deref());
        let mut query = vec![("databaseName", &database[..]), ("schemaName", schema)];
        query.extend(warehouse.map(|warehouse| ("warehouse", warehouse)));
        query.extend(role.as_deref().map(|role| ("roleName", role)));
        let body = json!({ "data": {
            "CLIENT_APP_ID": "Leat",
            "CLIENT_APP_VERSION": env!("CARGO_PKG_VERSION"),
            "ACCOUNT_NAME": self.signer.account(),
            "LOGIN_NAME": user,
            "AUTHENTICATOR": "SNOWFLAKE_JWT",
            "TOKEN": self.signer.token(&self.connector, now).await?,
            "CLIENT_ENVIRONMENT": { "APPLICATION": "Leat" },
            "SESSION_PARAMETERS": {},
        }});
        let url = self.url("/session/v1/login-request", &query)?;
        let request = self.connector.client()?.post(url).header(ACCEPT, "application/json");
        let request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        let reply = send(request, judge::BODY_BYTES_MAX).await?;
        match judge::logged_in(&reply, now) {
            Answer::Given(token) => {
                Ok(secret_header(format!("Snowflake Token=\"{token}\"").as_bytes())?)
            }
            Answer::LoggedOut(not_now) | Answer::Failed(not_now) => Err(not_now),
            Answer::BadData(failure) => Err(NotNow { failure, pause: None }),
            Answer::Running(_) => Err(late()),
        }
    }

    /// A path of the account, and a name for the request: Snowflake wants each to have its own.
    fn url(&self, path: &str, query: &[(&str, &str)]) -> Result<Url, TransferError> {
        let account = self.of.account_url.trim_end_matches('/');
        let unusable = |error: &dyn ToString| TransferError::Request(error.to_string());
        let mut url = Url::parse(&format!("{account}{path}")).map_err(|error| unusable(&error))?;
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let request = format!("{:p} {number} {}", self, self.clock.now().0);
        let id = guid(guid_of(request.as_bytes()));
        url.query_pairs_mut().extend_pairs(query).append_pair("requestId", &id);
        Ok(url)
    }
}

fn authorized(request: RequestBuilder, session: &HeaderValue) -> RequestBuilder {
    request.header(AUTHORIZATION, session).header(ACCEPT, "application/json")
}

fn late() -> NotNow {
    NotNow::new("Snowflake.RequestTimeout", "The statement has not ended in ten minutes.")
}
