//! Objects while they are written: what is held is compressed, but for the block or window that a
//! compressor looks at. The same pushes give the same object.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use operator_api::delivery_stream::ObjectCompression;

use super::hadoop_snappy::HadoopSnappy;
use super::zip::Zip;

/// The largest object before compression: what the fields of a ZIP archive hold.
pub const OBJECT_BYTES_MAX: u64 = u32::MAX as u64 - 1;

/// As fast as it gets without much loss: the library's own default.
const ZSTD_LEVEL: i32 = 3;

/// An object that is being written.
pub struct ObjectWriter {
    body: Body,
    raw_len: u64,
}

enum Body {
    Plain(Vec<u8>),
    Gzip(GzEncoder<Vec<u8>>),
    Zip(Zip),
    Snappy(Box<snap::write::FrameEncoder<Vec<u8>>>),
    HadoopSnappy(Box<HadoopSnappy>),
    Zstd(Box<zstd::stream::write::Encoder<'static, Vec<u8>>>),
}

/// Why an object cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Nothing was taken: finish the object and begin another.
    #[error("write object: more than {OBJECT_BYTES_MAX} bytes")]
    Full,
    /// The library gave up: the object is lost, its records must be written to another.
    #[error("compress object")]
    Compress(#[source] io::Error),
}

impl ObjectWriter {
    /// An empty object.
    ///
    /// # Errors
    /// `Compress` when the library has no memory.
    pub fn new(compression: ObjectCompression) -> Result<ObjectWriter, WriteError> {
        let body = match compression {
            ObjectCompression::Uncompressed => Body::Plain(Vec::new()),
            ObjectCompression::Gzip => {
                Body::Gzip(GzEncoder::new(Vec::new(), Compression::default()))
            }
            ObjectCompression::Zip => Body::Zip(Zip::new()),
            ObjectCompression::Snappy => {
                Body::Snappy(Box::new(snap::write::FrameEncoder::new(Vec::new())))
            }
            ObjectCompression::HadoopSnappy => Body::HadoopSnappy(Box::new(HadoopSnappy::new())),
            ObjectCompression::Zstd => {
                let encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL);
                Body::Zstd(Box::new(encoder.map_err(WriteError::Compress)?))
            }
        };
        Ok(ObjectWriter { body, raw_len: 0 })
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// Per variant of [`WriteError`].
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let raw_len = self.raw_len.saturating_add(bytes.len() as u64);
        if OBJECT_BYTES_MAX < raw_len {
            return Err(WriteError::Full);
        }
        match &mut self.body {
            Body::Plain(held) => {
                held.extend_from_slice(bytes);
                Ok(())
            }
            Body::Gzip(encoder) => encoder.write_all(bytes),
            Body::Zip(zip) => zip.push(bytes),
            Body::Snappy(encoder) => encoder.write_all(bytes),
            Body::HadoopSnappy(encoder) => encoder.push(bytes),
            Body::Zstd(encoder) => encoder.write_all(bytes),
        }
        .map_err(WriteError::Compress)?;
        self.raw_len = raw_len;
        Ok(())
    }

    /// How many bytes were pushed.
    #[must_use]
    pub fn raw_len(&self) -> u64 {
        self.raw_len
    }

    /// Whether none were.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.raw_len == 0
    }

    /// How many bytes the object has so far, without those the compressor still holds back.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.body {
            Body::Plain(held) => held.len(),
            Body::Gzip(encoder) => encoder.get_ref().len(),
            Body::Zip(zip) => zip.len(),
            Body::Snappy(encoder) => encoder.get_ref().len(),
            Body::HadoopSnappy(encoder) => encoder.len(),
            Body::Zstd(encoder) => encoder.get_ref().len(),
        }
    }

    /// The whole object. The one file of a ZIP archive is named for the object's `key`: what
    /// follows its last slash, without `.zip`.
    ///
    /// # Errors
    /// `Compress`: the object is lost.
    pub fn finish(self, key: &str) -> Result<Bytes, WriteError> {
        match self.body {
            Body::Plain(held) => Ok(held),
            Body::Gzip(encoder) => encoder.finish(),
            Body::Zip(zip) => return zip.finish(file_name(key)).map_err(WriteError::Compress),
            Body::Snappy(encoder) => {
                encoder.into_inner().map_err(snap::write::IntoInnerError::into_error)
            }
            Body::HadoopSnappy(encoder) => encoder.finish(),
            Body::Zstd(encoder) => encoder.finish(),
        }
        .map(Bytes::from)
        .map_err(WriteError::Compress)
    }
}

fn file_name(key: &str) -> &str {
    let name = key.rsplit_once('/').map_or(key, |(_, name)| name);
    name.strip_suffix(".zip").unwrap_or(name)
}

#[cfg(test)]
mod tests;
