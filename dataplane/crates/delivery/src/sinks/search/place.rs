//! Where a record becomes a document: index and id.

use delivery_core::objects::search::index_name;
use model::Origin;
use operator_api::delivery_stream::{DocumentIdFormat, SearchDestination};

use delivery_core::guid::guid_of;

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
    let has_id = of.document_id != Some(DocumentIdFormat::NoDocumentId);
    DocumentPlace {
        // By the record's own time, so that one that is delivered twice goes where its id is known.
        index: index_name(&of.index_name, of.index_rotation, origin.arrival),
        id: has_id.then(|| id(stream, origin)),
        type_name: of.type_name.clone(),
    }
}

/// 22 characters, as long as those that search engines make themselves. Sequence numbers of two
/// streams may be the same, hence the stream.
fn id(stream: &str, origin: &Origin) -> String {
    let place = format!("{stream}\n{}\n{}", origin.sequence_number, origin.sub);
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(guid_of(place.as_bytes()).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use operator_api::delivery_stream::IndexRotation;

    use super::*;
    use crate::sinks::testing::record;

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
