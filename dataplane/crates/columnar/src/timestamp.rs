//! Dates and timestamps without a time zone: what is read is UTC, and so is what is written.

use crate::number::{parse_decimal, parse_integer};

pub(crate) const MICROS_PER_SECOND: i64 = 1_000_000;
pub(crate) const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// From here on a number counts milliseconds: 13 digits, which as seconds would be the year 33658.
const MILLIS_DIGITS_MIN: usize = 13;

/// What no reader of ours takes for granted beyond: 0001-01-01 and 9999-12-31.
const DAY_FIRST: i64 = -719_162;
const DAY_FINAL: i64 = 2_932_896;

/// Microseconds since 1970 in the forms that OpenX knows: a date and a time, seconds with or without
/// a fraction, or milliseconds.
pub(crate) fn parse_open_x(text: &str) -> Option<i64> {
    if text.contains(':') {
        return parse_date_time(text, Forms::Any);
    }
    if text.contains('.') {
        return in_range(i64::try_from(parse_decimal(text, 18, 6)?).ok()?);
    }
    let number = parse_integer(text)?;
    let is_millis = MILLIS_DIGITS_MIN <= text.trim_start_matches(['-', '+']).len();
    from_units(number, if is_millis { 1000 } else { MICROS_PER_SECOND })
}

/// Microseconds since 1970 from milliseconds.
pub(crate) fn parse_millis(text: &str) -> Option<i64> {
    from_units(parse_integer(text)?, 1000)
}

/// Microseconds since 1970 in the form of java.sql.Timestamp.
pub(crate) fn parse_sql(text: &str) -> Option<i64> {
    parse_date_time(text, Forms::Sql)
}

/// Days since 1970 from `yyyy-[M]M-[d]d`.
pub(crate) fn parse_date(text: &str) -> Option<i32> {
    let mut cursor = Cursor { rest: text.as_bytes() };
    let day = cursor.date()?;
    cursor.rest.is_empty().then_some(i32::try_from(day).ok()?)
}

/// Microseconds since midnight from `[H]H:mm:ss[.S]`.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    let mut cursor = Cursor { rest: text.as_bytes() };
    let micros = cursor.time()?;
    cursor.rest.is_empty().then_some(micros)
}

/// The days since 1970 of a day of the Gregorian calendar, whose rules hold for all years.
pub(crate) fn day_of(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    if day < 1 || days_in_month(year, month) < day {
        return None;
    }
    // Years that start in March have their leap day last.
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let leap_days = year / 4 - year / 100 + year / 400;
    Some(year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468)
}

/// As [`day_of`], by the number of the day in its year.
pub(crate) fn day_of_year(year: i64, day: i64) -> Option<i64> {
    let days = if days_in_month(year, 2) == 29 { 366 } else { 365 };
    (1..=days).contains(&day).then_some(day_of(year, 1, 1)? + day - 1)
}

/// Microseconds since 1970, if the year has four digits.
pub(crate) fn in_range(micros: i64) -> Option<i64> {
    (DAY_FIRST..=DAY_FINAL).contains(&micros.div_euclid(MICROS_PER_DAY)).then_some(micros)
}

fn from_units(number: i64, micros: i64) -> Option<i64> {
    in_range(number.checked_mul(micros)?)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Forms {
    /// `yyyy-[M]M-[d]d [H]H:mm:ss[.S]`
    Sql,
    /// Also ISO 8601's `T`, and a zone.
    Any,
}

fn parse_date_time(text: &str, forms: Forms) -> Option<i64> {
    let mut cursor = Cursor { rest: text.as_bytes() };
    let day = cursor.date()?;
    if !cursor.take(b' ') && !(forms == Forms::Any && (cursor.take(b'T') || cursor.take(b't'))) {
        return None;
    }
    let time = cursor.time()?;
    let offset_minutes = match forms {
        Forms::Sql => 0,
        Forms::Any => cursor.zone()?,
    };
    if !cursor.rest.is_empty() {
        return None;
    }
    in_range(day * MICROS_PER_DAY + time - offset_minutes * 60 * MICROS_PER_SECOND)
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    fn date(&mut self) -> Option<i64> {
        let year = self.number(4..=4, 9999)?;
        self.expect(b'-')?;
        let month = self.number(1..=2, 12)?;
        self.expect(b'-')?;
        let day = self.number(1..=2, 31)?;
        day_of(year, month, day)
    }

    fn time(&mut self) -> Option<i64> {
        let hour = self.number(1..=2, 23)?;
        self.expect(b':')?;
        let minute = self.number(1..=2, 59)?;
        self.expect(b':')?;
        let second = self.number(1..=2, 59)?;
        let fraction = if self.take(b'.') { self.fraction()? } else { 0 };
        Some((hour * 3600 + minute * 60 + second) * MICROS_PER_SECOND + fraction)
    }

    /// Up to nine digits, of which microseconds are kept.
    fn fraction(&mut self) -> Option<i64> {
        let length = self.digits().len();
        let nanos = self.number(1..=9, 999_999_999)?;
        Some(nanos * 10_i64.pow(9 - length as u32) / 1000)
    }

    /// Minutes east of UTC: nothing, `Z`, `+01`, `+0100` or `+01:00`.
    fn zone(&mut self) -> Option<i64> {
        let sign = match self.rest.first() {
            None => return Some(0),
            Some(b'Z' | b'z') => {
                self.rest = &self.rest[1..];
                return Some(0);
            }
            Some(b'+') => 1,
            Some(b'-') => -1,
            Some(_) => return None,
        };
        self.rest = &self.rest[1..];
        let hours_minutes = match self.digits().len() {
            4 => self.number(4..=4, 2359)?,
            _ => {
                let hours = self.number(2..=2, 23)?;
                hours * 100 + if self.take(b':') { self.number(2..=2, 59)? } else { 0 }
            }
        };
        let (hours, minutes) = (hours_minutes / 100, hours_minutes % 100);
        (minutes < 60).then_some(sign * (hours * 60 + minutes))
    }

    fn digits(&self) -> &[u8] {
        let end = self.rest.iter().position(|byte| !byte.is_ascii_digit());
        &self.rest[..end.unwrap_or(self.rest.len())]
    }

    fn number(&mut self, lengths: std::ops::RangeInclusive<usize>, max: i64) -> Option<i64> {
        let digits = self.digits();
        let length = digits.len();
        if !lengths.contains(&length) {
            return None;
        }
        let value = digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
        self.rest = &self.rest[length..];
        (value <= max).then_some(value)
    }

    fn take(&mut self, byte: u8) -> bool {
        let taken = self.rest.first() == Some(&byte);
        self.rest = &self.rest[usize::from(taken)..];
        taken
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.take(byte).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn show(micros: Option<i64>) -> String {
        let Some(micros) = micros else {
            return "none".to_owned();
        };
        let start = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0);
        format!("{}Z", start + jiff::Span::new().microseconds(micros))
    }

    #[test]
    fn open_x_knows_dates_seconds_and_milliseconds() {
        for (text, want) in [
            ("2017-02-07T15:13:01.39256Z", "2017-02-07T15:13:01.39256Z"),
            ("2017-02-07T15:13:01Z", "2017-02-07T15:13:01Z"),
            ("2017-02-07T15:13:01.123456789Z", "2017-02-07T15:13:01.123456Z"),
            ("2017-02-07T15:13:01", "2017-02-07T15:13:01Z"),
            ("2017-02-07T15:13:01+01:30", "2017-02-07T13:43:01Z"),
            ("2017-02-07T15:13:01-0800", "2017-02-07T23:13:01Z"),
            ("2017-02-07 15:13:01+00", "2017-02-07T15:13:01Z"),
            ("2017-02-07 15:13:01.14", "2017-02-07T15:13:01.14Z"),
            ("2017-2-7 5:13:01", "2017-02-07T05:13:01Z"),
            ("1518033528", "2018-02-07T19:58:48Z"),
            ("1518033528123", "2018-02-07T19:58:48.123Z"),
            ("1518033528.123", "2018-02-07T19:58:48.123Z"),
            ("1.5180335281235e9", "2018-02-07T19:58:48.1235Z"),
            ("-1", "1969-12-31T23:59:59Z"),
            ("0", "1970-01-01T00:00:00Z"),
            ("9999-12-31 23:59:59.999999999", "9999-12-31T23:59:59.999999Z"),
            ("0001-01-01 00:00:00", "0001-01-01T00:00:00Z"),
            ("0001-01-01T00:00:00+00:01", "none"),
            ("253402300800", "none"),
            ("9223372036854775807", "none"),
            ("2017-02-29 00:00:00", "none"),
            ("2016-02-29 00:00:00", "2016-02-29T00:00:00Z"),
            ("2017-13-01 00:00:00", "none"),
            ("2017-02-07 24:00:00", "none"),
            ("2017-02-07 23:59:60", "none"),
            ("2017-02-07 15:13", "none"),
            ("2017-02-07", "none"),
            ("2017-02-07T15:13:01.1234567890Z", "none"),
            ("2017-02-07T15:13:01.Z", "none"),
            ("2017-02-07T15:13:01 Z", "none"),
            ("2017-02-07T15:13:01+1", "none"),
            ("2017-02-07T15:13:01+00:60", "none"),
            ("", "none"),
            (".", "none"),
            (":", "none"),
        ] {
            assert_eq!(show(parse_open_x(text)), want, "{text}");
        }
    }

    #[test]
    fn java_sql_knows_one_form() {
        assert_eq!(show(parse_sql("2017-02-07 15:13:01.14")), "2017-02-07T15:13:01.14Z");
        assert_eq!(parse_sql("2017-02-07T15:13:01"), None);
        assert_eq!(parse_sql("2017-02-07 15:13:01Z"), None);
        assert_eq!(parse_sql("1518033528"), None);
        assert_eq!(show(parse_millis("-1")), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn dates_count_days() {
        for (text, want) in [
            ("1970-01-01", Some(0)),
            ("1969-12-31", Some(-1)),
            ("2024-2-9", Some(19_762)),
            ("0001-01-01", Some(-719_162)),
            ("9999-12-31", Some(2_932_896)),
            ("0000-01-01", None),
            ("2023-02-29", None),
            ("2024-02-29 ", None),
            ("24-02-29", None),
            ("19762", None),
        ] {
            assert_eq!(parse_date(text), want, "{text}");
        }
        assert_eq!(day_of_year(2024, 366), day_of(2024, 12, 31));
        assert_eq!(day_of_year(2023, 366), None);
    }

    proptest! {
        #[test]
        fn days_are_those_of_another_calendar(day in -719_162_i32..=2_932_896) {
            let date = jiff::civil::date(1970, 1, 1) + jiff::Span::new().days(day);
            prop_assert_eq!(parse_date(&date.to_string()), Some(day));
        }

        #[test]
        fn any_text_is_a_timestamp_or_not(text in "[-+0-9TZ:. ]{0,30}") {
            let _ = parse_open_x(&text);
            let _ = parse_sql(&text);
            let _ = parse_millis(&text);
        }
    }
}
