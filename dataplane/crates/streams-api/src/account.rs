//! The account's commitment to on-demand Advantage. Nothing is billed here: it unlocks
//! WarmThroughputMiBps, as in AWS.

use std::time::Duration;

use aws_protocol::{ApiError, ErrorCode, Timestamp};
use catalog::{Account, Commitment};
use model::UnixMillis;
use serde::Serialize;

/// How long a commitment lasts at least.
pub(crate) const COMMITMENT_MIN: Duration = Duration::from_secs(24 * 3600);

/// As the service model's MinimumThroughputBillingCommitmentOutput.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CommitmentShape {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    earliest_allowed_end_at: Option<Timestamp>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Output {
    minimum_throughput_billing_commitment: CommitmentShape,
}

impl Output {
    pub(crate) fn of(account: &Account, now: UnixMillis) -> Output {
        let commitment = account.commitment;
        let status = match commitment {
            Some(Commitment { ended: None, .. }) => "ENABLED",
            Some(Commitment { ended: Some(ended), .. }) if now < ended => {
                "ENABLED_UNTIL_EARLIEST_ALLOWED_END"
            }
            _ => "DISABLED",
        };
        let is_enabled = status != "DISABLED";
        Output {
            minimum_throughput_billing_commitment: CommitmentShape {
                status,
                started_at: commitment.map(|commitment| Timestamp(commitment.started)),
                ended_at: commitment.and_then(|c| c.ended).filter(|_| !is_enabled).map(Timestamp),
                earliest_allowed_end_at: commitment
                    .filter(|_| is_enabled)
                    .map(|c| Timestamp(c.started.saturating_add(COMMITMENT_MIN))),
            },
        }
    }
}

/// Whether WarmThroughputMiBps can be asked for.
pub(crate) fn check_committed(account: &Account, now: UnixMillis) -> Result<(), ApiError> {
    let is_committed = account.commitment.is_some_and(|c| c.ended.is_none_or(|end| now < end));
    if is_committed {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::ValidationException,
        "WarmThroughputMiBps needs the account's MinimumThroughputBillingCommitment to be ENABLED; UpdateAccountSettings enables it.",
    ))
}
