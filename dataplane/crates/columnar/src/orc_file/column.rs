//! A column as streams: of a stripe that is being written, and what is known about it.

use std::io;
use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef};

use super::blocks::{Blocks, Codec};
use super::proto::{Message, push_varint, wide_zigzag};
use super::rle::{BitRuns, ByteRuns, IntegerRuns, Position};
use super::statistics::{self, Statistics};
use crate::hive_type::HiveType;
use crate::timestamp::MICROS_PER_SECOND;

/// Seconds from 1970 to 2015, which ORC counts from.
const EPOCH_SECONDS: i64 = 1_420_070_400;

/// What a stream holds, by its number in the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamKind {
    Present = 0,
    Data = 1,
    Length = 2,
    Secondary = 5,
    RowIndex = 6,
}

pub(super) struct OrcColumn {
    /// Columns are numbered as they are met, parts behind what they are parts of.
    id: u32,
    type_: HiveType,
    present: BitRuns,
    has_null: bool,
    values: Values,
    /// The row groups of the stripe.
    groups: Vec<Group>,
    group: Statistics,
    stripe: Statistics,
    file: Statistics,
}

enum Values {
    Bits(BitRuns),
    Bytes(ByteRuns),
    Integers(IntegerRuns),
    Floats(Vec<u8>),
    Texts { data: Vec<u8>, lengths: IntegerRuns },
    Decimals { data: Vec<u8>, scales: IntegerRuns },
    Timestamps { seconds: IntegerRuns, nanos: IntegerRuns },
    List { lengths: IntegerRuns, element: Box<OrcColumn> },
    Map { lengths: IntegerRuns, entry: Box<(OrcColumn, OrcColumn)> },
    Struct(Vec<OrcColumn>),
}

/// Where a row group starts, and what is known about it once it has ended.
struct Group {
    present: Place,
    places: Vec<Place>,
    statistics: Statistics,
}

/// Where a reader finds a value in a stream that is not compressed yet.
#[derive(Clone, Copy)]
enum Place {
    Bytes(usize),
    Run(Position),
    Bits(Position, usize),
}

/// A stream of a column, ready for the file.
pub(super) struct Stream {
    pub(super) column: u32,
    pub(super) kind: StreamKind,
    pub(super) blocks: Blocks,
}

impl OrcColumn {
    /// `next_id` is this column's, and afterwards the next one's.
    pub(super) fn new(type_: &HiveType, next_id: &mut u32) -> OrcColumn {
        let id = *next_id;
        *next_id += 1;
        let lengths = IntegerRuns::unsigned;
        let values = match type_ {
            HiveType::Boolean => Values::Bits(BitRuns::default()),
            HiveType::TinyInt => Values::Bytes(ByteRuns::default()),
            // No ORC file is written of a table, nor of what only tables have.
            HiveType::SmallInt
            | HiveType::Int
            | HiveType::BigInt
            | HiveType::Date
            | HiveType::Time => Values::Integers(IntegerRuns::signed()),
            HiveType::Float | HiveType::Double => Values::Floats(Vec::new()),
            HiveType::Decimal { .. } => {
                Values::Decimals { data: Vec::new(), scales: IntegerRuns::signed() }
            }
            HiveType::String
            | HiveType::Varchar(_)
            | HiveType::Char(_)
            | HiveType::Binary
            | HiveType::Uuid
            | HiveType::Fixed(_) => Values::Texts { data: Vec::new(), lengths: lengths() },
            HiveType::Timestamp | HiveType::TimestampTz => {
                let seconds = IntegerRuns::signed();
                Values::Timestamps { seconds, nanos: IntegerRuns::unsigned() }
            }
            HiveType::Array(element) => {
                let element = Box::new(OrcColumn::new(element, next_id));
                Values::List { lengths: lengths(), element }
            }
            HiveType::Map(key, value) => {
                let entry = (OrcColumn::new(key, next_id), OrcColumn::new(value, next_id));
                Values::Map { lengths: lengths(), entry: Box::new(entry) }
            }
            HiveType::Struct(fields) => {
                let fields = fields.iter().map(|(_, type_)| OrcColumn::new(type_, next_id));
                Values::Struct(fields.collect())
            }
        };
        let known = || Statistics::new(range_of(type_));
        OrcColumn {
            id,
            type_: type_.clone(),
            present: BitRuns::default(),
            has_null: false,
            values,
            groups: Vec::new(),
            group: known(),
            stripe: known(),
            file: known(),
        }
    }

    /// Adds rows of `array`, which is of this column's type.
    pub(super) fn write(&mut self, array: &dyn Array, rows: Range<usize>) {
        let mut nulls = 0;
        for row in rows.clone() {
            let is_present = array.is_valid(row);
            nulls += usize::from(!is_present);
            self.present.push(is_present);
        }
        self.has_null |= 0 < nulls;
        self.group.add_counts(rows.len() - nulls, nulls);
        let present = rows.clone().filter(|row| array.is_valid(*row));
        let known = &mut self.group;
        match (&mut self.values, &self.type_) {
            (Values::Bits(bits), _) => {
                let values = array.as_boolean();
                present.for_each(|row| {
                    bits.push(values.value(row));
                    known.add_boolean(values.value(row));
                });
            }
            (Values::Bytes(bytes), _) => each::<Int8Type>(array, present, |value| {
                bytes.push(value as u8);
                known.add_integer(value.into());
            }),
            (Values::Integers(runs), type_) => {
                let mut push = |value| {
                    runs.push(value);
                    known.add_integer(value);
                };
                match type_ {
                    HiveType::SmallInt => each::<Int16Type>(array, present, |v| push(v.into())),
                    HiveType::Int => each::<Int32Type>(array, present, |v| push(v.into())),
                    HiveType::Date => each::<Date32Type>(array, present, |v| push(v.into())),
                    _ => each::<Int64Type>(array, present, push),
                }
            }
            (Values::Floats(data), HiveType::Float) => {
                each::<Float32Type>(array, present, |value| {
                    data.extend_from_slice(&value.to_le_bytes());
                    known.add_double(value.into());
                });
            }
            (Values::Floats(data), _) => each::<Float64Type>(array, present, |value| {
                data.extend_from_slice(&value.to_le_bytes());
                known.add_double(value);
            }),
            (Values::Texts { data, lengths }, type_) => {
                let is_binary = *type_ == HiveType::Binary;
                for row in present {
                    let value = match is_binary {
                        true => array.as_binary::<i32>().value(row),
                        false => array.as_string::<i32>().value(row).as_bytes(),
                    };
                    data.extend_from_slice(value);
                    lengths.push(value.len() as i64);
                    known.add_text(value);
                }
            }
            (Values::Decimals { data, scales }, HiveType::Decimal { scale, .. }) => {
                each::<Decimal128Type>(array, present, |value| {
                    push_varint(data, wide_zigzag(value));
                    scales.push(i64::from(*scale));
                    known.add_decimal(value);
                });
            }
            (Values::Timestamps { seconds, nanos }, _) => {
                each::<TimestampMicrosecondType>(array, present, |micros| {
                    known.add_integer(micros);
                    let (second, nano) = split_micros(micros);
                    seconds.push(second - EPOCH_SECONDS);
                    nanos.push(nano);
                });
            }
            (values, _) => write_nested(values, array, rows),
        }
    }

    /// Says that the next row starts a row group.
    pub(super) fn begin_group(&mut self) {
        let (position, bits) = self.present.position();
        self.groups.push(Group {
            present: Place::Bits(position, bits),
            places: self.places(),
            statistics: self.group.take(),
        });
        self.each_part(&mut OrcColumn::begin_group);
    }

    pub(super) fn end_group(&mut self) {
        let known = self.group.take();
        self.stripe.merge(&known);
        if let Some(group) = self.groups.last_mut() {
            group.statistics = known;
        }
        self.each_part(&mut OrcColumn::end_group);
    }

    /// Takes the stripe out: its index and its data, column by column.
    pub(super) fn finish_stripe(
        &mut self,
        codec: Codec,
        index: &mut Vec<Stream>,
        data: &mut Vec<Stream>,
    ) -> io::Result<()> {
        let column = self.id;
        let mut indexed = Vec::new();
        let present = self.present.finish();
        // Where all values are present, nobody needs to be told.
        if std::mem::take(&mut self.has_null) {
            indexed.push((StreamKind::Present, Blocks::new(codec, present)?));
        }
        let has_present = !indexed.is_empty();
        for (kind, content) in self.take_streams() {
            indexed.push((kind, Blocks::new(codec, content)?));
        }
        let mut rows = Message::default();
        for group in self.groups.drain(..) {
            let present = has_present.then_some(group.present);
            let places = present.into_iter().chain(group.places);
            let mut positions = Vec::new();
            for (place, (_, blocks)) in places.zip(&indexed) {
                place.push_positions(blocks, &mut positions);
            }
            let mut entry = Message::default();
            entry.packed(1, positions);
            entry.message(2, group.statistics.message());
            rows.message(1, entry);
        }
        let blocks = Blocks::new(codec, rows.bytes())?;
        index.push(Stream { column, kind: StreamKind::RowIndex, blocks });
        data.extend(indexed.into_iter().map(|(kind, blocks)| Stream { column, kind, blocks }));
        let mut finished = Ok(());
        self.each_part(&mut |part| {
            if finished.is_ok() {
                finished = part.finish_stripe(codec, index, data);
            }
        });
        finished
    }

    /// What is known about each column of the stripe, which becomes part of the file.
    pub(super) fn take_stripe_statistics(&mut self, messages: &mut Vec<Message>) {
        let known = self.stripe.take();
        self.file.merge(&known);
        messages.push(known.message());
        self.each_part(&mut |part| part.take_stripe_statistics(messages));
    }

    pub(super) fn file_statistics(&mut self, messages: &mut Vec<Message>) {
        messages.push(self.file.message());
        self.each_part(&mut |part| part.file_statistics(messages));
    }

    /// How each column is encoded: numbers that say lengths or stand for themselves in version 2.
    pub(super) fn encodings(&mut self, messages: &mut Vec<Message>) {
        let is_direct = matches!(
            self.values,
            Values::Bits(_) | Values::Bytes(_) | Values::Floats(_) | Values::Struct(_)
        );
        let mut message = Message::default();
        message.uint(1, if is_direct { 0 } else { 2 });
        messages.push(message);
        self.each_part(&mut |part| part.encodings(messages));
    }

    /// About how many bytes the stripe takes so far.
    pub(super) fn size(&self) -> usize {
        let values = match &self.values {
            Values::Bits(bits) => bits.size(),
            Values::Bytes(bytes) => bytes.size(),
            Values::Integers(runs) => runs.size(),
            Values::Floats(data) => data.len(),
            Values::Texts { data, lengths } => data.len() + lengths.size(),
            Values::Decimals { data, scales } => data.len() + scales.size(),
            Values::Timestamps { seconds, nanos } => seconds.size() + nanos.size(),
            Values::List { lengths, element } => lengths.size() + element.size(),
            Values::Map { lengths, entry } => lengths.size() + entry.0.size() + entry.1.size(),
            Values::Struct(fields) => fields.iter().map(OrcColumn::size).sum(),
        };
        self.present.size() + values
    }

    fn each_part(&mut self, act: &mut dyn FnMut(&mut OrcColumn)) {
        match &mut self.values {
            Values::List { element, .. } => act(element),
            Values::Map { entry, .. } => {
                act(&mut entry.0);
                act(&mut entry.1);
            }
            Values::Struct(fields) => fields.iter_mut().for_each(act),
            _ => {}
        }
    }

    /// In the order of the streams.
    fn places(&self) -> Vec<Place> {
        match &self.values {
            Values::Bits(bits) => {
                let (position, filled) = bits.position();
                vec![Place::Bits(position, filled)]
            }
            Values::Bytes(bytes) => vec![Place::Run(bytes.position())],
            Values::Integers(runs) => vec![Place::Run(runs.position())],
            Values::Floats(data) => vec![Place::Bytes(data.len())],
            Values::Texts { data, lengths: runs } | Values::Decimals { data, scales: runs } => {
                vec![Place::Bytes(data.len()), Place::Run(runs.position())]
            }
            Values::Timestamps { seconds, nanos } => {
                vec![Place::Run(seconds.position()), Place::Run(nanos.position())]
            }
            Values::List { lengths, .. } | Values::Map { lengths, .. } => {
                vec![Place::Run(lengths.position())]
            }
            Values::Struct(_) => Vec::new(),
        }
    }

    fn take_streams(&mut self) -> Vec<(StreamKind, Vec<u8>)> {
        use StreamKind::{Data, Length, Secondary};
        match &mut self.values {
            Values::Bits(bits) => vec![(Data, bits.finish())],
            Values::Bytes(bytes) => vec![(Data, bytes.finish())],
            Values::Integers(runs) => vec![(Data, runs.finish())],
            Values::Floats(data) => vec![(Data, std::mem::take(data))],
            Values::Texts { data, lengths } => {
                vec![(Data, std::mem::take(data)), (Length, lengths.finish())]
            }
            Values::Decimals { data, scales } => {
                vec![(Data, std::mem::take(data)), (Secondary, scales.finish())]
            }
            Values::Timestamps { seconds, nanos } => {
                vec![(Data, seconds.finish()), (Secondary, nanos.finish())]
            }
            Values::List { lengths, .. } | Values::Map { lengths, .. } => {
                vec![(Length, lengths.finish())]
            }
            Values::Struct(_) => Vec::new(),
        }
    }
}

impl Place {
    fn push_positions(self, blocks: &Blocks, positions: &mut Vec<u64>) {
        let (position, skipped, bits) = match self {
            Place::Bytes(position) => (position, None, None),
            Place::Run((position, values)) => (position, Some(values), None),
            Place::Bits((position, values), bits) => (position, Some(values), Some(bits)),
        };
        blocks.push_position(position, positions);
        positions.extend([skipped, bits].into_iter().flatten().map(|count| count as u64));
    }
}

fn each<T: ArrowPrimitiveType>(
    array: &dyn Array,
    rows: impl Iterator<Item = usize>,
    mut act: impl FnMut(T::Native),
) {
    let values = array.as_primitive::<T>().values();
    rows.for_each(|row| act(values[row]));
}

/// Parts of rows that are null are left out. Lists and maps have none there; structs have nulls.
fn write_nested(values: &mut Values, array: &dyn Array, rows: Range<usize>) {
    let push_lengths = |lengths: &mut IntegerRuns, offsets: &[i32]| {
        for row in rows.clone().filter(|row| array.is_valid(*row)) {
            lengths.push(i64::from(offsets[row + 1] - offsets[row]));
        }
        offsets[rows.start] as usize..offsets[rows.end] as usize
    };
    match values {
        Values::List { lengths, element } => {
            let lists = array.as_list::<i32>();
            let parts = push_lengths(lengths, lists.value_offsets());
            element.write(lists.values(), parts);
        }
        Values::Map { lengths, entry } => {
            let maps = array.as_map();
            let parts = push_lengths(lengths, maps.value_offsets());
            entry.0.write(maps.keys(), parts.clone());
            entry.1.write(maps.values(), parts);
        }
        Values::Struct(fields) => {
            let parts: &[ArrayRef] = array.as_struct().columns();
            let mut start = rows.start;
            while start < rows.end {
                let is_present = array.is_valid(start);
                let same = |row: &usize| array.is_valid(*row) == is_present;
                let end = start + (start..rows.end).take_while(same).count();
                if is_present {
                    for (field, part) in fields.iter_mut().zip(parts) {
                        field.write(part, start..end);
                    }
                }
                start = end;
            }
        }
        _ => {}
    }
}

fn range_of(type_: &HiveType) -> statistics::Range {
    match type_ {
        HiveType::TinyInt
        | HiveType::SmallInt
        | HiveType::Int
        | HiveType::BigInt
        | HiveType::Time => statistics::Range::Integers(None),
        HiveType::Float | HiveType::Double => statistics::Range::Doubles(None),
        HiveType::String | HiveType::Varchar(_) | HiveType::Char(_) => {
            statistics::Range::Texts(None)
        }
        HiveType::Boolean => statistics::Range::Booleans(0),
        HiveType::Date => statistics::Range::Dates(None),
        HiveType::Timestamp | HiveType::TimestampTz => statistics::Range::Timestamps(None),
        HiveType::Decimal { scale, .. } => statistics::Range::Decimals(None, *scale),
        HiveType::Binary | HiveType::Uuid | HiveType::Fixed(_) => statistics::Range::Bytes(0),
        HiveType::Array(_) | HiveType::Map(..) | HiveType::Struct(_) => statistics::Range::None,
    }
}

/// Seconds since 1970, and nanoseconds as ORC packs them: with up to eight zeros at the end counted in
/// the lowest three bits.
///
/// Readers take a second off before 1970 if there are milliseconds, because its first writer rounded
/// towards zero; so the second is one too many there. In the last second before 1970 that is 0, of
/// which they take nothing off: a fault of the format.
fn split_micros(micros: i64) -> (i64, i64) {
    let second = micros.div_euclid(MICROS_PER_SECOND);
    let nanos = micros.rem_euclid(MICROS_PER_SECOND) * 1000;
    let second = second + i64::from(second < 0 && 1_000_000 <= nanos);
    if nanos == 0 {
        return (second, 0);
    }
    let (mut digits, mut zeros) = (nanos, 0);
    while digits % 10 == 0 && zeros < 8 {
        digits /= 10;
        zeros += 1;
    }
    // One zero is not worth counting, so the count starts at two.
    let packed = if zeros < 2 { nanos << 3 } else { digits << 3 | (zeros - 1) };
    (second, packed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_lose_their_zeros_and_early_seconds_gain_one() {
        for (micros, want) in [
            (0, (0, 0)),
            (1, (0, 1 << 3 | 2)),
            (10, (0, 1 << 3 | 3)),
            (123_456, (0, 123_456 << 3 | 2)),
            (100_000, (0, 1 << 3 | 7)),
            (5_000_000, (5, 0)),
            (-5_000_000, (-5, 0)),
            (-4_500_000, (-4, 5 << 3 | 7)),
            (-4_999_001, (-5, 999 << 3 | 2)),
            (-4_999_000, (-4, 1 << 3 | 5)),
            // Readers take it for half a second after 1970.
            (-500_000, (0, 5 << 3 | 7)),
        ] {
            assert_eq!(split_micros(micros), want, "{micros}");
        }
    }
}
