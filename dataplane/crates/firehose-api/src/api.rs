//! The service: what every operation needs, and the table of operations.

use std::sync::Arc;
use std::time::Duration;

use auth::Caller;
use aws_protocol::{ApiError, Encoding, ErrorCode, codec};
use bytes::Bytes;
use catalog::ChangeError;
use delivery_catalog::{DeliveryCatalog, DeliveryPhase, DeliveryStream};
use model::{Clock, StreamName, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::errors;
use crate::intake::Intake;
use crate::ops;
use crate::rights::{Right, Rights};

/// How long a change waits for its turn.
const CHANGE_WAIT_MAX: Duration = Duration::from_secs(10);
/// Attempts of a change that others, who are not in this process, keep getting ahead of.
const CONFLICTS_MAX: usize = 16;

/// Who we are in an ARN.
#[derive(Clone, Debug)]
pub struct Identity {
    /// As in `us-east-1`.
    pub region: String,
    /// Twelve digits.
    pub account: String,
}

impl Identity {
    pub(crate) fn arn(&self, name: &str) -> String {
        format!("arn:aws:firehose:{}:{}:deliverystream/{name}", self.region, self.account)
    }
}

/// Knows keys by their ids and ARNs.
pub type HasKey = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Says what is wrong, and what to do.
pub type Check = Arc<dyn Fn(&DeliveryStream) -> Result<(), String> + Send + Sync>;

/// What an [`Api`] is made of.
pub struct ApiOptions {
    /// Which delivery streams there are.
    pub catalog: Arc<DeliveryCatalog>,
    /// Takes records.
    pub intake: Arc<dyn Intake>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Who we are.
    pub identity: Identity,
    /// Gives new delivery streams their identity.
    pub random: fn() -> u64,
    /// Whether records can be encrypted with the key of this id or ARN.
    pub has_key: HasKey,
    /// What stands in the way of carrying a delivery stream out.
    pub check: Check,
    /// What the users of the account may do; everything when nobody says.
    pub rights: Option<Arc<dyn Rights>>,
}

/// Data Firehose. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    pub(crate) options: Arc<ApiOptions>,
    /// Changes made here come one after another: many at a time would keep getting ahead of each other.
    changing: Arc<tokio::sync::Mutex<()>>,
}

/// One call of an operation.
pub(crate) struct Call<'a> {
    pub(crate) api: &'a Api,
    caller: &'a Caller,
    operation: Operation,
    encoding: Encoding,
    body: &'a [u8],
}

impl Api {
    /// The service on these parts.
    #[must_use]
    pub fn new(options: ApiOptions) -> Api {
        Api { options: Arc::new(options), changing: Arc::default() }
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
    ) -> Result<Bytes, ApiError> {
        let Some(operation) = Operation::parse(operation) else {
            return Err(ApiError::new(ErrorCode::UnknownOperationException, ""));
        };
        operation.run(Call { api: self, caller: &caller, operation, encoding, body }).await
    }

    pub(crate) fn now(&self) -> UnixMillis {
        self.options.clock.now()
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.options.identity
    }

    /// The delivery stream, whatever its phase.
    pub(crate) fn stream(&self, name: &StreamName) -> Result<Arc<DeliveryStream>, ApiError> {
        let stream = self.options.catalog.get(name);
        stream.ok_or_else(|| errors::not_found(name, self.identity()))
    }

    /// Reads, decides and stores, again when somebody else got ahead. What `decide` refuses is
    /// refused; `Ok(false)` stores nothing.
    pub(crate) async fn change(
        &self,
        name: &StreamName,
        decide: impl Fn(&mut DeliveryStream) -> Result<bool, ApiError>,
    ) -> Result<(), ApiError> {
        let overtaken = || errors::change(&ChangeError::Conflict(name.clone()), self.identity());
        // What goes on without an end elsewhere keeps nobody waiting for ever.
        let turn = tokio::time::timeout(CHANGE_WAIT_MAX, self.changing.lock());
        let _turn = turn.await.map_err(|_| overtaken())?;
        for _ in 0..CONFLICTS_MAX {
            let mut changed = (*self.stream(name)?).clone();
            if !decide(&mut changed)? {
                return Ok(());
            }
            match self.options.catalog.replace(changed).await {
                Ok(_) => return Ok(()),
                Err(ChangeError::Conflict(_)) => {}
                Err(error) => return Err(errors::change(&error, self.identity())),
            }
        }
        Err(overtaken())
    }

    /// As [`change`](Self::change), for one that has to be ACTIVE.
    pub(crate) async fn change_active(
        &self,
        name: &StreamName,
        decide: impl Fn(&mut DeliveryStream) -> Result<bool, ApiError>,
    ) -> Result<(), ApiError> {
        self.change(name, |stream| match stream.phase {
            DeliveryPhase::Active => decide(stream),
            DeliveryPhase::Creating | DeliveryPhase::Deleting => {
                Err(errors::not_active(stream, self.identity()))
            }
        })
        .await
    }
}

impl<'a> Call<'a> {
    /// The body as a shape. It may be read as several.
    pub(crate) fn decode<T: Deserialize<'a>>(&self) -> Result<T, ApiError> {
        codec::decode(self.encoding, self.body)
    }

    pub(crate) fn reply(&self, shape: &impl Serialize) -> Bytes {
        codec::encode(self.encoding, shape)
    }

    /// AWS answers these with an empty shape.
    pub(crate) fn empty_reply(&self) -> Bytes {
        #[derive(Serialize)]
        struct Empty {}
        self.reply(&Empty {})
    }

    /// Lets the caller do this to the delivery stream of this name, or to all of them; or not.
    pub(crate) async fn authorize(&self, name: Option<&StreamName>) -> Result<(), ApiError> {
        let Call { api, caller, operation, .. } = self;
        let denied = || {
            let arn = name.map_or("*".to_owned(), |name| api.identity().arn(name.as_str()));
            errors::access_denied(caller, operation.action(), &arn)
        };
        // A name is one of the caller's own account, and others have nothing here.
        if caller.account != api.identity().account {
            return Err(denied());
        }
        let (verb, part) = operation.right();
        let kind = "deliverystreams";
        self.ask(Right { user: caller.user.clone(), kind, verb, part, name: name.cloned() }, denied)
            .await
    }

    /// Lets the caller have the records of this stream delivered, or not: who cannot read them could so.
    pub(crate) async fn authorize_source(&self, stream: &str) -> Result<(), ApiError> {
        let Call { api, caller, .. } = self;
        let denied = || {
            let Identity { region, account } = api.identity();
            let arn = format!("arn:aws:kinesis:{region}:{account}:stream/{stream}");
            errors::access_denied(caller, "kinesis:GetRecords", &arn)
        };
        let name = stream.parse().map_err(|_| denied())?;
        let (user, kind) = (caller.user.clone(), "streams");
        let part = Some("records");
        self.ask(Right { user, kind, verb: "get", part, name: Some(name) }, denied).await
    }

    async fn ask(&self, right: Right, denied: impl Fn() -> ApiError) -> Result<(), ApiError> {
        let Some(rights) = &self.api.options.rights else { return Ok(()) };
        match rights.allows(right).await {
            Some(true) => Ok(()),
            Some(false) => Err(denied()),
            None => Err(errors::rights_unknown()),
        }
    }
}

impl Operation {
    /// The right that it takes, as verb and part of a delivery stream.
    fn right(self) -> (&'static str, Option<&'static str>) {
        use Operation as O;
        match self {
            O::CreateDeliveryStream => ("create", None),
            O::DeleteDeliveryStream => ("delete", None),
            O::DescribeDeliveryStream => ("get", None),
            O::ListDeliveryStreams => ("list", None),
            O::ListTagsForDeliveryStream => ("get", Some("tags")),
            O::PutRecord | O::PutRecordBatch => ("create", Some("records")),
            O::StartDeliveryStreamEncryption
            | O::StopDeliveryStreamEncryption
            | O::UpdateDestination => ("update", None),
            O::TagDeliveryStream | O::UntagDeliveryStream => ("update", Some("tags")),
        }
    }
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

            /// As policies name it.
            fn action(self) -> &'static str {
                match self {
                    $(Operation::$variant => concat!("firehose:", stringify!($variant)),)*
                }
            }

            async fn run(self, call: Call<'_>) -> Result<Bytes, ApiError> {
                match self {
                    $(Operation::$variant => Box::pin(ops::$module::run(&call)).await,)*
                }
            }
        }
    };
}

operations! {
    CreateDeliveryStream => create_delivery_stream,
    DeleteDeliveryStream => delete_delivery_stream,
    DescribeDeliveryStream => describe_delivery_stream,
    ListDeliveryStreams => list_delivery_streams,
    ListTagsForDeliveryStream => list_tags_for_delivery_stream,
    PutRecord => put_record,
    PutRecordBatch => put_record_batch,
    StartDeliveryStreamEncryption => start_delivery_stream_encryption,
    StopDeliveryStreamEncryption => stop_delivery_stream_encryption,
    TagDeliveryStream => tag_delivery_stream,
    UntagDeliveryStream => untag_delivery_stream,
    UpdateDestination => update_destination,
}
