use proptest::prelude::*;

use super::*;

/// Three records as the Python aggregator of AWS (aws-kinesis-agg 1.2.3) packs them: "first" under
/// pk-1 and the explicit hash key 123, "second" under pk-2, and an empty one under pk-1.
const BY_THE_AGGREGATOR: &str = "f3899ac2\
    0a04706b2d310a04706b2d321203313233\
    1a0b080010001a056669727374\
    1a0a08011a067365636f6e64\
    1a0408001a00\
    b5eaad3f9f618ab387cf56f067ff2e44";

fn bytes_of(hex: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap() as u8;
    hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// `message` as a blob with its magic and checksum.
fn seal(message: &[u8]) -> Bytes {
    let mut blob = MAGIC.to_vec();
    blob.extend_from_slice(message);
    blob.extend_from_slice(&Md5::digest(message));
    Bytes::from(blob)
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = bytes.len();
    while 0x7f < length {
        field.push(length as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend_from_slice(bytes);
    field
}

fn record(key_index: u8, data: &[u8]) -> Vec<u8> {
    field(3, &[&[0x08, key_index], &*field(3, data)].concat())
}

fn user_record(partition_key: &str, data: &[u8]) -> UserRecord {
    UserRecord {
        partition_key: Bytes::copy_from_slice(partition_key.as_bytes()),
        data: Bytes::copy_from_slice(data),
    }
}

#[test]
fn what_the_aggregator_packs_is_taken_apart() {
    let blob = Bytes::from(bytes_of(BY_THE_AGGREGATOR));
    let records = deaggregate(&blob).unwrap();
    assert_eq!(
        records,
        [user_record("pk-1", b"first"), user_record("pk-2", b"second"), user_record("pk-1", b"")]
    );
    assert!(blob.as_ptr_range().contains(&records[0].data.as_ptr()), "a slice, not a copy");
}

#[test]
fn one_wrong_byte_anywhere_makes_it_an_ordinary_record() {
    let blob = bytes_of(BY_THE_AGGREGATOR);
    for at in 0..blob.len() {
        let mut damaged = blob.clone();
        damaged[at] ^= 1;
        assert_eq!(deaggregate(&Bytes::from(damaged)), None, "byte {at}");
        assert_eq!(deaggregate(&Bytes::copy_from_slice(&blob[..at])), None, "cut at {at}");
    }
}

#[test]
fn a_broken_message_with_the_right_checksum_is_an_ordinary_record() {
    let key = field(1, b"k");
    let cases: [(&str, Vec<u8>); 8] = [
        ("key index past the table", [&*key, &record(1, b"x")].concat()),
        ("no table", record(0, b"x")),
        ("no data", [&*key, &field(3, &[0x08, 0])].concat()),
        ("no key index", [&*key, &field(3, &field(3, b"x"))].concat()),
        ("length past the end", vec![0x0a, 0x05, b'k']),
        ("varint without end", vec![0xff; 11]),
        ("group", vec![0x0b]),
        ("key that is no text", [&*field(1, &[0xff]), &record(0, b"x")].concat()),
    ];
    for (case, message) in cases {
        assert_eq!(deaggregate(&seal(&message)), None, "{case}");
    }
}

#[test]
fn the_order_of_fields_is_free_and_unknown_ones_are_passed_over() {
    let unknown =
        [&field(9, b"?")[..], &[0x51, 1, 2, 3, 4, 5, 6, 7, 8], &[0x55, 1, 2, 3, 4], &[0x50, 7]];
    let message = [&*record(0, b"x"), &*unknown.concat(), &*field(1, b"k")].concat();
    assert_eq!(deaggregate(&seal(&message)), Some(vec![user_record("k", b"x")]));
    assert_eq!(deaggregate(&seal(b"")), Some(Vec::new()));
}

#[test]
fn user_records_have_a_bound() {
    let message = |count| [field(1, b"k"), record(0, b"").repeat(count)].concat();
    let count = deaggregate(&seal(&message(USER_RECORDS_MAX))).unwrap().len();
    assert_eq!(count, USER_RECORDS_MAX);
    assert_eq!(deaggregate(&seal(&message(USER_RECORDS_MAX + 1))), None);
}

proptest! {
    #[test]
    fn no_bytes_break_the_decoder(message in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = deaggregate(&seal(&message));
        let _ = deaggregate(&Bytes::from(message));
    }

    #[test]
    fn what_is_packed_comes_out(
        records in proptest::collection::vec((0_u8..3, proptest::collection::vec(any::<u8>(), 0..300)), 0..20)
    ) {
        let keys = ["a", "b", "c"];
        let mut message = keys.map(|key| field(1, key.as_bytes())).concat();
        records.iter().for_each(|(key, data)| message.extend(record(*key, data)));
        let expected: Vec<_> =
            records.iter().map(|(key, data)| user_record(keys[usize::from(*key)], data)).collect();
        prop_assert_eq!(deaggregate(&seal(&message)), Some(expected));
    }
}
