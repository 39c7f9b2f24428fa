//! What streams and consumers both can have attached: tags and a resource policy.

use std::collections::BTreeMap;
use std::sync::Arc;

use auth::Policy;
use aws_protocol::{ApiError, ErrorCode};

use crate::api::Api;
use crate::errors::consumer_not_found;
use crate::resource::{Arn, Resource};

/// The attachments of one resource, to look at.
pub(crate) struct Attachments<'a> {
    pub(crate) tags: &'a BTreeMap<String, String>,
    pub(crate) policy: &'a Option<Arc<Policy>>,
}

/// The same, to change.
pub(crate) struct Attached<'a> {
    pub(crate) tags: &'a mut BTreeMap<String, String>,
    pub(crate) policy: &'a mut Option<Arc<Policy>>,
}

impl Api {
    /// The attachments of the resource of this ARN, as they are.
    pub(crate) fn attached<T>(
        &self,
        arn: &Arn,
        read: impl FnOnce(Attachments<'_>) -> T,
    ) -> Result<T, ApiError> {
        match &arn.resource {
            Resource::Stream(name) => {
                let stream = self.stream(name)?;
                Ok(read(Attachments { tags: &stream.tags, policy: &stream.policy }))
            }
            Resource::Consumer(id) => {
                let consumer = self.consumer(id)?.consumer;
                Ok(read(Attachments { tags: &consumer.tags, policy: &consumer.policy }))
            }
            Resource::Other => Err(no_such_kind()),
        }
    }

    /// Changes them; `Ok(false)` stores nothing.
    pub(crate) async fn change_attached(
        &self,
        arn: &Arn,
        decide: impl Fn(Attached<'_>) -> Result<bool, ApiError>,
    ) -> Result<(), ApiError> {
        match &arn.resource {
            Resource::Stream(name) => {
                let change = self.change(name, |stream| {
                    decide(Attached { tags: &mut stream.tags, policy: &mut stream.policy })
                });
                change.await.map(drop)
            }
            Resource::Consumer(id) => {
                self.consumer(id)?;
                let change = self.change_unauthorized(&id.stream, |stream| {
                    match stream.consumers.get_mut(&id.name) {
                        Some(consumer) if consumer.created.as_seconds() == id.created_seconds => {
                            decide(Attached {
                                tags: &mut consumer.tags,
                                policy: &mut consumer.policy,
                            })
                        }
                        _ => Err(consumer_not_found(&id.name, &id.stream, self.identity())),
                    }
                });
                change.await.map(drop)
            }
            Resource::Other => Err(no_such_kind()),
        }
    }
}

fn no_such_kind() -> ApiError {
    ApiError::new(
        ErrorCode::ResourceNotFoundException,
        "There are no channels and no queues in this service.",
    )
}
