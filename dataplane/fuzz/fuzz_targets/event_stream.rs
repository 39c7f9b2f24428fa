//! Event-stream messages: whatever comes is a message, the beginning of one, or an error.
#![no_main]

use aws_protocol::event_stream::Message;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut rest = Bytes::copy_from_slice(input);
    while let Ok(Some((message, length))) = Message::decode(&rest) {
        assert!(message.payload.len() < length && length <= rest.len());
        rest = rest.slice(length..);
    }
});
