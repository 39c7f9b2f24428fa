//! Which of several operators works: the one that holds a Lease.
//!
//! A Lease that has not changed for as long as it lasts is anybody's, by this process's own clock:
//! clocks of nodes need not agree. A holder that could not renew stops well before that.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease as Record, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, ResourceExt};
use model::Clock;
use shard::SystemClock;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::metrics::Metrics;

/// After this without a change, others take it.
const LASTS: Duration = Duration::from_secs(15);
/// A holder that could not renew for so long does not work any more.
const RENEWED_WITHIN: Duration = Duration::from_secs(10);
const RENEW_PAUSE: Duration = Duration::from_secs(3);
const LOOK_PAUSE: Duration = Duration::from_secs(1);
const REQUEST_MAX: Duration = Duration::from_secs(3);

/// A Lease, as one of those who want it sees it.
pub(crate) struct Lease {
    api: Api<Record>,
    name: String,
    identity: String,
    seen: Option<Seen>,
    metrics: Metrics,
}

/// The record as last seen, and since when it has been as it is.
struct Seen {
    version: Option<String>,
    since: Instant,
}

impl Lease {
    pub(crate) fn new(
        client: Client,
        namespace: &str,
        name: &str,
        identity: &str,
        metrics: Metrics,
    ) -> Lease {
        let api = Api::namespaced(client, namespace);
        let (name, identity) = (name.to_owned(), identity.to_owned());
        Lease { api, name, identity, seen: None, metrics }
    }

    /// Waits until this process holds it.
    pub(crate) async fn acquire(&mut self) {
        loop {
            match self.attempt().await {
                Ok(true) => {
                    tracing::info!(lease = self.name, identity = self.identity, "leads");
                    self.metrics.leader.set(1);
                    return;
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(lease = self.name, error, "could not ask for it"),
            }
            sleep(LOOK_PAUSE).await;
        }
    }

    /// Keeps it; returns when it is lost.
    pub(crate) async fn keep(&mut self) {
        let mut renewed = Instant::now();
        while let Ok(Some(started)) = timeout_at(renewed + RENEWED_WITHIN, self.renew()).await {
            renewed = started;
        }
        self.metrics.leader.set(0);
    }

    /// Renews it after a pause; since when it lasts again, or `None` when it is another's.
    async fn renew(&mut self) -> Option<Instant> {
        loop {
            sleep(RENEW_PAUSE).await;
            let started = Instant::now();
            match self.attempt().await {
                Ok(true) => return Some(started),
                Ok(false) => return None,
                Err(error) => tracing::warn!(lease = self.name, error, "could not renew it"),
            }
        }
    }

    /// Lets go of it, so that another need not wait.
    pub(crate) async fn release(&mut self) {
        let release = async {
            let mut record = self.api.get(&self.name).await?;
            let spec = record.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() == Some(&self.identity) {
                spec.holder_identity = None;
                self.api.replace(&self.name, &PostParams::default(), &record).await?;
            }
            Ok::<_, kube::Error>(())
        };
        if let Ok(Err(error)) = timeout(REQUEST_MAX, release).await {
            tracing::warn!(lease = self.name, %error, "could not let go of it");
        }
        self.metrics.leader.set(0);
    }

    /// Takes or renews it; whether this process holds it now.
    async fn attempt(&mut self) -> Result<bool, String> {
        match timeout(REQUEST_MAX, self.attempt_now()).await {
            Ok(Ok(held)) => Ok(held),
            // Somebody else was faster; or this attempt was that of a request taken for lost.
            Ok(Err(kube::Error::Api(status))) if status.is_conflict() => {
                Err("another write came first".to_owned())
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer".to_owned()),
        }
    }

    async fn attempt_now(&mut self) -> kube::Result<bool> {
        let now = self.timestamp();
        let Some(mut record) = self.api.get_opt(&self.name).await? else {
            let metadata = ObjectMeta { name: Some(self.name.clone()), ..Default::default() };
            let mut record = Record { metadata, ..Record::default() };
            take(record.spec.get_or_insert_default(), &self.identity, &now);
            self.api.create(&PostParams::default(), &record).await?;
            return Ok(true);
        };
        let version = record.resource_version();
        let since = match &self.seen {
            Some(seen) if seen.version == version => seen.since,
            _ => Instant::now(),
        };
        self.seen = Some(Seen { version, since });
        let spec = record.spec.get_or_insert_default();
        if !may_take(spec, &self.identity, since.elapsed()) {
            return Ok(false);
        }
        take(spec, &self.identity, &now);
        self.api.replace(&self.name, &PostParams::default(), &record).await?;
        Ok(true)
    }

    fn timestamp(&self) -> MicroTime {
        let millis = i64::try_from(SystemClock.now().0).unwrap_or(i64::MAX);
        MicroTime(Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX))
    }
}

/// Whether a record that has not changed for `unchanged` is this process's to take.
fn may_take(spec: &LeaseSpec, identity: &str, unchanged: Duration) -> bool {
    let lasts = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    let lasts = lasts.map_or(LASTS, Duration::from_secs);
    match spec.holder_identity.as_deref() {
        None | Some("") => true,
        Some(holder) => holder == identity || lasts < unchanged,
    }
}

fn take(spec: &mut LeaseSpec, identity: &str, now: &MicroTime) {
    if spec.holder_identity.as_deref() != Some(identity) {
        spec.holder_identity = Some(identity.to_owned());
        spec.acquire_time = Some(now.clone());
        spec.lease_transitions = Some(spec.lease_transitions.unwrap_or_default().saturating_add(1));
    }
    spec.lease_duration_seconds = i32::try_from(LASTS.as_secs()).ok();
    spec.renew_time = Some(now.clone());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_taken_when_it_is_free_or_over() {
        let held = |holder: Option<&str>| LeaseSpec {
            holder_identity: holder.map(str::to_owned),
            lease_duration_seconds: Some(15),
            ..LeaseSpec::default()
        };
        let check = |holder, seconds, want| {
            let unchanged = Duration::from_secs(seconds);
            assert_eq!(may_take(&held(holder), "me", unchanged), want, "{holder:?} {seconds}");
        };
        check(None, 0, true);
        check(Some(""), 0, true);
        check(Some("me"), 0, true);
        check(Some("other"), 0, false);
        check(Some("other"), 15, false);
        check(Some("other"), 16, true);
    }

    #[test]
    fn a_holder_stops_before_others_may_start() {
        // By the clock of one that sees the last renewal late, and of one that stops late.
        assert!(RENEWED_WITHIN + REQUEST_MAX < LASTS);
        assert!(RENEW_PAUSE + REQUEST_MAX < RENEWED_WITHIN, "one attempt may fail");
    }
}
