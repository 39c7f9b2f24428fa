//! Snappy as Hadoop's SnappyCodec writes it, by way of BlockCompressorStream.
//!
//! ```text
//!  block: length before compression: u32 BE | length: u32 BE | raw Snappy
//! ```
//!
//! A block may hold several such chunks. Here, as in Hadoop for what is written piece by piece, it
//! holds one, and none is larger before compression than Hadoop's buffers.

use std::io;

/// What fits Hadoop's buffer of 256 KiB once it is compressed, at worst: a sixth and 32 bytes more.
pub(super) const BLOCK_BYTES_MAX: usize = (256 << 10) - ((256 << 10) / 6 + 32);

pub(super) struct HadoopSnappy {
    /// Less than a block.
    pending: Vec<u8>,
    written: Vec<u8>,
    encoder: snap::raw::Encoder,
}

impl HadoopSnappy {
    pub(super) fn new() -> HadoopSnappy {
        let (pending, written) = (Vec::new(), Vec::new());
        HadoopSnappy { pending, written, encoder: snap::raw::Encoder::new() }
    }

    pub(super) fn push(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (block, rest) =
                bytes.split_at(bytes.len().min(BLOCK_BYTES_MAX - self.pending.len()));
            self.pending.extend_from_slice(block);
            bytes = rest;
            if self.pending.len() == BLOCK_BYTES_MAX {
                self.write_block()?;
            }
        }
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.written.len()
    }

    pub(super) fn finish(mut self) -> io::Result<Vec<u8>> {
        if !self.pending.is_empty() {
            self.write_block()?;
        }
        Ok(self.written)
    }

    fn write_block(&mut self) -> io::Result<()> {
        const LENGTHS: usize = 8;
        let start = self.written.len();
        self.written.resize(start + LENGTHS + snap::raw::max_compress_len(self.pending.len()), 0);
        let compressed = &mut self.written[start + LENGTHS..];
        let length = self.encoder.compress(&self.pending, compressed)?;
        self.written.truncate(start + LENGTHS + length);
        let lengths = &mut self.written[start..start + LENGTHS];
        lengths[..4].copy_from_slice(&be_u32(self.pending.len()));
        lengths[4..].copy_from_slice(&be_u32(length));
        self.pending.clear();
        Ok(())
    }
}

fn be_u32(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("a block is smaller than 256 KiB").to_be_bytes()
}
