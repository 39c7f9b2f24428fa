//! The `snowflake` destination: rows, by Snowpipe Streaming or with INSERT statements.
//!
//! ```text
//!  key         a token that says who we are
//!  row         a record as a row
//!  streaming   rows into a channel, one for each shard; what is committed is known by its place
//!  sql         rows in statements, whole or not at all
//! ```
//!
//! By streaming a record is stored once, also when it is sent again after a crash. With statements it
//! is stored at least once: when a reply is lost, nobody knows whether the rows are there.

mod judge;
mod key;
mod row;
mod sql;
mod streaming;

use std::pin::Pin;
use std::sync::Arc;

use delivery_core::objects::{Refusal, RefusedRecord};
use model::{Clock, DeliveryRecord};
use operator_api::delivery_stream::SnowflakeDestination;

use self::row::Rows;
use self::sql::Sql;
use self::streaming::Streaming;
use super::{Attempt, Batch, Failure, Feed, Sink};
use crate::secrets::Secrets;

/// Brings records to a table of Snowflake.
pub struct SnowflakeSink(Way);

enum Way {
    Streaming(Streaming),
    Sql(Sql),
}

impl SnowflakeSink {
    /// For what comes out of `feed`.
    #[must_use]
    pub fn new(
        of: SnowflakeDestination,
        feed: Feed,
        secrets: Arc<dyn Secrets>,
        clock: Arc<dyn Clock>,
    ) -> SnowflakeSink {
        let rows = Rows::new(&of, feed);
        let of = Arc::new(of);
        SnowflakeSink(match of.sql {
            None => Way::Streaming(Streaming::new(of, rows, secrets, clock)),
            Some(_) => Way::Sql(Sql::new(of, rows, secrets, clock)),
        })
    }
}

impl Sink for SnowflakeSink {
    fn deliver<'a>(
        &'a self,
        batch: &'a Batch,
    ) -> Pin<Box<dyn Future<Output = Attempt> + Send + 'a>> {
        match &self.0 {
            Way::Streaming(streaming) => Box::pin(streaming.attempt(batch)),
            Way::Sql(sql) => Box::pin(sql.attempt(batch)),
        }
    }

    fn document(&self, _: &DeliveryRecord, _: &Failure, about: RefusedRecord<'_>) -> Vec<u8> {
        RefusedRecord { refusal: Refusal::Snowflake, ..about }.line()
    }
}
