//! As AWS UpdateAccountSettings.

use aws_protocol::ApiError;
use aws_protocol::validate::Violations;
use catalog::{Account, Commitment};
use serde::Deserialize;

use crate::account::{COMMITMENT_MIN, Output};
use crate::api::{Api, Shape};
use crate::errors;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Request {
    minimum_throughput_billing_commitment: Option<Input>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Input {
    status: Option<String>,
}

pub(crate) async fn run(api: &Api, request: Request) -> Result<Shape<Output>, ApiError> {
    const PATH: &str = "minimumThroughputBillingCommitment";
    let mut checks = Violations::new();
    let input = request.minimum_throughput_billing_commitment;
    let mut is_wanted = None;
    if let Some(input) = checks.required(PATH, input.as_ref()) {
        let path = format!("{PATH}.status");
        let status = checks.required(&path, input.status.as_deref());
        is_wanted = checks.one_of(&path, status, &[("ENABLED", true), ("DISABLED", false)]);
    }
    checks.finish()?;
    api.authorize()?;
    let now = api.now();
    let account = api.options.catalog.account();
    let commitment = match (account.commitment, is_wanted.unwrap_or_default()) {
        (Some(Commitment { started, ended }), true) if ended.is_none_or(|end| now < end) => {
            Some(Commitment { started, ended: None })
        }
        (_, true) => Some(Commitment { started: now, ended: None }),
        (Some(Commitment { started, ended: None }), false) => {
            let ended = now.max(started.saturating_add(COMMITMENT_MIN));
            Some(Commitment { started, ended: Some(ended) })
        }
        (unchanged, false) => unchanged,
    };
    let changed = api.options.catalog.replace_account(Account { commitment, ..account }).await;
    let changed = changed.map_err(|error| errors::change(&error, api.identity()))?;
    Ok(Shape(Output::of(&changed, now)))
}
