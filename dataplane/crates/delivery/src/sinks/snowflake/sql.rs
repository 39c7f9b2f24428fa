//! INSERT statements, by the interface that Snowflake's own drivers use.
//!
//! A statement inserts all of its rows or none. Its text is always the same: the rows are one JSON
//! array that is bound to it. What is in the way of a statement is found by halving it.

mod judge;
mod session;
mod statement;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::Clock;
use operator_api::delivery_stream::SnowflakeDestination;
use tokio::time::Instant;

use self::judge::Ran;
use self::session::Client;
use self::statement::Table;
use super::judge::NotNow;
use super::row::Rows;
use crate::secrets::Secrets;
use crate::sinks::{Attempt, Batch, Failure};

/// Snowflake takes texts of 16 MiB.
const ROWS_BYTES_MAX: usize = 8 << 20;
/// As many as Snowflake takes in other statements.
const ROWS_MAX: usize = 16_384;
/// Statements of one attempt: finding the records that spoil one may take many.
const STATEMENTS_MAX: usize = 256;
/// How long a table is taken to be as it was.
const TABLE_AGE_MAX: Duration = Duration::from_secs(60);

/// Inserts rows.
pub(super) struct Sql {
    client: Client,
    rows: Rows,
    of: Arc<SnowflakeDestination>,
    table: Mutex<Option<(Arc<Table>, Instant)>>,
}

impl Sql {
    pub(super) fn new(
        of: Arc<SnowflakeDestination>,
        rows: Rows,
        secrets: Arc<dyn Secrets>,
        clock: Arc<dyn Clock>,
    ) -> Sql {
        let client = Client::new(Arc::clone(&of), secrets, clock);
        Sql { client, rows, of, table: Mutex::new(None) }
    }

    pub(super) async fn attempt(&self, batch: &Batch) -> Attempt {
        let table = match self.table().await {
            Ok(table) => table,
            Err(not_now) => {
                let attempt = Attempt::all_again(batch.records.len(), &not_now.failure);
                return Attempt { pause: not_now.pause, ..attempt };
            }
        };
        let mut call = Call { sql: self, table, batch, attempt: Attempt::default(), statements: 0 };
        call.run().await;
        call.attempt
    }

    /// The table's columns, as of a moment ago.
    async fn table(&self) -> Result<Arc<Table>, NotNow> {
        {
            let known = self.table.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((table, since)) = &*known
                && since.elapsed() < TABLE_AGE_MAX
            {
                return Ok(Arc::clone(table));
            }
        }
        let select = statement::select_all(&self.of);
        let table = Arc::new(Table::new(&self.of, self.client.describe(&select).await?)?);
        let known = Some((Arc::clone(&table), Instant::now()));
        *self.table.lock().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(table)
    }

    /// It may have been changed.
    fn forget_table(&self) {
        *self.table.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// An attempt under way.
struct Call<'a> {
    sql: &'a Sql,
    table: Arc<Table>,
    batch: &'a Batch,
    attempt: Attempt,
    statements: usize,
}

impl Call<'_> {
    async fn run(&mut self) {
        let mut at = 0;
        while at < self.batch.records.len() {
            let (rows, next) = self.next_rows(at);
            at = next;
            if let Err(not_now) = self.insert(rows).await {
                self.sql.forget_table();
                self.attempt.repeat(at..self.batch.records.len(), &not_now.failure);
                self.attempt.pause = not_now.pause;
                return;
            }
        }
    }

    /// The rows of a statement, and the record that comes after. Records that are no rows of the table
    /// are refused.
    fn next_rows(&mut self, start: usize) -> (Vec<Row>, usize) {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        for (at, record) in self.batch.records.iter().enumerate().skip(start) {
            let row = self.sql.rows.with_members(record, |members| self.table.row(members));
            match row {
                Err(failure) => self.attempt.refused.push((at, failure)),
                Ok(json) if !rows.is_empty() && ROWS_BYTES_MAX < bytes + json.len() => {
                    return (rows, at);
                }
                Ok(json) => {
                    bytes += json.len() + 1;
                    rows.push(Row { at, json });
                }
            }
            if rows.len() == ROWS_MAX {
                return (rows, at + 1);
            }
        }
        (rows, self.batch.records.len())
    }

    /// Inserts rows, and takes statements apart that some row spoils. When that cannot be done now,
    /// those that are left have been given back.
    async fn insert(&mut self, rows: Vec<Row>) -> Result<(), NotNow> {
        let mut waiting: VecDeque<Range<usize>> = std::iter::once(0..rows.len()).collect();
        while let Some(part) = waiting.pop_front() {
            let some = &rows[part.clone()];
            if some.is_empty() {
                continue;
            }
            self.statements += 1;
            let array = statement::array(some.iter().map(|row| &row.json[..]));
            let not_now = match self.sql.client.run(self.table.insert(), &array).await {
                Ran::Done => continue,
                Ran::Spoiled(failure) if part.len() == 1 => {
                    self.attempt.refused.push((some[0].at, failure));
                    continue;
                }
                Ran::Spoiled(_) if self.statements < STATEMENTS_MAX => {
                    let middle = part.start + part.len() / 2;
                    waiting.push_front(middle..part.end);
                    waiting.push_front(part.start..middle);
                    continue;
                }
                Ran::Spoiled(failure) => NotNow { failure, pause: None },
                Ran::NotNow(not_now) => not_now,
            };
            waiting.push_front(part);
            self.give_back(&rows, waiting, &not_now.failure);
            return Err(not_now);
        }
        Ok(())
    }

    fn give_back(&mut self, rows: &[Row], waiting: VecDeque<Range<usize>>, failure: &Failure) {
        let left = waiting.into_iter().flatten().map(|at| (rows[at].at, failure.clone()));
        self.attempt.again.extend(left);
    }
}

/// A record's row, as JSON.
struct Row {
    at: usize,
    json: Vec<u8>,
}

#[cfg(test)]
mod tests;
