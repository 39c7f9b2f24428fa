//! A catalog that speaks Iceberg's REST protocol.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use iceberg_table::TableMetadata;
use model::{Clock, UnixMillis};
use operator_api::delivery_stream::RestCatalog;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Method, RequestBuilder, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

use super::step;
use crate::secrets::Secrets;
use crate::sinks::TableName;
use crate::sinks::client::{Connector, Reply, TransferError, secret_header, send, shorten};

const TIMEOUT: Duration = Duration::from_secs(60);
/// Of a table's metadata: schemas, properties, and the latest snapshot.
const BODY_BYTES_MAX: usize = 64 << 20;
/// A token is not used so shortly before it expires.
const TOKEN_MARGIN: Duration = Duration::from_secs(30);
/// How long a token is used that does not say for how long it may be.
const TOKEN_SECONDS: u64 = 3600;
/// What a namespace's levels are separated by in an address.
const LEVELS: &str = "\u{1f}";

/// A catalog did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CatalogError {
    /// It may have done it.
    #[error("ask the catalog")]
    Transfer(#[from] TransferError),
    /// It may have done it.
    #[error("the catalog failed: {0}")]
    Failed(String, Option<Duration>),
    /// There is none of that name. It did nothing.
    #[error("the catalog knows no such table: {0}")]
    NotFound(String),
    /// Others were first. It did nothing.
    #[error("others were first: {0}")]
    Conflict(String),
    /// It did nothing.
    #[error("the catalog refuses: {0}")]
    Refused(String, Option<Duration>),
    /// It answers something else.
    #[error("the catalog's answer is not what was asked for: {0}")]
    Malformed(String),
}

impl CatalogError {
    /// Whether it is not known what became of a commit, or known that it has to be made anew.
    pub(super) fn is_to_be_looked_at(&self) -> bool {
        match self {
            CatalogError::Transfer(_)
            | CatalogError::Failed(..)
            | CatalogError::Malformed(_)
            | CatalogError::Conflict(_) => true,
            CatalogError::NotFound(_) | CatalogError::Refused(..) => false,
        }
    }

    /// Whether the same may go well in a moment; not if it asks to be left alone.
    fn may_pass(&self) -> bool {
        use TransferError::{Connect, ConnectTimeout, Lost};
        match self {
            CatalogError::Transfer(Connect(_) | ConnectTimeout | Lost(_)) => true,
            CatalogError::Failed(_, pause) => pause.is_none(),
            _ => false,
        }
    }
}

/// A table, as its catalog has it.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) metadata: TableMetadata,
    /// How to get at its files.
    pub(super) config: BTreeMap<String, String>,
}

pub(crate) struct Catalog {
    of: RestCatalog,
    /// Whether it is to hand out access to the store.
    delegates: bool,
    connector: Connector,
    clock: Arc<dyn Clock>,
    /// What was agreed on, until it expires or is refused.
    session: Mutex<Option<Session>>,
}

#[derive(Clone)]
struct Session {
    /// What comes before all that is asked for but this.
    prefix: Vec<String>,
    token: Option<HeaderValue>,
    expires: Option<UnixMillis>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    defaults: BTreeMap<String, Option<String>>,
    overrides: BTreeMap<String, Option<String>>,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
    expires_in: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct LoadTable {
    metadata: TableMetadata,
    #[serde(default)]
    config: BTreeMap<String, String>,
    #[serde(default)]
    storage_credentials: Vec<StorageCredential>,
}

#[derive(Deserialize)]
struct StorageCredential {
    prefix: String,
    config: BTreeMap<String, String>,
}

impl Catalog {
    pub(crate) fn new(
        of: RestCatalog,
        delegates: bool,
        secrets: Arc<dyn Secrets>,
        clock: Arc<dyn Clock>,
    ) -> Catalog {
        let connector = Connector::new(of.tls.clone(), secrets, TIMEOUT);
        Catalog { of, delegates, connector, clock, session: Mutex::default() }
    }

    /// The table as it is now, of its snapshots the latest.
    pub(crate) async fn load(&self, table: &TableName) -> Result<Loaded, CatalogError> {
        let seed = self.clock.now().0 as i64;
        step::taken(seed, || self.load_once(table), CatalogError::may_pass).await
    }

    async fn load_once(&self, table: &TableName) -> Result<Loaded, CatalogError> {
        let session = self.session().await?;
        let mut url = self.table_url(&session, table)?;
        url.query_pairs_mut().append_pair("snapshots", "refs");
        let mut get = self.request(Method::GET, url, &session)?;
        if self.delegates {
            get = get.header("X-Iceberg-Access-Delegation", "vended-credentials");
        }
        let LoadTable { metadata, mut config, storage_credentials } = self.answer(get).await?;
        let fits = |of: &&StorageCredential| metadata.location.starts_with(&of.prefix);
        let closest = storage_credentials.iter().filter(fits).max_by_key(|of| of.prefix.len());
        config.extend(closest.map(|of| of.config.clone()).unwrap_or_default());
        Ok(Loaded { metadata, config })
    }

    /// Asks for these changes of a table: all of them, or none.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether they are made.
    pub(super) async fn commit(
        &self,
        table: &TableName,
        request: &Json,
    ) -> Result<(), CatalogError> {
        let session = self.session().await?;
        let url = self.table_url(&session, table)?;
        self.ask(self.post(url, &session, request)?).await.map(drop)
    }

    /// Creates a table, and its namespace, unless they are there.
    pub(super) async fn create(
        &self,
        table: &TableName,
        schema: &Json,
        partition_spec: Option<&Json>,
    ) -> Result<(), CatalogError> {
        let is_there = |made: Result<Reply, CatalogError>| match made {
            Ok(_) | Err(CatalogError::Conflict(_)) => Ok(()),
            Err(error) => Err(error),
        };
        let session = self.session().await?;
        let levels: Vec<&str> = table.database.split('.').collect();
        let namespaces = self.url(&session, &["namespaces"])?;
        let namespace = json!({"namespace": levels, "properties": {}});
        is_there(self.ask(self.post(namespaces, &session, &namespace)?).await)?;
        let namespace = levels.join(LEVELS);
        let tables = self.url(&session, &["namespaces", &namespace, "tables"])?;
        let mut made = json!({"name": table.table, "schema": schema});
        if let Some(spec) = partition_spec {
            made["partition-spec"] = spec.clone();
        }
        is_there(self.ask(self.post(tables, &session, &made)?).await)
    }

    fn table_url(&self, session: &Session, table: &TableName) -> Result<Url, CatalogError> {
        let namespace = table.database.replace('.', LEVELS);
        self.url(session, &["namespaces", &namespace, "tables", &table.table])
    }

    fn url(&self, session: &Session, parts: &[&str]) -> Result<Url, CatalogError> {
        let mut url = self.base(&[])?;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(&session.prefix).extend(parts);
        }
        Ok(url)
    }

    fn base(&self, parts: &[&str]) -> Result<Url, CatalogError> {
        let parsed = Url::parse(&self.of.uri);
        let mut url = parsed.map_err(|error| TransferError::Request(error.to_string()))?;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(parts);
        }
        Ok(url)
    }

    fn request(
        &self,
        method: Method,
        url: Url,
        session: &Session,
    ) -> Result<RequestBuilder, CatalogError> {
        let mut request = self.connector.client()?.request(method, url);
        if let Some(token) = &session.token {
            request = request.header(AUTHORIZATION, token.clone());
        }
        Ok(request)
    }

    fn post(
        &self,
        url: Url,
        session: &Session,
        body: &Json,
    ) -> Result<RequestBuilder, CatalogError> {
        let post = self.request(Method::POST, url, session)?;
        Ok(post.header("content-type", "application/json").body(body.to_string()))
    }

    /// Sends a request, and looks at what was said.
    async fn ask(&self, request: RequestBuilder) -> Result<Reply, CatalogError> {
        let reply = send(request, BODY_BYTES_MAX).await?;
        let said = || message(&reply);
        let pause = || reply.pause(self.clock.now());
        match reply.status {
            200..=299 => Ok(reply),
            401 | 403 | 419 => {
                // The Secret may have been replaced meanwhile, or the token have expired.
                *self.session.lock().unwrap_or_else(PoisonError::into_inner) = None;
                Err(CatalogError::Refused(said(), pause()))
            }
            404 => Err(CatalogError::NotFound(said())),
            409 => Err(CatalogError::Conflict(said())),
            500.. => Err(CatalogError::Failed(said(), pause())),
            _ => Err(CatalogError::Refused(said(), pause())),
        }
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<T, CatalogError> {
        let reply = self.ask(request).await?;
        if reply.is_cut {
            let what = format!("longer than {BODY_BYTES_MAX} bytes");
            return Err(CatalogError::Malformed(what));
        }
        let parsed = serde_json::from_slice(&reply.body);
        parsed.map_err(|error| CatalogError::Malformed(shorten(&error.to_string())))
    }

    async fn session(&self) -> Result<Session, CatalogError> {
        let now = self.clock.now();
        let held = self.session.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let is_valid = |held: &Session| held.expires.is_none_or(|expires| now < expires);
        if let Some(held) = held.filter(is_valid) {
            return Ok(held);
        }
        let (token, expires) = self.token(now).await?;
        let mut session = Session { prefix: Vec::new(), token, expires };
        let mut url = self.base(&["config"])?;
        if let Some(warehouse) = &self.of.warehouse {
            url.query_pairs_mut().append_pair("warehouse", warehouse);
        }
        let config: Config = self.answer(self.request(Method::GET, url, &session)?).await?;
        let prefix =
            [&config.overrides, &config.defaults].into_iter().find_map(|of| of.get("prefix"));
        let prefix = prefix.cloned().flatten().unwrap_or_default();
        session.prefix =
            prefix.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(session.clone());
        Ok(session)
    }

    /// The token of the Secret, or one that is given for what is in it.
    async fn token(
        &self,
        now: UnixMillis,
    ) -> Result<(Option<HeaderValue>, Option<UnixMillis>), CatalogError> {
        let Some(of) = &self.of.credential_ref else { return Ok((None, None)) };
        let secret = self.connector.secret(of)?;
        let bearer = |token: &[u8]| secret_header(&[b"Bearer ", token].concat());
        let Some(at) = secret.iter().position(|byte| *byte == b':') else {
            return Ok((Some(bearer(&secret)?), None));
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (id, secret) = (text(&secret[..at]), text(&secret[at + 1..]));
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &id),
            ("client_secret", &secret),
            ("scope", "catalog"),
        ];
        let post = self.connector.client()?.post(self.base(&["oauth", "tokens"])?).form(&form);
        let token: Token = self.answer(post).await?;
        let seconds = Duration::from_secs(token.expires_in.unwrap_or(TOKEN_SECONDS));
        let valid = seconds.saturating_sub(TOKEN_MARGIN).as_millis();
        let expires = UnixMillis(now.0.saturating_add(u64::try_from(valid).unwrap_or(u64::MAX)));
        Ok((Some(bearer(token.access_token.as_bytes())?), Some(expires)))
    }
}

/// What a catalog says is wrong, for people.
fn message(reply: &Reply) -> String {
    #[derive(Deserialize)]
    struct Said {
        error: Error,
    }
    #[derive(Deserialize)]
    struct Error {
        message: String,
        #[serde(rename = "type", default)]
        type_: String,
    }
    match serde_json::from_slice(&reply.body) {
        Ok(Said { error: Error { message, type_ } }) => {
            shorten(&format!("{} {type_}: {message}", reply.status))
        }
        Err(_) => reply.text(),
    }
}
