//! The service: what every operation needs, and the table of operations.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use auth::{Caller, Policy, Verdict};
use aws_protocol::{ApiError, Encoding, ErrorCode};
use bytes::Bytes;
use catalog::{Catalog, Phase, Stream};
use encryption::MasterKeys;
use model::{Clock, Shard, StreamName, UnixMillis};
use shard::{ShardHandle, Unavailable};

use crate::consumers::Found;
use crate::errors;
use crate::feed::Feeds;
use crate::heat::Heat;
use crate::metrics::Metrics;
use crate::ops;
use crate::resource::ConsumerId;
use crate::rights::{Right, Rights};
use crate::shards::{ShardKey, Shards};
use crate::subscription::Events;
use crate::subscriptions::Subscriptions;

/// How long an operation that changes a topology waits for it before it answers. AWS answers at
/// once; SDK waiters then sleep for ten seconds where we need milliseconds.
const SETTLE_WAIT_MAX: Duration = Duration::from_secs(2);
/// Streams that can be changed at the same time.
const CHANGES_MAX: usize = 32;
/// How long a change waits for its turn.
const CHANGE_WAIT_MAX: Duration = Duration::from_secs(10);
/// Attempts of a change that others, who are not in this process, keep getting ahead of.
const CONFLICTS_MAX: usize = 16;
/// Rights that one call needs at the most, and some more.
const RIGHTS_OF_A_CALL_MAX: usize = 8;

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
    /// What data keys are wrapped with.
    pub keys: Arc<MasterKeys>,
    /// Where to count.
    pub metrics: Metrics,
    /// For the events of all subscriptions that have not been sent.
    pub event_bytes_max: usize,
    /// What the users of the account may do; everything when nobody says.
    pub rights: Option<Arc<dyn Rights>>,
    /// Where the load of on-demand streams is counted.
    pub heat: Heat,
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
    /// Whose turn it is to take a record that nobody chose a shard for.
    pub(crate) turns: Arc<AtomicUsize>,
    /// Changes of a stream made here come one after another: many at a time would keep getting ahead of
    /// each other. A stream has one of these, by its name.
    changing: Arc<[tokio::sync::Mutex<()>; CHANGES_MAX]>,
    /// Who calls what; `None` between calls, when nothing is asked of a policy.
    call: Option<Arc<CallContext>>,
}

/// On whose behalf operations find streams.
struct CallContext {
    caller: Caller,
    operation: Operation,
    /// A right that has to be found out before the call can be made.
    unknown: Mutex<Option<Right>>,
}

impl Api {
    /// The service on these parts.
    #[must_use]
    pub fn new(options: ApiOptions) -> Api {
        Api {
            feeds: Feeds::new(options.event_bytes_max),
            subscriptions: Subscriptions::new(),
            turns: Arc::default(),
            changing: Arc::default(),
            options: Arc::new(options),
            call: None,
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
        caller: Caller,
        body: &[u8],
    ) -> Result<Answer, ApiError> {
        let Some(known) = Operation::parse(operation) else {
            return Err(unknown_operation(operation));
        };
        let started = Instant::now();
        let unknown = Mutex::default();
        let call = Arc::new(CallContext { caller, operation: known, unknown });
        let api = Api { call: Some(Arc::clone(&call)), ..self.clone() };
        let mut result = Box::pin(known.run(&api, encoding, body)).await;
        for _ in 0..RIGHTS_OF_A_CALL_MAX {
            let unknown = call.unknown.lock().unwrap_or_else(PoisonError::into_inner).take();
            let (Some(right), Some(rights)) = (unknown, &self.options.rights) else { break };
            rights.learn(right).await;
            result = Box::pin(known.run(&api, encoding, body)).await;
        }
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

    /// Lets the caller do this to something that has no policy of its own.
    pub(crate) fn authorize(&self) -> Result<(), ApiError> {
        self.authorize_on("*", None, None)
    }

    /// Lets the caller do this to the resource of this ARN, under its policy, or not.
    fn authorize_on(
        &self,
        arn: &str,
        policy: Option<&Policy>,
        stream: Option<&StreamName>,
    ) -> Result<(), ApiError> {
        let Some(context) = self.call.as_deref() else {
            return Ok(());
        };
        let CallContext { caller, operation, .. } = context;
        let is_owner = caller.account == self.identity().account;
        let verdict = match policy {
            None => Verdict::Silent,
            Some(policy) => policy.evaluate(caller, operation.action(), arn),
        };
        let is_allowed = match (verdict, is_owner) {
            // Or nobody could ever take a Deny back: there is no root user here.
            (Verdict::Deny, true) if operation.is_about_policies() => {
                self.has_right(context, stream)?
            }
            (Verdict::Silent, true) => self.has_right(context, stream)?,
            (Verdict::Silent, false) => false,
            (Verdict::Allow, true) => true,
            (Verdict::Allow, false) => operation.is_open_to_others(),
            (Verdict::Deny, _) => false,
        };
        match is_allowed {
            true => Ok(()),
            false => Err(errors::access_denied(caller, operation.action(), arn, verdict)),
        }
    }

    /// Whether whoever decides lets a user of our account do this.
    fn has_right(
        &self,
        context: &CallContext,
        stream: Option<&StreamName>,
    ) -> Result<bool, ApiError> {
        let Some(rights) = &self.options.rights else {
            return Ok(true);
        };
        let (verb, part) = context.operation.right();
        let user = context.caller.user.clone();
        let right = Right { user, verb, part, stream: stream.cloned() };
        match rights.allows(&right) {
            Some(allowed) => Ok(allowed),
            None => {
                let mut unknown = context.unknown.lock().unwrap_or_else(PoisonError::into_inner);
                *unknown = Some(right);
                Err(errors::rights_unknown())
            }
        }
    }

    /// The stream, whatever its phase.
    pub(crate) fn stream(&self, name: &StreamName) -> Result<Arc<Stream>, ApiError> {
        let Some(stream) = self.options.catalog.get(name) else {
            // Whoever may not look is not told either.
            self.authorize_on(&self.arn(name), None, Some(name))?;
            return Err(errors::stream_not_found(name, self.identity()));
        };
        match &stream.policy {
            // Nothing to compare: no ARN need be made, which would cost more than the rest.
            None if self.is_owner() && self.options.rights.is_none() => {}
            policy => self.authorize_on(&self.arn(name), policy.as_deref(), Some(name))?,
        }
        Ok(stream)
    }

    /// A consumer that is registered, under its own policy and not its stream's.
    pub(crate) fn consumer(&self, id: &ConsumerId) -> Result<Found, ApiError> {
        let stream = self.options.catalog.get(&id.stream);
        let registered = stream.and_then(|stream| {
            let consumer = stream.consumers.get(&id.name)?.clone();
            let is_meant = consumer.created.as_seconds() == id.created_seconds;
            is_meant.then(|| Found { stream, name: id.name.clone(), consumer })
        });
        let policy = registered.as_ref().and_then(|found| found.consumer.policy.as_deref());
        self.authorize_on(&id.arn(self.identity()), policy, Some(&id.stream))?;
        registered.ok_or_else(|| errors::consumer_not_found(&id.name, &id.stream, self.identity()))
    }

    fn is_owner(&self) -> bool {
        self.other_account().is_none()
    }

    /// The account of the caller, if it is not ours.
    pub(crate) fn other_account(&self) -> Option<&str> {
        let account = &self.call.as_ref()?.caller.account;
        (*account != self.identity().account).then_some(account)
    }

    /// The stream, if records can be put and read.
    pub(crate) fn serving_stream(&self, name: &StreamName) -> Result<Arc<Stream>, ApiError> {
        self.check_serving(self.stream(name)?)
    }

    pub(crate) fn check_serving(&self, stream: Arc<Stream>) -> Result<Arc<Stream>, ApiError> {
        match stream.phase {
            Phase::Active | Phase::Updating => Ok(stream),
            Phase::Creating | Phase::Deleting => {
                Err(errors::stream_not_found(&stream.name, self.identity()))
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
        self.stream(name)?;
        self.change_unauthorized(name, decide).await
    }

    /// As [`change`](Self::change), when the caller may do it for another reason than the stream's
    /// policy.
    pub(crate) async fn change_unauthorized(
        &self,
        name: &StreamName,
        decide: impl Fn(&mut Stream) -> Result<bool, ApiError>,
    ) -> Result<Arc<Stream>, ApiError> {
        let overtaken =
            || errors::change(&catalog::ChangeError::Conflict(name.clone()), self.identity());
        // What goes on without an end elsewhere keeps nobody waiting for ever.
        let turn = tokio::time::timeout(CHANGE_WAIT_MAX, self.changing_of(name).lock());
        let _turn = turn.await.map_err(|_| overtaken())?;
        for _ in 0..CONFLICTS_MAX {
            let current = self.options.catalog.get(name);
            let current = current.ok_or_else(|| errors::stream_not_found(name, self.identity()))?;
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
        Err(overtaken())
    }

    fn changing_of(&self, name: &StreamName) -> &tokio::sync::Mutex<()> {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let at = hasher.finish() % CHANGES_MAX as u64;
        &self.changing[usize::try_from(at).unwrap_or_default()]
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
    let message = match UNSUPPORTED.contains(&operation) {
        true => format!(
            "{shown} is not supported by this service: it has no channels and no queues. A DeliveryStream delivers to S3; consumers share a stream by SubscribeToShard or GetRecords."
        ),
        false => format!("Unknown operation {shown}"),
    };
    ApiError::new(ErrorCode::UnknownOperationException, message)
}

/// The operations of the service model on channels and queues.
pub const UNSUPPORTED: [&str; 17] = [
    "AcknowledgeDeadLetterQueueRecords",
    "AcknowledgeQueueRecords",
    "CreateChannel",
    "CreateQueue",
    "DeleteChannel",
    "DeleteQueue",
    "DescribeChannel",
    "DescribeQueue",
    "ListChannels",
    "ListQueues",
    "ReceiveDeadLetterQueueRecords",
    "ReceiveQueueRecords",
    "RestoreDeadLetterQueueRecords",
    "UpdateChannel",
    "UpdateDeadLetterQueueRecordsVisibility",
    "UpdateQueue",
    "UpdateQueueRecordsVisibility",
];

impl Operation {
    /// Whether a policy can let other accounts do it: as on AWS, they can use a resource, not change it.
    fn is_open_to_others(self) -> bool {
        use Operation as O;
        matches!(
            self,
            O::DescribeStream
                | O::DescribeStreamConsumer
                | O::DescribeStreamSummary
                | O::GetRecords
                | O::GetShardIterator
                | O::ListShards
                | O::PutRecord
                | O::PutRecords
                | O::SubscribeToShard
        )
    }

    /// The right that it takes, as verb and part of a stream.
    fn right(self) -> (&'static str, Option<&'static str>) {
        use Operation as O;
        match self {
            O::PutRecord | O::PutRecords => ("create", Some("records")),
            O::GetRecords | O::GetShardIterator | O::SubscribeToShard => ("get", Some("records")),
            O::RegisterStreamConsumer => ("create", Some("consumers")),
            O::DeregisterStreamConsumer => ("delete", Some("consumers")),
            O::DescribeStreamConsumer => ("get", Some("consumers")),
            O::ListStreamConsumers => ("list", Some("consumers")),
            O::GetResourcePolicy => ("get", Some("policy")),
            O::PutResourcePolicy | O::DeleteResourcePolicy => ("update", Some("policy")),
            O::ListTagsForResource | O::ListTagsForStream => ("get", Some("tags")),
            O::AddTagsToStream | O::RemoveTagsFromStream | O::TagResource | O::UntagResource => {
                ("update", Some("tags"))
            }
            O::CreateStream => ("create", None),
            O::DeleteStream => ("delete", None),
            O::DescribeAccountSettings | O::DescribeLimits | O::ListStreams => ("list", None),
            O::DescribeStream | O::DescribeStreamSummary | O::ListShards => ("get", None),
            O::DecreaseStreamRetentionPeriod
            | O::DisableEnhancedMonitoring
            | O::EnableEnhancedMonitoring
            | O::IncreaseStreamRetentionPeriod
            | O::MergeShards
            | O::SplitShard
            | O::StartStreamEncryption
            | O::StopStreamEncryption
            | O::UpdateAccountSettings
            | O::UpdateMaxRecordSize
            | O::UpdateShardCount
            | O::UpdateStreamMode
            | O::UpdateStreamRecordDistributionStrategy
            | O::UpdateStreamWarmThroughput => ("update", None),
        }
    }

    fn is_about_policies(self) -> bool {
        use Operation as O;
        matches!(self, O::PutResourcePolicy | O::GetResourcePolicy | O::DeleteResourcePolicy)
    }
}

/// Every operation as policies name it.
pub(crate) fn actions() -> Vec<String> {
    OPERATIONS.iter().map(|name| format!("kinesis:{name}")).collect()
}

/// Declares the operations: each is a module of the same name with a `run`.
macro_rules! operations {
    ($($variant:ident => $module:ident,)*) => {
        /// The operations there are.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Operation {
            $($variant,)*
        }

        /// Their names.
        pub const OPERATIONS: &[&str] = &[$(stringify!($variant)),*];

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

            /// As policies name it.
            fn action(self) -> &'static str {
                match self {
                    $(Operation::$variant => concat!("kinesis:", stringify!($variant)),)*
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
    DeleteResourcePolicy => delete_resource_policy,
    DeleteStream => delete_stream,
    DeregisterStreamConsumer => deregister_stream_consumer,
    DescribeAccountSettings => describe_account_settings,
    DescribeLimits => describe_limits,
    DescribeStream => describe_stream,
    DescribeStreamConsumer => describe_stream_consumer,
    DescribeStreamSummary => describe_stream_summary,
    DisableEnhancedMonitoring => disable_enhanced_monitoring,
    EnableEnhancedMonitoring => enable_enhanced_monitoring,
    GetRecords => get_records,
    GetResourcePolicy => get_resource_policy,
    GetShardIterator => get_shard_iterator,
    IncreaseStreamRetentionPeriod => increase_stream_retention_period,
    ListShards => list_shards,
    ListStreamConsumers => list_stream_consumers,
    ListStreams => list_streams,
    ListTagsForResource => list_tags_for_resource,
    ListTagsForStream => list_tags_for_stream,
    MergeShards => merge_shards,
    PutRecord => put_record,
    PutRecords => put_records,
    PutResourcePolicy => put_resource_policy,
    RegisterStreamConsumer => register_stream_consumer,
    RemoveTagsFromStream => remove_tags_from_stream,
    SplitShard => split_shard,
    StartStreamEncryption => start_stream_encryption,
    StopStreamEncryption => stop_stream_encryption,
    SubscribeToShard => subscribe_to_shard,
    TagResource => tag_resource,
    UntagResource => untag_resource,
    UpdateAccountSettings => update_account_settings,
    UpdateMaxRecordSize => update_max_record_size,
    UpdateShardCount => update_shard_count,
    UpdateStreamMode => update_stream_mode,
    UpdateStreamRecordDistributionStrategy => update_stream_record_distribution_strategy,
    UpdateStreamWarmThroughput => update_stream_warm_throughput,
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
