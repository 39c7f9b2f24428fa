//! Compressed records, RFC 1952.

use std::io::Read as _;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;

/// What the members of `data` hold, one after the other.
///
/// # Errors
/// A sentence: `data` is not gzip, is cut off, or holds more than `bytes_max`.
pub(super) fn decompress(data: &[u8], bytes_max: usize) -> Result<Bytes, String> {
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    let mut out = Vec::new();
    MultiGzDecoder::new(data)
        .take(limit)
        .read_to_end(&mut out)
        .map_err(|error| format!("The record is not valid GZIP: {error}"))?;
    if bytes_max < out.len() {
        return Err(format!("The record holds more than {bytes_max} bytes when decompressed"));
    }
    Ok(Bytes::from(out))
}
