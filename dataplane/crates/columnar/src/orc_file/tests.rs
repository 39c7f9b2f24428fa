use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, StringArray};
use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::column::StreamKind;
use super::read::{self, OrcReader};
use super::*;

fn settings(orc: &str) -> OrcSettings {
    OrcSettings::new(&serde_json::from_str(orc).unwrap()).unwrap()
}

/// Files of two columns, a number and a text.
fn write(orc: &str, rows: &[(Option<i64>, Option<String>)], batch_rows: usize) -> Vec<u8> {
    let columns = [("n".to_owned(), HiveType::BigInt), ("t".to_owned(), HiveType::String)];
    let mut file = OrcFile::new(&columns, settings(orc));
    for rows in rows.chunks(batch_rows) {
        let numbers = Int64Array::from_iter(rows.iter().map(|row| row.0));
        let texts = StringArray::from_iter(rows.iter().map(|row| row.1.as_deref()));
        let columns = [("n", Arc::new(numbers) as ArrayRef), ("t", Arc::new(texts) as ArrayRef)];
        let columns = columns.map(|(name, column)| (name, column, true));
        file.write(&RecordBatch::try_from_iter_with_nullable(columns).unwrap()).unwrap();
    }
    file.finish().unwrap()
}

fn sample(rows: usize) -> Vec<(Option<i64>, Option<String>)> {
    let row = |row: usize| {
        let number = (!row.is_multiple_of(3)).then_some((row * row) as i64 - 1000);
        (number, (!row.is_multiple_of(7)).then(|| "text".repeat(row % 50)))
    };
    (0..rows).map(row).collect()
}

fn check_bytes(file: &[u8], want: Expect) {
    let lines = file.chunks(32).map(|line| {
        let hex = line.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let text = line.iter().map(|byte| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '.',
        });
        format!("{hex:64} {}", text.collect::<String>()).trim_end().to_owned() + "\n"
    });
    want.assert_eq(&lines.collect::<String>());
}

#[test]
fn the_bytes_of_a_file_are_these() {
    let rows = [(Some(5), Some("abc".to_owned())), (None, None), (Some(-7), Some(String::new()))];
    check_bytes(
        &write(r#"{"compression":"NONE"}"#, &rows, 10),
        expect![[r#"
        4f52430a080a001204080350000a130a050000000000120a08021204080d100a ORC........P....................
        50010a170a06000000000000120d080222070a0012036162635001ffa0c0010a P...............".....abcP......
        17ffa0616263c00103050a0608061000180a0a060806100118150a0608061002 ...abc..........................
        18190a060800100118020a060801100118040a060800100218020a0608011002 ................................
        18030a060802100218041202080012020802120208021a035554430a210a0408 ........................UTC.!...
        0350000a0a08021204080d100a50010a0d080222070a00120361626350010803 .P...........P.....".....abcP...
        109b011a0a08031038180f20512803220c080c120201021a016e1a0174220208 ........8.. Q(.".........n..t"..
        042202080730033a04080350003a0a08021204080d100a50013a0d080222070a ."...0.:...P.:.........P.:..."..
        001203616263500140904e48f4c295e306580262126c6561742076657273696f ...abcP.@.NH.....X.b.leat versio
        6e20302e312e3008691000188080102202000c2823300682f403034f524317   n 0.1.0.i......"...(#0.....ORC.
    "#]],
    );
}

/// A reader that starts at any row group finds the values that one who starts in front does.
#[test]
fn row_groups_start_where_the_index_says() {
    for orc in [
        r#"{"rowIndexStride":1000,"compression":"NONE"}"#,
        r#"{"rowIndexStride":1000,"compression":"ZLIB"}"#,
        r#"{"rowIndexStride":1000}"#,
    ] {
        let rows = sample(20_500);
        let file = write(orc, &rows, 7_777);
        let reader = OrcReader::open(&file);
        let stripe = &reader.stripes[0];
        for column in [1, 2] {
            let is_present = |row: &(Option<i64>, Option<String>)| match column {
                1 => row.0.is_some(),
                _ => row.1.is_some(),
            };
            let groups = reader.positions(stripe, column);
            assert_eq!(groups.len(), 21);
            for (group, positions) in groups.into_iter().enumerate() {
                let before = group * 1000;
                let values_before = rows[..before].iter().filter(|row| is_present(row)).count();
                let mut positions = positions.into_iter();
                let from = |kind, positions: &mut std::vec::IntoIter<u64>| {
                    reader.content_from(stripe, column, kind, positions)
                };
                let all = |kind| reader.stream(stripe, column, kind).unwrap();
                let present = read::bytes(&from(StreamKind::Present, &mut positions));
                let bytes_before = positions.next().unwrap() as usize;
                let present = &present[bytes_before..];
                let bits_before = positions.next().unwrap() as usize;
                let all_present = read::bytes(&all(StreamKind::Present));
                assert_eq!(all_present[before / 8..], *present, "{orc} group {group}");
                assert_eq!(before % 8, bits_before);
                let kind = if column == 1 { StreamKind::Data } else { StreamKind::Length };
                if column == 2 {
                    let text = from(StreamKind::Data, &mut positions);
                    assert!(all(StreamKind::Data).ends_with(&text));
                    let length = rows[before..].iter().flat_map(|row| &row.1).map(String::len);
                    assert_eq!(text.len(), length.sum::<usize>());
                }
                let values = read::integers(&from(kind, &mut positions), column == 1);
                let values = &values[positions.next().unwrap() as usize..];
                let all_values = read::integers(&all(kind), column == 1);
                assert_eq!(all_values[values_before..], *values, "{orc} group {group}");
                assert_eq!(positions.next(), None);
            }
        }
    }
}

#[test]
fn a_stripe_ends_at_its_size() {
    let rows = (0..3000).map(|row| (Some(row), Some("x".repeat(10_000)))).collect::<Vec<_>>();
    let file = write(r#"{"stripeSizeMiB":8,"compression":"NONE"}"#, &rows, 100);
    let reader = OrcReader::open(&file);
    let stripes = reader.stripes.iter().map(|stripe| stripe.rows).collect::<Vec<_>>();
    assert_eq!(stripes, [900, 900, 900, 300]);
    assert_eq!(reader.row_count, 3000);
    assert_eq!(read::rows(&file).len(), 3000);
    let numbers = read::all(&reader.statistics[1], 2)[0].message();
    assert_eq!((read::number(&numbers, 1), read::number(&numbers, 2)), (0, 2 * 2999));
}

#[test]
fn settings_that_cannot_be_are_refused() {
    for (orc, want) in [
        (r#"{"stripeSizeMiB":7}"#, "output.orc.stripeSizeMiB: 7 is not within 8 to 1024"),
        (r#"{"rowIndexStride":999}"#, {
            "output.orc.rowIndexStride: 999 is not within 1000 to 1000000"
        }),
        (r#"{"formatVersion":"V0_11"}"#, {
            "output.orc.formatVersion: files of V0_11 are not written, only of V0_12"
        }),
        (r#"{"bloomFilterColumns":["a"]}"#, {
            "output.orc.bloomFilterColumns: Bloom filters are not written, as for column a"
        }),
    ] {
        let error = OrcSettings::new(&serde_json::from_str(orc).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), want);
    }
    settings(
        r#"{"enablePadding":true,"paddingTolerance":0.1,"blockSizeMiB":256,
        "dictionaryKeyThreshold":1,"formatVersion":"V0_12","bloomFilterColumns":[]}"#,
    );
}

proptest! {
    #[test]
    fn rows_are_read_as_they_were(
        rows in proptest::collection::vec(
            (proptest::option::of(any::<i64>()), proptest::option::of("\\PC{0,8}")), 0..200,
        ),
        batch_rows in 1_usize..50,
    ) {
        let file = write("{}", &rows, batch_rows);
        let shown = rows.iter().map(|(number, text)| {
            let number = number.map_or("null".to_owned(), |number| number.to_string());
            let text = text.as_ref().map_or("null".to_owned(), |text| format!("{text:?}"));
            format!("n={number} t={text}")
        });
        prop_assert_eq!(read::rows(&file), shown.collect::<Vec<_>>());
    }
}
