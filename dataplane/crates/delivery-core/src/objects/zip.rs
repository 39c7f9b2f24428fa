//! A ZIP archive of one file, of a fixed time stamp, so that the same bytes make the same archive.
//!
//! ```text
//!  room for the longest header │ local header, name │ DEFLATE │ central directory │ its end
//!                              └─ the archive begins here, once the name is known
//! ```
//!
//! The `zip` crate writes the name before the data; a key is known only after them.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};

use super::naming::KEY_BYTES_MAX;

const LOCAL_HEADER_BYTES: usize = 30;
const HEADER_ROOM: usize = LOCAL_HEADER_BYTES + KEY_BYTES_MAX;

/// 2.0, as DEFLATE needs.
const VERSION: u16 = 20;
/// Names are UTF-8.
const FLAGS: u16 = 1 << 11;
const DEFLATE: u16 = 8;
const MIDNIGHT: u16 = 0;
/// 1980-01-01, the first day there is.
const FIRST_DAY: u16 = 1 << 5 | 1;

pub(super) struct Zip {
    /// Behind the room for the header.
    encoder: DeflateEncoder<Vec<u8>>,
    crc: Crc,
}

impl Zip {
    pub(super) fn new() -> Zip {
        let encoder = DeflateEncoder::new(vec![0; HEADER_ROOM], Compression::default());
        Zip { encoder, crc: Crc::new() }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.crc.update(bytes);
        self.encoder.write_all(bytes)
    }

    pub(super) fn len(&self) -> usize {
        self.encoder.get_ref().len() - HEADER_ROOM
    }

    /// `name` is cut where no key is that long.
    pub(super) fn finish(self, name: &str) -> io::Result<Bytes> {
        let name = &name[..name.floor_char_boundary(KEY_BYTES_MAX)];
        let mut archive = self.encoder.finish()?;
        let facts = facts(&self.crc, archive.len() - HEADER_ROOM, name)?;
        let start = HEADER_ROOM - LOCAL_HEADER_BYTES - name.len();
        let header = local_header(&facts);
        archive[start..start + LOCAL_HEADER_BYTES].copy_from_slice(&header);
        archive[start + LOCAL_HEADER_BYTES..HEADER_ROOM].copy_from_slice(name.as_bytes());
        let directory_at = too_large(archive.len() - start)?;
        push_directory(&facts, name, &mut archive);
        let directory_bytes = too_large(archive.len() - start)? - directory_at;
        push_end(directory_at, directory_bytes, &mut archive);
        Ok(Bytes::from(archive).slice(start..))
    }
}

/// What both headers say: from the version to the length of the extra field, which there is none
/// of.
fn facts(crc: &Crc, compressed: usize, name: &str) -> io::Result<Vec<u8>> {
    let mut facts = Vec::with_capacity(26);
    for value in [VERSION, FLAGS, DEFLATE, MIDNIGHT, FIRST_DAY] {
        facts.extend_from_slice(&value.to_le_bytes());
    }
    // The length is modulo 2^32; no object is longer.
    for value in [crc.sum(), too_large(compressed)?, crc.amount()] {
        facts.extend_from_slice(&value.to_le_bytes());
    }
    let name_bytes = u16::try_from(name.len()).map_err(io::Error::other)?;
    for value in [name_bytes, 0] {
        facts.extend_from_slice(&value.to_le_bytes());
    }
    Ok(facts)
}

fn too_large(bytes: usize) -> io::Result<u32> {
    u32::try_from(bytes).map_err(|_| io::Error::other("a ZIP archive is smaller than 4 GiB"))
}

fn local_header(facts: &[u8]) -> [u8; LOCAL_HEADER_BYTES] {
    let mut header = [0; LOCAL_HEADER_BYTES];
    header[..4].copy_from_slice(b"PK\x03\x04");
    header[4..].copy_from_slice(facts);
    header
}

fn push_directory(facts: &[u8], name: &str, archive: &mut Vec<u8>) {
    archive.extend_from_slice(b"PK\x01\x02");
    // Made by a program that knows of files what DOS did.
    archive.extend_from_slice(&VERSION.to_le_bytes());
    archive.extend_from_slice(facts);
    // No comment, the first disk, no attributes of two kinds, at the start.
    archive.extend_from_slice(&[0; 2 + 2 + 2 + 4 + 4]);
    archive.extend_from_slice(name.as_bytes());
}

fn push_end(directory_at: u32, directory_bytes: u32, archive: &mut Vec<u8>) {
    archive.extend_from_slice(b"PK\x05\x06");
    // This disk and the directory's, both the first; the files on it and in all.
    for value in [0_u16, 0, 1, 1] {
        archive.extend_from_slice(&value.to_le_bytes());
    }
    archive.extend_from_slice(&directory_bytes.to_le_bytes());
    archive.extend_from_slice(&directory_at.to_le_bytes());
    // No comment.
    archive.extend_from_slice(&[0; 2]);
}
