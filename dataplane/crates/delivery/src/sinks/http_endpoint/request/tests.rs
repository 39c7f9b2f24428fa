use std::io::Read;
use std::slice::from_ref;

use expect_test::expect;
use flate2::read::GzDecoder;
use proptest::prelude::*;

use super::*;
use crate::sinks::testing::record;

#[test]
fn a_body_is_as_aws_documents_it() {
    let records = [record(0, "hello"), record(1, ""), record(2, b"\xff\x00")];
    let body = body("an-id", UnixMillis(1_578_090_901_599), &records);
    expect![[r#"{"requestId":"an-id","timestamp":1578090901599,"records":[{"data":"aGVsbG8="},{"data":""},{"data":"/wA="}]}"#]]
        .assert_eq(str::from_utf8(&body).unwrap());
}

#[test]
fn a_compressed_body_is_the_same_one() {
    let body = body("an-id", UnixMillis(1), &[record(0, "hello")]);
    let mut unpacked = Vec::new();
    GzDecoder::new(gzip(&body).as_slice()).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, body);
}

#[test]
fn common_attributes_are_ascii() {
    let attributes = [("deployment -context", "pre-prod"), ("é\u{7f}", "😀\n\""), ("empty", "")];
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let header = common_attributes(&attributes.clone().into());
    expect![[r#"{"commonAttributes":{"deployment -context":"pre-prod","empty":"","\u00e9\u007f":"\ud83d\ude00\n\""}}"#]]
        .assert_eq(&header);
    let read: serde_json::Value = serde_json::from_str(&header).unwrap();
    assert_eq!(read["commonAttributes"], serde_json::json!(BTreeMap::from(attributes)));
}

#[test]
fn requests_hold_ten_thousand_records_at_most() {
    let check = |count: usize, want: &[Range<usize>]| {
        let records: Vec<DeliveryRecord> = (0..count as u64).map(|at| record(at, "x")).collect();
        assert_eq!(parts(&records), want);
    };
    check(0, &[]);
    check(1, from_ref(&(0..1)));
    check(10_000, from_ref(&(0..10_000)));
    check(20_001, &[0..10_000, 10_000..20_000, 20_000..20_001]);
}

#[test]
fn requests_are_64_mib_at_most() {
    // Eight records of this size fill a body but for the last KiB.
    let large = vec![b'x'; (6 << 20) - 1_024];
    let records: Vec<DeliveryRecord> = (0..17).map(|at| record(at, &large)).collect();
    let found = parts(&records);
    assert_eq!(found, [0..8, 8..16, 16..17]);
    for part in found {
        let size =
            body("ffffffff-ffff-8fff-bfff-ffffffffffff", UnixMillis(1 << 40), &records[part]);
        assert!(size.len() <= BODY_BYTES_MAX);
    }
    let huge = vec![b'x'; 50 << 20];
    assert_eq!(parts(&[record(0, "x"), record(1, huge), record(2, "x")]), [0..1, 1..2, 2..3]);
}

#[test]
fn a_request_id_names_a_batch_and_its_records() {
    let records: Vec<DeliveryRecord> = (0..4).map(|at| record(at, "x")).collect();
    let id = |batch, range: Range<usize>| request_id(BatchId(batch), &records[range]);
    expect!["6c774336-c612-8698-90e8-565f52b75982"].assert_eq(&id(1, 0..4));
    assert_eq!(id(1, 0..4), id(1, 0..4));
    let others = [id(2, 0..4), id(1, 0..3), id(1, 1..4), id(1, 2..3)];
    for (at, other) in others.iter().enumerate() {
        assert_ne!(*other, id(1, 0..4));
        assert!(!others[..at].contains(other));
    }
}

proptest! {
    #[test]
    fn what_is_left_of_a_batch_is_cut_in_the_same_places(
        sizes in proptest::collection::vec(0..24_usize << 20, 0..12),
        start: prop::sample::Index,
    ) {
        let zeros = bytes::Bytes::from(vec![0; 24 << 20]);
        let records: Vec<DeliveryRecord> = sizes
            .iter()
            .zip(0..)
            .map(|(size, at)| DeliveryRecord { data: zeros.slice(..*size), ..record(at, "") })
            .collect();
        let whole = parts(&records);
        prop_assert_eq!(whole.iter().map(Range::len).sum::<usize>(), records.len());
        if !whole.is_empty() {
            let first = start.index(whole.len());
            let left = parts(&records[whole[first].start..]);
            let ranges = whole[first..].iter().map(Range::len);
            prop_assert_eq!(left.iter().map(Range::len).collect::<Vec<_>>(), ranges.collect::<Vec<_>>());
        }
    }
}
