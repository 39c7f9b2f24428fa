//! Objects while they are being filled.

use std::sync::Arc;

use bytes::Bytes;
use columnar::{Converter, File, FileError, Refused};
use delivery_core::objects::{
    ErrorOutputType, KeyError, ObjectId, ObjectWriter, PartitionKeys, WriteError,
};
use model::{Offset, ShardId, UnixMillis};

use crate::pipeline::Objected;
use crate::store::Store;

/// What an object takes while it is being filled, beside what is in it: what a compressor looks back on.
const WRITER_BYTES: usize = 256 << 10;

/// An object cannot be filled. Its records have to be read again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FillError {
    #[error("compress an object")]
    Write(#[from] WriteError),
    #[error("convert an object")]
    File(#[from] FileError),
}

/// Where the records of a window came from.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) stream_uid: u64,
    pub(crate) recipe: u128,
    pub(crate) version: u64,
    pub(crate) shard: ShardId,
    pub(crate) start: Offset,
}

impl Place {
    pub(crate) fn object(self, part: u32, keys: &PartitionKeys) -> ObjectId<'_> {
        let Place { stream_uid, recipe, version, shard, start: first_offset } = self;
        ObjectId { stream_uid, recipe, version, shard, first_offset, part, keys }
    }
}

/// What an object is of.
#[derive(Clone, Copy)]
pub(crate) enum Kind<'a> {
    /// Records, in this form if not as they are.
    Records(Option<&'a Converter>),
    /// Source records, as they came.
    Copies,
    /// Documents about records that were refused, with what follows the prefix of their keys.
    Refused(ErrorOutputType, &'a str),
}

/// One object after the other: each is full before the next is begun.
#[derive(Default)]
pub(crate) struct Series {
    /// How many are full.
    full: u32,
    filling: Option<Object>,
}

/// An object that is being filled.
struct Object {
    key: String,
    content: Content,
    source_bytes: usize,
    records: u64,
}

enum Content {
    Text(ObjectWriter),
    Columns(Box<File>),
}

/// An object that is full.
pub(crate) struct Full {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) key: String,
    pub(crate) bytes: Bytes,
    pub(crate) source_bytes: usize,
    pub(crate) records: u64,
}

/// What became of a record that was to be put into an object.
pub(crate) enum Pushed {
    Taken,
    /// There can be no such object.
    NoKey(KeyError),
    /// It does not fit the columns.
    Unfit(Refused),
}

impl Series {
    /// One whose objects are numbered from there.
    pub(crate) fn after(full: u32) -> Series {
        Series { full, filling: None }
    }

    /// Puts a record into the object that is being filled, which is begun for it if need be.
    pub(crate) fn push(
        &mut self,
        to: &Objected,
        kind: Kind<'_>,
        place: Place,
        keys: &PartitionKeys,
        (data, arrival): (&[u8], UnixMillis),
    ) -> Result<Pushed, FillError> {
        if self.filling.is_none() {
            let id = place.object(self.full, keys);
            let key = match kind {
                Kind::Records(_) => to.naming.key(&id, arrival),
                Kind::Copies => to.naming.copies_key(&id, arrival),
                Kind::Refused(output, below) => to.naming.error_key(&id, arrival, output, below),
            };
            let key = match key {
                Ok(key) => key,
                Err(error) => return Ok(Pushed::NoKey(error)),
            };
            let content = match kind {
                Kind::Records(Some(converter)) => Content::Columns(Box::new(converter.begin()?)),
                _ => Content::Text(ObjectWriter::new(to.compression)?),
            };
            self.filling = Some(Object { key, content, source_bytes: 0, records: 0 });
        }
        let Some(object) = &mut self.filling else { return Ok(Pushed::Taken) };
        match &mut object.content {
            Content::Text(writer) => writer.push(data)?,
            Content::Columns(file) => {
                if let Err(refused) = file.push(data) {
                    return Ok(Pushed::Unfit(refused));
                }
            }
        }
        object.source_bytes += data.len();
        object.records += 1;
        Ok(Pushed::Taken)
    }

    /// What went into the object that is being filled.
    pub(crate) fn source_bytes(&self) -> usize {
        self.filling.as_ref().map_or(0, |object| object.source_bytes)
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.filling.as_ref().map_or(0, |object| match &object.content {
            Content::Text(writer) => WRITER_BYTES + writer.len(),
            Content::Columns(file) => WRITER_BYTES + file.memory_bytes(),
        })
    }

    /// Ends the object that is being filled; `None` when there is none, or nothing in it.
    pub(crate) fn end(&mut self, to: &Objected) -> Result<Option<Full>, FillError> {
        let Some(Object { key, content, source_bytes, records }) = self.filling.take() else {
            return Ok(None);
        };
        if records == 0 {
            return Ok(None);
        }
        self.full += 1;
        let bytes = match content {
            Content::Text(writer) => writer.finish(&key)?,
            Content::Columns(file) => file.finish()?,
        };
        let store = Arc::clone(&to.store);
        Ok(Some(Full { store, key, bytes, source_bytes, records }))
    }
}
