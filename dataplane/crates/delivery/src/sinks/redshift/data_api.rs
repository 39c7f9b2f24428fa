//! The Redshift Data API: a statement is handed over by one request, and asked about by others.
//!
//! A statement has a token, made of what it says and of how many like it are known to have failed. When one
//! is handed over again, because the answer was lost or the process was killed, the service tells of the
//! one that it has: rows are loaded once, for as long as it remembers the token.

use std::sync::Arc;
use std::time::Duration;

use delivery_core::guid::guid_of;
use delivery_core::objects::redshift::grants_access;
use model::{Clock, UnixMillis};
use operator_api::delivery_stream::{RedshiftDataApi, RedshiftDestination};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};

use super::LoadError;
use crate::aws::json::{Api, CallError, JsonApi, Place, PlaceError};
use crate::pipeline::SetupError;
use crate::secrets::Secrets;
use crate::sinks::client::shorten;

const API: Api = Api {
    name: "redshift-data",
    target: "RedshiftData",
    endpoint_variable: "AWS_ENDPOINT_URL_REDSHIFT_DATA",
    // It repeats the statement, of 100 KB at most.
    answer_bytes_max: 1 << 20,
};
/// Between two questions after the first, and after many.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));
/// Questions in a row that may go without an answer.
const UNANSWERED_MAX: u32 = 5;
const CANCEL_MAX: Duration = Duration::from_secs(10);
/// A statement that was handed over so long ago was not handed over just now: clocks of those whose
/// signatures are taken differ by five minutes at most.
const OLD: Duration = Duration::from_secs(600);
/// Old statements that are passed over at a time.
const OLD_MAX: u32 = 100;

/// A database that is reached by requests.
pub(super) struct DataApi {
    of: RedshiftDataApi,
    api: JsonApi,
    clock: Arc<dyn Clock>,
    pub(super) load_max: Duration,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ExecuteStatement<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_identifier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workgroup_name: Option<&'a str>,
    database: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    db_user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_arn: Option<&'a str>,
    sql: &'a str,
    statement_name: &'a str,
    client_token: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Executed {
    id: String,
    /// In seconds since 1970.
    created_at: Option<f64>,
}

/// Of DescribeStatement and of CancelStatement.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct OfStatement<'a> {
    id: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    status: String,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Cancelled {}

impl DataApi {
    pub(super) fn new(
        of: &RedshiftDestination,
        api: &RedshiftDataApi,
        secrets: Arc<dyn Secrets>,
        clock: Arc<dyn Clock>,
        load_max: Duration,
    ) -> Result<DataApi, SetupError> {
        let wrong = |field, what| SetupError::Wrong { field, what };
        let options = of.copy_command.copy_options.as_deref().unwrap_or_default();
        if !grants_access(options) {
            // A key in it would be another when it is handed over again, and the token not hold.
            return Err(wrong(
                "spec.destination.redshift.copyCommand.copyOptions",
                "do not say who reads the bucket, as in IAM_ROLE default: the Data API shows \
                 statements to others, so Leat puts no access key into them",
            ));
        }
        if api.cluster_identifier.is_some() == api.workgroup_name.is_some() {
            return Err(wrong(
                "spec.destination.redshift.dataApi",
                "needs clusterIdentifier or workgroupName, and not both",
            ));
        }
        let place = Place {
            region: &api.region,
            endpoint: api.endpoint.as_deref(),
            credentials: api.credentials.as_ref(),
            tls: of.tls.as_ref(),
        };
        let called = JsonApi::new(&API, &place, secrets, Arc::clone(&clock));
        let called = called.map_err(|error| match error {
            PlaceError::Region => wrong(
                "spec.destination.redshift.dataApi.region",
                "names no region; write it as in eu-west-1",
            ),
            PlaceError::Endpoint => wrong(
                "spec.destination.redshift.dataApi.endpoint",
                "is no address; write it as in http://HOST:PORT",
            ),
        })?;
        Ok(DataApi { of: api.clone(), api: called, clock, load_max })
    }

    /// # Cancel safety
    /// Dropping the future leaves the statement to the service. The next time it is found by its token.
    pub(super) async fn load(&self, sql: &str, failures: &mut u32) -> Result<(), LoadError> {
        let until = Instant::now() + self.load_max;
        let mut passed_over = 0;
        loop {
            let Executed { id, created_at } = self.execute(sql, *failures).await?;
            let Described { status, error } = self.end_of(&id, until).await?;
            if status == "FINISHED" {
                return Ok(());
            }
            *failures += 1;
            // One from before a crash says nothing about now.
            let is_old = created_at.is_some_and(|created| self.is_old(created));
            if is_old && passed_over < OLD_MAX {
                passed_over += 1;
                continue;
            }
            let said = [Some(status), error].into_iter().flatten().collect::<Vec<_>>();
            return Err(LoadError::Load(shorten(&said.join(" "))));
        }
    }

    async fn execute(&self, sql: &str, failures: u32) -> Result<Executed, CallError> {
        let mut request = ExecuteStatement {
            cluster_identifier: self.of.cluster_identifier.as_deref(),
            workgroup_name: self.of.workgroup_name.as_deref(),
            database: &self.of.database,
            db_user: self.of.db_user.as_deref(),
            secret_arn: self.of.secret_arn.as_deref(),
            sql,
            statement_name: "leat",
            client_token: "",
        };
        // Of all that it says: elsewhere it is another statement.
        let said = format!("{failures} {}", serde_json::to_string(&request).unwrap_or_default());
        let client_token = format!("{:032x}", guid_of(said.as_bytes()));
        request.client_token = &client_token;
        self.api.call("ExecuteStatement", &request).await
    }

    /// Asks until the statement has ended.
    async fn end_of(&self, id: &str, until: Instant) -> Result<Described, LoadError> {
        let (mut pause, pause_max) = PAUSES;
        let mut unanswered = 0;
        loop {
            match self.api.call("DescribeStatement", &OfStatement { id }).await {
                Ok(Described { status, error })
                    if matches!(&*status, "FINISHED" | "FAILED" | "ABORTED") =>
                {
                    return Ok(Described { status, error });
                }
                Ok(Described { .. }) => unanswered = 0,
                Err(error) if UNANSWERED_MAX <= unanswered => return Err(error.into()),
                Err(_) => unanswered += 1,
            }
            if until <= Instant::now() + pause {
                self.cancel(id).await;
                return Err(LoadError::LoadTimeout(self.load_max));
            }
            sleep(pause).await;
            pause = (2 * pause).min(pause_max);
        }
    }

    async fn cancel(&self, id: &str) {
        let request = OfStatement { id };
        let cancel = self.api.call::<Cancelled>("CancelStatement", &request);
        if let Ok(Err(error)) = timeout(CANCEL_MAX, cancel).await {
            tracing::debug!("a COPY that took too long may go on: {}", crate::chain(&error));
        }
    }

    fn is_old(&self, created_seconds: f64) -> bool {
        // What is no time is long ago.
        let created = UnixMillis((created_seconds * 1_000.0) as u64);
        OLD < self.clock.now().since(created)
    }
}

#[cfg(test)]
mod tests;
