//! The table that records ask for by what they hold.
//!
//! A member of all objects becomes a column: booleans, whole numbers (`long`), others (`double`), texts
//! (`string`), objects and lists of these. What is of one kind in one record and of another in the next
//! becomes a text; null says nothing.

use std::collections::HashMap;

use iceberg_table::{Field, PartitionSpec, Schema, SchemaError, Type};
use serde_json::{Map, Value as Json, json};

/// Records that are looked at.
const RECORDS_MAX: usize = 10_000;
/// How deep objects may be.
const DEPTH_MAX: usize = 8;
/// Columns, those inside of others among them.
pub(super) const COLUMNS_MAX: usize = 1_000;
/// Members that are kept, wherever they are: one more than may be columns.
pub(super) const MEMBERS_MAX: usize = COLUMNS_MAX + 1;
/// Ids of columns. Iceberg keeps the last two hundred for itself, and lists in lists need one each.
const ID_MAX: i32 = i32::MAX - 10_000;

/// There can be no such table.
#[derive(Debug, thiserror::Error)]
pub(super) enum InferError {
    #[error("no record is a JSON object with members that are not null")]
    Nothing,
    #[error("records have more than {COLUMNS_MAX} different members")]
    TooMany,
    #[error("partitionBy names columns that no record has")]
    Partition,
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

/// What is known of a member.
enum Kind {
    Boolean,
    Long,
    Double,
    Text,
    Object(Members),
    /// `None` when all were empty.
    List(Option<Box<Kind>>),
}

/// In the order in which they were first seen, those of one record by name. Those that come when there is no
/// room for more are not kept, nor those with a dot in their names: Iceberg takes `a.b` for a column in a column.
#[derive(Default)]
pub(super) struct Members {
    all: Vec<Member>,
    /// By name in lower case.
    places: HashMap<String, usize>,
}

struct Member {
    name: String,
    kind: Option<Kind>,
}

/// The schema, and how rows are parted: by the values of these columns.
pub(super) fn table<'a>(
    records: impl Iterator<Item = &'a [u8]>,
    partition_by: &[String],
) -> Result<(Json, Option<Json>), InferError> {
    let (mut members, mut room) = (Members::default(), MEMBERS_MAX);
    for record in records.take(RECORDS_MAX) {
        if let Ok(object) = serde_json::from_slice::<Map<String, Json>>(record) {
            members.see(&object, 1, &mut room);
        }
    }
    if room == 0 {
        return Err(InferError::TooMany);
    }
    let (mut last_id, mut room) = (0, COLUMNS_MAX);
    let fields = members.into_fields(&mut last_id, &mut room);
    if fields.is_empty() {
        return Err(InferError::Nothing);
    }
    let mut json = Type::Struct(fields).to_json();
    json["schema-id"] = json!(0);
    let schema = Schema::parse(json)?;
    let spec = PartitionSpec::identities(&schema, partition_by).ok_or(InferError::Partition)?;
    Ok((schema.json, Some(spec).filter(|_| !partition_by.is_empty())))
}

impl Members {
    fn see(&mut self, object: &Map<String, Json>, depth: usize, room: &mut usize) {
        object.iter().for_each(|(name, value)| self.see_one(name, value, depth, room));
    }

    /// `room` is for members, those inside of others among them.
    pub(super) fn see_one(&mut self, name: &str, value: &Json, depth: usize, room: &mut usize) {
        let lower = name.to_lowercase();
        let at = match self.places.get(&lower) {
            Some(at) => *at,
            None if *room == 0 || name.contains('.') => return,
            None => {
                *room -= 1;
                self.places.insert(lower, self.all.len());
                self.all.push(Member { name: name.to_owned(), kind: None });
                self.all.len() - 1
            }
        };
        let member = &mut self.all[at];
        member.kind = seen(member.kind.take(), value, depth, room);
    }

    /// Fields with ids after that one, as many as there is room for.
    pub(super) fn into_fields(self, last_id: &mut i32, room: &mut usize) -> Vec<Field> {
        let known = self.all.into_iter().filter_map(|of| Some((of.name, of.kind?)));
        let mut fields = Vec::new();
        for (name, kind) in known {
            if *room == 0 || ID_MAX <= *last_id {
                break;
            }
            *room -= 1;
            fields.push(field(name, kind, last_id, room));
        }
        fields
    }
}

/// What is known once a value was seen.
fn seen(known: Option<Kind>, value: &Json, depth: usize, room: &mut usize) -> Option<Kind> {
    let kind = match value {
        Json::Null => return known,
        Json::Bool(_) => Kind::Boolean,
        Json::Number(number) if number.is_i64() => Kind::Long,
        Json::Number(_) => Kind::Double,
        Json::String(_) => Kind::Text,
        Json::Array(_) | Json::Object(_) if DEPTH_MAX <= depth => Kind::Text,
        Json::Object(object) => {
            let mut members = match known {
                None => Members::default(),
                Some(Kind::Object(members)) => members,
                Some(_) => return Some(Kind::Text),
            };
            members.see(object, depth + 1, room);
            return Some(Kind::Object(members));
        }
        Json::Array(elements) => {
            let known = match known {
                None => None,
                Some(Kind::List(element)) => element.map(|element| *element),
                Some(_) => return Some(Kind::Text),
            };
            let see = |known, value| seen(known, value, depth + 1, room);
            let element = elements.iter().fold(known, see);
            return Some(Kind::List(element.map(Box::new)));
        }
    };
    Some(match (known, kind) {
        (None, kind) => kind,
        (Some(Kind::Boolean), Kind::Boolean) => Kind::Boolean,
        (Some(Kind::Long), Kind::Long) => Kind::Long,
        (Some(Kind::Long | Kind::Double), Kind::Long | Kind::Double) => Kind::Double,
        _ => Kind::Text,
    })
}

fn field(name: String, kind: Kind, last_id: &mut i32, room: &mut usize) -> Field {
    *last_id += 1;
    let id = *last_id;
    let type_ = match kind {
        Kind::Boolean => Type::Boolean,
        Kind::Long => Type::Long,
        Kind::Double => Type::Double,
        Kind::Text => Type::String,
        Kind::Object(members) => match members.into_fields(last_id, room) {
            // Of which nothing is known but that it is an object.
            fields if fields.is_empty() => Type::String,
            fields => Type::Struct(fields),
        },
        Kind::List(element) => {
            let element = element.map_or(Kind::Text, |element| *element);
            Type::List(Box::new(field("element".to_owned(), element, last_id, room)))
        }
    };
    Field { id, name, is_required: false, type_ }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(records: &[&str], by: &[&str], want: Expect) {
        let by: Vec<String> = by.iter().map(|name| (*name).to_owned()).collect();
        let records = records.iter().map(|record| record.as_bytes());
        let found = match table(records, &by) {
            Ok((schema, spec)) => {
                let fields = Schema::parse(schema).unwrap().fields;
                let shown = fields
                    .iter()
                    .map(|field| format!("{} {} {}", field.id, field.name, show(&field.type_)));
                let spec = spec.map(|spec| format!("by {}", spec["fields"])).into_iter();
                shown.chain(spec).collect::<Vec<_>>().join("\n")
            }
            Err(error) => error.to_string(),
        };
        want.assert_eq(&found);
    }

    fn show(type_: &Type) -> String {
        match type_ {
            Type::Struct(fields) => {
                let fields: Vec<_> = fields
                    .iter()
                    .map(|field| format!("{} {} {}", field.id, field.name, show(&field.type_)))
                    .collect();
                format!("{{{}}}", fields.join(", "))
            }
            Type::List(element) => format!("[{} {}]", element.id, show(&element.type_)),
            plain => plain.name(),
        }
    }

    #[test]
    fn a_table_is_what_its_first_records_are() {
        check(
            &[
                r#"{"a":1,"b":true,"c":"x","d":1.5,"e":null,"f":{"g":1,"h":[]},"i":[1,2.5]}"#,
                r#"{"a":2.5,"B":"no","e":[{"k":1}],"f":{"h":[true]}}"#,
                "no JSON",
            ],
            &["c"],
            expect![[r#"
                1 a double
                2 b string
                3 c string
                4 d double
                5 e [6 {7 k long}]
                8 f {9 g long, 10 h [11 boolean]}
                12 i [13 double]
                by [{"field-id":1000,"name":"c","source-id":3,"transform":"identity"}]"#]],
        );
        check(
            &["{}", "[1]", r#"{"a":null}"#],
            &[],
            expect!["no record is a JSON object with members that are not null"],
        );
        check(&[r#"{"a":1}"#], &["b"], expect!["partitionBy names columns that no record has"]);
        check(&[r#"{"a":{"b":1,"c.d":2},"a.b":2}"#], &[], expect!["1 a {2 b long}"]);
    }

    #[test]
    fn members_are_counted_wherever_they_are() {
        let wide = |name: &str| {
            let members: Vec<_> = (0..600).map(|number| format!(r#""m{number}":1"#)).collect();
            format!(r#"{{"{name}":{{{}}}}}"#, members.join(","))
        };
        let too_many = expect!["records have more than 1000 different members"];
        check(&[&wide("a"), &wide("b")], &[], too_many);
        let record = wide("a");
        assert!(table([record.as_bytes()].into_iter(), &[]).is_ok());
    }
}
