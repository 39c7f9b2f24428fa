//! The wire of PostgreSQL.
//!
//! A COPY runs in a transaction of its own, over a connection of its own. Whatever ends it early, a time
//! limit or a crash, leaves no rows: they are there when the COMMIT is answered.

use std::sync::Arc;
use std::time::Duration;

use delivery_core::objects::redshift::{CopyCredentials, copy_command, grants_access};
use object_store::aws::AwsCredential;
use operator_api::delivery_stream::RedshiftDestination;
use operator_api::pods::{ClientTls, UserCredentials};
use rustls::ClientConfig;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, NoTls};

use super::url::JdbcUrl;
use super::{CONNECT_MAX, LoadError, UrlError, connection};
use crate::aws::Identity;
use crate::pipeline::SetupError;
use crate::secrets::Secrets;
use crate::sinks::client::{Connector, TransferError, shorten};
use crate::sinks::tls::client_config;

/// Of the bucket, for whoever it is told to.
const REGION_DEFAULT: &str = "us-east-1";
const CANCEL_MAX: Duration = Duration::from_secs(10);
/// Requests by HTTP there are none: only Secrets are asked for.
const UNUSED: Duration = Duration::from_secs(1);

/// A database that is connected to.
pub(super) struct Wire {
    url: JdbcUrl,
    user: UserCredentials,
    tls: Option<ClientTls>,
    secrets: Arc<dyn Secrets>,
    connector: Connector,
    /// Whose access Redshift is given to the bucket; `None` when the options say it.
    access: Option<Identity>,
    bucket_region: String,
    pub(super) load_max: Duration,
}

impl Wire {
    pub(super) fn new(
        of: &RedshiftDestination,
        url: &str,
        secrets: Arc<dyn Secrets>,
        load_max: Duration,
    ) -> Result<Wire, SetupError> {
        let url = JdbcUrl::parse(url)?;
        if url.is_plain && of.tls.is_some() {
            return Err(UrlError::PlainWithTls.into());
        }
        let Some(user) = of.credentials.clone() else {
            let field = "spec.destination.redshift.credentials";
            return Err(SetupError::Wrong { field, what: "are needed to log in; set them" });
        };
        let options = of.copy_command.copy_options.as_deref().unwrap_or_default();
        let access = (!grants_access(options)).then(|| Identity::new(of.s3.credentials.clone()));
        let connector = Connector::new(None, Arc::clone(&secrets), UNUSED);
        let bucket_region = of.s3.region.as_deref().unwrap_or(REGION_DEFAULT).to_owned();
        let tls = of.tls.clone();
        Ok(Wire { url, user, tls, secrets, connector, access, bucket_region, load_max })
    }

    /// # Cancel safety
    /// Dropping the future leaves open whether they are loaded only while a COMMIT is on its way.
    pub(super) async fn load(
        &self,
        of: &RedshiftDestination,
        manifest_key: &str,
    ) -> Result<(), LoadError> {
        let access = self.access().await?;
        let copy = copy_command(of, manifest_key, credentials(access.as_deref()))?;
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
        Ok(Some(identity.credential(&self.connector, &self.bucket_region).await?))
    }

    /// Who logs in where, by the Secrets as they are now.
    fn config(&self) -> Result<Config, TransferError> {
        let user = self.connector.secret(&self.user.username_ref)?;
        let user = String::from_utf8(user).map_err(|_| {
            TransferError::Credentials("the user's name in the Secret is not text".to_owned())
        })?;
        let mut config = Config::new();
        config
            .user(user)
            .password(self.connector.secret(&self.user.password_ref)?)
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
        Ok(Some(Arc::new(client_config(self.tls.as_ref(), &*self.secrets)?)))
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
