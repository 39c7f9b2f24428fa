//! What files are like, whatever the records say.

use parquet::basic::{Compression, Encoding};
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::tests::{ORC, PARQUET, columns, conversion, read_parquet, read_rows};
use super::*;

/// Rows of many sizes, enough for several batches and pages.
fn sample(output: &str, rows: usize) -> (File, Bytes) {
    let schema = "a int; s string; l array<struct<x:bigint,y:string>>; d decimal(12,3)";
    let converter = Converter::new(&conversion("{}", output), &columns(schema)).unwrap();
    let fill = || {
        let mut file = converter.begin().unwrap();
        for row in 0..rows {
            let elements = vec![format!(r#"{{"x":{row},"y":"{}"}}"#, row % 7); row % 4];
            let record = format!(
                r#"{{"a":{row},"s":"{}","l":[{}],"d":{row}.{}}}"#,
                "text ".repeat(row % 50),
                elements.join(","),
                row % 1000,
            );
            file.push(record.as_bytes()).unwrap();
        }
        file
    };
    (fill(), fill().finish().unwrap())
}

#[test]
fn the_same_records_make_the_same_bytes() {
    let gzip = r#"{"parquet":{"compression":"GZIP","writerVersion":"V2"}}"#;
    for output in [PARQUET, gzip, ORC, r#"{"orc":{"compression":"ZLIB"}}"#] {
        let (again, first) = sample(output, 20_000);
        assert_eq!(again.rows(), 20_000);
        assert!(again.source_bytes() > 2_000_000);
        assert!(again.memory_bytes() >= first.len() / 2, "{} bytes", again.memory_bytes());
        assert!(again.finish().unwrap() == first);
    }
}

#[test]
fn parquet_is_written_as_it_is_set() {
    let gzip = Compression::GZIP(Default::default());
    for (parquet, compression, dictionary, encoding, version) in [
        ("{}", Compression::SNAPPY, false, Encoding::PLAIN, 1),
        (
            r#"{"compression":"GZIP","enableDictionaryCompression":true}"#,
            gzip,
            true,
            { Encoding::RLE_DICTIONARY },
            1,
        ),
        (
            r#"{"compression":"UNCOMPRESSED","writerVersion":"V2","pageSizeKiB":64}"#,
            { Compression::UNCOMPRESSED },
            false,
            Encoding::DELTA_BINARY_PACKED,
            2,
        ),
        (r#"{"maxPaddingBytes":8388608}"#, Compression::SNAPPY, false, Encoding::PLAIN, 1),
    ] {
        let (_, file) = sample(&format!(r#"{{"parquet":{parquet}}}"#), 10_000);
        let reader = SerializedFileReader::new(file.clone()).unwrap();
        let metadata = reader.metadata();
        assert_eq!(metadata.file_metadata().version(), version, "{parquet}");
        assert_eq!(metadata.file_metadata().created_by(), Some(crate::CREATED_BY));
        assert!(metadata.file_metadata().key_value_metadata().is_none());
        assert_eq!(metadata.num_row_groups(), 1);
        let column = metadata.row_group(0).column(0);
        assert_eq!(column.compression(), compression, "{parquet}");
        assert_eq!(column.dictionary_page_offset().is_some(), dictionary, "{parquet}");
        let encodings = column.encodings().collect::<Vec<_>>();
        assert!(encodings.contains(&encoding), "{parquet}: {encodings:?}");
        let rows = show::rows(&read_parquet(&file));
        assert_eq!(rows.len(), 10_000);
        assert_eq!(
            rows[9_999],
            format!(
                "a=9999 s={:?} l=[(x=9999 y=\"3\"), (x=9999 y=\"3\"), (x=9999 y=\"3\")] d=9999.999",
                "text ".repeat(49)
            )
        );
    }
}

#[test]
fn a_row_group_ends_at_the_size_of_a_block() {
    let output = r#"{"parquet":{"compression":"UNCOMPRESSED","blockSizeMiB":64}}"#;
    let converter = Converter::new(&conversion("{}", output), &columns("s string")).unwrap();
    let mut file = converter.begin().unwrap();
    let record = format!(r#"{{"s":"{}"}}"#, "x".repeat(1_000_000));
    for _ in 0..150 {
        file.push(record.as_bytes()).unwrap();
    }
    let reader = SerializedFileReader::new(file.finish().unwrap()).unwrap();
    let sizes = reader.metadata().row_groups().iter().map(|group| group.num_rows());
    assert_eq!(sizes.collect::<Vec<_>>(), [67, 67, 16]);
}

#[test]
fn a_file_without_rows_is_a_file() {
    for (output, extension) in [(PARQUET, ".parquet"), (ORC, ".orc")] {
        let converter = Converter::new(&conversion("{}", output), &columns("a int")).unwrap();
        assert_eq!(converter.extension(), extension);
        let mut file = converter.begin().unwrap();
        file.push(b"{").unwrap_err();
        assert_eq!((file.rows(), file.source_bytes()), (0, 0));
        assert_eq!(read_rows(&file.finish().unwrap()).len(), 0);
    }
}

#[test]
fn files_go_from_thread_to_thread() {
    fn check<T: Send>() {}
    check::<Converter>();
    check::<File>();
}
