//! Streams: observe, decide, execute, tell, ask.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use kube::runtime::controller::{Action, Config, Controller, Error};
use kube::runtime::events::Recorder;
use kube::runtime::reflector::ObjectRef;
use kube::{Client, ResourceExt};
use model::{Clock, ShardId, UnixMillis};
use operator_api::Stream;
use operator_api::conditions::reasons;
use operator_core::manifests::{Settings, secret_name};
use operator_core::{
    Answer, Ask, Finalizer, Observed, Outcome, Step, decide, names, not_accepted, owners,
    stream_uid,
};
use shard::SystemClock;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::ask::{Shards, ask, look as look_at, weigh};
use crate::events::{self, Note};
use crate::execute::{self, ExecuteError};
use crate::memory::Memory;
use crate::metrics::{self, Kind, KindLabels, Metrics, ReconcileLabels};
use crate::observe::{self, Caches, Guarded, Triggers, Watches};
use crate::trust::Trust;

/// Streams reconciled at a time.
const CONCURRENCY: u16 = 32;
/// Changes that come together are looked at together.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// The longest that one look may take.
const RECONCILE_MAX: Duration = Duration::from_secs(60);
const CONFLICT_PAUSE: Duration = Duration::from_millis(50);
/// Until a stream is looked at when another one of its pool is at the moment.
const BUSY_PAUSE: Duration = Duration::from_millis(100);
/// Between two attempts to ask pods that did not do it.
const ASK_PAUSE: Duration = Duration::from_millis(500);
/// A look that nothing has asked for. Watches and answers ask for those that are urgent.
const LOOK_PAUSE_MIN: Duration = Duration::from_secs(10);
/// A stream that is wrong is not looked at for its own sake, but its pods' certificates are.
const WRONG_PAUSE: Duration = Duration::from_secs(60 * 60);

/// What a reconcile needs.
pub(crate) struct Context {
    client: Client,
    settings: Settings,
    caches: Arc<Caches>,
    memory: Arc<Memory>,
    trust: Arc<Trust>,
    metrics: Metrics,
    recorder: Recorder,
    triggers: Triggers,
    locks: Locks,
    pace: Pace,
}

/// How closely shards of on-demand streams follow their load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Between two looks at it.
    pub(crate) every: Duration,
    /// How long neighbours must have been quiet before they are merged.
    pub(crate) quiet_for: Duration,
}

/// Streams of one pool are looked at one after the other: each counts what the others hold.
struct Locks(Vec<Mutex<()>>);

impl Locks {
    fn new() -> Locks {
        Locks((0..64).map(|_| Mutex::default()).collect())
    }

    fn of(&self, stream: &Stream) -> &Mutex<()> {
        let mut hasher = DefaultHasher::new();
        (stream.namespace(), names::stateful_set(stream)).hash(&mut hasher);
        let at = hasher.finish() % self.0.len() as u64;
        &self.0[usize::try_from(at).unwrap_or_default()]
    }
}

/// Reconciles until the watches end.
pub(crate) async fn run(
    client: Client,
    (caches, watches): (Arc<Caches>, Watches),
    settings: Settings,
    pace: Pace,
    trust: Arc<Trust>,
    metrics: Metrics,
    recorder: Recorder,
) {
    let Watches { memory, touched, pumps, triggers, mut triggered } = watches;
    let (streams, filled) = (caches.streams.clone(), caches.filled());
    let locks = Locks::new();
    let context = Context {
        client,
        settings,
        caches,
        memory,
        trust,
        metrics,
        recorder,
        triggers,
        locks,
        pace,
    };
    let triggered = futures_util::stream::poll_fn(move |task| triggered.poll_recv(task));
    let controller = Controller::for_stream(touched, streams)
        .with_config(Config::default().concurrency(CONCURRENCY).debounce(DEBOUNCE))
        .reconcile_on(triggered)
        .run(
            move |stream, context: Arc<Context>| {
                let filled = filled.clone();
                async move {
                    filled.await;
                    reconcile(stream, context).await
                }
            },
            after_error,
            Arc::new(context),
        );
    let mut pumps: FuturesUnordered<_> = pumps.into_iter().collect();
    tokio::select! {
        () = controller.for_each(|result| async { tell(result.err()) }) => {}
        _ = pumps.next() => {}
    }
}

/// Failures of reconciles are told by [`after_error`].
fn tell(error: Option<Error<ExecuteError, kube::runtime::watcher::Error>>) {
    match error {
        Some(Error::QueueError(error)) => {
            tracing::warn!(%error, "the watch of Streams failed; it begins again");
        }
        Some(error @ Error::RunnerError(_)) => tracing::warn!(%error, "reconcile"),
        Some(Error::ReconcilerFailed(..) | Error::ObjectNotFound(_)) | None => {}
    }
}

async fn reconcile(guarded: Arc<Guarded>, ctx: Arc<Context>) -> Result<Action, ExecuteError> {
    let started = Instant::now();
    let looked = match &guarded.0 {
        Ok(stream) => {
            // Not waited for: hundreds of streams of one pool would leave no slot to the others.
            let Ok(_alone) = ctx.locks.of(stream).try_lock() else {
                return Ok(Action::requeue(BUSY_PAUSE));
            };
            let looked = tokio::time::timeout(RECONCILE_MAX, look(stream, &ctx)).await;
            looked.unwrap_or(Err(ExecuteError::TooLong))
        }
        Err(unreadable) => {
            let (namespace, name) = (guarded.namespace(), guarded.name_any());
            tracing::warn!(namespace, name, error = unreadable.error, "a Stream is unreadable");
            let (error, now) = (&unreadable.error, SystemClock.now());
            let told = execute::tell_unreadable(&ctx.client, &ctx.recorder, &*guarded, error, now);
            told.await.map(|is_written| {
                is_written.then(|| count_write(&ctx));
                (Action::await_change(), metrics::Outcome::Unreadable)
            })
        }
    };
    let outcome = match &looked {
        Ok((_, outcome)) => *outcome,
        Err(error) if error.is_conflict() => metrics::Outcome::Conflict,
        Err(_) => metrics::Outcome::Failed,
    };
    let kind = Kind::Stream;
    ctx.metrics.reconciles.get_or_create(&ReconcileLabels { kind, outcome }).inc();
    let seconds = started.elapsed().as_secs_f64();
    ctx.metrics.reconcile_seconds.get_or_create(&KindLabels { kind }).observe(seconds);
    looked.map(|(action, _)| action)
}

fn after_error(guarded: Arc<Guarded>, error: &ExecuteError, ctx: Arc<Context>) -> Action {
    if error.is_conflict() {
        return Action::requeue(CONFLICT_PAUSE);
    }
    if error.is_gone() {
        return Action::await_change();
    }
    let Ok(stream) = &guarded.0 else {
        tracing::warn!(name = guarded.name_any(), %error, "an unreadable Stream was not told");
        return Action::requeue(LOOK_PAUSE_MIN);
    };
    let pause = ctx.memory.failed(stream);
    let (namespace, name) = (stream.namespace(), stream.name_any());
    let source = std::error::Error::source(error).map(ToString::to_string);
    tracing::warn!(namespace, name, %error, source, ?pause, "a Stream was not reconciled");
    if let Some(refusal) = error.refusal() {
        tokio::spawn(async move {
            events::publish(&ctx.recorder, &*guarded, vec![Note::invalid(refusal)]).await;
        });
    }
    Action::requeue(pause)
}

/// One look at a stream, carried out.
async fn look(
    cached: &Stream,
    ctx: &Arc<Context>,
) -> Result<(Action, metrics::Outcome), ExecuteError> {
    let now = SystemClock.now();
    let stream = ctx.memory.newest(cached);
    let observed = ctx.caches.observe(&stream, &ctx.memory);
    let outcome = decide(&stream, &ctx.settings, &observed, now);
    let live = observed.children.get("StatefulSet");
    let takes_pods = outcome.steps.iter().any(|step| execute::is_scale_down(step, live));
    let is_last = outcome.finalizer == Finalizer::Remove && live.is_none();
    if !takes_pods && outcome.removal.is_none() && !is_last {
        return carry_out(&stream, &observed, outcome, now, ctx).await;
    }
    // Pods that go may take their volumes along: nobody may hold anything there, not even one whom
    // the local copy has not heard of.
    let fresh = observe::fresh(&ctx.client, &stream).await.map_err(ExecuteError::List)?;
    let Some(stream) = fresh.stream else {
        return Ok((Action::await_change(), metrics::Outcome::Unchanged));
    };
    let (neighbours, is_partial) = (fresh.neighbours, fresh.is_partial);
    let mut observed = ctx.caches.observe_with(&stream, neighbours, is_partial, &ctx.memory);
    if stream.metadata.deletion_timestamp.is_some() {
        let (namespace, set) = (stream.namespace(), names::stateful_set(&stream));
        let namespace = namespace.unwrap_or_default();
        let looked = observe::fresh_set(&ctx.client, &namespace, &set, &mut observed).await;
        looked.map_err(ExecuteError::List)?;
    }
    let mut outcome = decide(&stream, &ctx.settings, &observed, now);
    if stream.spec.pool.is_some() && is_partial {
        let live = observed.children.get("StatefulSet");
        let keep = |step: Step| match execute::is_scale_down(&step, live) {
            true => execute::without_scale_down(step, live),
            false => Some(step),
        };
        outcome.steps = outcome.steps.into_iter().filter_map(keep).collect();
    }
    carry_out(&stream, &observed, outcome, now, ctx).await
}

async fn carry_out(
    stream: &Stream,
    observed: &Observed,
    outcome: Outcome,
    now: UnixMillis,
    ctx: &Arc<Context>,
) -> Result<(Action, metrics::Outcome), ExecuteError> {
    let Outcome { mut steps, asks, weighs, mut status, edit, finalizer, removal, next } = outcome;
    if let Some(removal) = &removal {
        execute::remove(&ctx.client, stream, removal).await?;
        count_write(ctx);
    }
    if finalizer != Finalizer::Keep {
        let wanted = finalizer == Finalizer::Add;
        let written = execute::set_finalizer(&ctx.client, stream, wanted, edit.as_ref()).await?;
        ctx.memory.succeeded(stream);
        let Some(written) = written else {
            // Others still have to let go of it.
            return Ok((Action::await_change(), metrics::Outcome::Unchanged));
        };
        count_write(ctx);
        ctx.memory.written(written);
        let action = if wanted { Action::requeue(Duration::ZERO) } else { Action::await_change() };
        return Ok((action, metrics::Outcome::Changed));
    }
    // The pods' Secret before the pods. Also that of a stream that is wrong now: its pods serve.
    let has_pods = observed.children.contains_key("StatefulSet") || !steps.is_empty();
    if has_pods && stream.metadata.deletion_timestamp.is_none() {
        let secret = secret_step(stream, observed, now, ctx)?;
        steps.splice(..0, secret);
    }
    let mut refused = None;
    let mut applied = Vec::new();
    for step in steps {
        let (name, namespace) = (stream.name_any(), stream.namespace());
        tracing::info!(name, namespace, reason = step.reason, "applies");
        match execute::apply(&ctx.client, &step).await {
            Ok(()) => {
                count_write(ctx);
                applied.push(step);
            }
            // The rest goes on: shards of a stream that serves can still be split.
            Err(error) if error.refusal().is_some() => refused = Some(error),
            Err(error) => return Err(error),
        }
    }
    if let Some(why) = refused.as_ref().and_then(ExecuteError::refusal) {
        status = not_accepted(stream, status, reasons::REFUSED, why, now);
    }
    let mut notes: Vec<Note> = events::of_steps(&applied).into_iter().collect();
    let before = stream.status.as_ref().map_or(&[][..], |status| &status.conditions);
    notes.extend(events::of_conditions(before, &status.conditions));
    let written = execute::set_status(&ctx.client, stream, status).await?;
    let edited = match edit.filter(|_| written.is_none() && refused.is_none()) {
        Some(edit) => Some(execute::edit_spec(&ctx.client, stream, &edit).await?),
        None => None,
    };
    let written = written.or(edited);
    let is_changed = written.is_some() || !applied.is_empty();
    if let Some(written) = written {
        count_write(ctx);
        ctx.memory.written(written);
    }
    if refused.is_none() {
        ctx.memory.succeeded(stream);
    }
    events::publish(&ctx.recorder, stream, notes).await;
    if asks.is_empty() {
        ctx.memory.clear_answers(stream);
        begin_looking(stream, observed, ctx);
    } else {
        begin_asking(stream, asks, ctx);
    }
    if let Some(refused) = refused {
        return Err(refused);
    }
    let pause = match next {
        Some(pause) => pause.max(LOOK_PAUSE_MIN),
        None => WRONG_PAUSE,
    };
    let pause = if weighs.is_empty() { pause } else { pause.min(ctx.pace.every) };
    begin_weighing(stream, weighs, ctx);
    let outcome = if is_changed { metrics::Outcome::Changed } else { metrics::Outcome::Unchanged };
    Ok((Action::requeue(pause), outcome))
}

fn secret_step(
    stream: &Stream,
    observed: &Observed,
    now: UnixMillis,
    ctx: &Context,
) -> Result<Option<Step>, ExecuteError> {
    let namespace = stream.namespace().unwrap_or_default();
    let set = names::stateful_set(stream);
    let live = ctx.caches.child("Secret", &namespace, &secret_name(&set));
    let owners = owners(stream, &observed.neighbours);
    let material = ctx.trust.material();
    Ok(material.node_secret(
        names::PodRole::Stream,
        &set,
        &namespace,
        owners,
        live.as_ref(),
        now,
    )?)
}

/// Asks pods, beside everything else; when they have answered the stream is looked at again.
fn begin_asking(stream: &Stream, asks: Vec<Ask>, ctx: &Arc<Context>) {
    let Some(uid) = stream_uid(stream) else { return };
    if !ctx.memory.begin_asking(stream) {
        return;
    }
    let shards = shards_of(stream, uid);
    let (stream, ctx) = (stream.clone(), Arc::clone(ctx));
    tokio::spawn(async move {
        let tls = ctx.trust.material().tls();
        let answers = ask(asks, &shards, tls, &ctx.metrics).await;
        let is_failed = |answer: &Answer| matches!(answer, Answer::Failed(_));
        if answers.values().any(is_failed) {
            tokio::time::sleep(ASK_PAUSE).await;
        }
        ctx.memory.end_asking(&stream, answers);
        look_again(&stream, &ctx).await;
    });
}

fn shards_of(stream: &Stream, uid: u64) -> Shards {
    Shards {
        stream: uid,
        stateful_set: names::stateful_set(stream),
        namespace: stream.namespace().unwrap_or_default(),
    }
}

async fn look_again(stream: &Stream, ctx: &Context) {
    let reference = ObjectRef::new(&stream.name_any());
    let reference = reference.within(&stream.namespace().unwrap_or_default());
    // An error means that nobody reconciles any more.
    let _ = ctx.triggers.send(reference).await;
}

/// Asks for the load of an on-demand stream's shards, if nobody has lately.
fn begin_weighing(stream: &Stream, weighs: Vec<(ShardId, String)>, ctx: &Arc<Context>) {
    let Some(uid) = stream_uid(stream) else { return };
    let (every, quiet_for) = (ctx.pace.every, ctx.pace.quiet_for);
    if weighs.is_empty() || !ctx.memory.begin_weighing(stream, every, std::time::Instant::now()) {
        return;
    }
    let shards = shards_of(stream, uid);
    let (stream, ctx) = (stream.clone(), Arc::clone(ctx));
    tokio::spawn(async move {
        let loads = weigh(weighs, &shards, quiet_for, ctx.trust.material().tls()).await;
        ctx.memory.end_weighing(&stream, loads);
        look_again(&stream, &ctx).await;
    });
}

/// Looks at the pods once they are all of one form and ready: what they can do does not change.
fn begin_looking(stream: &Stream, observed: &Observed, ctx: &Arc<Context>) {
    let (Some(uid), Some(set)) = (stream_uid(stream), observed.children.get("StatefulSet")) else {
        return;
    };
    let pods = set["spec"]["replicas"].as_u64().and_then(|pods| u32::try_from(pods).ok());
    let pods = pods.unwrap_or_default();
    let revision = set["status"]["updateRevision"].as_str().unwrap_or_default();
    let form = format!("{revision} {pods}");
    let is_whole = observed.is_rolled_out && pods as usize == observed.pods_ready.len();
    if !is_whole || !ctx.memory.begin_looking(stream, &form) {
        return;
    }
    let shards = shards_of(stream, uid);
    let pods = (0..pods).map(|ordinal| names::pod(&shards.stateful_set, ordinal)).collect();
    let (stream, ctx) = (stream.clone(), Arc::clone(ctx));
    tokio::spawn(async move {
        let refused = look_at(pods, &shards, ctx.trust.material().tls()).await;
        ctx.memory.end_looking(&stream, refused);
        look_again(&stream, &ctx).await;
    });
}

fn count_write(ctx: &Context) {
    ctx.metrics.writes.get_or_create(&KindLabels { kind: Kind::Stream }).inc();
}
