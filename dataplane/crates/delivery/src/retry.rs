//! Attempts, until there are no more records, or no more time.

use std::time::Duration;

use bytes::Bytes;
use delivery_core::backoff::Backoff;
use model::{DeliveryRecord, UnixMillis};

use crate::pipeline::Context;
use crate::sinks::redshift::{LoadError, Redshift};
use crate::sinks::{Attempt, Batch, Failure, Sink};
use crate::status::ShardStatus;
use crate::store::Store;

/// A record that its destination did not take.
#[derive(Debug)]
pub(crate) struct Undelivered {
    pub(crate) record: DeliveryRecord,
    pub(crate) failure: Failure,
    pub(crate) attempts: u32,
    pub(crate) last_attempt: UnixMillis,
}

/// Delivers a batch. What is refused, or still not taken when the time for retries has passed, comes
/// back.
pub(crate) async fn deliver(
    context: &Context,
    status: &ShardStatus,
    sink: &dyn Sink,
    mut batch: Batch,
    retry_for: Duration,
) -> Vec<Undelivered> {
    let backoff = Backoff::new(retry_for);
    let mut undelivered = Vec::new();
    let mut has_taken = false;
    let spent = status.stragglers_waited();
    for attempts in 1.. {
        let Attempt { refused, again, pause } = sink.deliver(&batch).await;
        let last_attempt = context.clock.now();
        if refused.len() + again.len() < batch.records.len() {
            status.is_taken();
            has_taken = true;
        }
        let refusal = refused.first().map(|(_, failure)| failure.message.clone());
        let mut give_up = |failures: Vec<(usize, Failure)>| {
            let fate = |(at, failure): (usize, Failure)| {
                let record = batch.records.get(at)?.clone();
                Some(Undelivered { record, failure, attempts, last_attempt })
            };
            undelivered.extend(failures.into_iter().filter_map(fate));
        };
        give_up(refused);
        let Some((_, failure)) = again.first() else {
            match refusal.filter(|_| !has_taken) {
                Some(what) => status.is_refused(last_attempt, &what, true),
                None => status.is_delivered(),
            }
            break;
        };
        let what = failure.message.clone();
        // From the first failure on, whatever batch it was of: a destination that is away gets one attempt
        // for each batch once its time has passed, and the backup gets the rest as fast as it is read.
        let waited = status.failing_for();
        let elapsed = waited + if has_taken { spent } else { Duration::ZERO };
        // Stragglers are tried once more even then.
        let tried = if attempts == 1 { waited } else { elapsed };
        let Some(next) = backoff.next(attempts - 1, tried, (context.random)()) else {
            give_up(again);
            // If nothing was taken, those before may have been no stragglers: the destination was going.
            status.waited_for_stragglers(has_taken.then(|| (spent + waited).min(retry_for)));
            status.is_refused(last_attempt, &what, true);
            break;
        };
        // A destination that asks to be left alone is, but for no longer than there is time.
        let left = retry_for.saturating_sub(elapsed);
        let pause = next.max(pause.unwrap_or_default().min(left));
        status.is_refused(last_attempt, &what, false);
        batch.records =
            again.iter().filter_map(|(at, _)| batch.records.get(*at).cloned()).collect();
        tokio::time::sleep(pause).await;
    }
    undelivered
}

/// Puts an object, however long it takes: while a bucket takes nothing, nothing more is read.
pub(crate) async fn put(
    context: &Context,
    status: &ShardStatus,
    store: &dyn Store,
    (key, mark): (&str, Option<&str>),
    bytes: Bytes,
) {
    let (backoff, step) = (Backoff::endless(), status.step());
    for attempts in 1.. {
        let Err(error) = store.put(key, bytes.clone(), mark).await else { break };
        let error = crate::chain(&error);
        step.fails(context.clock.now(), attempts, &error);
        let pause = backoff.next(attempts - 1, Duration::ZERO, (context.random)());
        tokio::time::sleep(pause.unwrap_or_default()).await;
    }
    step.succeeds();
}

/// Has objects loaded.
///
/// # Errors
/// What was said last, when the time for retries has passed: they are not loaded, as far as is known.
pub(crate) async fn load(
    context: &Context,
    status: &ShardStatus,
    redshift: &Redshift,
    manifest_key: &str,
    retry_for: Duration,
) -> Result<(), LoadError> {
    let backoff = Backoff::new(retry_for);
    let (mut attempts, mut failures) = (0, 0);
    loop {
        let Err(error) = redshift.load(manifest_key, &mut failures).await else {
            status.is_taken();
            status.is_delivered();
            return Ok(());
        };
        let pause = backoff.next(attempts, status.failing_for(), (context.random)());
        status.is_refused(context.clock.now(), &crate::chain(&error), pause.is_none());
        let Some(pause) = pause else { return Err(error) };
        attempts += 1;
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests;
