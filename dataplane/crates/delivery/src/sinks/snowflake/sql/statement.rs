//! Statements, and rows for them.

use std::collections::BTreeMap;

use operator_api::delivery_stream::{DataLoadingOption, SnowflakeDestination};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::sinks::Failure;
use crate::sinks::snowflake::judge::NotNow;
use crate::sinks::snowflake::row::Members;

/// A column, as Snowflake describes it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Column {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) precision: Option<u32>,
    pub(super) scale: Option<u32>,
}

/// A table that rows go into.
pub(super) struct Table {
    insert: String,
    columns: Vec<String>,
    /// By their names in upper case.
    by_upper: BTreeMap<String, usize>,
}

impl Table {
    /// Of all columns those that rows may have are inserted into.
    ///
    /// # Errors
    /// One of them is not there; no record is to blame.
    pub(super) fn new(of: &SnowflakeDestination, mut all: Vec<Column>) -> Result<Table, NotNow> {
        let columns = match of.data_loading_option {
            None | Some(DataLoadingOption::JsonMapping) => all,
            Some(option) => {
                let has_both = option == DataLoadingOption::VariantContentAndMetadataMapping;
                let metadata = of.metadata_column_name.iter().filter(|_| has_both);
                let named = of.content_column_name.iter().chain(metadata);
                named.map(|name| take(&mut all, name)).collect::<Result<_, _>>()?
            }
        };
        let names: Vec<String> = columns.iter().map(|column| quoted(&column.name)).collect();
        let values: Vec<String> = columns.iter().map(value).collect();
        let insert = format!(
            "INSERT INTO {} ({}) SELECT {} FROM TABLE(FLATTEN(INPUT => PARSE_JSON(?)))",
            table_name(of),
            names.join(", "),
            values.join(", ")
        );
        let columns: Vec<String> = columns.into_iter().map(|column| column.name).collect();
        let by_upper = columns.iter().enumerate().map(|(at, name)| (name.to_uppercase(), at));
        Ok(Table { insert, by_upper: by_upper.collect(), columns })
    }

    /// The statement that inserts the rows of an array.
    pub(super) fn insert(&self) -> &str {
        &self.insert
    }

    /// A row as a JSON object whose members have the names of columns.
    pub(super) fn row(&self, members: Members<'_>) -> Result<Vec<u8>, Failure> {
        let mut row: BTreeMap<&str, &RawValue> = BTreeMap::new();
        for (name, value) in members {
            let exact = self.columns.iter().find(|column| **column == name);
            let folded = || self.by_upper.get(&name.to_uppercase()).map(|at| &self.columns[*at]);
            let column = exact.or_else(folded).ok_or_else(|| no_column(&name))?;
            if row.insert(column, value).is_some() {
                return Err(twice(column));
            }
        }
        Ok(serde_json::to_vec(&row).expect("members are JSON"))
    }
}

fn take(columns: &mut Vec<Column>, name: &str) -> Result<Column, NotNow> {
    let exact = columns.iter().position(|column| column.name == name);
    let folded = || columns.iter().position(|column| column.name.eq_ignore_ascii_case(name));
    let at = exact.or_else(folded).ok_or_else(|| {
        NotNow::new("Snowflake.NotFound", &format!("The table has no column {name}."))
    })?;
    Ok(columns.swap_remove(at))
}

fn no_column(name: &str) -> Failure {
    Failure::new("Snowflake.ExtraColumns", &format!("The table has no column {name}."))
}

fn twice(column: &str) -> Failure {
    let message = format!("The record has two members for the column {column}.");
    Failure::new("Snowflake.InvalidInput", &message)
}

/// Of a row that is named `value`, what goes into the column.
fn value(column: &Column) -> String {
    let member = format!("value:{}", quoted(&column.name));
    let scale = column.scale.unwrap_or(0);
    match column.kind.to_ascii_lowercase().as_str() {
        "fixed" => format!("{member}::NUMBER({}, {scale})", column.precision.unwrap_or(38)),
        "real" => format!("{member}::FLOAT"),
        "text" => format!("{member}::VARCHAR"),
        "binary" => format!("TO_BINARY({member}::VARCHAR)"),
        "geography" => format!("TO_GEOGRAPHY({member})"),
        "geometry" => format!("TO_GEOMETRY({member})"),
        kind @ ("boolean" | "date" | "time" | "timestamp_ntz" | "timestamp_ltz"
        | "timestamp_tz" | "object" | "array") => {
            format!("{member}::{}", kind.to_ascii_uppercase())
        }
        _ => member,
    }
}

/// Says nothing of rows, and all of columns.
pub(super) fn select_all(of: &SnowflakeDestination) -> String {
    format!("SELECT * FROM {}", table_name(of))
}

fn table_name(of: &SnowflakeDestination) -> String {
    [&of.database, &of.schema, &of.table].map(|name| identifier(name)).join(".")
}

/// A name as it means without quotes, if it can be said without.
fn identifier(name: &str) -> String {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_$".contains(&byte))
        && !name.starts_with(|first: char| first.is_ascii_digit() || first == '$');
    quoted(&if is_plain { name.to_uppercase() } else { name.to_owned() })
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Rows as a JSON array.
pub(super) fn array<'a>(rows: impl Iterator<Item = &'a [u8]>) -> String {
    let mut array = vec![b'['];
    for row in rows {
        if 1 < array.len() {
            array.push(b',');
        }
        array.extend_from_slice(row);
    }
    array.push(b']');
    String::from_utf8(array).expect("JSON of texts is a text")
}

#[cfg(test)]
mod tests;
