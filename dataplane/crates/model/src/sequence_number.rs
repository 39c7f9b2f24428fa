//! Sequence numbers, in the layout AWS uses.
//!
//! ```text
//!  hex digits  1     9                1                16               2     9             8        1
//!              "2"   shard created,   shard, lowest    sequence index   "00"  arrived,      shard    "2"
//!                    seconds          hex digit                               seconds
//! ```
//!
//! 47 hex digits are 56 decimal ones for every date of this age. Within a shard, numbers are ordered
//! by their index; a child is created at least a second after its parents, so its numbers are larger
//! than theirs. The index is the offset plus one: index 0 is where the shard starts, before its first
//! record, and the largest index of a signed 64-bit number is where a closed shard ends.

use std::fmt;
use std::str::FromStr;

use crate::{Offset, ShardId, UnixMillis};

const INDEX_START: u64 = 0;
const INDEX_END: u64 = 0x7fff_ffff_ffff_ffff;
/// 9 hex digits.
const SECONDS_MAX: u64 = 0xf_ffff_ffff;
/// As AWS's pattern allows.
const DIGITS_MAX: usize = 129;

/// The public name of a record's place in a stream. Ordered as the numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceNumber {
    // In the order of the layout, so that the derived order is the numeric one; the shard's lowest
    // digit, which comes before the index there, is implied by shards created in the same second
    // being different shards.
    created_seconds: u64,
    shard_digit: u8,
    index: u64,
    arrived_seconds: u64,
    shard: ShardId,
}

/// What a sequence number points at in its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Before the first record.
    Start,
    /// A record.
    Record(Offset),
    /// After the last record of a closed shard.
    End,
}

/// A text that is no sequence number of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SequenceNumberError {
    /// Not the AWS pattern `0|([1-9]\d{0,128})`.
    #[error("not a decimal number of at most 129 digits without leading zeros")]
    NotANumber,
    /// A number, but of another layout.
    #[error("not a sequence number of this service")]
    Foreign,
}

impl SequenceNumber {
    /// That of the record at `offset`.
    #[must_use]
    pub fn of_record(
        shard: ShardId,
        shard_created: UnixMillis,
        offset: Offset,
        arrived: UnixMillis,
    ) -> SequenceNumber {
        SequenceNumber::new(shard, shard_created, (offset.0 + 1).min(INDEX_END - 1), arrived)
    }

    /// A shard's StartingSequenceNumber.
    #[must_use]
    pub fn starting(shard: ShardId, shard_created: UnixMillis) -> SequenceNumber {
        SequenceNumber::new(shard, shard_created, INDEX_START, shard_created)
    }

    /// A closed shard's EndingSequenceNumber.
    #[must_use]
    pub fn ending(shard: ShardId, shard_created: UnixMillis, closed: UnixMillis) -> SequenceNumber {
        SequenceNumber::new(shard, shard_created, INDEX_END, closed)
    }

    fn new(shard: ShardId, created: UnixMillis, index: u64, at: UnixMillis) -> SequenceNumber {
        SequenceNumber {
            created_seconds: created.as_seconds().min(SECONDS_MAX),
            shard_digit: (shard.0 & 0xf) as u8,
            index,
            arrived_seconds: at.as_seconds().min(SECONDS_MAX),
            shard,
        }
    }

    /// The shard it belongs to.
    #[must_use]
    pub fn shard(self) -> ShardId {
        self.shard
    }

    /// Whether it can be a number of this shard, created then.
    #[must_use]
    pub fn belongs_to(self, shard: ShardId, shard_created: UnixMillis) -> bool {
        self.shard == shard && self.created_seconds == shard_created.as_seconds()
    }

    /// What it points at.
    #[must_use]
    pub fn place(self) -> Place {
        match self.index {
            INDEX_START => Place::Start,
            INDEX_END => Place::End,
            index => Place::Record(Offset(index - 1)),
        }
    }

    /// The 188 bits as two halves: 28 hex digits above 19.
    fn halves(self) -> (u128, u128) {
        let index = u128::from(self.index);
        // "2", created (9), digit (1), index (16), and the first digit of "00".
        let high = (2_u128 << 108)
            | (u128::from(self.created_seconds) << 72)
            | (u128::from(self.shard_digit) << 68)
            | (index << 4);
        // The second digit of "00", arrived (9), shard (8), "2".
        let low = (u128::from(self.arrived_seconds) << 36) | (u128::from(self.shard.0) << 4) | 2;
        (high, low)
    }
}

/// The low half's width in bits: 19 hex digits.
const LOW_BITS: u32 = 76;

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Long division by 10^19, most significant half first: a remainder below 10^19 and 38 more
        // bits fit u128.
        const CHUNK: u128 = 10_000_000_000_000_000_000;
        let (high, low) = self.halves();
        let mut limbs = [high >> 38, high & mask(38), low >> 38, low & mask(38)];
        let mut chunks = [0_u128; 3];
        for chunk in chunks.iter_mut().rev() {
            let mut remainder = 0;
            for limb in &mut limbs {
                let dividend = (remainder << 38) | *limb;
                *limb = dividend / CHUNK;
                remainder = dividend % CHUNK;
            }
            *chunk = remainder;
        }
        write!(f, "{}{:019}{:019}", chunks[0], chunks[1], chunks[2])
    }
}

const fn mask(bits: u32) -> u128 {
    (1 << bits) - 1
}

impl FromStr for SequenceNumber {
    type Err = SequenceNumberError;

    fn from_str(text: &str) -> Result<SequenceNumber, SequenceNumberError> {
        let digits = text.as_bytes();
        let canonical = text == "0" || matches!(digits.first(), Some(b'1'..=b'9'));
        let fits = digits.len() <= DIGITS_MAX && digits.iter().all(u8::is_ascii_digit);
        if !canonical || !fits {
            return Err(SequenceNumberError::NotANumber);
        }
        let (high, low) = decimal_halves(digits).ok_or(SequenceNumberError::Foreign)?;
        let number = SequenceNumber {
            created_seconds: ((high >> 72) & mask(36)) as u64,
            shard_digit: ((high >> 68) & mask(4)) as u8,
            index: ((high >> 4) & mask(64)) as u64,
            arrived_seconds: ((low >> 36) & mask(36)) as u64,
            shard: ShardId(((low >> 4) & mask(32)) as u32),
        };
        let is_ours = number.halves() == (high, low)
            && u32::from(number.shard_digit) == number.shard.0 & 0xf
            && number.index <= INDEX_END;
        if is_ours { Ok(number) } else { Err(SequenceNumberError::Foreign) }
    }
}

/// Multiplies and adds digit by digit; `None` past 188 bits.
fn decimal_halves(digits: &[u8]) -> Option<(u128, u128)> {
    let (mut high, mut low) = (0_u128, 0_u128);
    for digit in digits {
        low = low * 10 + u128::from(digit - b'0');
        high = high * 10 + (low >> LOW_BITS);
        low &= mask(LOW_BITS);
        if high >> 112 != 0 {
            return None;
        }
    }
    Some((high, low))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CREATED: UnixMillis = UnixMillis(1_700_000_000_000);

    #[test]
    fn the_layout_is_that_of_aws() {
        let number = SequenceNumber::of_record(ShardId(0x1b), CREATED, Offset(9), CREATED);
        let (high, low) = number.halves();
        let hex = format!("{high:x}{low:019x}");
        let want = ["2", "06553f100", "b", "000000000000000a", "00", "06553f100", "0000001b", "2"];
        assert_eq!(hex, want.concat());
        assert_eq!(number.to_string().len(), 56);
    }

    #[test]
    fn places_are_told_apart() {
        let shard = ShardId(3);
        let check = |number: SequenceNumber, want| {
            assert_eq!(number.to_string().parse::<SequenceNumber>().unwrap().place(), want);
            assert!(number.belongs_to(shard, CREATED));
            assert!(!number.belongs_to(ShardId(19), CREATED));
        };
        check(SequenceNumber::starting(shard, CREATED), Place::Start);
        check(
            SequenceNumber::of_record(shard, CREATED, Offset(0), CREATED),
            Place::Record(Offset(0)),
        );
        check(SequenceNumber::ending(shard, CREATED, CREATED), Place::End);
    }

    #[test]
    fn other_numbers_are_refused() {
        let parse = |text: &str| text.parse::<SequenceNumber>();
        for text in ["", "a", "01", "-1", "+1", &"1".repeat(130)] {
            assert_eq!(parse(text), Err(SequenceNumberError::NotANumber), "{text}");
        }
        for text in
            ["0", "1", "49590338271490256608559692538361571095921575989136588898", &"9".repeat(129)]
        {
            let foreign = parse(text).map(|number| number.to_string());
            assert!(foreign == Err(SequenceNumberError::Foreign) || foreign.as_deref() == Ok(text));
        }
    }

    prop_compose! {
        fn parts()(
            shard: u32,
            created in 0..SECONDS_MAX,
            index in 0..=INDEX_END,
            arrived in 0..SECONDS_MAX,
        ) -> SequenceNumber {
            SequenceNumber::new(
                ShardId(shard),
                UnixMillis(created * 1_000),
                index,
                UnixMillis(arrived * 1_000),
            )
        }
    }

    proptest! {
        #[test]
        fn text_and_number_are_the_same_thing(number in parts()) {
            prop_assert_eq!(number.to_string().parse::<SequenceNumber>(), Ok(number));
        }

        #[test]
        fn order_of_numbers_is_order_of_texts(left in parts(), right in parts()) {
            let key = |number: &SequenceNumber| {
                let text = number.to_string();
                (text.len(), text)
            };
            prop_assert_eq!(left.cmp(&right), key(&left).cmp(&key(&right)));
        }

        #[test]
        fn numbers_of_this_age_have_56_digits(number in parts()) {
            prop_assert_eq!(number.to_string().len(), 56);
        }

        #[test]
        fn junk_never_panics(text in ".{0,140}", digits in "[0-9]{0,140}") {
            let _ = text.parse::<SequenceNumber>();
            let _ = digits.parse::<SequenceNumber>();
        }
    }
}
