//! `java.txt` is what Java 17 makes of the patterns, in the locale en_US: after a line with a zone
//! and an instant, lines with a pattern and the result, a tab between.

use expect_test::expect;
use model::UnixMillis;
use proptest::prelude::*;

use super::super::time::Zone;
use super::*;

fn format(pattern: &Pattern, zone: &Zone, millis: u64) -> String {
    let mut out = String::new();
    pattern.format(&Moment::new(UnixMillis(millis), zone), &mut out);
    out
}

#[test]
fn times_are_written_as_java_does() {
    let (mut zone, mut millis) = (Zone::UTC, 0);
    let mut compared = 0;
    for line in include_str!("java.txt").lines() {
        if let Some(head) = line.strip_prefix("= ") {
            let (name, at) = head.split_once(' ').unwrap();
            (zone, millis) = (Zone::named(name).unwrap(), at.parse().unwrap());
            continue;
        }
        let (text, want) = line.split_once('\t').unwrap();
        let pattern = Pattern::parse(text);
        let got = pattern.map_or("refused".to_owned(), |it| format(&it, &zone, millis));
        assert_eq!(got, want, "{text} of {millis}");
        compared += 1;
    }
    assert_eq!(compared, 255);
}

#[test]
fn refusals_say_where_and_what_to_do() {
    let patterns = [
        "yyyyTHH",
        "yyyy/ddd",
        "cc",
        "HHH",
        "VVV",
        "OO",
        "yyyy zzzz",
        "F",
        "B",
        "v",
        "p",
        "g",
        "é#",
        "MM'T",
        "a]",
    ];
    let mut lines = String::new();
    for text in patterns {
        let PatternError { position, problem } = Pattern::parse(text).unwrap_err();
        lines.push_str(&format!("{text} => {position}: {problem}\n"));
    }
    expect![[r#"
        yyyyTHH => 4: 'T' is no letter of times; put it into single quotes to mean itself
        yyyy/ddd => 5: 3 times 'd'; it may stand at most twice in a row
        cc => 0: 2 times 'c'; it may stand 1, 3, 4 or 5 times in a row
        HHH => 0: 3 times 'H'; it may stand at most twice in a row
        VVV => 0: 3 times 'V'; it may stand 2 times in a row
        OO => 0: 2 times 'O'; it may stand 1 or 4 times in a row
        yyyy zzzz => 5: 'z' is not understood; write VV for the zone's name, or z for its abbreviation
        F => 0: 'F' is not understood; releases of Java differ on it; write W for the week of the month
        B => 0: 'B' is not understood; write a for AM and PM
        v => 0: 'v' is not understood; write VV for the zone's name, or z for its abbreviation
        p => 0: 'p' is not understood; write a letter twice for a leading zero
        g => 0: 'g' is not understood; write D for the day of the year
        é# => 1: '#' is reserved; put it into single quotes
        MM'T => 2: the single quote has no end; add one, or write '' for the quote itself
        a] => 1: ']' has no '[' before it; remove it or put it into single quotes
    "#]].assert_eq(&lines);
}

#[test]
fn the_end_of_time_is_the_year_9999() {
    let pattern = Pattern::parse("yyyy").unwrap();
    assert_eq!(format(&pattern, &Zone::UTC, u64::MAX), "9999");
    let pattern = Pattern::parse("YYYY-'w'ww W D VV").unwrap();
    format(&pattern, &Zone::named("Pacific/Kiritimati").unwrap(), u64::MAX);
}

#[test]
fn zones_are_those_of_the_time_zone_database() {
    for name in ["UTC", "Asia/Tokyo", "America/Argentina/Ushuaia", "US/Pacific", "Asia/Calcutta"] {
        assert!(Zone::named(name).is_some(), "{name}");
    }
    for name in ["", "Mars/Olympus", "../etc/passwd", "+02:00"] {
        assert!(Zone::named(name).is_none(), "{name}");
    }
}

proptest! {
    #[test]
    fn any_pattern_is_parsed_or_refused(text in "\\PC{0,40}", millis: u64) {
        if let Ok(pattern) = Pattern::parse(&text) {
            format(&pattern, &Zone::UTC, millis);
        }
    }

    #[test]
    fn what_is_written_depends_on_the_instant_alone(
        text in "[uyYMLQqEecGadDwWHkKhmsnNASVzOXxZ '/\\[\\-]{0,20}", millis: u64,
    ) {
        let zone = Zone::named("Europe/Berlin").unwrap();
        let first = Pattern::parse(&text).map(|pattern| format(&pattern, &zone, millis));
        let again = Pattern::parse(&text).map(|pattern| format(&pattern, &zone, millis));
        prop_assert_eq!(first, again);
    }
}
