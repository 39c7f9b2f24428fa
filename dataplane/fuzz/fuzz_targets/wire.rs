//! Frames as a broken or wrong node could send them: none panics, and what decodes comes back as it went.
#![no_main]

use bytes::{Buf, BufMut, BytesMut};
use libfuzzer_sys::fuzz_target;
use model::Offset;
use shard_log::{Batch, RecordBuffer};
use wire::{Call, Frame, Reply};

fuzz_target!(|input: &[u8]| {
    take(BytesMut::from(input));
    // The same bytes under a right length, so that what is behind it is reached too.
    let length = u32::try_from(8 + input.len()).expect("inputs are short");
    let mut framed = BytesMut::new();
    framed.put_u32_le(length);
    framed.put_u64_le(7);
    framed.put_slice(input);
    take(framed);
});

fn take(mut buffer: BytesMut) {
    while let Ok(Some(frame)) = Frame::take(&mut buffer) {
        let id = frame.id;
        if let Ok(call) = frame.clone().call() {
            assert_eq!(again(call.encode(id)).call().as_ref(), Ok(&call));
            if let Call::Append { record_count, records, .. } = call {
                let _ = RecordBuffer::from_encoded(records.into(), record_count);
            }
        }
        if let Ok(reply) = frame.reply() {
            assert_eq!(again(reply.encode(id)).reply().as_ref(), Ok(&reply));
            if let Reply::Records(records) = reply {
                records.batches.into_iter().for_each(|batch| {
                    let (base, sealed) = (batch.base_offset, batch.is_sealed);
                    let batch = Batch::received(base, batch.timestamp, sealed, batch.payload);
                    batch.records_from(Offset(base.0 + 1)).for_each(drop);
                });
            }
        }
    }
}

fn again(encoded: impl Buf) -> Frame {
    let mut frame = BytesMut::new();
    frame.put(encoded);
    let taken = Frame::take(&mut frame);
    taken.expect("just encoded").expect("it is whole")
}
