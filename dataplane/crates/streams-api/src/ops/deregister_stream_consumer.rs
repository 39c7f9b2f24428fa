//! As AWS DeregisterStreamConsumer: its subscriptions end.

use aws_protocol::ApiError;

use crate::api::Api;
pub(crate) use crate::consumers::Request;
use crate::errors::consumer_not_found;

pub(crate) async fn run(api: &Api, request: Request) -> Result<(), ApiError> {
    let found = request.find(api)?;
    let identity = api.identity();
    // Found under its own policy.
    api.change_unauthorized(&found.stream.name, |stream| {
        // Somebody else may have removed it, and registered another.
        let removed = stream.consumers.remove(&found.name);
        if removed.map(|consumer| consumer.created) != Some(found.consumer.created) {
            return Err(consumer_not_found(&found.name, &stream.name, identity));
        }
        Ok(true)
    })
    .await?;
    Ok(())
}
