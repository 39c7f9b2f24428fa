//! The bytes of version 1 are frozen, and no input makes a decoder panic.

use bytes::Bytes;
use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::{Batch, RecordBuffer};

fn header() -> BatchHeader {
    BatchHeader {
        checksum: 0,
        length: 0,
        record_count: 2,
        kind: BatchKind::Records,
        previous_checksum: 0x0102_0304,
        log_id: LogId(0x1122_3344_5566_7788),
        segment: 9,
        base_offset: Offset(1_000),
        index: 77,
        term: 3,
        timestamp: UnixMillis(1_700_000_000_123),
        durable_end: 4_096,
    }
}

fn encoded() -> (BatchHeader, Vec<u8>) {
    let mut records = RecordBuffer::default();
    records.push("N725MD", b"first");
    records.push("", b"no key");
    let (header, bytes) = encode_batch(&header(), &[records.payload()]);
    (header, bytes.to_vec())
}

fn check_dump(bytes: &[u8], want: &Expect) {
    let lines = bytes.chunks(16).map(|chunk| {
        let hex: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        hex.join(" ") + "\n"
    });
    want.assert_eq(&lines.collect::<String>());
}

#[test]
fn bytes_of_a_batch_are_frozen() {
    let (header, bytes) = encoded();
    check_dump(
        &bytes[..header.length as usize],
        &expect![[r#"
            4c 74 42 31 13 53 c1 3b 6d 00 00 00 02 00 00 00
            02 00 00 00 04 03 02 01 88 77 66 55 44 33 22 11
            09 00 00 00 00 00 00 00 e8 03 00 00 00 00 00 00
            4d 00 00 00 00 00 00 00 03 00 00 00 00 00 00 00
            7b 68 e5 cf 8b 01 00 00 00 10 00 00 00 00 00 00
            06 00 05 00 00 00 4e 37 32 35 4d 44 66 69 72 73
            74 00 00 06 00 00 00 6e 6f 20 6b 65 79
        "#]],
    );
}

#[test]
fn bytes_of_a_head_are_frozen() {
    let head = SegmentHead {
        previous: Some(PreviousSegment {
            number: 8,
            end_position: 12_288,
            index: vec![IndexEntry {
                position: 4_096,
                offset: Offset(7),
                index: 8,
                timestamp: UnixMillis(9),
            }],
        }),
        hard_state: b"vote".to_vec(),
        image_index: 5,
        image: b"image".to_vec(),
    };
    check_dump(
        &head.encode(),
        &expect![[r#"
            01 08 00 00 00 00 00 00 00 00 30 00 00 00 00 00
            00 01 00 00 00 00 10 00 00 00 00 00 00 07 00 00
            00 00 00 00 00 08 00 00 00 00 00 00 00 09 00 00
            00 00 00 00 00 04 00 00 00 76 6f 74 65 05 00 00
            00 00 00 00 00 05 00 00 00 69 6d 61 67 65
        "#]],
    );
    assert_eq!(SegmentHead::decode(&head.encode()), Some(head));
}

#[test]
fn a_decoded_batch_is_what_was_encoded() {
    let (header, bytes) = encoded();
    let batch = Batch::decode(&bytes.into()).unwrap();
    assert_eq!(*batch.header(), header);
    let records: Vec<_> = batch.records_from(Offset(0)).collect();
    assert_eq!(records.len(), 2);
    assert_eq!((records[0].partition_key, records[0].data), ("N725MD", b"first".as_slice()));
    assert_eq!((records[1].offset, records[1].partition_key), (Offset(1_001), ""));
    assert_eq!(batch.records_from(Offset(1_001)).count(), 1);
    assert_eq!(batch.records_from(Offset(1_002)).count(), 0);
}

#[test]
fn any_flipped_bit_under_the_checksum_is_noticed() {
    let (header, bytes) = encoded();
    for bit in 0..header.length as usize * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(decode_batch(&damaged).is_err(), "bit {bit}");
    }
}

#[test]
fn a_length_is_checked_before_anything_is_done_with_it() {
    let (_, mut bytes) = encoded();
    for (length, want) in [
        (0, DecodeError::Implausible),
        (79, DecodeError::Implausible),
        (u32::MAX, DecodeError::Implausible),
        (BATCH_BYTES_MAX as u32 + 1, DecodeError::Implausible),
        (5_000, DecodeError::Incomplete { needed: 5_000, found: 4_096 }),
    ] {
        bytes[8..12].copy_from_slice(&length.to_le_bytes());
        assert_eq!(decode_batch(&bytes), Err(want), "{length}");
    }
}

proptest! {
    #[test]
    fn junk_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), with_magic: bool) {
        let mut bytes = bytes;
        if with_magic && 4 <= bytes.len() {
            bytes[..4].copy_from_slice(&MAGIC);
        }
        let _ = decode_batch(&bytes);
        let _ = SegmentHead::decode(&bytes);
        let _ = decode_record(&bytes);
    }

    #[test]
    fn records_come_back_whatever_they_hold(
        records in prop::collection::vec((".{0,20}", prop::collection::vec(any::<u8>(), 0..50)), 1..20)
    ) {
        let mut buffer = RecordBuffer::default();
        for (key, data) in &records {
            buffer.push(key, data);
        }
        let header = BatchHeader { record_count: buffer.record_count(), ..header() };
        let (_, bytes) = encode_batch(&header, &[buffer.payload()]);
        let batch = Batch::decode(&Bytes::from_owner(bytes)).unwrap();
        let read: Vec<_> = batch
            .records_from(Offset(0))
            .map(|record| (record.partition_key.to_owned(), record.data.to_vec()))
            .collect();
        prop_assert_eq!(read, records);
    }
}
