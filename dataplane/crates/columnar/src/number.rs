//! Numbers from text, as JSON writes them or as they stand in strings.

/// An integer: digits behind an optional sign.
pub(crate) fn parse_integer(text: &str) -> Option<i64> {
    let (is_negative, digits) = split_sign(text);
    // Up to 18 digits need no watch for an overflow.
    if digits.is_empty() || 18 < digits.len() {
        return text.parse().ok();
    }
    let mut value = 0_i64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if 9 < digit {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(if is_negative { -value } else { value })
}

/// An integer that may be hexadecimal, as in `0x1f`.
pub(crate) fn parse_integer_or_hex(text: &str) -> Option<i64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => parse_integer(text),
    }
}

/// A decimal as an integer of its smallest unit, `10^-scale`. Digits beyond are rounded, halves away
/// from zero.
///
/// `None` if it is no number, or one of more than `precision` digits.
pub(crate) fn parse_decimal(text: &str, precision: u8, scale: u8) -> Option<i128> {
    let (is_negative, unsigned) = split_sign(text);
    let (mantissa, exponent) = split_exponent(unsigned)?;
    let point = mantissa.iter().position(|byte| *byte == b'.').unwrap_or(mantissa.len());
    let (whole, fraction) = (&mantissa[..point], mantissa.get(point + 1..).unwrap_or_default());
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let limit = 10_i128.pow(u32::from(precision));
    // How many of the digits count.
    let kept = whole.len() as i64 + exponent + i64::from(scale);
    let mut value = 0_i128;
    let mut is_rounded_up = false;
    for (index, byte) in whole.iter().chain(fraction).enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if 9 < digit {
            return None;
        }
        if (index as i64) < kept {
            value = times_ten(value, limit)? + i128::from(digit);
        } else if index as i64 == kept {
            is_rounded_up = 5 <= digit;
        }
    }
    if value != 0 {
        for _ in (whole.len() + fraction.len()) as i64..kept {
            value = times_ten(value, limit)?;
        }
    }
    value += i128::from(is_rounded_up);
    (value < limit).then_some(if is_negative { -value } else { value })
}

/// `None` if no digit more fits, which also keeps the loop above short.
fn times_ten(value: i128, limit: i128) -> Option<i128> {
    (value < limit / 10).then(|| value * 10)
}

fn split_exponent(unsigned: &[u8]) -> Option<(&[u8], i64)> {
    let Some(at) = unsigned.iter().position(|byte| matches!(byte, b'e' | b'E')) else {
        return Some((unsigned, 0));
    };
    let (is_negative, digits) = split_sign(std::str::from_utf8(&unsigned[at + 1..]).ok()?);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // Far beyond any digit that counts all are alike.
    let digits = std::str::from_utf8(digits).ok()?;
    let exponent = digits.parse::<i64>().unwrap_or(i64::MAX).min(1 << 32);
    Some((&unsigned[..at], if is_negative { -exponent } else { exponent }))
}

fn split_sign(text: &str) -> (bool, &[u8]) {
    match text.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn integers_are_digits_behind_a_sign() {
        for (text, want) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("+5", Some(5)),
            ("007", Some(7)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("000000000000000000000000000001", Some(1)),
            ("", None),
            ("-", None),
            ("1.0", None),
            ("1e3", None),
            (" 1", None),
            ("--1", None),
            ("٣", None),
        ] {
            assert_eq!(parse_integer(text), want, "{text}");
        }
        assert_eq!(parse_integer_or_hex("0x1F"), Some(31));
        assert_eq!(parse_integer_or_hex("0X"), None);
        assert_eq!(parse_integer_or_hex("12"), Some(12));
    }

    #[test]
    fn decimals_are_rounded_to_their_scale() {
        for (text, want) in [
            ("0", Some(0)),
            ("1.5", Some(150)),
            ("-1.5", Some(-150)),
            (".5", Some(50)),
            ("5.", Some(500)),
            ("1.234", Some(123)),
            ("1.235", Some(124)),
            ("-1.235", Some(-124)),
            ("0.005", Some(1)),
            ("0.0049999", Some(0)),
            ("999.99", Some(99_999)),
            ("999.994", Some(99_999)),
            ("999.995", None),
            ("1000", None),
            ("0000000000000000000000000000000000000000000001", Some(100)),
            ("1e2", Some(10_000)),
            ("12345e-3", Some(1235)),
            ("0e999999999999999999999", Some(0)),
            ("1e999999999999999999999", None),
            ("1e-999999999999999999999", Some(0)),
            ("", None),
            (".", None),
            ("1.2.3", None),
            ("1e", None),
            ("e5", None),
            ("NaN", None),
        ] {
            assert_eq!(parse_decimal(text, 5, 2), want, "{text}");
        }
        let most = "9".repeat(38);
        assert_eq!(parse_decimal(&most, 38, 0), most.parse().ok());
        assert_eq!(parse_decimal(&format!("{most}9"), 38, 0), None);
        assert_eq!(parse_decimal(&format!("0.{most}"), 38, 38), most.parse().ok());
        assert_eq!(parse_decimal("1", 38, 38), None);
    }

    proptest! {
        #[test]
        fn a_decimal_is_the_number_it_says(
            number in -99_999_999_999_i64..99_999_999_999,
            scale in 0_u8..8,
        ) {
            let unit = 10_i64.pow(u32::from(scale));
            let sign = if number < 0 { "-" } else { "" };
            let (whole, rest) = (number.abs() / unit, number.abs() % unit);
            let text = match scale {
                0 => format!("{sign}{whole}"),
                _ => format!("{sign}{whole}.{rest:0width$}", width = usize::from(scale)),
            };
            prop_assert_eq!(parse_decimal(&text, 18, scale), Some(i128::from(number)));
        }

        #[test]
        fn any_text_is_a_number_or_not(
            text in "[-+0-9.eE]{0,30}",
            precision in 1_u8..=38,
            scale in 0_u8..=38,
        ) {
            let _ = parse_integer_or_hex(&text);
            let _ = parse_decimal(&text, precision, scale.min(precision));
        }
    }
}
