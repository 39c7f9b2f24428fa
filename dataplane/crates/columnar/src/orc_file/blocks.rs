//! Streams in blocks, each compressed on its own.

use std::io::{self, Write};

use flate2::write::DeflateEncoder;

/// How much is compressed at a time.
pub(super) const BLOCK_BYTES: usize = 256 * 1024;
const HEADER_BYTES: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    None,
    Zlib,
    Snappy,
}

/// A stream as it goes to the file.
pub(super) struct Blocks {
    pub(super) bytes: Vec<u8>,
    codec: Codec,
    /// Where in `bytes` each block starts.
    starts: Vec<usize>,
}

impl Blocks {
    pub(super) fn new(codec: Codec, content: Vec<u8>) -> io::Result<Blocks> {
        if codec == Codec::None {
            return Ok(Blocks { bytes: content, codec, starts: Vec::new() });
        }
        let mut bytes = Vec::with_capacity(content.len() / 2);
        let mut starts = Vec::new();
        for block in content.chunks(BLOCK_BYTES) {
            starts.push(bytes.len());
            push_block(&mut bytes, codec, block)?;
        }
        // Where the stream ends a block could start.
        starts.push(bytes.len());
        Ok(Blocks { bytes, codec, starts })
    }

    /// How a reader finds a byte of the content: in one number or in two.
    pub(super) fn push_position(&self, position: usize, positions: &mut Vec<u64>) {
        if self.codec == Codec::None {
            positions.push(position as u64);
            return;
        }
        positions.push(self.starts[position / BLOCK_BYTES] as u64);
        positions.push((position % BLOCK_BYTES) as u64);
    }
}

/// A block that does not shrink is kept as it is.
fn push_block(bytes: &mut Vec<u8>, codec: Codec, block: &[u8]) -> io::Result<()> {
    let compressed = match codec {
        Codec::Snappy => snap::raw::Encoder::new().compress_vec(block).map_err(io::Error::other)?,
        Codec::Zlib | Codec::None => {
            let mut encoder = DeflateEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(block)?;
            encoder.finish()?
        }
    };
    let is_original = block.len() <= compressed.len();
    let kept = if is_original { block } else { &compressed };
    let header = (kept.len() << 1 | usize::from(is_original)).to_le_bytes();
    bytes.extend_from_slice(&header[..HEADER_BYTES]);
    bytes.extend_from_slice(kept);
    Ok(())
}
