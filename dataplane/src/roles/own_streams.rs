//! Puts what delivery streams deliver to Streams into the streams that this process reaches.

use std::sync::Arc;

use aws_protocol::{ApiError, Blob, ErrorCode};
use catalog::Catalog;
use delivery::{StreamError, StreamPuts, StreamRecord, Streams};
use model::{HashKey, StreamName};
use streams_api::{Api, Outgoing};

/// The streams of users.
pub(crate) struct OwnStreams {
    pub(crate) api: Api,
    pub(crate) catalog: Arc<dyn Catalog>,
}

impl Streams for OwnStreams {
    fn put<'a>(&'a self, stream: &'a str, records: &'a [StreamRecord]) -> StreamPuts<'a> {
        Box::pin(async move {
            let found = stream.parse::<StreamName>().ok().and_then(|name| self.catalog.get(&name));
            let Some(found) = found else {
                let why = || StreamError::Unavailable(format!("there is no Stream {stream}"));
                return records.iter().map(|_| Err(why())).collect();
            };
            let kib_max = found.settings.record_kib_max;
            let fits = |record: &StreamRecord| {
                record.partition_key.len() + record.data.len() <= (kib_max as usize) << 10
            };
            let blobs: Vec<Blob<'_>> = records
                .iter()
                .filter(|record| fits(record))
                .map(|record| Blob::from(&record.data[..]))
                .collect();
            let outgoing: Vec<Outgoing<'_>> = records
                .iter()
                .filter(|record| fits(record))
                .zip(&blobs)
                .map(|(StreamRecord { partition_key, .. }, data)| {
                    let hash_key = HashKey::of(partition_key);
                    Outgoing { hash_key, partition_key, data }
                })
                .collect();
            let mut puts = match self.api.put(&found.name, &outgoing).await {
                Ok(puts) => puts.into_iter(),
                Err(error) => vec![Err(error); outgoing.len()].into_iter(),
            };
            let answer = |record: &StreamRecord| match fits(record) {
                true => puts.next().unwrap_or_else(|| Err(unanswered())).map(drop).map_err(refused),
                false => Err(StreamError::TooLarge(format!(
                    "the record of {} bytes, data and partition key, exceeds the maximum of the Stream, {kib_max} KiB",
                    record.partition_key.len() + record.data.len(),
                ))),
            };
            records.iter().map(answer).collect()
        })
    }
}

fn unanswered() -> ApiError {
    ApiError::new(ErrorCode::InternalFailure, "a put without an answer")
}

fn refused(error: ApiError) -> StreamError {
    match error.code {
        ErrorCode::ProvisionedThroughputExceededException => StreamError::Busy(error.message),
        // What is not in service yet, or not at the moment, or waits for a key.
        _ => StreamError::Unavailable(error.message),
    }
}
