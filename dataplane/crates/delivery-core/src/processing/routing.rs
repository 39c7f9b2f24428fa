//! The tables that records say they go to.

use operator_api::delivery_stream::IcebergRouting;

use super::jq::{Program, on_deep_stack};
use super::{SetupError, StartError, TableMetadata, keys, program};

/// Names of a table are no longer than this.
const NAME_BYTES_MAX: usize = 255;

/// How a record's table is found in it.
pub struct Router {
    database: Option<Program>,
    table: Option<Program>,
}

impl Router {
    /// By these programs, that of the operation aside.
    ///
    /// # Errors
    /// One of them is no program.
    pub fn new(routing: &IcebergRouting) -> Result<Router, SetupError> {
        let compile = |field, text: &Option<String>| {
            text.as_ref().map(|text| program(field, text)).transpose()
        };
        Ok(Router {
            database: compile("destination.iceberg.routing.database", &routing.database)?,
            table: compile("destination.iceberg.routing.table", &routing.table)?,
        })
    }

    /// The table of each record, or a sentence. What no program says is not set.
    ///
    /// # Errors
    /// There is no thread to run programs on.
    pub fn route<'a>(
        &self,
        records: impl Iterator<Item = &'a [u8]> + Send,
    ) -> Result<Vec<Result<TableMetadata, String>>, StartError> {
        on_deep_stack(|| records.map(|data| self.route_one(data)).collect())
    }

    fn route_one(&self, data: &[u8]) -> Result<TableMetadata, String> {
        let name = |program: &Option<Program>, what| {
            program.as_ref().map(|program| name(program, what, data)).transpose()
        };
        let database = name(&self.database, "routing.database")?;
        let table = name(&self.table, "routing.table")?;
        Ok(TableMetadata { database, table, operation: None })
    }
}

fn name(program: &Program, what: &str, data: &[u8]) -> Result<String, String> {
    let mut name = None;
    let run = program.run(data, |value| {
        if name.is_some() {
            return Err("gives more than one value".to_owned());
        }
        let text = keys::text(&value)?.filter(|text| !text.is_empty());
        name = Some(text.ok_or("gives null, or no name")?);
        Ok(())
    });
    run.map_err(|error| format!("{what}: {error}"))?;
    let name = name.ok_or_else(|| format!("{what}: gives no value"))?;
    if NAME_BYTES_MAX < name.len() {
        return Err(format!("{what}: gives a name of more than {NAME_BYTES_MAX} bytes"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_say_their_tables() {
        let router = Router::new(&IcebergRouting {
            database: None,
            table: Some("if .kind then .kind else empty end".to_owned()),
            operation: None,
        });
        let long = format!(r#"{{"kind":"{}"}}"#, "x".repeat(256));
        let records = [r#"{"kind":"a"}"#, r#"{"kind":7}"#, r#"{"kind":""}"#, "{}", "{", &long];
        let routed = router.unwrap().route(records.iter().map(|record| record.as_bytes()));
        let shown: Vec<String> = routed
            .unwrap()
            .into_iter()
            .map(|table| match table {
                Ok(table) => format!("{:?} {:?}", table.database, table.table),
                Err(error) => error.chars().take(40).collect(),
            })
            .collect();
        assert_eq!(
            shown,
            [
                "None Some(\"a\")",
                "None Some(\"7\")",
                "routing.table: gives null, or no name",
                "routing.table: gives no value",
                "routing.table: the record is not one JSO",
                "routing.table: gives a name of more than",
            ]
        );
    }
}
