//! Ids of the form that others expect: made of what they stand for, never of chance.

use sha2::{Digest, Sha256};

/// The first half of the SHA-256.
#[must_use]
pub fn guid_of(bytes: &[u8]) -> u128 {
    half(&Sha256::digest(bytes))
}

/// The first half of a hash.
pub(crate) fn half(hash: &[u8]) -> u128 {
    hash[..16].iter().fold(0, |number, byte| (number << 8) | u128::from(*byte))
}

/// As in `ed4acda5-034f-8f42-bba1-f29aea6d7d8f`: a UUID of version 8, whose bits are its maker's.
#[must_use]
pub fn guid(number: u128) -> String {
    const VERSION: u128 = 0xf << 76;
    const VARIANT: u128 = 0b11 << 62;
    let number = (number & !VERSION & !VARIANT) | (8 << 76) | (0b10 << 62);
    let hex = format!("{number:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_uuids() {
        assert_eq!(guid(0), "00000000-0000-8000-8000-000000000000");
        assert_eq!(guid(u128::MAX), "ffffffff-ffff-8fff-bfff-ffffffffffff");
        assert_eq!(guid(0x0123_4567 << 96), "01234567-0000-8000-8000-000000000000");
        assert_ne!(guid_of(b"a"), guid_of(b"b"));
        assert_eq!(guid_of(b""), 0xe3b0_c442_98fc_1c14_9afb_f4c8_996f_b924);
    }
}
