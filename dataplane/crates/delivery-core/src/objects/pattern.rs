//! Times as Java's DateTimeFormatter writes them, which is how AWS reads `!{timestamp:...}`.
//!
//! The words are English and the weeks those of the United States: Java's locale en_US. Letters
//! whose meaning depends on the release of Java or on lists of names that only Java has are
//! refused.

use std::fmt::Write;

use super::time::{Moment, Week};

/// A pattern, taken apart once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    items: Vec<Item>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Text(String),
    Field(Field),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    /// At least `width` digits.
    Number {
        of: Number,
        width: usize,
    },
    /// The last two digits.
    TwoDigits {
        of: Number,
    },
    Word {
        of: Word,
        length: Length,
    },
    /// The first digits of the second's fraction.
    Fraction {
        digits: u32,
    },
    Offset(Offset),
    /// `GMT+1` or `GMT+01:00`.
    GmtOffset {
        is_full: bool,
    },
    ZoneAbbreviation,
    ZoneName,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Year,
    WeekYear,
    Month,
    Quarter,
    Day,
    DayOfYear,
    DayOfWeek,
    WeekOfYear,
    WeekOfMonth,
    /// 0 to 23.
    Hour,
    /// 1 to 24.
    HourFromOne,
    /// 0 to 11.
    HalfDayHour,
    /// 1 to 12.
    HalfDayHourFromOne,
    Minute,
    Second,
    NanoOfSecond,
    NanoOfDay,
    MilliOfDay,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Month,
    DayOfWeek,
    Quarter,
    HalfDay,
    Era,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Short,
    Full,
    Narrow,
}

/// How the distance from universal time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Offset {
    minutes: Minutes,
    has_colons: bool,
    /// Whether seconds follow where there are any.
    has_seconds: bool,
    /// What no distance is written as.
    zero: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Minutes {
    Always,
    UnlessZero,
}

/// What is wrong in a pattern, and where: characters from its start, from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PatternError {
    pub(super) position: usize,
    pub(super) problem: PatternProblem,
}

/// What is wrong in a pattern of times.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternProblem {
    /// No letter of DateTimeFormatter.
    #[error("'{0}' is no letter of times; put it into single quotes to mean itself")]
    UnknownLetter(char),
    /// A letter of DateTimeFormatter that has no meaning here.
    #[error("'{letter}' is not understood; {instead}")]
    Unsupported {
        /// The letter.
        letter: char,
        /// What to do.
        instead: &'static str,
    },
    /// A letter too often in a row.
    #[error("{count} times '{letter}'; it may stand {allowed} in a row")]
    Count {
        /// The letter.
        letter: char,
        /// How often it stands there.
        count: usize,
        /// How often it may.
        allowed: &'static str,
    },
    /// A character that DateTimeFormatter keeps for itself.
    #[error("'{0}' is reserved; put it into single quotes")]
    Reserved(char),
    /// A quote without its end.
    #[error("the single quote has no end; add one, or write '' for the quote itself")]
    UnclosedQuote,
    /// A `]` without its `[`.
    #[error("']' has no '[' before it; remove it or put it into single quotes")]
    StrayBracket,
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Pattern, PatternError> {
        let chars: Vec<char> = text.chars().collect();
        let mut items = Vec::new();
        let mut optional_depth = 0_usize;
        let mut at = 0;
        while let Some(&char) = chars.get(at) {
            let start = at;
            let fail = |problem| Err(PatternError { position: start, problem });
            at += 1;
            match char {
                'a'..='z' | 'A'..='Z' => {
                    let count = chars[start..].iter().take_while(|next| **next == char).count();
                    at = start + count;
                    match field(char, count) {
                        Ok(field) => items.push(Item::Field(field)),
                        Err(problem) => return fail(problem),
                    }
                }
                '\'' => match quoted(&chars[at..]) {
                    Some((text, length)) => {
                        push_text(&mut items, &text);
                        at += length;
                    }
                    None => return fail(PatternProblem::UnclosedQuote),
                },
                // What is optional is written where it is known, and all is known of an instant.
                '[' => optional_depth += 1,
                ']' if 0 < optional_depth => optional_depth -= 1,
                ']' => return fail(PatternProblem::StrayBracket),
                '{' | '}' | '#' => return fail(PatternProblem::Reserved(char)),
                other => push_text(&mut items, other.encode_utf8(&mut [0; 4])),
            }
        }
        Ok(Pattern { items })
    }

    pub(super) fn format(&self, moment: &Moment, out: &mut String) {
        for item in &self.items {
            match item {
                Item::Text(text) => out.push_str(text),
                Item::Field(field) => push_field(*field, moment, out),
            }
        }
    }
}

fn push_text(items: &mut Vec<Item>, text: &str) {
    match items.last_mut() {
        Some(Item::Text(before)) => before.push_str(text),
        _ => items.push(Item::Text(text.to_owned())),
    }
}

/// What stands before the closing quote, and how many characters it takes with that. Two quotes
/// inside are one, and nothing inside is a quote.
fn quoted(chars: &[char]) -> Option<(String, usize)> {
    let mut text = String::new();
    let mut at = 0;
    loop {
        match (chars.get(at)?, chars.get(at + 1)) {
            ('\'', Some('\'')) => {
                text.push('\'');
                at += 2;
            }
            ('\'', _) if text.is_empty() => return Some(("'".to_owned(), at + 1)),
            ('\'', _) => return Some((text, at + 1)),
            (other, _) => {
                text.push(*other);
                at += 1;
            }
        }
    }
}

/// What a letter means `count` times in a row. The limits are Java's.
fn field(letter: char, count: usize) -> Result<Field, PatternProblem> {
    let number = |of| Field::Number { of, width: count };
    let word = |of| {
        let length = match count {
            4 => Length::Full,
            5 => Length::Narrow,
            _ => Length::Short,
        };
        Field::Word { of, length }
    };
    let two_digits = |of| if count == 2 { Field::TwoDigits { of } } else { number(of) };
    let number_or_word = |of, words| if count <= 2 { number(of) } else { word(words) };
    let (field, most) = match letter {
        'u' | 'y' => (two_digits(Number::Year), 19),
        'Y' => (two_digits(Number::WeekYear), 19),
        'M' | 'L' => (number_or_word(Number::Month, Word::Month), 5),
        'Q' | 'q' => (number_or_word(Number::Quarter, Word::Quarter), 5),
        'E' => (word(Word::DayOfWeek), 5),
        'c' if count == 2 => {
            return Err(PatternProblem::Count { letter, count, allowed: "1, 3, 4 or 5 times" });
        }
        'e' | 'c' => (number_or_word(Number::DayOfWeek, Word::DayOfWeek), 5),
        'G' => (word(Word::Era), 5),
        'a' => (word(Word::HalfDay), 1),
        'd' => (number(Number::Day), 2),
        'D' => (number(Number::DayOfYear), 3),
        'w' => (number(Number::WeekOfYear), 2),
        'W' => (number(Number::WeekOfMonth), 1),
        'H' => (number(Number::Hour), 2),
        'k' => (number(Number::HourFromOne), 2),
        'K' => (number(Number::HalfDayHour), 2),
        'h' => (number(Number::HalfDayHourFromOne), 2),
        'm' => (number(Number::Minute), 2),
        's' => (number(Number::Second), 2),
        'n' => (number(Number::NanoOfSecond), 19),
        'N' => (number(Number::NanoOfDay), 19),
        'A' => (number(Number::MilliOfDay), 19),
        'S' => (Field::Fraction { digits: u32::try_from(count).unwrap_or(u32::MAX) }, 9),
        _ => return zone_field(letter, count),
    };
    if count <= most {
        Ok(field)
    } else {
        Err(PatternProblem::Count { letter, count, allowed: at_most(most) })
    }
}

fn at_most(most: usize) -> &'static str {
    match most {
        1 => "once",
        2 => "at most twice",
        3 => "at most 3 times",
        5 => "at most 5 times",
        9 => "at most 9 times",
        _ => "at most 19 times",
    }
}

/// The letters of time zones, and those without meaning.
fn zone_field(letter: char, count: usize) -> Result<Field, PatternProblem> {
    let unsupported = |instead| Err(PatternProblem::Unsupported { letter, instead });
    let wrong = |allowed| Err(PatternProblem::Count { letter, count, allowed });
    match (letter, count) {
        ('V', 2) => Ok(Field::ZoneName),
        ('V', _) => wrong("2 times"),
        ('z', 1..=3) => Ok(Field::ZoneAbbreviation),
        ('z', 4) => unsupported("write VV for the zone's name, or z for its abbreviation"),
        ('z', _) => wrong("at most 3 times"),
        ('O', 1 | 4) => Ok(Field::GmtOffset { is_full: count == 4 }),
        ('O', _) => wrong("1 or 4 times"),
        ('X' | 'x', 1..=5) => Ok(Field::Offset(offset(letter, count))),
        ('Z', 1..=3) => Ok(Field::Offset(Offset { zero: "+0000", ..offset('x', 2) })),
        ('Z', 4) => Ok(Field::GmtOffset { is_full: true }),
        ('Z', 5) => Ok(Field::Offset(offset('X', 5))),
        ('X' | 'x' | 'Z', _) => wrong("at most 5 times"),
        ('F', _) => unsupported("releases of Java differ on it; write W for the week of the month"),
        ('B', _) => unsupported("write a for AM and PM"),
        ('v', _) => unsupported("write VV for the zone's name, or z for its abbreviation"),
        ('p', _) => unsupported("write a letter twice for a leading zero"),
        ('g', _) => unsupported("write D for the day of the year"),
        _ => Err(PatternProblem::UnknownLetter(letter)),
    }
}

fn offset(letter: char, count: usize) -> Offset {
    Offset {
        minutes: if count == 1 { Minutes::UnlessZero } else { Minutes::Always },
        has_colons: matches!(count, 3 | 5),
        has_seconds: 4 <= count,
        zero: match (letter, count) {
            ('X', _) => "Z",
            (_, 1) => "+00",
            (_, 3 | 5) => "+00:00",
            _ => "+0000",
        },
    }
}

fn push_field(field: Field, moment: &Moment, out: &mut String) {
    match field {
        Field::Number { of, width } => push_padded(number(of, moment), width, out),
        Field::TwoDigits { of } => push_padded(number(of, moment) % 100, 2, out),
        Field::Word { of, length } => out.push_str(word(of, length, moment)),
        Field::Fraction { digits } => {
            let nanos = i64::from(moment.local.subsec_nanosecond());
            let scale = 10_i64.pow(9_u32.saturating_sub(digits));
            push_padded(nanos / scale, digits as usize, out);
        }
        Field::Offset(offset) => push_offset(offset, moment.offset_seconds, out),
        Field::GmtOffset { is_full } => push_gmt_offset(is_full, moment.offset_seconds, out),
        Field::ZoneAbbreviation => out.push_str(&moment.zone_abbreviation),
        Field::ZoneName => out.push_str(&moment.zone_name),
    }
}

fn push_padded(value: i64, width: usize, out: &mut String) {
    write!(out, "{value:0width$}").expect("a String takes all");
}

fn number(of: Number, moment: &Moment) -> i64 {
    let local = moment.local;
    let date = local.date();
    let hour = i64::from(local.hour());
    let second_of_day = hour * 3_600 + i64::from(local.minute()) * 60 + i64::from(local.second());
    let nanos = i64::from(local.subsec_nanosecond());
    match of {
        Number::Year => i64::from(date.year()),
        Number::WeekYear => i64::from(Week::of(date).year),
        Number::Month => i64::from(date.month()),
        Number::Quarter => quarter(moment) as i64 + 1,
        Number::Day => i64::from(date.day()),
        Number::DayOfYear => i64::from(date.day_of_year()),
        Number::DayOfWeek => i64::from(date.weekday().to_sunday_one_offset()),
        Number::WeekOfYear => i64::from(Week::of(date).number),
        Number::WeekOfMonth => i64::from(Week::of_month(date)),
        Number::Hour => hour,
        Number::HourFromOne => (hour + 23) % 24 + 1,
        Number::HalfDayHour => hour % 12,
        Number::HalfDayHourFromOne => (hour + 11) % 12 + 1,
        Number::Minute => i64::from(local.minute()),
        Number::Second => i64::from(local.second()),
        Number::NanoOfSecond => nanos,
        Number::NanoOfDay => second_of_day * 1_000_000_000 + nanos,
        Number::MilliOfDay => second_of_day * 1_000 + nanos / 1_000_000,
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const QUARTERS: [(&str, &str); 4] =
    [("Q1", "1st quarter"), ("Q2", "2nd quarter"), ("Q3", "3rd quarter"), ("Q4", "4th quarter")];

/// From 0.
fn quarter(moment: &Moment) -> usize {
    month(moment) / 3
}

/// From 0.
fn month(moment: &Moment) -> usize {
    usize::from(moment.local.month().unsigned_abs()) - 1
}

fn word(of: Word, length: Length, moment: &Moment) -> &'static str {
    // English words are shortened to three letters or to one.
    let shorten = |word: &'static str| match length {
        Length::Short => &word[..3],
        Length::Full => word,
        Length::Narrow => &word[..1],
    };
    match of {
        Word::Month => shorten(MONTHS[month(moment)]),
        Word::DayOfWeek => {
            let day = moment.local.weekday().to_sunday_zero_offset();
            shorten(DAYS[usize::from(day.unsigned_abs())])
        }
        Word::Quarter => {
            let (short, full) = QUARTERS[quarter(moment)];
            match length {
                Length::Short => short,
                Length::Full => full,
                Length::Narrow => &short[1..],
            }
        }
        Word::HalfDay if moment.local.hour() < 12 => "AM",
        Word::HalfDay => "PM",
        // Instants are counted from 1970.
        Word::Era => match length {
            Length::Short => "AD",
            Length::Full => "Anno Domini",
            Length::Narrow => "A",
        },
    }
}

/// A distance from universal time, taken apart.
struct Distance {
    sign: char,
    hours: u32,
    minutes: u32,
    seconds: u32,
}

impl Distance {
    fn of(offset_seconds: i32) -> Distance {
        let total = offset_seconds.unsigned_abs();
        Distance {
            sign: if offset_seconds < 0 { '-' } else { '+' },
            hours: total / 3_600,
            minutes: total / 60 % 60,
            seconds: total % 60,
        }
    }
}

fn push_offset(offset: Offset, offset_seconds: i32, out: &mut String) {
    let Distance { sign, hours, minutes, seconds } = Distance::of(offset_seconds);
    let shows_minutes = offset.minutes == Minutes::Always || 0 < minutes;
    let shows_seconds = offset.has_seconds && 0 < seconds;
    // Less than what is shown is nothing.
    let shown = [(true, hours), (shows_minutes, minutes), (shows_seconds, seconds)];
    if shown.iter().all(|(is_shown, value)| !is_shown || *value == 0) {
        out.push_str(offset.zero);
        return;
    }
    out.push(sign);
    for (at, (_, value)) in shown.iter().enumerate().filter(|(_, (is_shown, _))| *is_shown) {
        if 0 < at && offset.has_colons {
            out.push(':');
        }
        push_padded(i64::from(*value), 2, out);
    }
}

fn push_gmt_offset(is_full: bool, offset_seconds: i32, out: &mut String) {
    let Distance { sign, hours, minutes, seconds } = Distance::of(offset_seconds);
    out.push_str("GMT");
    if offset_seconds == 0 {
        return;
    }
    out.push(sign);
    push_padded(i64::from(hours), if is_full { 2 } else { 1 }, out);
    if is_full || 0 < minutes || 0 < seconds {
        out.push(':');
        push_padded(i64::from(minutes), 2, out);
    }
    if 0 < seconds {
        out.push(':');
        push_padded(i64::from(seconds), 2, out);
    }
}

#[cfg(test)]
mod tests;
