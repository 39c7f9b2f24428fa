//! Where a record becomes a document: index and id.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use model::{Origin, UnixMillis};
use operator_api::delivery_stream::{DocumentIdFormat, IndexRotation, SearchDestination};

use crate::sinks::guid::guid_of;

/// A document's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentPlace {
    /// The index.
    pub index: String,
    /// The id; none when the search engine makes it.
    pub id: Option<String>,
    /// The type, for Elasticsearch before 7.
    pub type_name: Option<String>,
}

pub(super) fn place(of: &SearchDestination, stream: &str, origin: &Origin) -> DocumentPlace {
    let rotation = of.index_rotation.unwrap_or(IndexRotation::OneDay);
    let has_id = of.document_id != Some(DocumentIdFormat::NoDocumentId);
    DocumentPlace {
        index: format!("{}{}", of.index_name, suffix(rotation, origin.arrival)),
        id: has_id.then(|| id(stream, origin)),
        type_name: of.type_name.clone(),
    }
}

/// As AWS: the time of arrival, UTC. It is the record's own, so that a record delivered twice goes to
/// the same index, where its id is known.
fn suffix(rotation: IndexRotation, arrival: UnixMillis) -> String {
    let at = utc(arrival);
    let (year, month, day) = (at.year(), at.month(), at.day());
    match rotation {
        IndexRotation::NoRotation => String::new(),
        IndexRotation::OneHour => format!("-{year:04}-{month:02}-{day:02}-{:02}", at.hour()),
        IndexRotation::OneDay => format!("-{year:04}-{month:02}-{day:02}"),
        IndexRotation::OneWeek => week(at),
        IndexRotation::OneMonth => format!("-{year:04}-{month:02}"),
    }
}

/// As AWS: a week starts on Sunday, and the first of a year is the first with a Saturday in it. So a
/// week belongs to the year of its Saturday.
fn week(at: DateTime) -> String {
    let days_left = 6 - i64::from(at.weekday().to_sunday_zero_offset());
    let saturday = at.date().saturating_add(jiff::Span::new().days(days_left));
    format!("-{:04}-w{:02}", saturday.year(), (saturday.day_of_year() + 6) / 7)
}

/// Times past the calendar, which no clock shows, are its end.
fn utc(at: UnixMillis) -> DateTime {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    let timestamp = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX);
    Offset::UTC.to_datetime(timestamp)
}

/// 22 characters, as long as those that search engines make themselves. Sequence numbers of two
/// streams may be the same, hence the stream.
fn id(stream: &str, origin: &Origin) -> String {
    let place = format!("{stream}\n{}\n{}", origin.sequence_number, origin.sub);
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(guid_of(place.as_bytes()).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::testing::record;

    #[test]
    fn an_index_ends_with_the_time_of_arrival() {
        use IndexRotation::{NoRotation, OneDay, OneHour, OneMonth, OneWeek};
        let check = |time: &str, rotation, want: &str| {
            let time: Timestamp = time.parse().unwrap();
            let arrival = UnixMillis(u64::try_from(time.as_millisecond()).unwrap());
            assert_eq!(suffix(rotation, arrival), want, "{time}");
        };
        check("2016-02-25T13:00:00Z", NoRotation, "");
        check("2016-02-25T13:00:00Z", OneHour, "-2016-02-25-13");
        check("2016-02-25T13:00:00Z", OneDay, "-2016-02-25");
        check("2016-02-25T13:00:00Z", OneMonth, "-2016-02");
        check("2016-02-25T13:00:00Z", OneWeek, "-2016-w09");
        // Friday to Sunday around a new year whose first Saturday is its second day.
        check("2016-01-01T00:00:00Z", OneWeek, "-2016-w01");
        check("2016-01-02T23:59:59.999Z", OneWeek, "-2016-w01");
        check("2016-01-03T00:00:00Z", OneWeek, "-2016-w02");
        // The last days of a year whose Saturday is in the next one.
        check("2019-12-28T12:00:00Z", OneWeek, "-2019-w52");
        check("2019-12-29T00:00:00Z", OneWeek, "-2020-w01");
        check("2022-12-31T12:00:00Z", OneWeek, "-2022-w53");
        check("2023-01-01T00:00:00Z", OneWeek, "-2023-w01");
        assert_eq!(suffix(OneDay, UnixMillis(u64::MAX)), "-9999-12-30");
    }

    #[test]
    fn an_id_tells_records_and_streams_apart_and_is_the_same_each_time() {
        let of = SearchDestination { index_name: "logs".into(), ..SearchDestination::default() };
        let (first, second) = (record(0, "{}").origin, record(1, "{}").origin);
        let id = |stream: &str, origin: &Origin| place(&of, stream, origin).id.unwrap();
        assert_eq!(id("a", &first), id("a", &first));
        assert_eq!(id("a", &first).len(), 22);
        assert_ne!(id("a", &first), id("a", &second));
        assert_ne!(id("a", &first), id("b", &first));
        assert_ne!(id("a", &first), id("a", &Origin { sub: 1, ..first }));
    }

    #[test]
    fn the_search_engine_makes_ids_when_it_is_told_to() {
        let of = SearchDestination {
            index_name: "logs".into(),
            index_rotation: Some(IndexRotation::NoRotation),
            document_id: Some(DocumentIdFormat::NoDocumentId),
            type_name: Some("event".into()),
            ..SearchDestination::default()
        };
        let want =
            DocumentPlace { index: "logs".into(), id: None, type_name: Some("event".into()) };
        assert_eq!(place(&of, "a", &record(0, "{}").origin), want);
    }
}
