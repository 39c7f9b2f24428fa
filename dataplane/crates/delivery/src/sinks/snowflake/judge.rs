//! What is said of Snowflake's replies, whichever way rows went.
//!
//! Codes are AWS's where it has some: these are about what is in a record. The others are in its style.

use std::time::Duration;

use crate::sinks::Failure;
use crate::sinks::client::{Reply, TransferError};

/// Nothing was delivered that could not be later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotNow {
    pub(super) failure: Failure,
    /// How long Snowflake asked to be left alone.
    pub(super) pause: Option<Duration>,
}

impl NotNow {
    pub(super) fn new(code: &'static str, message: &str) -> NotNow {
        NotNow { failure: Failure::new(code, message), pause: None }
    }

    /// A reply that is not about rows.
    pub(super) fn of(reply: &Reply, now: model::UnixMillis) -> NotNow {
        let code = match reply.status {
            401 | 403 => "Snowflake.AccessDenied",
            404 | 410 => "Snowflake.NotFound",
            408 | 429 | 503 => "Snowflake.ServiceBusy",
            _ => "Snowflake.ServiceException",
        };
        NotNow { failure: Failure::new(code, &reply.text()), pause: reply.pause(now) }
    }
}

impl From<TransferError> for NotNow {
    fn from(error: TransferError) -> NotNow {
        let code = match error {
            TransferError::Secret(_) => "MissingSecret",
            TransferError::Credentials(_) => "Snowflake.InvalidPrivateKey",
            TransferError::Timeout | TransferError::ConnectTimeout => "Snowflake.RequestTimeout",
            TransferError::Lost(_) => "Snowflake.ConnectionReset",
            TransferError::Connect(_)
            | TransferError::Tls { .. }
            | TransferError::Authorities(_)
            | TransferError::Request(_) => "Snowflake.ConnectionFailed",
        };
        NotNow::new(code, &error.to_string())
    }
}
