//! Names of streams and shards.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest name.
const NAME_CHARS_MAX: usize = 128;

/// A text that is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name is 1 to 128 of the characters a-z, A-Z, 0-9, '_', '.' and '-'")]
pub struct NameError;

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<$name, NameError> {
                if is_name(text) { Ok($name(text.into())) } else { Err(NameError) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

names! {
    /// A stream's name: 1 to 128 of `[a-zA-Z0-9_.-]`.
    StreamName,
    /// The name of a registered consumer of a stream, of the same characters.
    ConsumerName,
}

fn is_name(text: &str) -> bool {
    let fits = (1..=NAME_CHARS_MAX).contains(&text.len());
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    // "." and ".." would be names of other directories.
    let is_dots = matches!(text, "." | "..");
    fits && !is_dots && text.bytes().all(is_name)
}

/// A shard's number within its stream, given in order: `shardId-000000000007` in the AWS API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u32);

const SHARD_ID_PREFIX: &str = "shardId-";
const SHARD_ID_DIGITS: usize = 12;

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SHARD_ID_PREFIX}{:0SHARD_ID_DIGITS$}", self.0)
    }
}

/// A text that is no shard id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a shard id is \"shardId-\" and twelve digits")]
pub struct ParseShardIdError;

impl FromStr for ShardId {
    type Err = ParseShardIdError;

    fn from_str(text: &str) -> Result<ShardId, ParseShardIdError> {
        let digits = text.strip_prefix(SHARD_ID_PREFIX).ok_or(ParseShardIdError)?;
        let canonical =
            digits.len() == SHARD_ID_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !canonical {
            return Err(ParseShardIdError);
        }
        digits.parse().map(ShardId).map_err(|_| ParseShardIdError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_names_are_those_of_aws() {
        let longest = "x".repeat(128);
        for good in ["a", "Clicks_2.eu-west-1", &longest] {
            assert_eq!(good.parse::<StreamName>().unwrap().as_str(), good);
        }
        let too_long = "x".repeat(129);
        for bad in ["", " ", "a/b", "é", "..", ".", &too_long] {
            assert!(bad.parse::<StreamName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn shard_ids_are_padded() {
        assert_eq!(ShardId(7).to_string(), "shardId-000000000007");
        assert_eq!("shardId-000000000007".parse(), Ok(ShardId(7)));
        for bad in ["shardId-7", "shardId-+00000000007", "shardId-999999999999", "7", ""] {
            assert!(bad.parse::<ShardId>().is_err(), "{bad}");
        }
    }
}
