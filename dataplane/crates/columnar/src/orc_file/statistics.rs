//! What is known about the values of a column: in a row group, in a stripe, in a file.

use super::proto::Message;

/// Longer strings make statistics larger than they are useful.
const TEXT_BYTES_MAX: usize = 512;

#[derive(Clone, Debug)]
pub(super) struct Statistics {
    /// How many are not null.
    count: u64,
    has_null: bool,
    range: Range,
    /// There was a value that is not to be compared, or too long.
    is_unknown: bool,
}

/// The smallest and the largest value; nothing while there is none.
#[derive(Clone, Debug)]
pub(super) enum Range {
    /// Of types whose values are parts.
    None,
    Integers(Option<(i64, i64)>),
    Dates(Option<(i64, i64)>),
    /// Microseconds since 1970.
    Timestamps(Option<(i64, i64)>),
    Doubles(Option<(f64, f64)>),
    /// In units of `10^-scale`, and the scale.
    Decimals(Option<(i128, i128)>, u8),
    Texts(Option<(Vec<u8>, Vec<u8>)>),
    /// How many bytes there are.
    Bytes(u64),
    /// How many are true.
    Booleans(u64),
}

impl Statistics {
    pub(super) fn new(range: Range) -> Statistics {
        Statistics { count: 0, has_null: false, range, is_unknown: false }
    }

    pub(super) fn add_counts(&mut self, count: usize, nulls: usize) {
        self.count += count as u64;
        self.has_null |= 0 < nulls;
    }

    pub(super) fn add_integer(&mut self, value: i64) {
        if let Range::Integers(range) | Range::Dates(range) | Range::Timestamps(range) =
            &mut self.range
        {
            *range = range.map_or(Some((value, value)), |(least, most)| {
                Some((least.min(value), most.max(value)))
            });
        }
    }

    pub(super) fn add_double(&mut self, value: f64) {
        if value.is_nan() {
            self.is_unknown = true;
        } else if let Range::Doubles(range) = &mut self.range {
            *range = range.map_or(Some((value, value)), |(least, most)| {
                Some((least.min(value), most.max(value)))
            });
        }
    }

    pub(super) fn add_boolean(&mut self, value: bool) {
        if let Range::Booleans(count) = &mut self.range {
            *count += u64::from(value);
        }
    }

    pub(super) fn add_decimal(&mut self, value: i128) {
        if let Range::Decimals(range, _) = &mut self.range {
            *range = range.map_or(Some((value, value)), |(least, most)| {
                Some((least.min(value), most.max(value)))
            });
        }
    }

    /// Adds a string, or bytes that are none.
    pub(super) fn add_text(&mut self, value: &[u8]) {
        if let Range::Bytes(sum) = &mut self.range {
            *sum += value.len() as u64;
        }
        let Range::Texts(range) = &mut self.range else {
            return;
        };
        if TEXT_BYTES_MAX < value.len() {
            self.is_unknown = true;
            return;
        }
        match range {
            None => *range = Some((value.to_vec(), value.to_vec())),
            Some((least, _)) if value < least.as_slice() => value.clone_into(least),
            Some((_, most)) if most.as_slice() < value => value.clone_into(most),
            Some(_) => {}
        }
    }

    /// Takes what is known, and knows nothing again.
    pub(super) fn take(&mut self) -> Statistics {
        let empty = match self.range {
            Range::None => Range::None,
            Range::Integers(_) => Range::Integers(None),
            Range::Dates(_) => Range::Dates(None),
            Range::Timestamps(_) => Range::Timestamps(None),
            Range::Doubles(_) => Range::Doubles(None),
            Range::Decimals(_, scale) => Range::Decimals(None, scale),
            Range::Texts(_) => Range::Texts(None),
            Range::Bytes(_) => Range::Bytes(0),
            Range::Booleans(_) => Range::Booleans(0),
        };
        std::mem::replace(self, Statistics::new(empty))
    }

    /// Adds what another part of the same column knows.
    pub(super) fn merge(&mut self, other: &Statistics) {
        self.count += other.count;
        self.has_null |= other.has_null;
        self.is_unknown |= other.is_unknown;
        match &other.range {
            Range::None => {}
            Range::Integers(range) | Range::Dates(range) | Range::Timestamps(range) => {
                if let Some((least, most)) = range {
                    self.add_integer(*least);
                    self.add_integer(*most);
                }
            }
            Range::Doubles(range) => {
                if let Some((least, most)) = range {
                    self.add_double(*least);
                    self.add_double(*most);
                }
            }
            Range::Texts(range) => {
                if let Some((least, most)) = range {
                    self.add_text(least);
                    self.add_text(most);
                }
            }
            Range::Decimals(range, _) => {
                if let Some((least, most)) = range {
                    self.add_decimal(*least);
                    self.add_decimal(*most);
                }
            }
            Range::Bytes(count) => {
                if let Range::Bytes(sum) = &mut self.range {
                    *sum += count;
                }
            }
            Range::Booleans(count) => {
                if let Range::Booleans(sum) = &mut self.range {
                    *sum += count;
                }
            }
        }
    }

    /// With a part for the type even if nothing is known: readers take its absence for another type.
    pub(super) fn message(&self) -> Message {
        let mut message = Message::default();
        message.uint(1, self.count);
        if let Some((field, range)) = self.range.message(self.is_unknown) {
            message.message(field, range);
        }
        message.uint(10, u64::from(self.has_null));
        message
    }
}

impl Range {
    /// And its field's number.
    fn message(&self, is_unknown: bool) -> Option<(u32, Message)> {
        let mut message = Message::default();
        let field = match self {
            Range::None => return None,
            Range::Integers(range) => {
                if let Some((least, most)) = range {
                    message.sint(1, *least);
                    message.sint(2, *most);
                }
                2
            }
            Range::Doubles(range) => {
                if let Some((least, most)) = range.filter(|_| !is_unknown) {
                    message.double(1, least);
                    message.double(2, most);
                }
                3
            }
            Range::Texts(range) => {
                if let Some((least, most)) = range.as_ref().filter(|_| !is_unknown) {
                    message.blob(1, least);
                    message.blob(2, most);
                }
                4
            }
            Range::Booleans(count) => {
                message.packed(1, [*count]);
                5
            }
            Range::Decimals(range, scale) => {
                if let Some((least, most)) = range {
                    message.blob(1, decimal_text(*least, *scale).as_bytes());
                    message.blob(2, decimal_text(*most, *scale).as_bytes());
                }
                6
            }
            Range::Dates(range) => {
                if let Some((least, most)) = range {
                    message.sint(1, *least);
                    message.sint(2, *most);
                }
                7
            }
            Range::Bytes(sum) => {
                message.sint(1, *sum as i64);
                8
            }
            Range::Timestamps(range) => {
                // In milliseconds of UTC; what is beyond a reader allows for.
                if let Some((least, most)) = range {
                    message.sint(3, least.div_euclid(1000));
                    message.sint(4, most.div_euclid(1000));
                }
                9
            }
        };
        Some((field, message))
    }
}

fn decimal_text(value: i128, scale: u8) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let scale = usize::from(scale);
    let digits = format!("{:0width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let point = if scale == 0 { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}
