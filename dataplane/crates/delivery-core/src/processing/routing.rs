//! The tables that records say they go to, and what is to become of them there.

use operator_api::delivery_stream::IcebergRouting;

use super::jq::{Program, on_deep_stack};
use super::{SetupError, StartError, TableMetadata, TableOperation, keys, program};

/// Names of a table are no longer than this.
const NAME_BYTES_MAX: usize = 255;

/// How a record's table and its operation are found in it.
pub struct Router {
    database: Option<Program>,
    table: Option<Program>,
    operation: Option<Program>,
}

impl Router {
    /// By these programs.
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
            operation: compile("destination.iceberg.routing.operation", &routing.operation)?,
        })
    }

    /// The table and the operation of each record, or a sentence. What a function has `said` is not looked
    /// for in the record; what is said by neither is not set.
    ///
    /// # Errors
    /// There is no thread to run programs on.
    pub fn route<'a>(
        &self,
        records: impl Iterator<Item = (&'a [u8], TableMetadata)> + Send,
    ) -> Result<Vec<Result<TableMetadata, String>>, StartError> {
        on_deep_stack(|| records.map(|(data, said)| self.route_one(data, said)).collect())
    }

    fn route_one(&self, data: &[u8], said: TableMetadata) -> Result<TableMetadata, String> {
        let find = |said: Option<String>, program: &Option<Program>, what| match (said, program) {
            (None, Some(program)) => name(program, what, data).map(Some),
            (said, _) => Ok(said),
        };
        let database = find(said.database, &self.database, "routing.database")?;
        let table = find(said.table, &self.table, "routing.table")?;
        let operation = match (said.operation, &self.operation) {
            (None, Some(program)) => {
                let text = name(program, "routing.operation", data)?;
                let operation = TableOperation::parse(&text);
                Some(operation.ok_or("routing.operation: gives no insert, update or delete")?)
            }
            (said, _) => said,
        };
        Ok(TableMetadata { database, table, operation })
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
        })
        .unwrap();
        let check = |record: &str, want: &str| {
            let said = TableMetadata::default();
            let routed = router.route([(record.as_bytes(), said)].into_iter()).unwrap();
            let found = match routed.into_iter().next().unwrap() {
                Ok(table) => format!("{:?} {:?}", table.database, table.table),
                Err(error) => error.chars().take(40).collect(),
            };
            assert_eq!(found, want);
        };
        check(r#"{"kind":"a"}"#, "None Some(\"a\")");
        check(r#"{"kind":7}"#, "None Some(\"7\")");
        check(r#"{"kind":""}"#, "routing.table: gives null, or no name");
        check("{}", "routing.table: gives no value");
        check("{", "routing.table: the record is not one JSO");
        let long = format!(r#"{{"kind":"{}"}}"#, "x".repeat(256));
        check(&long, "routing.table: gives a name of more than");
    }

    #[test]
    fn records_say_their_operations() {
        let router = Router::new(&IcebergRouting {
            table: Some(".t".to_owned()),
            operation: Some(".op".to_owned()),
            ..IcebergRouting::default()
        })
        .unwrap();
        let check = |record: &str, said: Option<TableOperation>, want: &str| {
            let said = TableMetadata { operation: said, ..TableMetadata::default() };
            let routed = router.route([(record.as_bytes(), said)].into_iter()).unwrap();
            let found = match &routed[0] {
                Ok(routed) => format!("{:?} {:?}", routed.table, routed.operation),
                Err(what) => what.clone(),
            };
            assert_eq!(found, want);
        };
        check(r#"{"t":"a","op":"insert"}"#, None, "Some(\"a\") Some(Insert)");
        check(r#"{"t":"a","op":"update"}"#, None, "Some(\"a\") Some(Update)");
        check(r#"{"t":"a","op":"delete"}"#, None, "Some(\"a\") Some(Delete)");
        check(
            r#"{"t":"a","op":"u"}"#,
            None,
            "routing.operation: gives no insert, update or delete",
        );
        check(r#"{"t":"a"}"#, None, "routing.operation: gives null, or no name");
        // A function's word goes before the record's, which is not looked at.
        check(r#"{"t":"a","op":"u"}"#, Some(TableOperation::Delete), "Some(\"a\") Some(Delete)");
    }
}
