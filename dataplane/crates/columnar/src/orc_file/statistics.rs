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
    /// Of types that have none, or none that readers use.
    None,
    Integers(Option<(i64, i64)>),
    Dates(Option<(i64, i64)>),
    /// Microseconds since 1970.
    Timestamps(Option<(i64, i64)>),
    Doubles(Option<(f64, f64)>),
    Texts(Option<(Vec<u8>, Vec<u8>)>),
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

    pub(super) fn add_text(&mut self, value: &[u8]) {
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
            Range::Texts(_) => Range::Texts(None),
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
            Range::Booleans(count) => {
                if let Range::Booleans(sum) = &mut self.range {
                    *sum += count;
                }
            }
        }
    }

    pub(super) fn message(&self) -> Message {
        let mut message = Message::default();
        message.uint(1, self.count);
        let mut range = Message::default();
        match &self.range {
            _ if self.is_unknown => {}
            Range::Integers(Some((least, most))) => {
                range.sint(1, *least);
                range.sint(2, *most);
                message.message(2, range);
            }
            Range::Doubles(Some((least, most))) => {
                range.double(1, *least);
                range.double(2, *most);
                message.message(3, range);
            }
            Range::Texts(Some((least, most))) => {
                range.blob(1, least);
                range.blob(2, most);
                message.message(4, range);
            }
            Range::Booleans(count) => {
                range.packed(1, [*count]);
                message.message(5, range);
            }
            Range::Dates(Some((least, most))) => {
                range.sint(1, *least);
                range.sint(2, *most);
                message.message(7, range);
            }
            Range::Timestamps(Some((least, most))) => {
                // In milliseconds of UTC; what is beyond a reader allows for.
                range.sint(3, least.div_euclid(1000));
                range.sint(4, most.div_euclid(1000));
                message.message(9, range);
            }
            _ => {}
        }
        message.uint(10, u64::from(self.has_null));
        message
    }
}
