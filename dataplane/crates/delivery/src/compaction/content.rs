//! What a merged object holds, and how it is written: piece by piece, never held as a whole.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use columnar::{PARQUET_HEAD, PARQUET_TAIL_BYTES, ParquetMerge, parquet_footer};
use delivery_core::objects::compaction::Listed;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutOptions};
use tokio::io::AsyncWriteExt;

use super::{CompactionError, Form};
use crate::store::path;

/// Read, and written, at a time: what S3 takes as a part of an upload. A few are held.
const PART_BYTES: usize = 5 << 20;

/// The pieces of an object, in order.
#[derive(Debug)]
pub(super) struct Content(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    Of(String, Range<u64>),
}

impl Content {
    /// Of these objects.
    pub(super) async fn of(
        form: Form,
        store: &Arc<dyn ObjectStore>,
        inputs: Vec<Listed>,
    ) -> Result<Content, CompactionError> {
        let whole = |Listed { key, bytes }| Piece::Of(key, 0..bytes);
        if form == Form::Joined {
            return Ok(Content(inputs.into_iter().map(whole).collect()));
        }
        let mut merge = ParquetMerge::default();
        let mut pieces = vec![Piece::Bytes(Bytes::from_static(PARQUET_HEAD))];
        for Listed { key, bytes } in inputs {
            let tail = read(store, &key, bytes.saturating_sub(PARQUET_TAIL_BYTES)..bytes).await?;
            let place = parquet_footer(bytes, &tail)?;
            let footer = read(store, &key, place.clone()).await?;
            pieces.push(Piece::Of(key, merge.add(&place, &footer)?));
        }
        pieces.push(Piece::Bytes(merge.finish()?.into()));
        Ok(Content(pieces))
    }

    /// Writes it as one object, whole or not at all.
    pub(super) async fn write(
        self,
        store: &Arc<dyn ObjectStore>,
        to: &Path,
        options: PutOptions,
    ) -> Result<(), CompactionError> {
        let mut writer = BufWriter::with_capacity(Arc::clone(store), to.clone(), PART_BYTES)
            .with_max_concurrency(1)
            .with_attributes(options.attributes);
        let written = self.write_to(store, &mut writer).await;
        if written.is_err() {
            // So that nobody has to pay for parts of nothing. It may fail as well.
            let _ = writer.abort().await;
            return written;
        }
        Ok(writer.shutdown().await?)
    }

    async fn write_to(
        self,
        store: &Arc<dyn ObjectStore>,
        writer: &mut BufWriter,
    ) -> Result<(), CompactionError> {
        for piece in self.0 {
            match piece {
                Piece::Bytes(bytes) => writer.put(bytes).await?,
                Piece::Of(key, Range { mut start, end }) => {
                    while start < end {
                        let next = end.min(start + PART_BYTES as u64);
                        writer.put(read(store, &key, start..next).await?).await?;
                        start = next;
                    }
                }
            }
        }
        Ok(())
    }
}

async fn read(
    store: &Arc<dyn ObjectStore>,
    key: &str,
    range: Range<u64>,
) -> Result<Bytes, CompactionError> {
    let length = range.end - range.start;
    let bytes = store.get_range(&path(key), range).await?;
    if bytes.len() as u64 == length { Ok(bytes) } else { Err(CompactionError::Short) }
}
