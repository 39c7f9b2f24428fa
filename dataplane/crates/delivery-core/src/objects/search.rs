//! Names of a search engine's indexes, and ids of its documents.

use model::{Origin, UnixMillis};
use operator_api::delivery_stream::IndexRotation;

use super::time::{Week, utc};

/// The index that a record goes to which arrived at `arrival`.
#[must_use]
pub fn index_name(index: &str, rotation: Option<IndexRotation>, arrival: UnixMillis) -> String {
    let at = utc(arrival);
    match rotation.unwrap_or(IndexRotation::OneDay) {
        IndexRotation::NoRotation => index.to_owned(),
        IndexRotation::OneHour => format!("{index}-{}", at.strftime("%Y-%m-%d-%H")),
        IndexRotation::OneDay => format!("{index}-{}", at.strftime("%Y-%m-%d")),
        IndexRotation::OneWeek => {
            let Week { year, number } = Week::of(at.date());
            format!("{index}-{year:04}-w{number:02}")
        }
        IndexRotation::OneMonth => format!("{index}-{}", at.strftime("%Y-%m")),
    }
}

/// A record's name in documents about what was refused: `sequence number.sub-record`, as AWS's.
#[must_use]
pub fn record_id(origin: &Origin) -> String {
    format!("{}.{}", origin.sequence_number, origin.sub)
}

#[cfg(test)]
mod tests {
    use model::{Offset, SequenceNumber, ShardId};

    use super::*;

    #[test]
    fn indexes_are_named_by_the_time_in_universal_time() {
        let check = |rotation, want: &str| {
            // 2016-02-25T13:00:00Z
            let name = index_name("myindex", rotation, UnixMillis(1_456_405_200_000));
            assert_eq!(name, want, "{rotation:?}");
        };
        check(Some(IndexRotation::NoRotation), "myindex");
        check(Some(IndexRotation::OneHour), "myindex-2016-02-25-13");
        check(Some(IndexRotation::OneDay), "myindex-2016-02-25");
        check(Some(IndexRotation::OneWeek), "myindex-2016-w09");
        check(Some(IndexRotation::OneMonth), "myindex-2016-02");
        check(None, "myindex-2016-02-25");
    }

    #[test]
    fn week_one_is_the_one_with_january_1_and_begins_on_sunday() {
        let check = |millis, want: &str| {
            assert_eq!(index_name("i", Some(IndexRotation::OneWeek), UnixMillis(millis)), want);
        };
        check(1_451_174_399_999, "i-2015-w52"); // Saturday, 2015-12-26, its last millisecond
        check(1_451_174_400_000, "i-2016-w01"); // Sunday, 2015-12-27
        check(1_451_779_199_999, "i-2016-w01"); // Saturday, 2016-01-02, its last millisecond
        check(1_451_779_200_000, "i-2016-w02"); // Sunday, 2016-01-03
        check(1_672_444_800_000, "i-2022-w53"); // Saturday, 2022-12-31
        check(1_672_531_200_000, "i-2023-w01"); // Sunday, 2023-01-01
        check(u64::MAX, "i-10000-w01"); // Thursday, 9999-12-30, as if arrived then
    }

    #[test]
    fn ids_are_made_of_the_place_of_a_record() {
        let arrival = UnixMillis(1_456_405_200_000);
        let sequence_number =
            SequenceNumber::of_record(ShardId(1), UnixMillis(0), Offset(7), arrival);
        let origin =
            Origin { shard: ShardId(1), offset: Offset(7), sub: 2, sequence_number, arrival };
        assert_eq!(record_id(&origin), format!("{sequence_number}.2"));
    }
}
