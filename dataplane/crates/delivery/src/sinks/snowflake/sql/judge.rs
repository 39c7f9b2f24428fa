//! What replies to statements mean.

use model::UnixMillis;
use serde::Deserialize;
use serde_json::Value;

use super::statement::Column;
use crate::sinks::Failure;
use crate::sinks::client::Reply;
use crate::sinks::snowflake::judge::NotNow;

pub(super) const BODY_BYTES_MAX: usize = 4 << 20;

/// What became of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ran {
    /// All rows are in the table.
    Done,
    /// None is, for some will never be.
    Spoiled(Failure),
    /// None is, or nobody knows. They may be taken later.
    NotNow(NotNow),
}

/// What a reply says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer<T> {
    /// What was asked for.
    Given(T),
    /// It takes a while; the answer will be there.
    Running(String),
    /// The session is over.
    LoggedOut(NotNow),
    /// Something in the data is not as it has to be.
    BadData(Failure),
    /// Anything else.
    Failed(NotNow),
}

/// Of any reply.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    success: bool,
    /// A text, or a number.
    code: Value,
    message: Option<String>,
    data: Value,
}

/// A session's token.
pub(super) fn logged_in(reply: &Reply, now: UnixMillis) -> Answer<String> {
    read(reply, now, |data| data["token"].as_str().map(str::to_owned))
}

/// A table's columns.
pub(super) fn described(reply: &Reply, now: UnixMillis) -> Answer<Vec<Column>> {
    read(reply, now, |data| Vec::<Column>::deserialize(&data["rowtype"]).ok())
}

/// Rows that were inserted.
pub(super) fn inserted(reply: &Reply, now: UnixMillis) -> Answer<()> {
    read(reply, now, |_| Some(()))
}

fn read<T>(reply: &Reply, now: UnixMillis, of: impl FnOnce(&Value) -> Option<T>) -> Answer<T> {
    let failed = || Answer::Failed(NotNow::of(reply, now));
    let body = serde_json::from_slice::<Body>(&reply.body);
    let Ok(Body { success, code, message, data }) = body else {
        return match reply.status {
            401 => Answer::LoggedOut(NotNow::of(reply, now)),
            _ => failed(),
        };
    };
    let code = code.as_str().map_or_else(|| code.to_string(), str::to_owned);
    let message = message.unwrap_or_default();
    let said = |name| Failure::new(name, &format!("{code}: {message}"));
    match code.parse() {
        // A path, not another host.
        Ok(333_333 | 333_334) => {
            match data["getResultUrl"].as_str().filter(|path| path.starts_with('/')) {
                Some(path) => Answer::Running(path.to_owned()),
                None => failed(),
            }
        }
        // No session, none of that token, none any more.
        Ok(390_103 | 390_104 | 390_108 | 390_111..=390_115) => {
            Answer::LoggedOut(NotNow { failure: said("Snowflake.AccessDenied"), pause: None })
        }
        _ if reply.status == 401 => Answer::LoggedOut(NotNow::of(reply, now)),
        // A null in a column that takes none.
        Ok(100_072) => Answer::BadData(said("Snowflake.MissingColumns")),
        Ok(100_069) => Answer::BadData(said("Snowflake.InvalidInput")),
        Ok(100_000..=100_999) => Answer::BadData(said("Snowflake.InvalidValue")),
        Ok(2_003 | 2_043) => {
            Answer::Failed(NotNow { failure: said("Snowflake.NotFound"), pause: None })
        }
        Ok(3_001 | 390_000..=390_999 | 394_000..=394_999) => {
            Answer::Failed(NotNow { failure: said("Snowflake.AccessDenied"), pause: None })
        }
        _ if (200..=299).contains(&reply.status) && success => {
            of(&data).map_or_else(failed, Answer::Given)
        }
        Ok(1..) if (200..=299).contains(&reply.status) => {
            Answer::Failed(NotNow { failure: said("Snowflake.ServiceException"), pause: None })
        }
        _ => failed(),
    }
}

#[cfg(test)]
mod tests;
