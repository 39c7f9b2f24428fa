//! Instants as people write them: in a time zone, and in weeks of the United States.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use model::UnixMillis;

/// A time zone. Its rules are part of the program, so that a machine's own do not change names of
/// objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// Universal time.
    pub const UTC: Zone = Zone(TimeZone::UTC);

    /// The zone of a name as in `Europe/Berlin`, if there is one.
    #[must_use]
    pub fn named(name: &str) -> Option<Zone> {
        TimeZoneDatabase::bundled().get(name).ok().map(Zone)
    }
}

/// An instant in a time zone.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    pub(super) local: DateTime,
    /// How far local time is ahead of universal time.
    pub(super) offset_seconds: i32,
    /// As in `CET`.
    pub(super) zone_abbreviation: String,
    /// As in `Europe/Berlin`.
    pub(super) zone_name: String,
}

impl Moment {
    pub(super) fn new(at: UnixMillis, zone: &Zone) -> Moment {
        let timestamp = timestamp(at);
        let info = zone.0.to_offset_info(timestamp);
        Moment {
            local: info.offset().to_datetime(timestamp),
            offset_seconds: info.offset().seconds(),
            zone_abbreviation: info.abbreviation().to_owned(),
            zone_name: zone.0.iana_name().unwrap_or("UTC").to_owned(),
        }
    }
}

/// Times after the year 9999 count as its end.
fn timestamp(at: UnixMillis) -> Timestamp {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
}

/// The local time in universal time.
pub(super) fn utc(at: UnixMillis) -> DateTime {
    TimeZone::UTC.to_datetime(timestamp(at))
}

/// A week as counted in the United States: it begins on Sunday, and week 1 is the one with January
/// 1 in it. So a week belongs to the year of its Saturday.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Week {
    pub(super) year: i16,
    /// From 1.
    pub(super) number: i16,
}

impl Week {
    pub(super) fn of(date: Date) -> Week {
        let saturday = date.day_of_year() + days_to_saturday(date);
        if date.days_in_year() < saturday {
            return Week { year: date.year() + 1, number: 1 };
        }
        Week { year: date.year(), number: (saturday - 1) / 7 + 1 }
    }

    /// The week of the month, from 1: week 1 is the one with the month's first day in it.
    pub(super) fn of_month(date: Date) -> i16 {
        (i16::from(date.day()) + days_to_saturday(date) - 1) / 7 + 1
    }
}

fn days_to_saturday(date: Date) -> i16 {
    6 - i16::from(date.weekday().to_sunday_zero_offset())
}
