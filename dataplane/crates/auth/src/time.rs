//! Times as Signature Version 4 writes them: UTC, to the second, `20150830T123600Z`.
//!
//! No calendar beyond that: a day past the end of its month counts on into the next one.

use model::UnixMillis;

/// `20150830T123600Z` as a time.
pub(crate) fn parse_timestamp(text: &str) -> Option<UnixMillis> {
    let bytes: &[u8; 16] = text.as_bytes().try_into().ok()?;
    if bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let number = |range: std::ops::Range<usize>| {
        let digits = text.get(range)?;
        digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse::<u64>().ok())?
    };
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    let (hour, minute, second) = (number(9..11)?, number(11..13)?, number(13..15)?);
    let plausible = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61;
    let days = plausible.then(|| days_from_civil(year, month, day))?;
    Some(UnixMillis((days * 86_400 + hour * 3_600 + minute * 60 + second) * 1_000))
}

/// Days since 1970-01-01 of a Gregorian date from then on: years are counted from March, so that the
/// leap day is the last of its year.
fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let leap_days = year / 4 - year / 100 + year / 400;
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    year * 365 + leap_days + day_of_year - 719_468
}

/// A time as in `x-amz-date`.
#[must_use]
pub fn timestamp(at: UnixMillis) -> String {
    let seconds = at.as_seconds();
    let days = seconds / 86_400 + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_basic_format_is_a_timestamp() {
        let check = |text: &str, want: Option<u64>| {
            assert_eq!(parse_timestamp(text).map(|at| at.0), want, "{text}");
        };
        check("20150830T123600Z", Some(1_440_938_160_000));
        check("19700101T000000Z", Some(0));
        check("20000229T235959Z", Some(951_868_799_000));
        for text in [
            "",
            "Sun, 30 Aug 2015 12:36:00 GMT",
            "2015-08-30T12:36:00Z",
            "20150830T123600",
            "20150830 123600Z",
            "20151330T123600Z",
            "20150830T243600Z",
            "19691231T235959Z",
            "+0150830T123600Z",
            "2015083\u{e9}123600Z",
        ] {
            check(text, None);
        }
    }

    proptest! {
        #[test]
        fn timestamps_come_back(seconds in 0..253_402_300_799_u64) {
            let text = timestamp(UnixMillis(seconds * 1_000));
            prop_assert_eq!(parse_timestamp(&text), Some(UnixMillis(seconds * 1_000)));
        }
    }
}
