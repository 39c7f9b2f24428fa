//! ORC files read back, by the specification and not by what writes them. For tests.

use std::io::Read;

use super::column::StreamKind;

/// Each row as in `a=1 b=null`.
pub(crate) fn rows(file: &[u8]) -> Vec<String> {
    let file = OrcReader::open(file);
    (0..file.stripes.len()).flat_map(|stripe| file.stripe_rows(stripe)).collect()
}

pub(super) struct OrcReader<'f> {
    file: &'f [u8],
    compression: u64,
    types: Vec<Vec<(u64, Field)>>,
    pub(super) stripes: Vec<Stripe>,
    /// Of the file: how many values, smallest, largest.
    pub(super) statistics: Vec<Vec<(u64, Field)>>,
    pub(super) row_count: u64,
}

pub(super) struct Stripe {
    pub(super) rows: usize,
    /// Column, kind, and the bytes as they are in the file.
    streams: Vec<(u64, u64, Vec<u8>)>,
}

/// A field of a message.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Field {
    Number(u64),
    Blob(Vec<u8>),
}

impl Field {
    fn number(&self) -> u64 {
        match self {
            Field::Number(number) => *number,
            Field::Blob(_) => panic!("no number"),
        }
    }

    pub(super) fn blob(&self) -> &[u8] {
        match self {
            Field::Blob(blob) => blob,
            Field::Number(_) => panic!("no blob"),
        }
    }

    pub(super) fn message(&self) -> Vec<(u64, Field)> {
        fields(self.blob())
    }

    fn packed(&self) -> Vec<u64> {
        let mut bytes = self.blob();
        std::iter::from_fn(|| (!bytes.is_empty()).then(|| varint(&mut bytes) as u64)).collect()
    }
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Field)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes) as u64;
        let field = match key & 7 {
            0 => Field::Number(varint(&mut bytes) as u64),
            1 => Field::Number(u64::from_le_bytes(take(&mut bytes, 8).try_into().unwrap())),
            _ => {
                let length = varint(&mut bytes) as usize;
                Field::Blob(take(&mut bytes, length).to_vec())
            }
        };
        fields.push((key >> 3, field));
    }
    fields
}

pub(super) fn all(fields: &[(u64, Field)], number: u64) -> Vec<&Field> {
    fields.iter().filter(|(found, _)| *found == number).map(|(_, field)| field).collect()
}

pub(super) fn number(fields: &[(u64, Field)], field: u64) -> u64 {
    all(fields, field).first().map_or(0, |field| field.number())
}

impl OrcReader<'_> {
    pub(super) fn open(file: &[u8]) -> OrcReader<'_> {
        assert_eq!(&file[..3], b"ORC");
        let (postscript_end, length) = (file.len() - 1, usize::from(file[file.len() - 1]));
        let postscript = fields(&file[postscript_end - length..postscript_end]);
        assert_eq!(all(&postscript, 8000)[0].blob(), b"ORC");
        let compression = number(&postscript, 2);
        let footer_end = postscript_end - length;
        let footer_start = footer_end - number(&postscript, 1) as usize;
        let footer = fields(&decompress(compression, &file[footer_start..footer_end]));
        let metadata_start = footer_start - number(&postscript, 5) as usize;
        assert_eq!(number(&footer, 2) as usize, metadata_start);
        let metadata = fields(&decompress(compression, &file[metadata_start..footer_start]));
        assert_eq!(all(&metadata, 1).len(), all(&footer, 3).len());
        let stripes = all(&footer, 3);
        let stripes = stripes.iter().map(|stripe| open_stripe(file, compression, stripe));
        OrcReader {
            file,
            compression,
            types: all(&footer, 4).iter().map(|type_| type_.message()).collect(),
            stripes: stripes.collect(),
            statistics: all(&footer, 7).iter().map(|column| column.message()).collect(),
            row_count: number(&footer, 6),
        }
    }

    fn stripe_rows(&self, stripe: usize) -> Vec<String> {
        assert!(3 < self.file.len());
        let stripe = &self.stripes[stripe];
        let columns = all(&self.types[0], 2)[0].packed();
        let values = columns.iter().map(|column| self.values(stripe, *column, stripe.rows));
        let values = values.collect::<Vec<_>>();
        let names = all(&self.types[0], 3);
        let row = |row: usize| {
            let parts = names.iter().zip(&values);
            let parts = parts.map(|(name, values)| {
                format!("{}={}", String::from_utf8_lossy(name.blob()), values[row])
            });
            parts.collect::<Vec<_>>().join(" ")
        };
        (0..stripe.rows).map(row).collect()
    }

    /// The content of a stream, if there is one.
    pub(super) fn stream(&self, stripe: &Stripe, column: u64, kind: StreamKind) -> Option<Vec<u8>> {
        let found = stripe.streams.iter().find(|(of, is, _)| (*of, *is) == (column, kind as u64));
        found.map(|(_, _, bytes)| decompress(self.compression, bytes))
    }

    /// Where each row group starts, stream by stream, in bytes of the content and in values.
    pub(super) fn positions(&self, stripe: &Stripe, column: u64) -> Vec<Vec<u64>> {
        let index = self.stream(stripe, column, StreamKind::RowIndex).unwrap();
        let index = fields(&index);
        let entries = all(&index, 1);
        entries.iter().map(|entry| all(&entry.message(), 1)[0].packed()).collect()
    }

    /// The content that follows a place, which takes two numbers if there are blocks.
    pub(super) fn content_from(
        &self,
        stripe: &Stripe,
        column: u64,
        kind: StreamKind,
        positions: &mut impl Iterator<Item = u64>,
    ) -> Vec<u8> {
        let found = stripe.streams.iter().find(|(of, is, _)| (*of, *is) == (column, kind as u64));
        let bytes = &found.unwrap().2[positions.next().unwrap() as usize..];
        match self.compression {
            0 => bytes.to_vec(),
            _ => decompress(self.compression, bytes)[positions.next().unwrap() as usize..].to_vec(),
        }
    }

    fn values(&self, stripe: &Stripe, column: u64, count: usize) -> Vec<String> {
        let stream = |kind| self.stream(stripe, column, kind);
        let present = stream(StreamKind::Present);
        let present = present.map_or(vec![true; count], |bytes| bits(&bytes)[..count].to_vec());
        let count = present.iter().filter(|is_present| **is_present).count();
        let data = stream(StreamKind::Data).unwrap_or_default();
        let second = stream(StreamKind::Secondary).unwrap_or_default();
        let lengths = integers(&stream(StreamKind::Length).unwrap_or_default(), false);
        let parts = all(&self.types[column as usize], 2);
        let parts = parts.first().map(|parts| parts.packed()).unwrap_or_default();
        let total = lengths.iter().sum::<i64>() as usize;
        let shown = |values: Vec<i64>| values.iter().map(ToString::to_string).collect::<Vec<_>>();
        let values = match number(&self.types[column as usize], 1) {
            0 => bits(&data)[..count].iter().map(ToString::to_string).collect(),
            1 => bytes(&data).iter().map(|byte| (*byte as i8).to_string()).collect(),
            2..=4 => shown(integers(&data, true)),
            5 => floats(&data).iter().map(|value| format!("{value:?}")).collect(),
            6 => doubles(&data).iter().map(|value| format!("{value:?}")).collect(),
            7 | 16 | 17 => {
                let texts = split(&data, &lengths);
                texts
                    .iter()
                    .map(|text| format!("{:?}", std::str::from_utf8(text).unwrap()))
                    .collect()
            }
            8 => split(&data, &lengths).iter().map(|bytes| format!("{bytes:02x?}")).collect(),
            9 => timestamps(&integers(&data, true), &integers(&second, false)),
            10 => groups(&self.values(stripe, parts[0], total), &lengths, "[", "]"),
            11 => {
                let keys = self.values(stripe, parts[0], total);
                let values = self.values(stripe, parts[1], total);
                let entries =
                    keys.iter().zip(&values).map(|(key, value)| format!("{key}: {value}"));
                groups(&entries.collect::<Vec<_>>(), &lengths, "{", "}")
            }
            12 => {
                let names = all(&self.types[column as usize], 3);
                let parts = parts.iter().map(|part| self.values(stripe, *part, count));
                let parts = parts.collect::<Vec<_>>();
                let row = |row: usize| {
                    let parts = names.iter().zip(&parts).map(|(name, values)| {
                        format!("{}={}", String::from_utf8_lossy(name.blob()), values[row])
                    });
                    format!("({})", parts.collect::<Vec<_>>().join(" "))
                };
                (0..count).map(row).collect()
            }
            14 => decimals(&data, &integers(&second, true)),
            15 => {
                let start = jiff::civil::date(1970, 1, 1);
                let days = integers(&data, true);
                days.iter().map(|day| (start + jiff::Span::new().days(*day)).to_string()).collect()
            }
            other => panic!("type {other}"),
        };
        assert_eq!(values.len(), count, "column {column}");
        let mut values = values.into_iter();
        let value =
            |is_present| if is_present { values.next().unwrap() } else { "null".to_owned() };
        present.into_iter().map(value).collect()
    }
}

fn open_stripe(file: &[u8], compression: u64, stripe: &Field) -> Stripe {
    let stripe = stripe.message();
    let mut start = number(&stripe, 1) as usize;
    let footer_start = start + (number(&stripe, 2) + number(&stripe, 3)) as usize;
    let footer_end = footer_start + number(&stripe, 4) as usize;
    let footer = fields(&decompress(compression, &file[footer_start..footer_end]));
    assert_eq!(all(&footer, 3)[0].blob(), b"UTC");
    let streams = all(&footer, 1).into_iter().map(|stream| {
        let stream = stream.message();
        let length = number(&stream, 3) as usize;
        let bytes = file[start..start + length].to_vec();
        start += length;
        (number(&stream, 2), number(&stream, 1), bytes)
    });
    let streams = streams.collect();
    assert_eq!(start, footer_start);
    Stripe { rows: number(&stripe, 5) as usize, streams }
}

fn decompress(compression: u64, mut bytes: &[u8]) -> Vec<u8> {
    if compression == 0 {
        return bytes.to_vec();
    }
    let mut content = Vec::new();
    while !bytes.is_empty() {
        let header = take(&mut bytes, 3);
        let header = u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize;
        let block = take(&mut bytes, header >> 1);
        match compression {
            _ if header & 1 == 1 => content.extend_from_slice(block),
            1 => {
                let mut decoder = flate2::read::DeflateDecoder::new(block);
                decoder.read_to_end(&mut content).unwrap();
            }
            _ => content.extend(snap::raw::Decoder::new().decompress_vec(block).unwrap()),
        }
    }
    content
}

/// Integers of runs of version 2.
pub(super) fn integers(mut bytes: &[u8], is_signed: bool) -> Vec<i64> {
    let signed = |value: u64| match is_signed {
        true => (value >> 1) as i64 ^ -((value & 1) as i64),
        false => value as i64,
    };
    let widths = [26, 28, 30, 32, 40, 48, 56, 64];
    let width = |code: u8| if code < 24 { code as usize + 1 } else { widths[code as usize - 24] };
    let mut values = Vec::new();
    while let Some(header) = take(&mut bytes, 1).first().copied() {
        if header >> 6 == 0 {
            let value = take(&mut bytes, usize::from(header >> 3 & 7) + 1);
            let value = value.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
            values.extend(vec![signed(value); usize::from(header & 7) + 3]);
            continue;
        }
        let code = header >> 1 & 0x1f;
        let count = (usize::from(header & 1) << 8 | usize::from(take(&mut bytes, 1)[0])) + 1;
        if header >> 6 == 1 {
            values.extend(unpack(&mut bytes, count, width(code)).into_iter().map(signed));
            continue;
        }
        assert_eq!(header >> 6, 3);
        let mut value = signed(varint(&mut bytes) as u64);
        let step = varint(&mut bytes) as u64;
        let step = (step >> 1) as i64 ^ -((step & 1) as i64);
        values.push(value);
        value += step;
        values.push(value);
        let sizes = match code {
            0 => vec![step.unsigned_abs(); count - 2],
            _ => unpack(&mut bytes, count - 2, width(code)),
        };
        for size in sizes {
            value += if step < 0 { -(size as i64) } else { size as i64 };
            values.push(value);
        }
    }
    values
}

/// Bytes of runs.
pub(super) fn bytes(mut bytes: &[u8]) -> Vec<u8> {
    let mut values = Vec::new();
    while let Some(header) = take(&mut bytes, 1).first().copied() {
        match header {
            0x80.. => values.extend_from_slice(take(&mut bytes, 256 - usize::from(header))),
            _ => {
                let value = take(&mut bytes, 1)[0];
                values.extend(vec![value; usize::from(header) + 3]);
            }
        }
    }
    values
}

/// Bits of runs, with those that fill the last byte.
pub(super) fn bits(encoded: &[u8]) -> Vec<bool> {
    let bits = |byte: u8| (0..8).map(move |bit| byte << bit & 0x80 != 0);
    bytes(encoded).into_iter().flat_map(bits).collect()
}

fn floats(data: &[u8]) -> Vec<f32> {
    data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

fn doubles(data: &[u8]) -> Vec<f64> {
    data.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
}

fn decimals(mut data: &[u8], scales: &[i64]) -> Vec<String> {
    let shown = scales.iter().map(|scale| {
        let value = varint(&mut data);
        let value = (value >> 1) as i128 ^ -((value & 1) as i128);
        let unit = 10_u128.pow(*scale as u32);
        let sign = if value < 0 { "-" } else { "" };
        let (whole, rest) = (value.unsigned_abs() / unit, value.unsigned_abs() % unit);
        match scale {
            0 => format!("{sign}{whole}"),
            _ => format!("{sign}{whole}.{rest:0width$}", width = *scale as usize),
        }
    });
    shown.collect()
}

fn timestamps(seconds: &[i64], nanos: &[i64]) -> Vec<String> {
    let start = jiff::civil::date(2015, 1, 1).at(0, 0, 0, 0);
    let shown = seconds.iter().zip(nanos).map(|(second, packed)| {
        let zeros = packed & 7;
        let nanos = (packed >> 3) * 10_i64.pow(if zeros == 0 { 0 } else { zeros as u32 + 1 });
        let is_early = second + 1_420_070_400 < 0 && 999_999 < nanos;
        let second = second - i64::from(is_early);
        let span = jiff::Span::new().seconds(second).nanoseconds(nanos);
        (start + span).to_string()
    });
    shown.collect()
}

fn split<'d>(mut data: &'d [u8], lengths: &[i64]) -> Vec<&'d [u8]> {
    lengths.iter().map(|length| take(&mut data, *length as usize)).collect()
}

fn groups(values: &[String], lengths: &[i64], open: &str, close: &str) -> Vec<String> {
    let mut values = values.iter();
    let group = |length: &i64| {
        let parts = values.by_ref().take(*length as usize).cloned();
        format!("{open}{}{close}", parts.collect::<Vec<_>>().join(", "))
    };
    lengths.iter().map(group).collect()
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(count.min(bytes.len()));
    *bytes = rest;
    taken
}

fn varint(bytes: &mut &[u8]) -> u128 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = take(bytes, 1)[0];
        value |= u128::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

fn unpack(bytes: &mut &[u8], count: usize, width: usize) -> Vec<u64> {
    let packed = take(bytes, (count * width).div_ceil(8));
    let bit = |index: usize| u64::from(packed[index / 8] >> (7 - index % 8) & 1);
    let value = |start: usize| (start..start + width).fold(0, |sum, index| sum << 1 | bit(index));
    (0..count).map(|index| value(index * width)).collect()
}
