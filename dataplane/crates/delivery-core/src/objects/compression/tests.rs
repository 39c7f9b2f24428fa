use std::io::{Cursor, Read};

use flate2::read::MultiGzDecoder;
use proptest::prelude::*;

use super::super::hadoop_snappy::BLOCK_BYTES_MAX;
use super::*;

const ALL: [ObjectCompression; 6] = [
    ObjectCompression::Uncompressed,
    ObjectCompression::Gzip,
    ObjectCompression::Zip,
    ObjectCompression::Snappy,
    ObjectCompression::HadoopSnappy,
    ObjectCompression::Zstd,
];

fn write(compression: ObjectCompression, pushes: &[&[u8]]) -> Bytes {
    let mut writer = ObjectWriter::new(compression).unwrap();
    for bytes in pushes {
        writer.push(bytes).unwrap();
    }
    assert_eq!(writer.raw_len(), pushes.iter().map(|bytes| bytes.len() as u64).sum::<u64>());
    let held = writer.len();
    let object = writer.finish("data/2026/02/03/04/clicks-1.zip").unwrap();
    assert!(held <= object.len());
    object
}

fn read(compression: ObjectCompression, object: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    match compression {
        ObjectCompression::Uncompressed => bytes.extend_from_slice(object),
        ObjectCompression::Gzip => {
            MultiGzDecoder::new(object).read_to_end(&mut bytes).unwrap();
        }
        ObjectCompression::Zip => {
            let mut archive = zip::ZipArchive::new(Cursor::new(object)).unwrap();
            assert_eq!(archive.len(), 1);
            let mut file = archive.by_index(0).unwrap();
            assert_eq!(file.name().unwrap(), "clicks-1");
            file.read_to_end(&mut bytes).unwrap();
        }
        ObjectCompression::Snappy => {
            snap::read::FrameDecoder::new(object).read_to_end(&mut bytes).unwrap();
        }
        ObjectCompression::HadoopSnappy => return read_hadoop_snappy(object),
        ObjectCompression::Zstd => bytes = zstd::stream::decode_all(object).unwrap(),
    }
    bytes
}

/// As BlockDecompressorStream reads: chunks until a block's length is reached.
fn read_hadoop_snappy(mut object: &[u8]) -> Vec<u8> {
    fn number(object: &mut &[u8]) -> usize {
        let (number, rest) = object.split_first_chunk::<4>().unwrap();
        *object = rest;
        u32::from_be_bytes(*number) as usize
    }
    let mut bytes = Vec::new();
    while !object.is_empty() {
        let end = bytes.len() + number(&mut object);
        while bytes.len() < end {
            let length = number(&mut object);
            let (chunk, rest) = object.split_at(length);
            let chunk = snap::raw::Decoder::new().decompress_vec(chunk).unwrap();
            assert!(chunk.len() <= 256 << 10, "Hadoop's buffer");
            bytes.extend_from_slice(&chunk);
            object = rest;
        }
        assert_eq!(bytes.len(), end);
    }
    bytes
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = |state: &mut u64| {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        state.to_le_bytes()[0]
    };
    (0..bytes).map(|_| next(&mut state)).collect()
}

#[test]
fn objects_hold_what_was_pushed() {
    let text = "{\"customer\": 42}\n".repeat(50_000).into_bytes();
    let noise = noise(BLOCK_BYTES_MAX * 2 + 1);
    for compression in ALL {
        for bytes in [&b""[..], b"a", &text, &noise, &noise[..BLOCK_BYTES_MAX]] {
            let object = write(compression, &[bytes]);
            assert!(read(compression, &object) == bytes, "{compression:?} of {}", bytes.len());
            if compression != ObjectCompression::Uncompressed && bytes == text {
                assert!(object.len() < text.len() / 10, "{compression:?}: {}", object.len());
            }
        }
    }
}

#[test]
fn objects_one_behind_the_other_are_one_but_for_archives() {
    let noise = noise(BLOCK_BYTES_MAX + 1);
    for compression in ALL.into_iter().filter(|it| *it != ObjectCompression::Zip) {
        let parts = [&b"a\n"[..], &noise, b"", b"b\n"].map(|part| write(compression, &[part]));
        let whole = [&b"a\n"[..], &noise, b"b\n"].concat();
        assert!(read(compression, &parts.concat()) == whole, "{compression:?}");
    }
}

#[test]
fn only_what_is_compressed_is_held() {
    let text = "{\"customer\": 42}\n".repeat(50_000).into_bytes();
    for compression in ALL.into_iter().filter(|it| *it != ObjectCompression::Uncompressed) {
        let mut writer = ObjectWriter::new(compression).unwrap();
        (0..20).for_each(|_| writer.push(&text).unwrap());
        assert!(writer.len() < text.len() * 2, "{compression:?}: {}", writer.len());
    }
}

#[test]
fn what_zip_and_gzip_say_of_time_is_fixed() {
    let object = write(ObjectCompression::Gzip, &[b"a"]);
    assert_eq!(object[4..8], [0; 4], "no time");
    let object = write(ObjectCompression::Zip, &[b"a"]);
    let mut archive = zip::ZipArchive::new(Cursor::new(object)).unwrap();
    let time = archive.by_index(0).unwrap().last_modified().unwrap();
    assert_eq!(time.to_string(), "1980-01-01 00:00:00");
}

#[test]
fn the_file_of_an_archive_is_named_for_its_object() {
    let check = |key: &str, want: &str| {
        let object = ObjectWriter::new(ObjectCompression::Zip).unwrap().finish(key).unwrap();
        let archive = zip::ZipArchive::new(Cursor::new(object)).unwrap();
        assert_eq!(archive.name_for_index(0).unwrap().unwrap(), want);
    };
    check("a/b/clicks-1-2026.zip", "clicks-1-2026");
    check("clicks.json", "clicks.json");
    check("a/ключ.zip", "ключ");
    check(&("x/".to_owned() + &"ß".repeat(600)), &"ß".repeat(512));
}

#[test]
fn a_full_object_takes_no_more() {
    let mut writer = ObjectWriter::new(ObjectCompression::Zip).unwrap();
    writer.raw_len = OBJECT_BYTES_MAX;
    assert!(matches!(writer.push(b"a"), Err(WriteError::Full)));
    assert!(matches!(writer.push(b""), Ok(())));
}

proptest! {
    #[test]
    fn the_same_pushes_make_the_same_object(
        pushes in proptest::collection::vec(proptest::collection::vec(0..4_u8, 0..2_000), 0..20),
    ) {
        let pushes: Vec<&[u8]> = pushes.iter().map(Vec::as_slice).collect();
        for compression in ALL {
            let object = write(compression, &pushes);
            prop_assert_eq!(&object, &write(compression, &pushes));
            prop_assert_eq!(read(compression, &object), pushes.concat());
        }
    }
}
