//! What a table is to have more, so that records fit it whose members have no columns, or whose numbers are
//! too large for theirs.
//!
//! A column that is added is of the type that a new table's would be ([`infer`](super::infer)). What is of
//! another kind than its column stays as it is, and is refused later.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use iceberg_table::{Field, Growth, Schema, Type};
use serde_json::{Map, Value as Json};

use super::infer::{COLUMNS_MAX, MEMBERS_MAX, Members};

/// Fields by their names in lower case, of each struct by the id of the field that holds it.
struct Columns<'a>(HashMap<Option<i32>, HashMap<String, &'a Field>>);

/// What is found missing.
struct Missing<'a> {
    columns: &'a Columns<'a>,
    added: BTreeMap<Option<i32>, Members>,
    /// For members to be added.
    room: usize,
    /// The first that has no column.
    first: Option<String>,
    widened: BTreeSet<i32>,
}

/// What a table of this schema lacks for the rows that these records are, and the last id of its fields
/// then. Once it has as many columns as it may, no more are added.
pub(super) fn growth<'a>(
    schema: &Schema,
    last_column_id: i32,
    records: impl Iterator<Item = &'a [u8]>,
) -> (Growth, i32) {
    let columns = Columns::of(schema);
    let mut missing = Missing::of(&columns, MEMBERS_MAX);
    for record in records {
        // What is no object is refused later.
        if let Ok(object) = serde_json::from_slice::<Map<String, Json>>(record) {
            missing.look(None, &object, 1);
        }
    }
    let (mut last_id, mut room) = (last_column_id, room(schema));
    let mut added = BTreeMap::new();
    for (of, members) in missing.added {
        let fields = members.into_fields(&mut last_id, &mut room);
        if !fields.is_empty() {
            added.insert(of, fields);
        }
    }
    (Growth { added, widened: missing.widened }, last_id)
}

/// The columns of a table that has one for each member of a record, or had.
pub(super) struct Homes<'a>(Columns<'a>);

impl Homes<'_> {
    pub(super) fn of(schema: &Schema) -> Homes<'_> {
        Homes(Columns::of(schema))
    }

    /// A member of a record that has no column, and can have none.
    pub(super) fn homeless(&self, record: &[u8]) -> Option<String> {
        let object = serde_json::from_slice::<Map<String, Json>>(record).ok()?;
        let mut missing = Missing::of(&self.0, 0);
        missing.look(None, &object, 1);
        missing.first
    }
}

/// How many columns may be added.
fn room(schema: &Schema) -> usize {
    fn count(type_: &Type) -> usize {
        match type_ {
            Type::Struct(fields) => fields.iter().map(|field| 1 + count(&field.type_)).sum(),
            Type::List(element) => count(&element.type_),
            Type::Map(entry) => count(&entry.1.type_),
            _ => 0,
        }
    }
    let count: usize = schema.fields.iter().map(|field| 1 + count(&field.type_)).sum();
    COLUMNS_MAX.saturating_sub(count)
}

impl<'a> Columns<'a> {
    fn of(schema: &'a Schema) -> Columns<'a> {
        let mut columns = Columns(HashMap::new());
        columns.enter(None, &schema.fields);
        columns
    }

    fn enter(&mut self, of: Option<i32>, fields: &'a [Field]) {
        let names = fields.iter().map(|field| (field.name.to_lowercase(), field)).collect();
        self.0.insert(of, names);
        fields.iter().for_each(|field| self.enter_type(field));
    }

    fn enter_type(&mut self, field: &'a Field) {
        match &field.type_ {
            Type::Struct(fields) => self.enter(Some(field.id), fields),
            Type::List(element) => self.enter_type(element),
            Type::Map(entry) => self.enter_type(&entry.1),
            _ => {}
        }
    }
}

impl<'a> Missing<'a> {
    fn of(columns: &'a Columns<'a>, room: usize) -> Missing<'a> {
        let (added, widened) = (BTreeMap::new(), BTreeSet::new());
        Missing { columns, added, room, first: None, widened }
    }

    fn look(&mut self, of: Option<i32>, object: &Map<String, Json>, depth: usize) {
        for (name, value) in object {
            let says_nothing = match value {
                Json::Null => true,
                Json::Array(elements) => elements.is_empty(),
                Json::Object(members) => members.is_empty(),
                _ => false,
            };
            if says_nothing || name.is_empty() {
                continue;
            }
            let found = self.columns.0.get(&of).and_then(|names| names.get(&name.to_lowercase()));
            match found.copied() {
                Some(field) => self.look_into(field, value, depth),
                None => {
                    self.first.get_or_insert_with(|| name.clone());
                    let added = self.added.entry(of).or_default();
                    added.see_one(name, value, depth, &mut self.room);
                }
            }
        }
    }

    fn look_into(&mut self, field: &Field, value: &Json, depth: usize) {
        match (&field.type_, value) {
            (Type::Struct(_), Json::Object(object)) => {
                self.look(Some(field.id), object, depth + 1);
            }
            (Type::Map(entry), Json::Object(object)) => {
                object.values().for_each(|value| self.look_into(&entry.1, value, depth + 1));
            }
            (Type::List(element), Json::Array(values)) => {
                values.iter().for_each(|value| self.look_into(element, value, depth + 1));
            }
            // One value is read as a list of it.
            (Type::List(element), value) => self.look_into(element, value, depth + 1),
            (Type::Int, value) if is_long(value) => self.widen(field),
            (Type::Float, value) if is_double(value) => self.widen(field),
            _ => {}
        }
    }

    fn widen(&mut self, field: &Field) {
        self.widened.insert(field.id);
    }
}

/// Whether it is a whole number that an int is too short for.
fn is_long(value: &Json) -> bool {
    let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
    number.is_some_and(|number| i32::try_from(number).is_err())
}

/// Whether it is a number that is another once it is a float, to as many digits as a float has.
fn is_double(value: &Json) -> bool {
    let number = value.as_f64().or_else(|| value.as_str()?.parse().ok());
    number.is_some_and(|number: f64| {
        number.is_finite() && (number as f32).to_string().parse() != Ok(number)
    })
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use serde_json::json;

    use super::*;

    fn schema(columns: usize) -> Schema {
        let part =
            |id: i32, name: &str, type_: Json| json!({"id": id, "name": name, "type": type_});
        let inner = part(4, "x", json!("float"));
        let of = json!({"type": "struct", "fields": [inner]});
        let list =
            json!({"type": "list", "element-id": 5, "element-required": false, "element": of});
        let mut fields = vec![part(1, "a", json!("int")), part(2, "Of", of), part(3, "l", list)];
        fields.extend((6..).take(columns).map(|id| part(id, &format!("f{id}"), json!("string"))));
        Schema::parse(json!({"fields": fields})).unwrap()
    }

    fn check(records: &[&str], want: Expect) {
        let records = records.iter().map(|record| record.as_bytes());
        let (growth, last_id) = growth(&schema(0), 9, records);
        let show = |(of, fields): (&Option<i32>, &Vec<Field>)| {
            let field = |field: &Field| format!("{} {} {:?}", field.id, field.name, field.type_);
            format!("{of:?}: {}\n", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        };
        let added: String = growth.added.iter().map(show).collect();
        want.assert_eq(&format!("{added}wider {:?}, last {last_id}", growth.widened));
    }

    #[test]
    fn members_without_columns_become_columns() {
        check(
            &[
                r#"{"A":1,"b":true,"of":{"X":0.1,"y":"t"},"l":[{"z":1},{"z":2.5}]}"#,
                r#"{"b":false,"of":{},"l":{"w":[1]},"e":null,"g":[],"h":{},"":1}"#,
                "no JSON",
                r#"{"b":1,"B":"x"}"#,
            ],
            expect![[r#"
                None: 10 b String
                Some(2): 11 y String
                Some(5): 12 z Double, 13 w List(Field { id: 14, name: "element", is_required: false, type_: Long })
                wider {}, last 14"#]],
        );
        check(&[r#"{"a":"x","of":7,"l":[]}"#], expect!["wider {}, last 9"]);
    }

    #[test]
    fn numbers_that_do_not_fit_widen_their_columns() {
        check(
            &[r#"{"a":2147483647,"of":{"x":0.1},"l":[{"x":"3.5"}]}"#],
            expect!["wider {}, last 9"],
        );
        check(&[r#"{"a":2147483648}"#], expect!["wider {1}, last 9"]);
        check(&[r#"{"a":"-2147483649","of":{"x":0.123456789}}"#], expect!["wider {1, 4}, last 9"]);
        check(&[r#"{"l":[{"x":1e39}]}"#], expect!["wider {4}, last 9"]);
        check(&[r#"{"a":9223372036854775808,"of":{"x":"NaN"}}"#], expect!["wider {}, last 9"]);
    }

    #[test]
    fn a_table_grows_no_further_than_it_may() {
        let record = br#"{"a":1,"n":1,"m":{"k":2},"of":{"y":1}}"#;
        let records = || std::iter::once(&record[..]);
        // The other four are a, Of, Of.x, l and l.x.
        let wide = schema(COLUMNS_MAX - 5);
        assert_eq!(growth(&wide, 2_000, records()), (Growth::default(), 2_000));
        let homes = Homes::of(&wide);
        assert_eq!(homes.homeless(record), Some("m".to_owned()));
        assert_eq!(homes.homeless(br#"{"a":1,"q":null}"#), None);
        let nearly = schema(COLUMNS_MAX - 7);
        let (growth, last_id) = growth(&nearly, 2_000, records());
        // Only m, and k inside of it.
        assert_eq!((growth.added[&None].len(), last_id), (1, 2_002));
    }

    #[test]
    fn a_name_with_a_dot_is_no_columns() {
        check(
            &[r#"{"of.x":1,"n":1,"l":{"z.y":1}}"#],
            expect![[r#"
            None: 10 n Long
            wider {}, last 10"#]],
        );
        let schema = schema(0);
        let homes = Homes::of(&schema);
        assert_eq!(homes.homeless(br#"{"a":1,"of":{"x":1}}"#), None);
        for (record, name) in [(r#"{"of.x":1}"#, "of.x"), (r#"{"l":[{"z.y":1}]}"#, "z.y")] {
            assert_eq!(homes.homeless(record.as_bytes()).as_deref(), Some(name));
        }
    }

    #[test]
    fn of_many_members_inside_of_others_no_more_are_kept_than_may_be_columns() {
        let inner: Vec<_> = (0..1_000).map(|number| format!(r#""m{number}":1"#)).collect();
        let outer: Vec<_> = (0..50).map(|n| format!(r#""o{n}":{{{}}}"#, inner.join(","))).collect();
        let record = format!("{{{}}}", outer.join(","));
        let (growth, last_id) = growth(&schema(0), 9, [record.as_bytes()].into_iter());
        let room = i32::try_from(COLUMNS_MAX - 5).unwrap();
        assert_eq!((growth.added[&None].len(), last_id), (1, 9 + room));
    }
}
