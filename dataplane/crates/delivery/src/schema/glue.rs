//! A table of an AWS Glue Data Catalog, or of what speaks its API.

use std::sync::Arc;

use operator_api::delivery_stream::{Column, GlueTable};
use serde::{Deserialize, Serialize};

use super::LookUpError;
use crate::aws::json::{Api, JsonApi, Place, PlaceError};
use crate::pipeline::{Context, SetupError};

const API: Api = Api {
    name: "glue",
    target: "AWSGlue",
    endpoint_variable: "AWS_ENDPOINT_URL_GLUE",
    // For a thousand columns with long types and comments.
    answer_bytes_max: 8 << 20,
};
/// The version that is of today each day.
const LATEST: &str = "LATEST";

pub(super) struct Glue {
    of: GlueTable,
    api: JsonApi,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GetTable<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    catalog_id: Option<&'a str>,
    database_name: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GetTableVersion<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    catalog_id: Option<&'a str>,
    database_name: &'a str,
    table_name: &'a str,
    version_id: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GotTableVersion {
    table_version: GotTable,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GotTable {
    table: Table,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Table {
    version_id: Option<String>,
    storage_descriptor: Option<StorageDescriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StorageDescriptor {
    #[serde(default)]
    columns: Vec<GlueColumn>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GlueColumn {
    name: String,
    #[serde(rename = "Type", default)]
    type_: String,
}

impl Glue {
    pub(super) fn new(of: &GlueTable, context: &Context) -> Result<Glue, SetupError> {
        let place = Place {
            region: &of.region,
            endpoint: of.endpoint.as_deref(),
            credentials: of.credentials.as_ref(),
            tls: None,
        };
        let (secrets, clock) = (Arc::clone(&context.secrets), Arc::clone(&context.clock));
        let api = JsonApi::new(&API, &place, secrets, clock).map_err(|error| match error {
            PlaceError::Region => SetupError::Wrong {
                field: "spec.formatConversion.schema.glue.region",
                what: "names no region",
            },
            PlaceError::Endpoint => SetupError::Wrong {
                field: "spec.formatConversion.schema.glue.endpoint",
                what: "is no address",
            },
        })?;
        Ok(Glue { of: of.clone(), api })
    }

    /// Whether it describes the same each time.
    pub(super) fn is_fixed(&self) -> bool {
        self.version().is_some()
    }

    /// Its columns as they are now, and which version of the table that is.
    pub(super) async fn columns(&self) -> Result<(Vec<Column>, Option<String>), LookUpError> {
        let GlueTable { database, table, catalog_id, .. } = &self.of;
        let (catalog_id, database_name) = (catalog_id.as_deref(), database.as_str());
        let got: GotTable = match self.version() {
            None => {
                let request = GetTable { catalog_id, database_name, name: table };
                self.api.call("GetTable", &request).await?
            }
            Some(version_id) => {
                let request =
                    GetTableVersion { catalog_id, database_name, table_name: table, version_id };
                let got: GotTableVersion = self.api.call("GetTableVersion", &request).await?;
                got.table_version
            }
        };
        let Table { version_id, storage_descriptor } = got.table;
        let version = self.version().map(str::to_owned).or(version_id);
        let columns = storage_descriptor.map(|of| of.columns).unwrap_or_default();
        let column = |GlueColumn { name, type_ }| Column { name, type_ };
        Ok((columns.into_iter().map(column).collect(), version))
    }

    fn version(&self) -> Option<&str> {
        self.of.version_id.as_deref().filter(|version| *version != LATEST)
    }
}
