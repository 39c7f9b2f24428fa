//! What the Kinesis Producer Library puts in one record to save calls: several user records.
//!
//! ```text
//!  magic F3 89 9A C2 │ protobuf AggregatedRecord │ MD5 of the protobuf, 16 bytes
//!
//!  AggregatedRecord  1 partition_key_table, string, repeated
//!                    2 explicit_hash_key_table, string, repeated: of no use after the put
//!                    3 records, message, repeated
//!  Record            1 partition_key_index, varint     2 explicit_hash_key_index, varint
//!                    3 data, bytes                     4 tags: never written
//! ```
//!
//! The tables may stand behind the records that point into them. A blob that is not all this is an
//! ordinary record which happens to begin with the magic: the client library takes it so, too.

use bytes::Bytes;
use md5::{Digest, Md5};

const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];
const CHECKSUM_BYTES: usize = 16;

/// Tag and length of a user record, and those of the two members that it must have.
pub(super) const USER_RECORD_BYTES_MIN: usize = 6;
/// User records of one aggregated record: more than a mebibyte of empty ones. A record with more is
/// left as it is, for what is kept of each is larger than the six bytes that make one.
const USER_RECORDS_MAX: usize = 200_000;

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;
const FIXED32: u64 = 5;

/// A user record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UserRecord {
    pub(super) partition_key: Bytes,
    pub(super) data: Bytes,
}

/// The user records of `blob` as slices of it; `None` when it is not an aggregated record.
pub(super) fn deaggregate(blob: &Bytes) -> Option<Vec<UserRecord>> {
    let rest = blob.strip_prefix(&MAGIC)?;
    let (message, checksum) = rest.split_last_chunk::<CHECKSUM_BYTES>()?;
    if Md5::digest(message).as_slice() != checksum {
        return None;
    }
    let mut partition_keys = Vec::new();
    let mut records = Vec::new();
    let mut fields = Fields(message);
    while !fields.is_at_end() {
        match fields.next()? {
            (1, Value::Bytes(key)) => partition_keys.push(str::from_utf8(key).ok()?.as_bytes()),
            (3, Value::Bytes(_)) if records.len() == USER_RECORDS_MAX => return None,
            (3, Value::Bytes(record)) => records.push(Record::decode(record)?),
            _ => {}
        }
    }
    let user_record = |record: Record<'_>| {
        let key = partition_keys.get(usize::try_from(record.partition_key_index).ok()?)?;
        Some(UserRecord { partition_key: blob.slice_ref(key), data: blob.slice_ref(record.data) })
    };
    records.into_iter().map(user_record).collect()
}

struct Record<'a> {
    partition_key_index: u64,
    data: &'a [u8],
}

impl<'a> Record<'a> {
    fn decode(message: &'a [u8]) -> Option<Record<'a>> {
        let (mut partition_key_index, mut data) = (None, None);
        let mut fields = Fields(message);
        while !fields.is_at_end() {
            match fields.next()? {
                (1, Value::Varint(index)) => partition_key_index = Some(index),
                (3, Value::Bytes(bytes)) => data = Some(bytes),
                _ => {}
            }
        }
        Some(Record { partition_key_index: partition_key_index?, data: data? })
    }
}

/// The fields of a protobuf message, one after the other. Nothing is copied and nothing nests.
struct Fields<'a>(&'a [u8]);

enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// Four or eight bytes, which no field we know has.
    Fixed,
}

impl<'a> Fields<'a> {
    fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    /// The next field's number and value; `None` when the bytes are no field.
    fn next(&mut self) -> Option<(u64, Value<'a>)> {
        let key = self.varint()?;
        let value = match key & 7 {
            VARINT => Value::Varint(self.varint()?),
            LENGTH_DELIMITED => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            FIXED64 => self.take(8).map(|_| Value::Fixed)?,
            FIXED32 => self.take(4).map(|_| Value::Fixed)?,
            _ => return None,
        };
        Some((key >> 3, value))
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
