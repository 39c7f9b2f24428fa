//! The service: what every operation needs, and the table of operations.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_protocol::{ApiError, Encoding, ErrorCode};
use bytes::Bytes;
use catalog::{Catalog, Phase, Stream};
use model::{Clock, Shard, StreamName, UnixMillis};
use shard::{ShardHandle, Unavailable};

use crate::errors;
use crate::feed::Feeds;
use crate::metrics::Metrics;
use crate::ops;
use crate::shards::{ShardKey, Shards};
use crate::subscription::Events;
use crate::subscriptions::Subscriptions;

/// How long an operation that changes a topology waits for it before it answers. AWS answers at
/// once; SDK waiters then sleep for ten seconds where we need milliseconds.
const SETTLE_WAIT_MAX: Duration = Duration::from_secs(2);
/// Attempts of a change that others keep getting ahead of.
const CONFLICTS_MAX: usize = 16;

/// Who we are in an ARN.
#[derive(Clone, Debug)]
pub struct Identity {
    /// As in `us-east-1`.
    pub region: String,
    /// Twelve digits.
    pub account: String,
}

/// What an [`Api`] is made of.
pub struct ApiOptions {
    /// Which streams there are.
    pub catalog: Arc<dyn Catalog>,
    /// The shards that run here.
    pub shards: Shards,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Who we are.
    pub identity: Identity,
    /// Gives new streams their identity.
    pub random: fn() -> u64,
    /// Where to count.
    pub metrics: Metrics,
    /// For the events of all subscriptions that have not been sent.
    pub event_bytes_max: usize,
}

/// What an operation answers.
pub enum Answer {
    /// A body.
    Whole(Bytes),
    /// A body of events that goes on.
    Events(Events),
}

/// Kinesis Data Streams. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    pub(crate) options: Arc<ApiOptions>,
    pub(crate) feeds: Feeds,
    pub(crate) subscriptions: Subscriptions,
}

impl Api {
    /// The service on these parts.
    #[must_use]
    pub fn new(options: ApiOptions) -> Api {
        Api {
            feeds: Feeds::new(options.event_bytes_max),
            subscriptions: Subscriptions::new(),
            options: Arc::new(options),
        }
    }

    /// Ends all subscriptions, so that the process can: their clients subscribe again.
    pub fn stop(&self) {
        self.subscriptions.stop();
    }

    /// Carries out one operation.
    ///
    /// # Errors
    /// As AWS names them.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether the operation was carried out.
    pub async fn call(
        &self,
        operation: &str,
        encoding: Encoding,
        body: &[u8],
    ) -> Result<Answer, ApiError> {
        let Some(known) = Operation::parse(operation) else {
            return Err(unknown_operation(operation));
        };
        let started = Instant::now();
        let result = Box::pin(known.run(self, encoding, body)).await;
        self.options.metrics.called(known.name(), started.elapsed(), result.as_ref().err());
        result
    }

    pub(crate) fn now(&self) -> UnixMillis {
        self.options.clock.now()
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.options.identity
    }

    pub(crate) fn arn(&self, name: &StreamName) -> String {
        self.identity().stream_arn(name)
    }

    /// The stream, whatever its phase.
    pub(crate) fn stream(&self, name: &StreamName) -> Result<Arc<Stream>, ApiError> {
        let stream = self.options.catalog.get(name);
        stream.ok_or_else(|| errors::stream_not_found(name, self.identity()))
    }

    /// The stream, if records can be put and read.
    pub(crate) fn serving_stream(&self, name: &StreamName) -> Result<Arc<Stream>, ApiError> {
        let stream = self.stream(name)?;
        match stream.phase {
            Phase::Active | Phase::Updating => Ok(stream),
            Phase::Creating | Phase::Deleting => {
                Err(errors::stream_not_found(name, self.identity()))
            }
        }
    }

    /// A shard that runs here.
    pub(crate) fn handle(&self, stream: &Stream, shard: &Shard) -> Result<ShardHandle, ApiError> {
        let key = ShardKey { stream: stream.uid, shard: shard.id };
        let handle = self.options.shards.get(key);
        handle.ok_or_else(|| errors::unavailable(shard.id, &Unavailable::Stopped))
    }

    /// Reads, decides and stores, again when somebody else got ahead. What `decide` refuses is
    /// refused; `Ok(false)` stores nothing.
    pub(crate) async fn change(
        &self,
        name: &StreamName,
        decide: impl Fn(&mut Stream) -> Result<bool, ApiError>,
    ) -> Result<Arc<Stream>, ApiError> {
        for _ in 0..CONFLICTS_MAX {
            let current = self.stream(name)?;
            let mut changed = (*current).clone();
            if !decide(&mut changed)? {
                return Ok(current);
            }
            match self.options.catalog.replace(changed).await {
                Ok(stored) => return Ok(stored),
                Err(catalog::ChangeError::Conflict(_)) => {}
                Err(error) => return Err(errors::change(&error, self.identity())),
            }
        }
        let conflict = catalog::ChangeError::Conflict(name.clone());
        Err(errors::change(&conflict, self.identity()))
    }

    /// As [`change`](Self::change), for a stream that has to be ACTIVE.
    pub(crate) async fn change_active(
        &self,
        name: &StreamName,
        decide: impl Fn(&mut Stream) -> Result<bool, ApiError>,
    ) -> Result<Arc<Stream>, ApiError> {
        let identity = self.identity();
        self.change(name, |stream| match stream.phase {
            Phase::Active => decide(stream),
            _ => Err(errors::not_active(stream, identity)),
        })
        .await
    }

    /// Waits a little for a change of this stream to be carried out.
    pub(crate) async fn settle(&self, name: &StreamName) {
        let settled = || {
            let stream = self.options.catalog.get(name);
            stream.is_none_or(|stream| stream.phase == Phase::Active)
        };
        self.wait_for(SETTLE_WAIT_MAX, settled).await;
    }

    /// Waits until the catalog is as wanted, but not for ever; whether it is.
    pub(crate) async fn wait_for(&self, timeout: Duration, holds: impl Fn() -> bool) -> bool {
        let mut changes = self.options.catalog.changes();
        let waiting = async {
            while !holds() {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(timeout, waiting).await;
        holds()
    }
}

fn unknown_operation(operation: &str) -> ApiError {
    let shown: String = operation.chars().take(64).collect();
    ApiError::new(ErrorCode::UnknownOperationException, format!("Unknown operation {shown}"))
}

/// Declares the operations: each is a module of the same name with a `run`.
macro_rules! operations {
    ($($variant:ident => $module:ident,)*) => {
        /// The operations there are.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Operation {
            $($variant,)*
        }

        impl Operation {
            fn parse(name: &str) -> Option<Operation> {
                match name {
                    $(stringify!($variant) => Some(Operation::$variant),)*
                    _ => None,
                }
            }

            fn name(self) -> &'static str {
                match self {
                    $(Operation::$variant => stringify!($variant),)*
                }
            }

            async fn run(
                self,
                api: &Api,
                encoding: Encoding,
                body: &[u8],
            ) -> Result<Answer, ApiError> {
                match self {
                    $(Operation::$variant => {
                        let request = aws_protocol::codec::decode(encoding, body)?;
                        let reply = Box::pin(ops::$module::run(api, request)).await?;
                        Ok(reply.into_answer(encoding))
                    })*
                }
            }
        }
    };
}

operations! {
    AddTagsToStream => add_tags_to_stream,
    CreateStream => create_stream,
    DecreaseStreamRetentionPeriod => decrease_stream_retention_period,
    DeleteStream => delete_stream,
    DeregisterStreamConsumer => deregister_stream_consumer,
    DescribeStream => describe_stream,
    DescribeStreamConsumer => describe_stream_consumer,
    DescribeStreamSummary => describe_stream_summary,
    GetRecords => get_records,
    GetShardIterator => get_shard_iterator,
    IncreaseStreamRetentionPeriod => increase_stream_retention_period,
    ListShards => list_shards,
    ListStreamConsumers => list_stream_consumers,
    ListStreams => list_streams,
    ListTagsForStream => list_tags_for_stream,
    MergeShards => merge_shards,
    PutRecord => put_record,
    PutRecords => put_records,
    RegisterStreamConsumer => register_stream_consumer,
    RemoveTagsFromStream => remove_tags_from_stream,
    SplitShard => split_shard,
    SubscribeToShard => subscribe_to_shard,
    UpdateMaxRecordSize => update_max_record_size,
    UpdateShardCount => update_shard_count,
}

/// What an operation makes: a shape, nothing at all, or events.
pub(crate) trait Reply {
    fn into_answer(self, encoding: Encoding) -> Answer;
}

impl Reply for () {
    /// AWS answers with an empty body, not with an empty shape.
    fn into_answer(self, _: Encoding) -> Answer {
        Answer::Whole(Bytes::new())
    }
}

impl<T: serde::Serialize> Reply for Shape<T> {
    fn into_answer(self, encoding: Encoding) -> Answer {
        Answer::Whole(aws_protocol::codec::encode(encoding, &self.0))
    }
}

/// A reply that has members.
pub(crate) struct Shape<T>(pub(crate) T);
