//! Runs of numbers, bytes and bits: run length encoding, version 2 of it for numbers.

use super::proto::{push_varint, zigzag};

/// The most numbers of a run.
const RUN_MAX: usize = 512;
/// Repeats from here on are worth a run of their own.
const REPEATS_MIN: usize = 8;
const SHORT_REPEAT_MIN: usize = 3;
const SHORT_REPEAT_MAX: usize = 10;

const BYTE_REPEAT_MIN: usize = 3;
const BYTE_REPEAT_MAX: usize = 130;
const BYTE_LITERALS_MAX: usize = 128;

/// Where a reader finds the next value: the start of a run, and how many to leave out from there.
pub(super) type Position = (usize, usize);

/// Numbers, signed or not.
pub(super) struct IntegerRuns {
    is_signed: bool,
    bytes: Vec<u8>,
    pending: Vec<i64>,
    /// How many at the end of `pending` are equal.
    repeats: usize,
}

impl IntegerRuns {
    pub(super) fn signed() -> IntegerRuns {
        IntegerRuns { is_signed: true, bytes: Vec::new(), pending: Vec::new(), repeats: 0 }
    }

    /// For numbers that are not negative.
    pub(super) fn unsigned() -> IntegerRuns {
        IntegerRuns { is_signed: false, ..IntegerRuns::signed() }
    }

    pub(super) fn push(&mut self, value: i64) {
        if self.pending.last() == Some(&value) {
            self.repeats += 1;
            if self.repeats == REPEATS_MIN && REPEATS_MIN < self.pending.len() + 1 {
                self.split_off_repeats();
            }
        } else {
            if REPEATS_MIN <= self.repeats {
                self.flush();
            }
            self.repeats = 1;
        }
        self.pending.push(value);
        if self.pending.len() == RUN_MAX {
            self.flush();
        }
    }

    pub(super) fn position(&self) -> Position {
        (self.bytes.len(), self.pending.len())
    }

    pub(super) fn size(&self) -> usize {
        self.bytes.len() + self.pending.len() * 8
    }

    pub(super) fn finish(&mut self) -> Vec<u8> {
        self.flush();
        std::mem::take(&mut self.bytes)
    }

    /// Ends a run before the repeats, of which the last is not pending yet.
    fn split_off_repeats(&mut self) {
        let repeats = self.pending.split_off(self.pending.len() + 1 - REPEATS_MIN);
        self.flush();
        self.pending = repeats;
        self.repeats = REPEATS_MIN;
    }

    fn flush(&mut self) {
        self.repeats = 0;
        let values = std::mem::take(&mut self.pending);
        let Some((first, rest)) = values.split_first() else {
            return;
        };
        let is_repeat = rest.iter().all(|value| value == first);
        if is_repeat && (SHORT_REPEAT_MIN..=SHORT_REPEAT_MAX).contains(&values.len()) {
            self.push_short_repeat(*first, values.len());
        } else if !self.push_deltas(&values) {
            self.push_direct(&values);
        }
        self.pending = values;
        self.pending.clear();
    }

    fn push_short_repeat(&mut self, value: i64, count: usize) {
        let value = self.unsigned_of(value);
        let width = (bit_width(value).div_ceil(8)).max(1);
        self.bytes.push((width as u8 - 1) << 3 | (count - SHORT_REPEAT_MIN) as u8);
        self.bytes.extend_from_slice(&value.to_be_bytes()[8 - width..]);
    }

    fn push_direct(&mut self, values: &[i64]) {
        let widest = values.iter().fold(0, |bits, value| bits | self.unsigned_of(*value));
        let width = storable_width(bit_width(widest).max(1));
        self.push_header(0b01, width_code(width), values.len());
        let values = values.iter().map(|value| self.unsigned_of(*value)).collect::<Vec<_>>();
        push_packed(&mut self.bytes, values.into_iter(), width);
    }

    /// A first value, a first step, and the sizes of further steps, all of one direction. False if
    /// the values are not so, or take less as they are.
    fn push_deltas(&mut self, values: &[i64]) -> bool {
        let [first, second, ..] = *values else {
            return false;
        };
        let Some(first_step) = second.checked_sub(first) else {
            return false;
        };
        let (mut is_even, mut steps, mut widest) = (true, Vec::new(), 0);
        for pair in values[1..].windows(2) {
            let Some(step) = pair[1].checked_sub(pair[0]) else {
                return false;
            };
            // A reader takes the direction from the first step.
            if if first_step < 0 { 0 < step } else { step < 0 } {
                return false;
            }
            is_even &= step == first_step;
            steps.push(step.unsigned_abs());
            widest |= step.unsigned_abs();
        }
        if is_even {
            self.push_header(0b11, 0, values.len());
            self.push_base(first, first_step);
            return true;
        }
        // Code 0 says that steps are even, so one bit takes two.
        let width = storable_width(bit_width(widest).max(2));
        let direct = values.iter().fold(0, |bits, value| bits | self.unsigned_of(*value));
        if storable_width(bit_width(direct)) <= width {
            return false;
        }
        self.push_header(0b11, width_code(width), values.len());
        self.push_base(first, first_step);
        push_packed(&mut self.bytes, steps.into_iter(), width);
        true
    }

    fn push_base(&mut self, first: i64, first_step: i64) {
        let first = self.unsigned_of(first);
        push_varint(&mut self.bytes, first.into());
        push_varint(&mut self.bytes, zigzag(first_step).into());
    }

    fn push_header(&mut self, encoding: u8, width_code: u8, count: usize) {
        let length = (count - 1) as u16;
        self.bytes.push(encoding << 6 | width_code << 1 | (length >> 8) as u8);
        self.bytes.push(length as u8);
    }

    fn unsigned_of(&self, value: i64) -> u64 {
        if self.is_signed { zigzag(value) } else { value as u64 }
    }
}

fn bit_width(value: u64) -> usize {
    64 - value.leading_zeros() as usize
}

/// The next width that can be told in five bits.
fn storable_width(width: usize) -> usize {
    match width {
        ..=24 => width,
        25..=32 => width.next_multiple_of(2),
        _ => width.next_multiple_of(8),
    }
}

fn width_code(width: usize) -> u8 {
    let code = match width {
        ..=24 => width - 1,
        25..=32 => 24 + (width - 26) / 2,
        _ => 28 + (width - 40) / 8,
    };
    code as u8
}

/// The lowest `width` bits of each value, highest first, and zeros up to a whole byte.
fn push_packed(bytes: &mut Vec<u8>, values: impl Iterator<Item = u64>, width: usize) {
    let mut buffer = 0_u128;
    let mut filled = 0;
    for value in values {
        buffer = buffer << width | u128::from(value);
        filled += width;
        while 8 <= filled {
            filled -= 8;
            bytes.push((buffer >> filled) as u8);
        }
    }
    if 0 < filled {
        bytes.push((buffer << (8 - filled)) as u8);
    }
}

/// Bytes.
#[derive(Default)]
pub(super) struct ByteRuns {
    bytes: Vec<u8>,
    pending: Vec<u8>,
    /// How many at the end of `pending` are equal.
    repeats: usize,
}

impl ByteRuns {
    pub(super) fn push(&mut self, value: u8) {
        let is_run = BYTE_REPEAT_MIN <= self.repeats && self.repeats == self.pending.len();
        if self.pending.last() == Some(&value) {
            self.repeats += 1;
        } else {
            if is_run {
                self.flush();
            }
            self.repeats = 1;
        }
        self.pending.push(value);
        if self.repeats == BYTE_REPEAT_MIN && BYTE_REPEAT_MIN < self.pending.len() {
            let run = self.pending.split_off(self.pending.len() - BYTE_REPEAT_MIN);
            self.repeats = 0;
            self.flush();
            self.pending.extend(run);
            self.repeats = BYTE_REPEAT_MIN;
        }
        let is_run = BYTE_REPEAT_MIN <= self.repeats;
        let most = if is_run { BYTE_REPEAT_MAX } else { BYTE_LITERALS_MAX };
        if self.pending.len() == most {
            self.flush();
        }
    }

    pub(super) fn position(&self) -> Position {
        (self.bytes.len(), self.pending.len())
    }

    pub(super) fn size(&self) -> usize {
        self.bytes.len() + self.pending.len()
    }

    pub(super) fn finish(&mut self) -> Vec<u8> {
        self.flush();
        std::mem::take(&mut self.bytes)
    }

    fn flush(&mut self) {
        let count = self.pending.len();
        if BYTE_REPEAT_MIN <= self.repeats && self.repeats == count {
            self.bytes.push((count - BYTE_REPEAT_MIN) as u8);
            self.bytes.push(self.pending[0]);
        } else if 0 < count {
            self.bytes.push((count as u8).wrapping_neg());
            self.bytes.extend_from_slice(&self.pending);
        }
        self.pending.clear();
        self.repeats = 0;
    }
}

/// Bits, in bytes, highest first.
#[derive(Default)]
pub(super) struct BitRuns {
    bytes: ByteRuns,
    current: u8,
    filled: u32,
}

impl BitRuns {
    pub(super) fn push(&mut self, value: bool) {
        self.current = self.current << 1 | u8::from(value);
        self.filled += 1;
        if self.filled == 8 {
            self.bytes.push(self.current);
            (self.current, self.filled) = (0, 0);
        }
    }

    /// And how many bits to leave out from there.
    pub(super) fn position(&self) -> (Position, usize) {
        (self.bytes.position(), self.filled as usize)
    }

    pub(super) fn size(&self) -> usize {
        self.bytes.size() + 1
    }

    pub(super) fn finish(&mut self) -> Vec<u8> {
        if 0 < self.filled {
            self.bytes.push(self.current << (8 - self.filled));
            (self.current, self.filled) = (0, 0);
        }
        self.bytes.finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::read;
    use super::*;

    fn integers(values: impl IntoIterator<Item = i64>, is_signed: bool) -> Vec<u8> {
        let mut runs = IntegerRuns { is_signed, ..IntegerRuns::signed() };
        values.into_iter().for_each(|value| runs.push(value));
        runs.finish()
    }

    /// The examples of the ORC specification.
    #[test]
    fn integers_are_encoded_as_specified() {
        assert_eq!(integers([10_000; 5], false), [0x0a, 0x27, 0x10]);
        assert_eq!(
            integers([23_713, 43_806, 57_005, 48_879], false),
            [0x5e, 0x03, 0x5c, 0xa1, 0xab, 0x1e, 0xde, 0xad, 0xbe, 0xef]
        );
        // In three bits a step; the specification's own takes four.
        assert_eq!(
            integers([2, 3, 5, 7, 11, 13, 17, 19, 23, 29], false),
            [0xc4, 0x09, 0x02, 0x02, 0x4a, 0x28, 0xa6]
        );
        assert_eq!(integers([7; 100], true), [0xc0, 0x63, 0x0e, 0x00]);
        assert_eq!(integers(0..100, false), [0xc0, 0x63, 0x00, 0x02]);
        assert!(integers([], true).is_empty());
    }

    #[test]
    fn bytes_are_encoded_as_specified() {
        let bytes = |values: &[u8]| {
            let mut runs = ByteRuns::default();
            values.iter().for_each(|value| runs.push(*value));
            runs.finish()
        };
        assert_eq!(bytes(&[0; 100]), [0x61, 0x00]);
        assert_eq!(bytes(&[0x44, 0x45]), [0xfe, 0x44, 0x45]);
        assert_eq!(bytes(&[1, 2, 2, 2, 3]), [0xff, 1, 0x00, 2, 0xff, 3]);
        assert_eq!(bytes(&[5; 131]), [0x7f, 5, 0xff, 5]);
        let literals = (0..129).collect::<Vec<u8>>();
        assert_eq!(bytes(&literals), [&[0x80], &literals[..128], &[0xff, 128]].concat());
        let mut bits = BitRuns::default();
        (0..8).for_each(|index| bits.push(index == 0));
        assert_eq!(bits.finish(), [0xff, 0x80]);
    }

    /// Numbers of all widths, with repeats and steps among them.
    fn runs_of_integers() -> impl Strategy<Value = Vec<i64>> {
        let run = prop_oneof![
            (any::<i64>(), 0_u32..64, 1_usize..30)
                .prop_map(|(value, shift, count)| vec![value >> shift; count]),
            (any::<i32>(), -3_i64..3, 1_usize..600).prop_map(|(first, step, count)| {
                (0..count as i64).map(|index| i64::from(first) + index * step).collect()
            }),
            (proptest::collection::vec(any::<i64>(), 0..20), 0_u32..64)
                .prop_map(|(values, shift)| values.iter().map(|value| value >> shift).collect()),
            proptest::collection::vec(0_i64..4, 0..40),
        ];
        proptest::collection::vec(run, 0..8).prop_map(|runs| runs.concat())
    }

    proptest! {
        #[test]
        fn integers_are_read_as_they_were(values in runs_of_integers()) {
            prop_assert_eq!(read::integers(&integers(values.clone(), true), true), values.clone());
            let lengths = values.iter().map(|value| value & i64::MAX).collect::<Vec<_>>();
            prop_assert_eq!(read::integers(&integers(lengths.clone(), false), false), lengths);
        }

        #[test]
        fn bytes_are_read_as_they_were(
            runs in proptest::collection::vec((any::<u8>(), 1_usize..200), 0..40),
            literals in proptest::collection::vec(0_u8..3, 0..300),
        ) {
            let runs = runs.into_iter().flat_map(|(byte, count)| vec![byte; count]);
            let values = runs.chain(literals).collect::<Vec<_>>();
            let mut encoder = ByteRuns::default();
            values.iter().for_each(|value| encoder.push(*value));
            let encoded = encoder.finish();
            prop_assert_eq!(read::bytes(&encoded), values);
        }
    }
}
