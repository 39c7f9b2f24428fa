//! Opaque tokens: positions we hand to clients and get back.
//!
//! A shard iterator names a stream (by name and identity, for a stream of the same name created
//! later is another one), a shard, an offset and when it was issued. It is no secret and grants
//! nothing: a checksum tells typing errors from tokens, access is decided by the stream.

use catalog::StreamUid;
use model::{Offset, ShardId, StreamName, UnixMillis};

/// A shard iterator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Iterator {
    /// The stream's name.
    pub stream: StreamName,
    /// The stream's identity.
    pub uid: StreamUid,
    /// The shard.
    pub shard: ShardId,
    /// The record to read next.
    pub offset: Offset,
    /// When it was issued.
    pub issued: UnixMillis,
}

/// A text that is none of our tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenError;

const VERSION: u8 = 1;
/// Version, identity, shard, offset and time; the name follows, and a checksum.
const FIXED_BYTES: usize = 1 + 8 + 4 + 8 + 8;
const CHECKSUM_BYTES: usize = 4;
/// As AWS's ShardIterator.
const CHARS_MAX: usize = 512;

impl Iterator {
    /// Its text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(FIXED_BYTES + CHECKSUM_BYTES + 128);
        bytes.push(VERSION);
        bytes.extend(self.uid.0.to_le_bytes());
        bytes.extend(self.shard.0.to_le_bytes());
        bytes.extend(self.offset.0.to_le_bytes());
        bytes.extend(self.issued.0.to_le_bytes());
        bytes.extend(self.stream.as_str().as_bytes());
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        base64_simd::STANDARD.encode_to_string(&bytes)
    }

    /// The inverse of [`encode`](Self::encode).
    ///
    /// # Errors
    /// Not one of ours, or damaged.
    pub fn decode(text: &str) -> Result<Iterator, TokenError> {
        if CHARS_MAX < text.len() {
            return Err(TokenError);
        }
        let bytes = base64_simd::STANDARD.decode_to_vec(text).map_err(|_| TokenError)?;
        let (body, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(TokenError)?;
        let (fixed, name) = body.split_first_chunk::<FIXED_BYTES>().ok_or(TokenError)?;
        if crc32c::crc32c(body) != u32::from_le_bytes(*checksum) || fixed[0] != VERSION {
            return Err(TokenError);
        }
        let number = |at: usize| {
            let bytes = fixed[at..at + 8].try_into().expect("eight bytes were asked for");
            u64::from_le_bytes(bytes)
        };
        let shard = fixed[9..13].try_into().expect("four bytes were asked for");
        let name = str::from_utf8(name).map_err(|_| TokenError)?;
        Ok(Iterator {
            stream: name.parse().map_err(|_| TokenError)?,
            uid: StreamUid(number(1)),
            shard: ShardId(u32::from_le_bytes(shard)),
            offset: Offset(number(13)),
            issued: UnixMillis(number(21)),
        })
    }
}

/// The token of a listing in pages: what to continue after, and when it was issued.
pub(crate) fn encode_page(parts: &[&str], issued: UnixMillis) -> String {
    let text = format!("{}\n{}", issued.0, parts.join("\n"));
    base64_simd::STANDARD.encode_to_string(text.as_bytes())
}

/// The inverse of [`encode_page`], for tokens of `N` parts.
pub(crate) fn decode_page<const N: usize>(
    token: &str,
) -> Result<([String; N], UnixMillis), TokenError> {
    let bytes = base64_simd::STANDARD.decode_to_vec(token).map_err(|_| TokenError)?;
    let text = str::from_utf8(&bytes).map_err(|_| TokenError)?;
    let mut parts = text.split('\n').map(str::to_owned);
    let issued = parts.next().and_then(|millis| millis.parse().ok()).ok_or(TokenError)?;
    let parts: Vec<String> = parts.collect();
    Ok((parts.try_into().map_err(|_| TokenError)?, UnixMillis(issued)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn iterators_come_back_and_fit(
            name in "[a-zA-Z0-9_-]{1,128}", uid: u64, shard: u32, offset: u64, issued: u64
        ) {
            let iterator = Iterator {
                stream: name.parse().unwrap(),
                uid: StreamUid(uid),
                shard: ShardId(shard),
                offset: Offset(offset),
                issued: UnixMillis(issued),
            };
            let text = iterator.encode();
            prop_assert!(text.len() <= CHARS_MAX);
            prop_assert_eq!(Iterator::decode(&text), Ok(iterator));
            let mut damaged = text.clone().into_bytes();
            let at = uid as usize % damaged.len();
            damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
            prop_assert!(Iterator::decode(str::from_utf8(&damaged).unwrap()).is_err());
        }

        #[test]
        fn junk_never_panics(text in "[A-Za-z0-9+/=]{0,80}", other in ".{0,80}") {
            for text in [text, other] {
                let _ = Iterator::decode(&text);
                let _ = decode_page::<2>(&text);
            }
        }
    }
}
