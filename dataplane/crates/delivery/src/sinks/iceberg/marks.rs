//! What of a shard is in a table, written down by the commits that brought it there.
//!
//! It is a property of the table, one for each shard of a delivery stream, and set by the commit that adds
//! the rows: both are there, or neither. A snapshot's summary says the same for people, but snapshots
//! expire, those that others make carry nothing of ours on, and a catalog need not give out more than the
//! latest; the property stays, and is there to see in whatever is loaded of the table.
//!
//! Records are told apart by their places, not by the batch they were in. What is read again after a crash
//! may be cut in other places: nothing depends on that.

use std::fmt;
use std::str::FromStr;

use model::{Origin, SequenceNumber};
use serde::{Deserialize, Serialize};

/// The place of a record among all of its shard, of shards that had its number before too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    sequence_number: SequenceNumber,
    sub: u32,
}

/// Parts of a shard that are in a table, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marks(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    #[serde(with = "text")]
    from: Place,
    #[serde(with = "text")]
    to: Place,
    /// By which it was judged what fits.
    schema: i32,
    /// By what it was decided which records go to the table: none of the others in between are in it.
    #[serde(default)]
    routes: u64,
}

impl Marks {
    /// The name of the property.
    pub(super) fn property(delivery_stream: u64, origin: &Origin) -> String {
        format!("leat.delivered.{delivery_stream:016x}.{}", origin.shard)
    }

    /// Reads the property; what is not there is empty.
    pub(super) fn parse(text: Option<&str>) -> Result<Marks, serde_json::Error> {
        text.map_or(Ok(Marks::default()), serde_json::from_str)
    }

    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).expect("numbers and texts are JSON")
    }

    /// Whether the record, which goes to the table by these routes, is in it, or was refused; and the
    /// schema by which that was decided.
    pub(super) fn schema_of(&self, place: Place, routes: u64) -> Option<i32> {
        let holds = |part: &&Part| part.from <= place && place <= part.to && part.routes == routes;
        self.0.iter().rev().find(holds).map(|part| part.schema)
    }

    /// Whether what came after the record is in the table.
    pub(super) fn is_overtaken(&self, place: Place) -> bool {
        self.0.iter().any(|part| place < part.from)
    }

    /// With one more part, and without those that nobody reads again.
    pub(super) fn with(
        &self,
        (from, to): (Place, Place),
        (schema, routes): (i32, u64),
        since: Option<Place>,
    ) -> Marks {
        let needed = self.0.iter().filter(|part| since <= Some(part.to)).cloned();
        Marks(needed.chain([Part { from, to, schema, routes }]).collect())
    }
}

impl From<&Origin> for Place {
    fn from(origin: &Origin) -> Place {
        Place { sequence_number: origin.sequence_number, sub: origin.sub }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.sequence_number, self.sub)
    }
}

impl FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Place, &'static str> {
        let parsed = text.split_once('.').and_then(|(number, sub)| {
            Some(Place { sequence_number: number.parse().ok()?, sub: sub.parse().ok()? })
        });
        parsed.ok_or("expected the place of a record")
    }
}

mod text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::Place;

    pub(super) fn serialize<S: Serializer>(place: &Place, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(place)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Place, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::testing::record;

    fn place(offset: u64) -> Place {
        Place::from(&record(offset, "").origin)
    }

    #[test]
    fn parts_are_remembered_until_nobody_reads_them_again() {
        let marks = Marks::default();
        let marks = marks.with((place(3), place(5)), (0, 7), None);
        let marks = marks.with((place(8), place(9)), (1, 7), Some(place(3)));
        let marks = Marks::parse(Some(&marks.text())).unwrap();
        let found: Vec<_> = (2..=10).map(|at| marks.schema_of(place(at), 7)).collect();
        let none = None;
        let want = [none, Some(0), Some(0), Some(0), none, none, Some(1), Some(1), none];
        assert_eq!(found, want);
        let overtaken: Vec<_> = (1..=10).filter(|at| marks.is_overtaken(place(*at))).collect();
        assert_eq!(overtaken, [1, 2, 3, 4, 5, 6, 7]);
        let later = marks.with((place(12), place(12)), (1, 7), Some(place(6)));
        assert_eq!(later.schema_of(place(4), 7), None);
        assert_eq!(later.schema_of(place(8), 7), Some(1));
        // Others may have gone there by other routes.
        assert_eq!(later.schema_of(place(8), 8), None);
    }

    #[test]
    fn what_is_no_mark_is_not_taken_for_none() {
        assert_eq!(Marks::parse(None).unwrap(), Marks::default());
        for text in ["", "{}", r#"[{"from":"1","to":"2","schema":0}]"#] {
            assert!(Marks::parse(Some(text)).is_err(), "{text}");
        }
    }
}
