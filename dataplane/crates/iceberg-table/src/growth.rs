//! Changes of a table that bring no rows: a schema that holds more, and a spec by which nothing is parted.
//!
//! They are asked for on their own, before rows are written that need them. If the rows then do not come,
//! a column is there that is empty.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};

use crate::metadata::TableMetadata;
use crate::schema::{Field, Schema};

/// What a schema is to have beside what it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    /// New fields, by the id of the field whose structs they are in; those of `None` are columns.
    pub added: BTreeMap<Option<i32>, Vec<Field>>,
    /// Fields that are to be as wide as there is: `int` becomes `long`, `float` becomes `double`.
    pub widened: BTreeSet<i32>,
}

impl Growth {
    /// Whether nothing is to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.widened.is_empty()
    }

    /// What a catalog is asked for, if the table's schema is still this one. All that is known of what it has
    /// stays as it was written. The last id of new fields is `last_column_id`.
    #[must_use]
    pub fn request(&self, table: &TableMetadata, schema: &Schema, last_column_id: i32) -> Json {
        let mut grown = schema.json.clone();
        self.grow(&mut grown, None);
        // Which one it is the catalog decides.
        grown["schema-id"] = json!(i64::from(schema.id) + 1);
        json!({
            "requirements": [
                {"type": "assert-table-uuid", "uuid": table.table_uuid},
                {"type": "assert-current-schema-id", "current-schema-id": table.current_schema_id},
                {
                    "type": "assert-last-assigned-field-id",
                    "last-assigned-field-id": table.last_column_id,
                },
            ],
            "updates": [
                {"action": "add-schema", "schema": grown, "last-column-id": last_column_id},
                // The one that was added last.
                {"action": "set-current-schema", "schema-id": -1},
            ],
        })
    }

    /// Changes a type, which is that of the field of this id.
    fn grow(&self, type_: &mut Json, id: Option<i32>) {
        if let Some(name) = type_.as_str() {
            let wide = match name {
                "int" => "long",
                "float" => "double",
                _ => return,
            };
            if id.is_some_and(|id| self.widened.contains(&id)) {
                *type_ = json!(wide);
            }
            return;
        }
        let number = |of: &Json, name: &str| {
            of.get(name).and_then(Json::as_i64).and_then(|id| i32::try_from(id).ok())
        };
        if let Some(fields) = type_.get_mut("fields").and_then(Json::as_array_mut) {
            for field in fields.iter_mut() {
                let id = number(field, "id");
                field.get_mut("type").into_iter().for_each(|type_| self.grow(type_, id));
            }
            fields.extend(self.added.get(&id).into_iter().flatten().map(Field::to_json));
        }
        for part in ["element", "value"] {
            let id = number(type_, &format!("{part}-id"));
            type_.get_mut(part).into_iter().for_each(|part| self.grow(part, id));
        }
    }
}

impl TableMetadata {
    /// What a catalog is asked for to have the table know a spec by which nothing is parted. New rows are
    /// parted as before.
    #[must_use]
    pub fn unpartitioned_request(&self) -> Json {
        let ids = self.partition_specs.iter().filter_map(|spec| spec["spec-id"].as_i64());
        let id = ids.max().unwrap_or(-1).saturating_add(1);
        json!({
            "requirements": [{"type": "assert-table-uuid", "uuid": self.table_uuid}],
            "updates": [{"action": "add-spec", "spec": {"spec-id": id, "fields": []}}],
        })
    }

    /// The last id that a field of the table ever had.
    #[must_use]
    pub fn last_column_id(&self) -> i32 {
        self.last_column_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Type;

    fn table() -> TableMetadata {
        let element = json!({"type": "struct", "fields": [
            {"id": 4, "name": "x", "required": true, "type": "float", "doc": "kept"},
        ]});
        let list =
            json!({"type": "list", "element-id": 3, "element-required": true, "element": element});
        let map = json!({
            "type": "map", "key-id": 6, "key": "int", "value-id": 7, "value-required": false, "value": "int",
        });
        let fields = json!([
            {"id": 1, "name": "n", "required": true, "type": "int"},
            {"id": 2, "name": "l", "required": false, "type": list},
            {"id": 5, "name": "m", "required": false, "type": map},
        ]);
        serde_json::from_value(json!({
            "format-version": 2,
            "table-uuid": "u",
            "location": "s3://b/t",
            "last-column-id": 9,
            "schemas": [{"schema-id": 3, "identifier-field-ids": [1], "fields": fields}],
            "current-schema-id": 3,
            "partition-specs": [
                {"spec-id": 4, "fields": [{"source-id": 1, "field-id": 1000, "name": "n", "transform": "identity"}]},
            ],
        }))
        .unwrap()
    }

    #[test]
    fn a_schema_grows_and_keeps_what_it_is() {
        let (table, new) = (table(), |id| Field {
            id,
            name: format!("f{id}"),
            is_required: false,
            type_: Type::String,
        });
        let growth = Growth {
            added: BTreeMap::from([(None, vec![new(10)]), (Some(3), vec![new(11)])]),
            widened: BTreeSet::from([1, 4, 6, 7]),
        };
        let schema = table.schema().unwrap();
        let request = growth.request(&table, &schema, 11);
        let update = &request["updates"][0];
        let grown = Schema::parse(update["schema"].clone()).unwrap();
        let ids = |schema: &Schema| Type::Struct(schema.fields.clone()).to_json().to_string();
        let before = ids(&schema);
        let want = before
            .replace(
                r#""id":1,"name":"n","required":true,"type":"int""#,
                r#""id":1,"name":"n","required":true,"type":"long""#,
            )
            .replace(
                r#""type":"float"}]"#,
                r#""type":"double"},{"id":11,"name":"f11","required":false,"type":"string"}]"#,
            )
            .replace(r#""value":"int""#, r#""value":"long""#)
            .replace(
                r#"}}],"type":"struct"}"#,
                r#"}},{"id":10,"name":"f10","required":false,"type":"string"}],"type":"struct"}"#,
            );
        assert_eq!(ids(&grown), want);
        let text = update["schema"].to_string();
        assert!(text.contains(r#""doc":"kept""#) && text.contains(r#""identifier-field-ids":[1]"#));
        assert_eq!(update["last-column-id"], 11);
        assert_eq!(request["requirements"][1]["current-schema-id"], 3);
        assert_eq!(request["requirements"][2]["last-assigned-field-id"], 9);
        let none = Growth::default().request(&table, &schema, 9);
        assert_eq!(none["updates"][0]["schema"]["fields"], schema.json["fields"]);
    }

    #[test]
    fn a_spec_that_parts_nothing_is_asked_for_once() {
        let mut table = table();
        assert_eq!(table.unpartitioned_spec(), None);
        let spec = table.unpartitioned_request()["updates"][0]["spec"].clone();
        assert_eq!(spec, json!({"spec-id": 5, "fields": []}));
        table.partition_specs.push(spec);
        assert_eq!(table.unpartitioned_spec().unwrap().id, 5);
    }
}
