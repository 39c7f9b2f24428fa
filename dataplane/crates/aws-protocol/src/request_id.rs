//! Request ids, by which a client and a log line find each other.

use std::fmt;

/// A request's id, shown as AWS shows them: in the form of a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(u128);

impl RequestId {
    /// An id from 128 random bits, marked as a version 4 UUID.
    #[must_use]
    pub fn from_random(bits: u128) -> RequestId {
        let version = (bits & !(0xf << 76)) | (0x4 << 76);
        RequestId((version & !(0x3 << 62)) | (0x2 << 62))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = format!("{:032x}", self.0);
        write!(f, "{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_version_4_uuid() {
        let check = |bits, want: &str| assert_eq!(RequestId::from_random(bits).to_string(), want);
        check(0, "00000000-0000-4000-8000-000000000000");
        check(u128::MAX, "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
