//! Delivery streams at work in this process.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use catalog::StreamUid;
use delivery::{Context, FindShard, Group, SetupError, Source};
use delivery_catalog::DeliveryStream;
use futures_util::future::join_all;
use operator_core::destination_digest;
use streams_api::{ShardKey, Shards};
use tokio::task::JoinHandle;

/// How long a delivery stream that was changed may take to deliver what it has gathered.
const CHANGE_MAX: Duration = Duration::from_secs(20);
/// The same when the process stops.
const SHUTDOWN_MAX: Duration = Duration::from_secs(8);

/// Finds the shards that this process reaches.
pub(crate) fn find_shard(shards: &Shards) -> FindShard {
    let shards = shards.clone();
    Arc::new(move |stream, shard| shards.get(ShardKey { stream, shard }))
}

/// Delivery streams, by what tells them from all others.
#[derive(Default)]
pub(crate) struct Groups(HashMap<StreamUid, Running>);

struct Running {
    /// What it was started with.
    form: (u64, String),
    state: State,
}

enum State {
    Working(Group),
    /// Delivers what it had gathered, as it was before it was changed.
    Stopping(JoinHandle<()>),
    /// Cannot be set to work as it is. Its owner was told.
    Refused,
}

/// Whether a delivery stream is at work.
pub(crate) enum Work {
    /// As it is now, or not to be set to work as it is now: nothing has changed.
    Same,
    /// It was set to work.
    Begun,
    /// As it was before it was changed. Ask again.
    Ending,
    /// It cannot be set to work as it is now.
    Refused(SetupError),
}

impl Groups {
    /// Sets a delivery stream to work, or again with what was changed.
    pub(crate) fn work(
        &mut self,
        context: &Arc<Context>,
        stream: &Arc<DeliveryStream>,
        source: impl FnOnce() -> Source,
    ) -> Work {
        let form = (stream.destination_version, destination_digest(&stream.spec));
        if let Some(running) = self.0.get_mut(&stream.uid) {
            match &running.state {
                State::Working(_) | State::Refused if running.form == form => {
                    return Work::Same;
                }
                State::Stopping(stopping) if !stopping.is_finished() => return Work::Ending,
                State::Stopping(_) | State::Refused => {}
                State::Working(_) => {
                    // Nobody else waits for it.
                    let state = std::mem::replace(&mut running.state, State::Refused);
                    if let State::Working(group) = state {
                        let stopping = tokio::spawn(group.stop(CHANGE_MAX));
                        running.state = State::Stopping(stopping);
                    }
                    return Work::Ending;
                }
            }
        }
        let (state, work) = match Group::start(Arc::clone(context), Arc::clone(stream), source()) {
            Ok(group) => (State::Working(group), Work::Begun),
            Err(error) => (State::Refused, Work::Refused(error)),
        };
        self.0.insert(stream.uid, Running { form, state });
        work
    }

    /// Ends the work of a delivery stream that is no more; whether it has ended. What was not delivered is
    /// given up.
    pub(crate) async fn end(&mut self, stream: StreamUid) -> bool {
        match self.0.remove(&stream) {
            Some(Running { state: State::Working(group), .. }) => group.stop(Duration::ZERO).await,
            Some(running) => {
                if matches!(&running.state, State::Stopping(stopping) if !stopping.is_finished()) {
                    self.0.insert(stream, running);
                    return false;
                }
            }
            None => {}
        }
        true
    }

    /// Whether one cannot be set to work as it is.
    pub(crate) fn is_refused(&self, stream: StreamUid) -> bool {
        self.0.get(&stream).is_some_and(|running| matches!(running.state, State::Refused))
    }

    /// Those at work.
    pub(crate) fn uids(&self) -> Vec<StreamUid> {
        self.0.keys().copied().collect()
    }

    /// Lets all deliver what they have gathered, for a bounded time.
    pub(crate) async fn stop(&mut self) {
        let stopping = self.0.drain().map(|(_, running)| async {
            match running.state {
                State::Working(group) => group.stop(SHUTDOWN_MAX).await,
                State::Stopping(stopping) => stopping.abort(),
                State::Refused => {}
            }
        });
        join_all(stopping).await;
    }
}
