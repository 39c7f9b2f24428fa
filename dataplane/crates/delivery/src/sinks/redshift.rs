//! The `redshift` destination: objects in a bucket, loaded by COPY: over the wire of PostgreSQL, or by the
//! Redshift Data API.

mod connection;
mod data_api;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod url;
mod wire;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use delivery_core::objects::redshift::{CopyCredentials, CopyError, copy_command};
use model::Clock;
use operator_api::delivery_stream::RedshiftDestination;

pub use url::UrlError;

use self::data_api::DataApi;
use self::wire::Wire;
use super::client::TransferError;
use crate::aws::json::CallError;
use crate::pipeline::SetupError;
use crate::secrets::Secrets;

/// From the first packet to the end of the login. A cluster that sleeps is woken up by it.
const CONNECT_MAX: Duration = Duration::from_secs(60);
/// A COPY that takes longer is not one that a delivery can wait for.
const LOAD_MAX: Duration = Duration::from_secs(3600);

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
    #[error("ask the Redshift Data API")]
    Call(#[from] CallError),
    #[error("load: {0}")]
    Load(String),
    #[error("load: not done after {} seconds", .0.as_secs())]
    LoadTimeout(Duration),
}

/// A table of Redshift, or of what speaks its COPY.
pub(crate) struct Redshift {
    of: RedshiftDestination,
    way: Way,
}

/// How the database is reached.
enum Way {
    Wire(Box<Wire>),
    DataApi(Box<DataApi>),
}

impl Redshift {
    pub(crate) fn new(
        of: RedshiftDestination,
        secrets: Arc<dyn Secrets>,
        clock: Arc<dyn Clock>,
    ) -> Result<Redshift, SetupError> {
        let way = match (&of.cluster_jdbc_url, &of.data_api) {
            (Some(url), None) => Way::Wire(Box::new(Wire::new(&of, url, secrets, LOAD_MAX)?)),
            (None, Some(api)) => {
                Way::DataApi(Box::new(DataApi::new(&of, api, secrets, clock, LOAD_MAX)?))
            }
            _ => {
                let field = "spec.destination.redshift";
                let what = "needs clusterJdbcUrl or dataApi, and not both";
                return Err(SetupError::Wrong { field, what });
            }
        };
        // What a resource has wrong is told now, not when there is something to load.
        copy_command(&of, "manifest", CopyCredentials::InOptions)?;
        Ok(Redshift { of, way })
    }

    /// The bucket it loads from.
    pub(crate) fn bucket(&self) -> &str {
        &self.of.s3.bucket
    }

    /// Tries once to load the objects that a manifest lists: all of them, or none. `failures` counts the
    /// statements for this manifest that are known to have failed.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether they are loaded.
    pub(crate) async fn load(
        &self,
        manifest_key: &str,
        failures: &mut u32,
    ) -> Result<(), LoadError> {
        match &self.way {
            Way::Wire(wire) => wire.load(&self.of, manifest_key).await,
            Way::DataApi(api) => {
                let copy = copy_command(&self.of, manifest_key, CopyCredentials::InOptions)?;
                api.load(&copy, failures).await
            }
        }
    }
}
