//! As AWS PutResourcePolicy. It holds from the next call on, of everybody.

use std::sync::Arc;

use auth::Policy;
use aws_protocol::ApiError;
use aws_protocol::validate::Violations;
use serde::Deserialize;

use crate::api::{self, Api};
use crate::errors::invalid_argument;
use crate::resource::{Arn, Resource};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Request {
    #[serde(rename = "ResourceARN")]
    resource_arn: Option<String>,
    policy: Option<String>,
}

pub(crate) async fn run(api: &Api, request: Request) -> Result<(), ApiError> {
    let mut checks = Violations::new();
    let arn = Arn::check_resource(&mut checks, request.resource_arn.as_deref());
    let text = checks.required("policy", request.policy.as_deref());
    let arn = Arn::found(checks, arn)?;
    let invalid = |error| invalid_argument(format!("The policy is not valid: {error}."));
    let policy = Policy::parse(text.unwrap_or_default()).map_err(invalid)?;
    // As it is evaluated, and not as the client spells it: its account or region may be made up.
    let resource = match &arn.resource {
        Resource::Stream(name) => api.arn(name),
        Resource::Consumer(consumer) => consumer.arn(api.identity()),
        Resource::Other => request.resource_arn.unwrap_or_default(),
    };
    policy.check_is_about(&resource, &api::actions()).map_err(invalid)?;
    let policy = Some(Arc::new(policy));
    api.change_attached(&arn, |attached| {
        let is_new = *attached.policy != policy;
        attached.policy.clone_from(&policy);
        Ok(is_new)
    })
    .await
}
