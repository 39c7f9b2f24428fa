//! Puts what producers of Data Firehose send into the streams that hold it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use aws_protocol::{ApiError, Blob, ErrorCode};
use bytes::Bytes;
use catalog::StreamUid;
use delivery_catalog::DeliveryStream;
use firehose_api::{Intake, PutError, Puts, RecordId};
use model::HashKey;
use streams_api::{Api, Outgoing};

/// The streams that hold what was put into delivery streams, by the names of those.
pub(crate) struct Sources {
    pub(crate) api: Api,
    pub(crate) refused: Refused,
}

/// Why delivery streams deliver nothing: what is put into them would wait in vain, and is not taken.
#[derive(Clone, Default)]
pub(crate) struct Refused(Arc<RwLock<HashMap<StreamUid, String>>>);

impl Refused {
    /// Nobody wants to know any more why, or now they do.
    pub(crate) fn set(&self, stream: StreamUid, why: Option<String>) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match why {
            Some(why) => all.insert(stream, why),
            None => all.remove(&stream),
        };
    }

    fn why(&self, stream: StreamUid) -> Option<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&stream).cloned()
    }
}

impl Intake for Sources {
    fn put<'a>(&'a self, stream: &'a DeliveryStream, records: Vec<Bytes>) -> Puts<'a> {
        Box::pin(async move {
            if let Some(why) = self.refused.why(stream.uid) {
                let refused = || Err(PutError::Unavailable(format!("Nothing is delivered: {why}")));
                return records.iter().map(|_| refused()).collect();
            }
            let blobs: Vec<Blob<'_>> =
                records.iter().map(|record| Blob::from(&record[..])).collect();
            // One shard for all of a call, which is one write; another for the next.
            let hash_key = HashKey(rand::random());
            let outgoing: Vec<Outgoing<'_>> =
                blobs.iter().map(|data| Outgoing { hash_key, partition_key: "", data }).collect();
            match self.api.put(&stream.name, &outgoing).await {
                Ok(puts) => {
                    let id = |put: streams_api::Put| RecordId(put.sequence_number.to_string());
                    puts.into_iter().map(|put| put.map(id).map_err(put_error)).collect()
                }
                Err(error) => records.iter().map(|_| Err(put_error(error.clone()))).collect(),
            }
        })
    }
}

/// Whether a delivery stream can be carried out; what is wrong with it, if not. One of another version takes
/// nothing, and says why.
pub(crate) fn checked(
    context: &Arc<delivery::Context>,
    stream: &DeliveryStream,
) -> Result<(), String> {
    match delivery::check(context, stream) {
        Ok(()) => Ok(()),
        Err(error) if error.is_unsupported() => Ok(()),
        Err(error) => Err(format!("{:#}", anyhow::Error::from(error))),
    }
}

fn put_error(error: ApiError) -> PutError {
    match error.code {
        ErrorCode::KmsNotFoundException => PutError::Key(error.message),
        ErrorCode::InternalFailure => PutError::Failed(error.message),
        // What is not in service yet, or not at the moment.
        _ => PutError::Unavailable(error.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_work_later_is_unavailable() {
        let error = |code| put_error(ApiError::new(code, "why"));
        let why = || "why".to_owned();
        assert_eq!(error(ErrorCode::KmsNotFoundException), PutError::Key(why()));
        assert_eq!(error(ErrorCode::InternalFailure), PutError::Failed(why()));
        assert_eq!(error(ErrorCode::ResourceNotFoundException), PutError::Unavailable(why()));
        assert_eq!(error(ErrorCode::ServiceUnavailable), PutError::Unavailable(why()));
    }
}
