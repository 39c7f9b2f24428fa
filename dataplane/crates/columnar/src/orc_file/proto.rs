//! Protocol buffers, as far as an ORC file's own descriptions need them.

/// A message that is being written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    pub(super) fn bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn uint(&mut self, field: u32, value: u64) {
        self.key(field, 0);
        push_varint(&mut self.bytes, value.into());
    }

    /// A signed number, of type sint64.
    pub(super) fn sint(&mut self, field: u32, value: i64) {
        self.uint(field, zigzag(value));
    }

    pub(super) fn double(&mut self, field: u32, value: f64) {
        self.key(field, 1);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn blob(&mut self, field: u32, value: &[u8]) {
        self.key(field, 2);
        push_varint(&mut self.bytes, value.len() as u128);
        self.bytes.extend_from_slice(value);
    }

    pub(super) fn message(&mut self, field: u32, value: Message) {
        self.blob(field, &value.bytes);
    }

    pub(super) fn packed(&mut self, field: u32, values: impl IntoIterator<Item = u64>) {
        let mut packed = Vec::new();
        for value in values {
            push_varint(&mut packed, value.into());
        }
        self.blob(field, &packed);
    }

    fn key(&mut self, field: u32, wire_type: u64) {
        push_varint(&mut self.bytes, (u64::from(field) << 3 | wire_type).into());
    }
}

/// Seven bits a byte, lowest first.
pub(super) fn push_varint(bytes: &mut Vec<u8>, mut value: u128) {
    while 0x80 <= value {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Small numbers of both signs to small numbers without.
pub(super) fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

/// As [`zigzag`].
pub(super) fn wide_zigzag(value: i128) -> u128 {
    (value << 1 ^ value >> 127) as u128
}
