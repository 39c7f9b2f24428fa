//! Bytes as they could lie on a disk: decoding never panics, and what decodes is what was encoded.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use shard_log::Batch;
use shard_log::format::{HEADER_BYTES, SegmentHead, decode_batch, encode_batch};

fuzz_target!(|input: &[u8]| {
    let _ = decode_batch(input);
    if let Some(head) = SegmentHead::decode(input) {
        assert_eq!(SegmentHead::decode(&head.encode()), Some(head));
    }
    // The same bytes under a right checksum, so that what is behind it is reached too.
    let Some((first, payload)) = input.split_first() else { return };
    let mut template = [0; HEADER_BYTES];
    template[..4].copy_from_slice(b"LtB1");
    template[8] = HEADER_BYTES as u8;
    template[12] = 1;
    template[16] = 2;
    let checksum = crc32c(&template[8..]);
    template[4..8].copy_from_slice(&checksum.to_le_bytes());
    let mut header = decode_batch(&template).expect("a batch without a payload");
    header.record_count = u32::from(*first).max(1);
    let (header, encoded) = encode_batch(&header, &[payload]);
    let batch = Batch::decode(&Bytes::from_owner(encoded)).expect("just encoded");
    assert_eq!(*batch.header(), header);
    for record in batch.records_from(model::Offset(u64::from(*first) / 2)) {
        assert!(record.data.len() <= payload.len());
    }
});

/// CRC-32C, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut state = u32::MAX;
    for byte in bytes {
        state ^= u32::from(*byte);
        for _ in 0..8 {
            state = (state >> 1) ^ (0x82f6_3b78 & (state & 1).wrapping_neg());
        }
    }
    !state
}
