//! The operations of Kinesis Data Streams, one file each.
