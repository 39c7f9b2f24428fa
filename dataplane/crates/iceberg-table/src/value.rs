//! Plain values, as bounds and partitions hold them.

use std::cmp::Ordering;

/// A value that is no null.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
pub enum Value {
    /// true or false.
    Boolean(bool),
    /// 32 bits.
    Int(i32),
    /// 64 bits.
    Long(i64),
    /// 32 bits.
    Float(f32),
    /// 64 bits.
    Double(f64),
    /// In units of the type's last digit.
    Decimal(i128),
    /// Days since 1970.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds since 1970, of no zone.
    Timestamp(i64),
    /// Microseconds since 1970 in UTC.
    TimestampTz(i64),
    /// Text.
    String(String),
    /// A UUID.
    Uuid([u8; 16]),
    /// Bytes, so many as the type says.
    Fixed(Vec<u8>),
    /// Bytes.
    Binary(Vec<u8>),
}

impl Value {
    /// In the binary form of single values, in which bounds are kept.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Value::Boolean(value) => vec![u8::from(*value)],
            Value::Int(value) | Value::Date(value) => value.to_le_bytes().to_vec(),
            Value::Long(value)
            | Value::Time(value)
            | Value::Timestamp(value)
            | Value::TimestampTz(value) => value.to_le_bytes().to_vec(),
            Value::Float(value) => value.to_le_bytes().to_vec(),
            Value::Double(value) => value.to_le_bytes().to_vec(),
            Value::Decimal(unscaled) => shortest(*unscaled),
            Value::String(text) => text.as_bytes().to_vec(),
            Value::Uuid(bytes) => bytes.to_vec(),
            Value::Fixed(bytes) | Value::Binary(bytes) => bytes.clone(),
        }
    }

    /// Whether it is no number, though of a type of numbers.
    #[must_use]
    pub fn is_nan(&self) -> bool {
        match self {
            Value::Float(value) => value.is_nan(),
            Value::Double(value) => value.is_nan(),
            _ => false,
        }
    }

    /// A key by which values that are one value to a partition are one, and others are not.
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        match self {
            Value::Float(value) if value.is_nan() => f32::NAN.to_le_bytes().to_vec(),
            Value::Double(value) if value.is_nan() => f64::NAN.to_le_bytes().to_vec(),
            value => value.to_bytes(),
        }
    }

    /// Both bounds, widened to hold this value; one that is not a number widens none.
    pub(crate) fn widen<'a>(&'a self, bounds: &mut Option<(&'a Value, &'a Value)>) {
        if self.is_nan() {
            return;
        }
        let (mut least, mut most) = bounds.unwrap_or((self, self));
        if self.partial_cmp(least) == Some(Ordering::Less) {
            least = self;
        }
        if self.partial_cmp(most) == Some(Ordering::Greater) {
            most = self;
        }
        *bounds = Some((least, most));
    }
}

/// A number in two's complement, the highest byte first, and no byte more than it takes.
pub(crate) fn shortest(number: i128) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let filler = if number < 0 { 0xff } else { 0 };
    let is_spare = |at: usize| bytes[at] == filler && (bytes[at + 1] ^ filler) & 0x80 == 0;
    let spare = (0..bytes.len() - 1).take_while(|at| is_spare(*at)).count();
    bytes[spare..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_take_no_byte_more_than_they_need() {
        for (number, want) in [
            (0, vec![0]),
            (127, vec![127]),
            (128, vec![0, 128]),
            (-1, vec![0xff]),
            (-128, vec![0x80]),
            (-129, vec![0xff, 0x7f]),
            (1420, vec![0x05, 0x8c]),
        ] {
            assert_eq!(shortest(number), want, "{number}");
        }
        assert_eq!(shortest(i128::MAX).len(), 16);
        assert_eq!(shortest(i128::MIN).len(), 16);
    }

    #[test]
    fn bounds_hold_all_numbers_and_nothing_else() {
        let values = [Value::Double(2.0), Value::Double(f64::NAN), Value::Double(-1.0)];
        let mut bounds = None;
        values.iter().for_each(|value| value.widen(&mut bounds));
        assert_eq!(bounds, Some((&values[2], &values[0])));
    }
}
