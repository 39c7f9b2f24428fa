//! The `redshift` destination: objects in a bucket, loaded by COPY over the wire of PostgreSQL.
//!
//! A COPY runs in a transaction of its own, over a connection of its own. Whatever ends it early, a time
//! limit or a crash, leaves no rows: they are there when the COMMIT is answered.

mod connection;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod url;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use delivery_core::objects::redshift::{CopyCredentials, CopyError, copy_command, grants_access};
use object_store::aws::AwsCredential;
use operator_api::delivery_stream::RedshiftDestination;
use rustls::ClientConfig;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, NoTls};

pub use url::UrlError;

use self::url::JdbcUrl;
use super::client::{Connector, TransferError, shorten};
use super::tls::client_config;
use crate::aws::Identity;
use crate::pipeline::SetupError;
use crate::secrets::Secrets;

/// Of the bucket, for whoever it is told to.
const REGION_DEFAULT: &str = "us-east-1";
/// From the first packet to the end of the login. A cluster that sleeps is woken up by it.
const CONNECT_MAX: Duration = Duration::from_secs(60);
/// A COPY that takes longer is not one that a delivery can wait for.
const LOAD_MAX: Duration = Duration::from_secs(3600);
const CANCEL_MAX: Duration = Duration::from_secs(10);
/// Requests by HTTP there are none: only Secrets are asked for.
const UNUSED: Duration = Duration::from_secs(1);

/// Objects were not loaded, or it is not known whether they were. Try again: AWS does for all of these,
/// for a table or a file that is wrong may be mended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// Secrets or authorities. Nobody was asked.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// There is no such COPY. Nobody was asked.
    #[error("write the COPY")]
    Copy(#[from] CopyError),
    #[error("connect")]
    Connect(#[source] io::Error),
    #[error("connect: not logged in after {} seconds", CONNECT_MAX.as_secs())]
    ConnectTimeout,
    #[error(
        "agree on TLS: the server speaks none; end clusterJdbcUrl with ?ssl=false to go without"
    )]
    NoTls,
    #[error("agree on TLS")]
    Tls(#[source] io::Error),
    #[error("log in: {0}")]
    LogIn(String),
    #[error("load: {0}")]
    Load(String),
    #[error("load: not done after {} seconds", .0.as_secs())]
    LoadTimeout(Duration),
}

/// A table of Redshift, or of what speaks its COPY.
pub(crate) struct Redshift {
    of: RedshiftDestination,
    url: JdbcUrl,
    secrets: Arc<dyn Secrets>,
    connector: Connector,
    /// Whose access Redshift is given to the bucket; `None` when the options say it.
    access: Option<Identity>,
    load_max: Duration,
}

impl Redshift {
    pub(crate) fn new(
        of: RedshiftDestination,
        secrets: Arc<dyn Secrets>,
    ) -> Result<Redshift, SetupError> {
        let url = JdbcUrl::parse(&of.cluster_jdbc_url)?;
        if url.is_plain && of.tls.is_some() {
            return Err(UrlError::PlainWithTls.into());
        }
        // What a resource has wrong is told now, not when there is something to load.
        copy_command(&of, "manifest", CopyCredentials::InOptions)?;
        let options = of.copy_command.copy_options.as_deref().unwrap_or_default();
        let access = (!grants_access(options)).then(|| Identity::new(of.s3.credentials.clone()));
        let connector = Connector::new(None, Arc::clone(&secrets), UNUSED);
        Ok(Redshift { of, url, secrets, connector, access, load_max: LOAD_MAX })
    }

    /// The bucket it loads from.
    pub(crate) fn bucket(&self) -> &str {
        &self.of.s3.bucket
    }

    /// Tries once to load the objects that a manifest lists: all of them, or none.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether they are loaded only while a COMMIT is on its way.
    pub(crate) async fn load(&self, manifest_key: &str) -> Result<(), LoadError> {
        let access = self.access().await?;
        let copy = copy_command(&self.of, manifest_key, credentials(access.as_deref()))?;
        let config = self.config()?;
        let tls = self.tls()?;
        let connect = async {
            let stream = connection::open(&self.url, tls.clone()).await?;
            let session = config.connect_raw(stream, NoTls).await;
            session.map_err(|error| LoadError::LogIn(said(&error, None)))
        };
        let connected = timeout(CONNECT_MAX, connect).await;
        let (client, connection) = connected.unwrap_or(Err(LoadError::ConnectTimeout))?;
        let token = client.cancel_token();
        let statements = ["BEGIN", &copy, "COMMIT"];
        let run = connection::run(client, connection, &statements);
        let Ok(loaded) = timeout(self.load_max, run).await else {
            let cancel = connection::cancel(&self.url, tls, &token);
            if let Err(error) = timeout(CANCEL_MAX, cancel).await.unwrap_or(Ok(())) {
                tracing::debug!("a COPY that took too long may go on: {}", crate::chain(&error));
            }
            return Err(LoadError::LoadTimeout(self.load_max));
        };
        loaded.map_err(|error| LoadError::Load(said(&error, access.as_deref())))
    }

    async fn access(&self) -> Result<Option<Arc<AwsCredential>>, TransferError> {
        let Some(identity) = &self.access else { return Ok(None) };
        let region = self.of.s3.region.as_deref().unwrap_or(REGION_DEFAULT);
        Ok(Some(identity.credential(&self.connector, region).await?))
    }

    /// Who logs in where, by the Secrets as they are now.
    fn config(&self) -> Result<Config, TransferError> {
        let user = self.connector.secret(&self.of.credentials.username_ref)?;
        let user = String::from_utf8(user).map_err(|_| {
            TransferError::Credentials("the user's name in the Secret is not text".to_owned())
        })?;
        let mut config = Config::new();
        config
            .user(user)
            .password(self.connector.secret(&self.of.credentials.password_ref)?)
            .dbname(&self.url.database)
            .application_name("leat")
            // It is agreed on before.
            .ssl_mode(SslMode::Disable);
        Ok(config)
    }

    fn tls(&self) -> Result<Option<Arc<ClientConfig>>, TransferError> {
        if self.url.is_plain {
            return Ok(None);
        }
        Ok(Some(Arc::new(client_config(self.of.tls.as_ref(), &*self.secrets)?)))
    }
}

fn credentials(access: Option<&AwsCredential>) -> CopyCredentials<'_> {
    let Some(AwsCredential { key_id, secret_key, token }) = access else {
        return CopyCredentials::InOptions;
    };
    let session_token = token.as_deref();
    CopyCredentials::AccessKey { id: key_id, secret: secret_key, session_token }
}

/// What a server says is wrong, as in `42P01 ERROR: ...`. It may quote the COPY, whose secrets are for
/// nobody else.
fn said(error: &tokio_postgres::Error, access: Option<&AwsCredential>) -> String {
    let mut text = match error.as_db_error() {
        Some(error) => format!("{} {error}", error.code().code()).replace('\n', "; "),
        None => crate::chain(error),
    };
    if let Some(AwsCredential { secret_key, token, .. }) = access {
        let secrets = [Some(secret_key), token.as_ref()].into_iter().flatten();
        for secret in secrets.filter(|secret| !secret.is_empty()) {
            text = text.replace(secret.as_str(), "***");
        }
    }
    shorten(&text)
}
