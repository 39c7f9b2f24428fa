//! Timestamps by patterns of Joda-Time's DateTimeFormat, of which those that say a point in time are
//! known: eras, centuries and week years are not.
//!
//! As there, letters that are numbers take fewer digits than they have letters, names are English and
//! in any case, and what a pattern leaves out is that of 1970-01-01T00:00:00Z.

use crate::timestamp::{self, MICROS_PER_DAY, MICROS_PER_SECOND};

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const DAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const SHORT_LENGTH: usize = 3;
/// Two digits of a year are those of 1970 to 2069.
const TWO_DIGIT_FIRST: i64 = 70;
/// The most digits of a year, were it not for the next number.
const YEAR_DIGITS_MAX: usize = 9;

/// A pattern, ready to read with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JodaPattern {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Number(Field, usize),
    TwoDigitYear,
    MonthName,
    DayName,
    HalfDay,
    /// Of a second; with the most digits.
    Fraction(usize),
    Offset,
    ZoneName,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Year,
    Month,
    Day,
    DayOfYear,
    /// 0 to 23.
    Hour,
    /// 1 to 24.
    ClockHour,
    /// 0 to 11.
    HalfDayHour,
    /// 1 to 12.
    HalfDayClockHour,
    Minute,
    Second,
    /// 1 is Monday. Read, and not used: a date says it as well.
    DayOfWeek,
}

#[derive(Default)]
struct Found {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    hour: i64,
    half_day_hour: Option<i64>,
    is_afternoon: bool,
    minute: i64,
    second: i64,
    micros: i64,
    offset_seconds: i64,
}

impl JodaPattern {
    /// # Errors
    /// What is wrong with the pattern.
    pub(crate) fn parse(pattern: &str) -> Result<JodaPattern, String> {
        let mut parts = Vec::new();
        let mut rest = pattern;
        while let Some(letter) = rest.chars().next() {
            if letter == '\'' {
                rest = take_quoted(rest, &mut parts)?;
                continue;
            }
            let same = rest.len() - rest.trim_start_matches(letter).len();
            let (run, after) = rest.split_at(same);
            rest = after;
            if letter.is_ascii_alphabetic() {
                parts.push(letter_part(letter, same, starts_with_number(after))?);
            } else {
                push_literal(&mut parts, run);
            }
        }
        if parts.is_empty() {
            return Err("an empty pattern".to_owned());
        }
        Ok(JodaPattern { parts })
    }

    /// Microseconds since 1970 from the whole of `text`.
    pub(crate) fn read(&self, text: &str) -> Option<i64> {
        let mut found = Found::default();
        let mut rest = text;
        for part in &self.parts {
            rest = part.read(rest, &mut found)?;
        }
        if rest.is_empty() { found.micros_since_1970() } else { None }
    }
}

fn letter_part(letter: char, length: usize, is_number_next: bool) -> Result<Part, String> {
    let number = |field, digits| Ok(Part::Number(field, digits));
    match letter {
        'y' | 'Y' if length == 2 => Ok(Part::TwoDigitYear),
        // Digits that follow at once are another field's.
        'y' | 'Y' if is_number_next => number(Field::Year, length),
        'y' | 'Y' => number(Field::Year, YEAR_DIGITS_MAX),
        'M' if length < 3 => number(Field::Month, 2),
        'M' => Ok(Part::MonthName),
        'd' => number(Field::Day, 2),
        'D' => number(Field::DayOfYear, 3),
        'E' => Ok(Part::DayName),
        'e' => number(Field::DayOfWeek, 1),
        'a' => Ok(Part::HalfDay),
        'H' => number(Field::Hour, 2),
        'k' => number(Field::ClockHour, 2),
        'K' => number(Field::HalfDayHour, 2),
        'h' => number(Field::HalfDayClockHour, 2),
        'm' => number(Field::Minute, 2),
        's' => number(Field::Second, 2),
        'S' => Ok(Part::Fraction(length)),
        'Z' if length < 3 => Ok(Part::Offset),
        'z' | 'Z' => Ok(Part::ZoneName),
        'G' | 'C' | 'x' | 'w' => Err(format!("the letter {letter} cannot be read")),
        _ => Err(format!("unknown letter {letter}")),
    }
}

fn starts_with_number(pattern: &str) -> bool {
    let Some(letter) = pattern.chars().next() else {
        return false;
    };
    let length = pattern.len() - pattern.trim_start_matches(letter).len();
    match letter {
        'M' => length < 3,
        _ => "yYdDeHkKhmsS".contains(letter),
    }
}

/// Text between quotes; two quotes are one, inside and outside.
fn take_quoted<'a>(pattern: &'a str, parts: &mut Vec<Part>) -> Result<&'a str, String> {
    let mut rest = &pattern[1..];
    if let Some(after) = rest.strip_prefix('\'') {
        push_literal(parts, "'");
        return Ok(after);
    }
    loop {
        let (text, after) = rest.split_once('\'').ok_or("a quote without an end")?;
        push_literal(parts, text);
        match after.strip_prefix('\'') {
            Some(more) => {
                push_literal(parts, "'");
                rest = more;
            }
            None => return Ok(after),
        }
    }
}

fn push_literal(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        Some(Part::Literal(literal)) => literal.push_str(text),
        _ => parts.push(Part::Literal(text.to_owned())),
    }
}

impl Part {
    fn read<'a>(&self, text: &'a str, found: &mut Found) -> Option<&'a str> {
        match self {
            Part::Literal(literal) => strip_prefix_any_case(text, literal),
            Part::Number(field, digits_max) => {
                let (value, rest) = take_number(text, *digits_max, *field == Field::Year)?;
                found.set(*field, value)?;
                Some(rest)
            }
            Part::TwoDigitYear => {
                let (value, rest) = take_number(text, YEAR_DIGITS_MAX, true)?;
                let is_short = text.len() - rest.len() == 2 && 0 <= value;
                let century = if value < TWO_DIGIT_FIRST { 2000 } else { 1900 };
                found.year = Some(if is_short { century + value } else { value });
                Some(rest)
            }
            Part::MonthName => {
                let (index, rest) = take_name(text, &MONTHS)?;
                found.month = Some(index + 1);
                Some(rest)
            }
            Part::DayName => take_name(text, &DAYS).map(|(_, rest)| rest),
            Part::HalfDay => {
                let (index, rest) = take_name(text, &["am", "pm"])?;
                found.is_afternoon = index == 1;
                Some(rest)
            }
            Part::Fraction(digits_max) => {
                let (digits, rest) = take_digits(text, *digits_max)?;
                let micros = digits.bytes().chain(std::iter::repeat(b'0')).take(6);
                found.micros = micros.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
                Some(rest)
            }
            Part::Offset => {
                let (seconds, rest) = take_offset(text)?;
                found.offset_seconds = seconds;
                Some(rest)
            }
            Part::ZoneName => take_name(text, &["utc", "gmt", "ut", "z"]).map(|(_, rest)| rest),
        }
    }
}

impl Found {
    fn set(&mut self, field: Field, value: i64) -> Option<()> {
        let (low, high) = match field {
            Field::Year | Field::Month | Field::Day | Field::DayOfYear => (i64::MIN, i64::MAX),
            Field::Hour => (0, 23),
            Field::ClockHour => (1, 24),
            Field::HalfDayHour => (0, 11),
            Field::HalfDayClockHour => (1, 12),
            Field::Minute | Field::Second => (0, 59),
            Field::DayOfWeek => (1, 7),
        };
        if !(low..=high).contains(&value) {
            return None;
        }
        match field {
            Field::Year => self.year = Some(value),
            Field::Month => self.month = Some(value),
            Field::Day => self.day = Some(value),
            Field::DayOfYear => self.day_of_year = Some(value),
            Field::Hour | Field::ClockHour => self.hour = value % 24,
            Field::HalfDayHour | Field::HalfDayClockHour => self.half_day_hour = Some(value % 12),
            Field::Minute => self.minute = value,
            Field::Second => self.second = value,
            Field::DayOfWeek => {}
        }
        Some(())
    }

    fn micros_since_1970(&self) -> Option<i64> {
        let year = self.year.unwrap_or(1970);
        let day = match self.day_of_year {
            Some(day) => timestamp::day_of_year(year, day)?,
            None => timestamp::day_of(year, self.month.unwrap_or(1), self.day.unwrap_or(1))?,
        };
        let hour = match self.half_day_hour {
            Some(hour) => hour + if self.is_afternoon { 12 } else { 0 },
            None => self.hour,
        };
        let seconds = hour * 3600 + self.minute * 60 + self.second - self.offset_seconds;
        timestamp::in_range(day * MICROS_PER_DAY + seconds * MICROS_PER_SECOND + self.micros)
    }
}

fn take_number(text: &str, digits_max: usize, is_signed: bool) -> Option<(i64, &str)> {
    let unsigned = if is_signed { text.strip_prefix('-') } else { None };
    let (digits, rest) = take_digits(unsigned.unwrap_or(text), digits_max.min(YEAR_DIGITS_MAX))?;
    let value = digits.parse::<i64>().ok()?;
    Some((if unsigned.is_some() { -value } else { value }, rest))
}

fn take_digits(text: &str, digits_max: usize) -> Option<(&str, &str)> {
    let digits = text.bytes().take(digits_max).take_while(u8::is_ascii_digit).count();
    if digits == 0 { None } else { Some(text.split_at(digits)) }
}

/// A name in full or its first letters.
fn take_name<'a>(text: &'a str, names: &[&str]) -> Option<(i64, &'a str)> {
    let by_length = |length: fn(&str) -> usize| {
        names.iter().enumerate().find_map(|(index, name)| {
            let rest = strip_prefix_any_case(text, &name[..length(name)])?;
            Some((index as i64, rest))
        })
    };
    by_length(str::len).or_else(|| by_length(|name| name.len().min(SHORT_LENGTH)))
}

/// `Z`, `+0130` or `+01:30`, in seconds.
fn take_offset(text: &str) -> Option<(i64, &str)> {
    if let Some(rest) = text.strip_prefix('Z') {
        return Some((0, rest));
    }
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let (hours, rest) = take_digits(rest, 2).filter(|(digits, _)| digits.len() == 2)?;
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    let (minutes, rest) = take_digits(rest, 2).filter(|(digits, _)| digits.len() == 2)?;
    let (hours, minutes) = (hours.parse::<i64>().ok()?, minutes.parse::<i64>().ok()?);
    let is_offset = hours < 24 && minutes < 60;
    is_offset.then_some((sign * (hours * 3600 + minutes * 60), rest))
}

fn strip_prefix_any_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let found = text.get(..prefix.len())?;
    found.eq_ignore_ascii_case(prefix).then_some(&text[prefix.len()..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(pattern: &str, text: &str, want: &str) {
        let found = match JodaPattern::parse(pattern) {
            Ok(pattern) => match pattern.read(text) {
                Some(micros) => jiff::Timestamp::from_microsecond(micros).unwrap().to_string(),
                None => "none".to_owned(),
            },
            Err(error) => error,
        };
        assert_eq!(found, want, "{pattern} on {text}");
    }

    #[test]
    fn patterns_read_timestamps() {
        check("yyyy-MM-dd'T'HH:mm:ss.SSSZ", "2017-02-07T15:13:01.392+0100", {
            "2017-02-07T14:13:01.392Z"
        });
        check("yyyy-MM-dd'T'HH:mm:ss.SSSZZ", "2017-02-07T15:13:01.39-08:00", {
            "2017-02-07T23:13:01.39Z"
        });
        check("yyyy-MM-dd'T'HH:mm:ssZ", "2017-02-07T15:13:01Z", "2017-02-07T15:13:01Z");
        check("yyyyMMddHHmmss", "20170207151301", "2017-02-07T15:13:01Z");
        check("yyyyMMddHHmmssSSS", "20170207151301042", "2017-02-07T15:13:01.042Z");
        check("dd/MMM/yyyy:HH:mm:ss Z", "07/Feb/2017:15:13:01 +0000", "2017-02-07T15:13:01Z");
        check("EEE, dd MMMM yyyy HH:mm:ss z", "Tue, 07 february 2017 15:13:01 GMT", {
            "2017-02-07T15:13:01Z"
        });
        check("EEE MMM dd HH:mm:ss z yyyy", "Tuesday May 7 15:13:01 UTC 2024", {
            "2024-05-07T15:13:01Z"
        });
        check("M/d/yy h:mm a", "2/7/17 3:13 PM", "2017-02-07T15:13:00Z");
        check("M/d/yy h:mm a", "2/7/1917 12:13 am", "1917-02-07T00:13:00Z");
        check("yy", "69", "2069-01-01T00:00:00Z");
        check("yy", "70", "1970-01-01T00:00:00Z");
        check("yyyy-DDD", "2024-060", "2024-02-29T00:00:00Z");
        check("yyyy-MM-dd kk", "2024-02-29 24", "2024-02-29T00:00:00Z");
        check("yyyy-MM-dd K a e", "2024-02-29 11 PM 4", "2024-02-29T23:00:00Z");
        check("HH 'o''clock'", "15 o'clock", "1970-01-01T15:00:00Z");
        check("yyyy''MM", "2024'05", "2024-05-01T00:00:00Z");
        check("yyyy年MM月", "2024年05月", "2024-05-01T00:00:00Z");
        check("SSSSSSSSS", "123456789", "1970-01-01T00:00:00.123456Z");
    }

    #[test]
    fn what_a_pattern_does_not_say_is_not_read() {
        check("yyyy-MM-dd", "2017-02-07 ", "none");
        check("yyyy-MM-dd", "2017-02", "none");
        check("yyyy-MM-dd", "2017-02-30", "none");
        check("yyyy-MM-dd", "12017-02-07", "none");
        check("yyyy-MM-dd", "-2017-02-07", "none");
        check("HH", "24", "none");
        check("HH", "123", "none");
        check("hh a", "13 PM", "none");
        check("MMM", "Fex", "none");
        check("z", "CET", "none");
        check("Z", "+25:00", "none");
        check("SSS", "1234", "none");
        check("yyyy é", "2017 \u{e8}", "none");
    }

    #[test]
    fn a_wrong_pattern_says_what_is_wrong() {
        check("", "", "an empty pattern");
        check("xxxx-ww", "", "the letter x cannot be read");
        check("yyyy GG", "", "the letter G cannot be read");
        check("yyyy-bb", "", "unknown letter b");
        check("yyyy 'at", "", "a quote without an end");
    }

    proptest! {
        #[test]
        fn any_pattern_reads_any_text_or_not(
            pattern in "[yYMdDEeaHkKhmsSZz'/: -é]{1,24}",
            text in "[0-9APMaeb:/ +-é']{0,24}",
        ) {
            if let Ok(pattern) = JodaPattern::parse(&pattern) {
                let _ = pattern.read(&text);
            }
        }
    }
}
