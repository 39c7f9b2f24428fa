use bytes::Bytes;
use operator_api::delivery_stream::FormatConversion;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::Converter;

fn file(columns: &serde_json::Value, compression: &str, rows: &[serde_json::Value]) -> Bytes {
    let conversion: FormatConversion = serde_json::from_value(json!({
        "output": {"parquet": {"compression": compression, "enableDictionaryCompression": true}},
        "schema": {"columns": columns},
    }))
    .unwrap();
    let columns = conversion.schema.columns.clone().unwrap();
    let mut file = Converter::new(&conversion, &columns).unwrap().begin().unwrap();
    for row in rows {
        file.push(row.to_string().as_bytes()).unwrap();
    }
    file.finish().unwrap()
}

fn columns() -> serde_json::Value {
    json!([{"name": "id", "type": "int"}, {"name": "tags", "type": "array<string>"}])
}

fn rows(ids: std::ops::Range<u32>) -> Vec<serde_json::Value> {
    ids.map(|id| json!({"id": id, "tags": [format!("tag {}", id % 3), "x"]})).collect()
}

fn merge(files: &[Bytes]) -> Result<Bytes, MergeError> {
    let mut merge = ParquetMerge::default();
    let mut merged = PARQUET_HEAD.to_vec();
    for file in files {
        let length = file.len() as u64;
        let tail = file.len().saturating_sub(PARQUET_TAIL_BYTES as usize);
        let place = parquet_footer(length, &file[tail..])?;
        let cut = |range: &Range<u64>| &file[range.start as usize..range.end as usize];
        let body = merge.add(&place, cut(&place))?;
        merged.extend_from_slice(cut(&body));
    }
    merged.extend(merge.finish()?);
    Ok(merged.into())
}

/// The ids and tags, as the parquet crate reads them.
fn read(file: &Bytes) -> (usize, String) {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file.clone()).unwrap();
    let count = builder.metadata().num_row_groups();
    let batches: Vec<_> = builder.build().unwrap().map(Result::unwrap).collect();
    let rows = batches.iter().map(|batch| format!("{:?}", batch.columns())).collect::<String>();
    let total: usize = batches.iter().map(arrow_array::RecordBatch::num_rows).sum();
    (count, format!("{total} {rows}"))
}

#[test]
fn a_merged_file_has_the_rows_of_all() {
    for compression in ["UNCOMPRESSED", "SNAPPY", "GZIP"] {
        let part = |ids| file(&columns(), compression, &rows(ids));
        let merged = merge(&[part(0..5), part(5..6), part(6..30)]).unwrap();
        let (count, read_rows) = read(&merged);
        assert_eq!(count, 3, "{compression}");
        assert_eq!(read_rows, read(&part(0..30)).1, "{compression}");
        let again = merge(&[merged, part(30..40)]).unwrap();
        assert_eq!(read(&again), (4, read(&part(0..40)).1), "{compression}");
    }
}

#[test]
fn files_with_other_columns_are_not_merged() {
    let one = file(&columns(), "SNAPPY", &rows(0..3));
    let other = file(&json!([{"name": "id", "type": "string"}]), "SNAPPY", &[json!({"id": "a"})]);
    assert!(matches!(merge(&[one, other]), Err(MergeError::Schema)));
    assert!(matches!(merge(&[]), Err(MergeError::Short)));
}

#[test]
fn what_is_no_file_is_refused() {
    let whole = file(&columns(), "SNAPPY", &rows(0..3));
    for cut in [0, 1, 7, 8, 12, whole.len() - 1] {
        assert!(merge(&[whole.slice(..cut)]).is_err(), "{cut}");
    }
    // A footer that is longer than the file, and one that is too long.
    let length = |length: u32| [&length.to_le_bytes()[..], b"PAR1"].concat();
    assert!(matches!(parquet_footer(100, &length(93)), Err(MergeError::Short)));
    assert!(matches!(parquet_footer(u64::MAX, &length(u32::MAX)), Err(MergeError::Many)));
    assert_eq!(parquet_footer(100, &length(80)).unwrap(), 12..92);
}

proptest! {
    #[test]
    fn damage_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = file(&columns(), "SNAPPY", &rows(0..3)).to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = merge(&[bytes.into()]);
    }
}
