//! Rows in tables: Redshift, Snowflake, Iceberg.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::S3Destination;
use crate::pods::{AwsCredentials, ClientTls, SecretRef, UserCredentials};

/// A table in Amazon Redshift, or what speaks its COPY: objects are put into a bucket, then loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "[has(self.clusterJdbcUrl), has(self.dataApi)].exists_one(set, set)",
        "message": "set exactly one way to the database: clusterJdbcUrl or dataApi"
    },
    {
        "rule": "has(self.clusterJdbcUrl) == has(self.credentials)",
        "message": "credentials are of who logs in at clusterJdbcUrl: set both or neither"
    }
]))]
pub struct RedshiftDestination {
    /// The database, as in jdbc:redshift://HOST:5439/DATABASE, to which a connection is made.
    #[schemars(length(max = 512), extend("pattern" = "^jdbc:(redshift|postgresql)://"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_jdbc_url: Option<String>,

    /// The user that loads, with clusterJdbcUrl.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<UserCredentials>,

    /// The database, by the Redshift Data API: no connection is made to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_api: Option<RedshiftDataApi>,

    /// What is loaded, and where.
    pub copy_command: CopyCommand,

    /// The bucket to load from. Its prefix may hold no expressions; compression is UNCOMPRESSED or
    /// GZIP.
    pub s3: S3Destination,

    /// How the server's certificate is checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ClientTls>,
}

/// A database by the Redshift Data API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "[has(self.clusterIdentifier), has(self.workgroupName)].exists_one(set, set)",
        "message": "set exactly one place of the database: clusterIdentifier or workgroupName"
    },
    {
        "rule": "!(has(self.dbUser) && has(self.secretArn))",
        "message": "set dbUser or secretArn, not both"
    },
    {
        "rule": "!has(self.dbUser) || has(self.clusterIdentifier)",
        "message": "dbUser is of a cluster: a workgroup's user is the caller, or in secretArn"
    }
]))]
pub struct RedshiftDataApi {
    /// The cluster.
    #[schemars(length(min = 1, max = 63))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_identifier: Option<String>,

    /// The workgroup of Redshift Serverless.
    #[schemars(length(min = 3, max = 128))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workgroup_name: Option<String>,

    /// The database.
    #[schemars(length(min = 1, max = 127))]
    pub database: String,

    /// The user of the cluster that loads. The caller's own when neither this nor secretArn is set.
    #[schemars(length(min = 1, max = 127))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db_user: Option<String>,

    /// The secret of AWS Secrets Manager with the user that loads.
    #[schemars(length(min = 1, max = 2048))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_arn: Option<String>,

    /// The AWS region.
    #[schemars(length(min = 1, max = 64))]
    pub region: String,

    /// The API's address, for one that is not AWS's. AWS's when not set.
    #[schemars(length(max = 1000), extend("pattern" = "^https?://"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,

    /// The access key to call it with. The pod's own identity when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<AwsCredentials>,
}

/// Redshift's COPY.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CopyCommand {
    /// The table, with its schema where it has one, as in public.clicks.
    #[schemars(length(min = 1, max = 512))]
    pub data_table_name: String,

    /// The columns, with commas between. All, in their order, when not set.
    #[schemars(length(min = 1, max = 204800))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_table_columns: Option<String>,

    /// What follows in the command, as in JSON 'auto' GZIP. Nothing when not set.
    #[schemars(length(min = 1, max = 204800))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy_options: Option<String>,
}

/// Rows in Snowflake: by Snowpipe Streaming, or with INSERT statements.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "!has(self.dataLoadingOption) || self.dataLoadingOption == 'JSON_MAPPING' || \
            has(self.contentColumnName)",
        "message": "VARIANT_* options put records into a column: set contentColumnName"
    },
    {
        "rule": "!has(self.dataLoadingOption) || \
            self.dataLoadingOption != 'VARIANT_CONTENT_AND_METADATA_MAPPING' || \
            has(self.metadataColumnName)",
        "message": "this option puts metadata into a column: set metadataColumnName"
    }
]))]
pub struct SnowflakeDestination {
    /// The account, as in https://ORGANISATION-ACCOUNT.snowflakecomputing.com.
    #[schemars(length(max = 2048), extend("pattern" = "^https?://"))]
    pub account_url: String,

    /// The user.
    #[schemars(length(min = 1, max = 255))]
    pub user: String,

    /// The user's private key, PKCS #8 PEM, in a Secret.
    pub private_key_ref: SecretRef,

    /// What the private key is encrypted with, in a Secret. It is not when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_passphrase_ref: Option<SecretRef>,

    /// The role to take. The user's default when not set.
    #[schemars(length(min = 1, max = 255))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,

    /// The database.
    #[schemars(length(min = 1, max = 255))]
    pub database: String,

    /// The schema.
    #[schemars(length(min = 1, max = 255))]
    pub schema: String,

    /// The table.
    #[schemars(length(min = 1, max = 255))]
    pub table: String,

    /// How a record becomes a row. JSON_MAPPING when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_loading_option: Option<DataLoadingOption>,

    /// The column for the record, with the VARIANT_* options.
    #[schemars(length(min = 1, max = 255))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_column_name: Option<String>,

    /// The column for its metadata, with VARIANT_CONTENT_AND_METADATA_MAPPING.
    #[schemars(length(min = 1, max = 255))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_column_name: Option<String>,

    /// Loads with INSERT statements, for accounts without Snowpipe Streaming. They need a warehouse,
    /// and a row may come twice after a failure. Snowpipe Streaming when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sql: Option<SnowflakeSql>,
}

/// Rows are loaded into Snowflake with INSERT statements.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SnowflakeSql {
    /// The warehouse that runs them. The user's default when not set.
    #[schemars(length(min = 1, max = 255))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warehouse: Option<String>,
}

/// How a record becomes a row of Snowflake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DataLoadingOption {
    /// Each top-level key goes into the column of its name.
    JsonMapping,
    /// The record goes into one VARIANT column.
    VariantContentMapping,
    /// The record goes into one VARIANT column, its metadata into another.
    VariantContentAndMetadataMapping,
}

/// Rows in tables of Apache Iceberg.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.tables) || has(self.routing)",
    "message": "set tables, or routing to find them in the records"
}]))]
pub struct IcebergDestination {
    /// The catalog.
    pub catalog: IcebergCatalog,

    /// The store of the tables' files. What the catalog says when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3: Option<IcebergStore>,

    /// The tables. A single one takes all records that routing does not send elsewhere.
    #[schemars(length(min = 1, max = 100))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tables: Option<Vec<IcebergTable>>,

    /// How a record's table and operation are found in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing: Option<IcebergRouting>,

    /// Whether rows are only ever added, and updates and deletes refused. false when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub append_only: Option<bool>,

    /// Whether new keys of records become new columns, and int and float columns become wider for
    /// numbers that do not fit. false when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_evolution: Option<bool>,

    /// Whether tables that do not exist are created. false when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_creation: Option<bool>,
}

/// An Iceberg catalog: exactly one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.rest), has(self.glue)].exists_one(set, set)",
    "message": "set exactly one catalog: rest or glue"
}]))]
pub struct IcebergCatalog {
    /// A server of Iceberg's REST protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rest: Option<RestCatalog>,

    /// An AWS Glue Data Catalog.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub glue: Option<GlueCatalog>,
}

/// A server of Iceberg's REST protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestCatalog {
    /// Its address.
    #[schemars(length(max = 1000), extend("pattern" = "^https?://"))]
    pub uri: String,

    /// The warehouse to ask it for. Its default when not set.
    #[schemars(length(min = 1, max = 1024))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warehouse: Option<String>,

    /// A bearer token, or CLIENT_ID:CLIENT_SECRET for OAuth 2, in a Secret. None when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential_ref: Option<SecretRef>,

    /// How the server's certificate is checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ClientTls>,
}

/// An AWS Glue Data Catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GlueCatalog {
    /// The AWS region.
    #[schemars(length(min = 1, max = 64))]
    pub region: String,

    /// The catalog: an account's number. The caller's own when not set.
    #[schemars(length(min = 1, max = 255))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalog_id: Option<String>,

    /// Where new tables are put, as in s3://lake/warehouse.
    #[schemars(length(min = 1, max = 1024))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warehouse_location: Option<String>,

    /// The access key to call it with. The pod's own identity when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<AwsCredentials>,
}

/// The store of the tables' files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IcebergStore {
    /// The region that requests are signed for. us-east-1 when not set.
    #[schemars(length(min = 1, max = 64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,

    /// The server's address, for one that is not AWS's. AWS's when not set.
    #[schemars(length(max = 1000), extend("pattern" = "^https?://"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,

    /// The access key to write with. The pod's own identity when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<AwsCredentials>,
}

/// A table that records go to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IcebergTable {
    /// The namespace.
    #[schemars(length(min = 1, max = 255))]
    pub database: String,

    /// The table.
    #[schemars(length(min = 1, max = 255))]
    pub table: String,

    /// The columns that tell rows apart, for updates and deletes; routing.operation requires them. The
    /// table's identifier fields when not set.
    #[schemars(length(max = 100), inner(length(min = 1, max = 255)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique_keys: Option<Vec<String>>,

    /// The columns a new table is partitioned by. None when not set.
    #[schemars(length(max = 100), inner(length(min = 1, max = 255)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_by: Option<Vec<String>>,

    /// What follows the backup's errorOutputPrefix for records that this table refused. Nothing
    /// when not set.
    #[schemars(length(min = 1, max = 1024))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_output_prefix: Option<String>,
}

/// How a record's table and operation are found in it: jq programs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IcebergRouting {
    /// Gives the namespace, as in .database. That all tables are in when not set.
    #[schemars(length(min = 1, max = 1024))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,

    /// Gives the table, as in .table. The single table when not set.
    #[schemars(length(min = 1, max = 1024))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,

    /// Gives insert, update or delete. insert when not set.
    #[schemars(length(min = 1, max = 1024))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
}
