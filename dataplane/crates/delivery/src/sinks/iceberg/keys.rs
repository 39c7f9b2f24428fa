//! What the rows of a table are told apart by, for updates and deletes.

use columnar::{Converter, Probe};
use delivery_core::guid::guid_of;
use delivery_core::processing::TableOperation;
use iceberg_table::{Content, Schema, TableMetadata, Type, Value};

use super::Failure;
use super::files::{Change, converter, refusal};

/// The columns that are the unique key of a table.
pub(super) struct Keys {
    names: Vec<String>,
    /// Where they are in a row.
    ways: Vec<Vec<usize>>,
    /// What files hold that take rows out by them.
    pub(super) content: Content,
    /// Of such files, which have no other columns.
    pub(super) converter: Converter,
}

impl Keys {
    /// The columns of these names, or else those that the table itself says.
    ///
    /// # Errors
    /// There are none, and why.
    pub(super) fn of(
        table: &TableMetadata,
        schema: &Schema,
        named: &[String],
    ) -> Result<Keys, String> {
        let mut indexes = Vec::new();
        for name in named {
            let has_name = |wanted: &str| schema.fields.iter().position(|of| of.name == wanted);
            let lower = name.to_lowercase();
            let any_case = || schema.fields.iter().position(|of| of.name.to_lowercase() == lower);
            let found = has_name(name).or_else(any_case);
            indexes.push(found.ok_or_else(|| {
                format!("uniqueKeys names {name}, and the table has no such column")
            })?);
        }
        if named.is_empty() {
            for id in schema.identifier_field_ids() {
                let found = schema.fields.iter().position(|of| of.id == id);
                indexes.push(found.ok_or("an identifier field of the table is no column of it")?);
            }
        }
        if indexes.is_empty() {
            return Err("the table has no unique keys: set uniqueKeys of it in tables, or its \
                        identifier fields"
                .to_owned());
        }
        indexes.sort_unstable();
        indexes.dedup();
        let fields: Vec<_> = indexes.iter().map(|index| schema.fields[*index].clone()).collect();
        let is_no_key = |type_: &Type| {
            let is_nested = matches!(type_, Type::Struct(_) | Type::List(_) | Type::Map(_));
            is_nested || matches!(type_, Type::Float | Type::Double)
        };
        if let Some(field) = fields.iter().find(|field| is_no_key(&field.type_)) {
            let (name, type_) = (&field.name, field.type_.name());
            return Err(format!("column {name} is of type {type_}, which is no unique key"));
        }
        let names = fields.iter().map(|field| field.name.clone()).collect();
        let content = Content::Deletes(fields.iter().map(|field| field.id).collect());
        let only = Schema { fields, ..schema.clone() };
        let converter = converter(table, &only).map_err(|error| error.to_string())?;
        let ways = indexes.into_iter().map(|index| vec![index]).collect();
        Ok(Keys { names, ways, content, converter })
    }

    /// The key of a row; a sentence when a part of it is null.
    fn key(&self, values: &[Option<Value>]) -> Result<u128, String> {
        let mut key = Vec::new();
        for (name, value) in self.names.iter().zip(values) {
            let bytes = value
                .as_ref()
                .map(Value::key)
                .ok_or_else(|| format!("column {name}: is a unique key, and null or not there"))?;
            key.extend((bytes.len() as u64).to_be_bytes());
            key.extend(bytes);
        }
        Ok(guid_of(&key))
    }
}

/// Reads records for what tells their rows from others.
pub(super) struct KeyProbe<'a> {
    keys: &'a Result<Keys, String>,
    rows: Probe,
    /// Of records that are keys, and need be nothing else.
    only_keys: Option<Probe>,
}

impl KeyProbe<'_> {
    pub(super) fn new<'a>(keys: &'a Result<Keys, String>, rows: &Converter) -> KeyProbe<'a> {
        let only_keys = keys.as_ref().ok().map(|keys| keys.converter.probe());
        KeyProbe { keys, rows: rows.probe(), only_keys }
    }

    /// The key of the row that a record is, or takes out. Rows that are added need none.
    ///
    /// # Errors
    /// The table does not take the record.
    pub(super) fn key(&mut self, change: &Change) -> Result<Option<u128>, Failure> {
        let malformed = |what: String| Failure::new("Iceberg.MalformedData", &what);
        let data = &change.record.data;
        let is_insert = change.operation == TableOperation::Insert;
        let keys = match self.keys {
            Ok(keys) => keys,
            Err(_) if is_insert => {
                self.rows.read(data, &[]).map_err(|refused| refusal(&refused))?;
                return Ok(None);
            }
            Err(what) => return Err(Failure::new("Iceberg.InvalidUniqueKeys", what)),
        };
        let read = match &mut self.only_keys {
            Some(only_keys) if change.operation == TableOperation::Delete => {
                let ways: Vec<_> = (0..keys.ways.len()).map(|at| vec![at]).collect();
                only_keys.read(data, &ways)
            }
            _ => self.rows.read(data, &keys.ways),
        };
        let values = read.map_err(|refused| refusal(&refused))?;
        match keys.key(&values) {
            Ok(key) => Ok(Some(key)),
            Err(_) if is_insert => Ok(None),
            Err(what) => Err(malformed(what)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The ids of the keys, or why there are none.
    fn check(named: &[&str], identifiers: &[i32], want: &str) {
        let field =
            |id, name, type_| json!({"id": id, "name": name, "required": false, "type": type_});
        let fields = [field(1, "a", "long"), field(2, "B", "string"), field(3, "c", "double")];
        let table = json!({
            "format-version": 2,
            "table-uuid": "u",
            "location": "s3://b/t",
            "schemas": [{"schema-id": 0, "fields": fields, "identifier-field-ids": identifiers}],
        });
        let table: TableMetadata = serde_json::from_value(table).unwrap();
        let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
        let keys = Keys::of(&table, &table.schema().unwrap(), &named);
        let found = keys.map_or_else(|what| what, |keys| format!("{:?}", keys.content));
        assert_eq!(found, want);
    }

    #[test]
    fn keys_are_named_or_the_tables_own() {
        check(&["a"], &[2], "Deletes([1])");
        check(&["b", "a", "a"], &[], "Deletes([1, 2])");
        check(&[], &[2], "Deletes([2])");
        check(
            &[],
            &[],
            "the table has no unique keys: set uniqueKeys of it in tables, or its identifier fields",
        );
        check(&["d"], &[1], "uniqueKeys names d, and the table has no such column");
        check(&["c"], &[], "column c is of type double, which is no unique key");
        check(&[], &[9], "an identifier field of the table is no column of it");
    }
}
