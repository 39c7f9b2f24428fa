//! Rows in tables of Apache Iceberg.

use aws_protocol::ApiError;
use operator_api::delivery_stream::{
    BackupMode, GlueCatalog, IcebergCatalog, IcebergDestination, IcebergTable,
};

use super::s3::{HINTS, MIB_DEFAULT, SECONDS_DEFAULT};
use super::{Destination, Kind, S3};
use crate::backup::{self, DATA};
use crate::buffering::BufferingHints;
use crate::draft::{CloudWatchLoggingOptions, Draft, RetryOptions, Told};
use crate::errors::invalid_argument;
use crate::processing::ProcessingConfiguration;
use crate::shape::{Anything, Each, Nested, NestedWhole, OneOf, shapes};
use crate::texts::{CATALOG_ARN, PREFIX, ROLE_ARN, TABLE_PART, WAREHOUSE, WORD};

const BUCKET: &str = "S3Configuration";
const LOGGING: &str = "CloudWatchLoggingOptions";
const CATALOG: &str = "CatalogConfiguration.CatalogARN";
const RETRY_SECONDS_DEFAULT: u32 = 300;

shapes! {
    /// As IcebergDestinationConfiguration, its update and its description.
    Iceberg {
        DestinationTableConfigurationList: Vec<TableConfiguration>, Never, Each(Nested);
        SchemaEvolutionConfiguration: Switch, Never, Nested;
        TableCreationConfiguration: Switch, Never, Nested;
        BufferingHints: BufferingHints, Never, HINTS;
        CloudWatchLoggingOptions: CloudWatchLoggingOptions, Never, Nested;
        ProcessingConfiguration: ProcessingConfiguration, Never, Nested;
        S3BackupMode: String, Never, OneOf(DATA.0);
        RetryOptions: RetryOptions, Never, Nested;
        RoleARN: String, Whole, ROLE_ARN;
        AppendOnly: bool, Never, Anything;
        CatalogConfiguration: CatalogConfiguration, Whole, Nested;
        #[serde(rename(serialize = "S3DestinationDescription"))]
        S3Configuration: S3, Whole, NestedWhole;
    }

    /// As DestinationTableConfiguration.
    TableConfiguration {
        DestinationTableName: String, Always, TABLE_PART;
        DestinationDatabaseName: String, Always, TABLE_PART;
        UniqueKeys: Vec<String>, Never, Each(&WORD);
        PartitionSpec: PartitionSpec, Never, Nested;
        S3ErrorOutputPrefix: String, Never, PREFIX;
    }

    /// As PartitionSpec.
    PartitionSpec {
        Identity: Vec<PartitionField>, Never, Each(Nested);
    }

    /// As PartitionField.
    PartitionField {
        SourceName: String, Always, WORD;
    }

    /// As SchemaEvolutionConfiguration and TableCreationConfiguration.
    Switch {
        Enabled: bool, Always, Anything;
    }

    /// As CatalogConfiguration.
    CatalogConfiguration {
        CatalogARN: String, Never, CATALOG_ARN;
        WarehouseLocation: String, Never, WAREHOUSE;
    }
}

impl Destination for Iceberg {
    fn kind(&self) -> Kind {
        Kind::Iceberg
    }

    fn apply(&self, draft: &mut Draft<'_>) -> Result<(), ApiError> {
        let mut iceberg = draft.spec().destination.iceberg.take().unwrap_or_default();
        if let Some(catalog) = &self.CatalogConfiguration {
            catalog.apply(&mut iceberg, draft)?;
        }
        if let Some(tables) = &self.DestinationTableConfigurationList {
            let tables: Vec<IcebergTable> =
                tables.iter().map(TableConfiguration::to_spec).collect();
            iceberg.tables = Some(tables).filter(|tables| !tables.is_empty());
        }
        iceberg.append_only = self.AppendOnly.or(iceberg.append_only);
        let switch = |given: &Option<Switch>| given.as_ref().and_then(|switch| switch.Enabled);
        iceberg.schema_evolution =
            switch(&self.SchemaEvolutionConfiguration).or(iceberg.schema_evolution);
        iceberg.table_creation =
            switch(&self.TableCreationConfiguration).or(iceberg.table_creation);
        draft.spec().destination.iceberg = Some(iceberg);
        draft.keep("RoleARN", self.RoleARN.as_ref());
        BufferingHints::check_both(self.BufferingHints.as_ref())?;
        BufferingHints::apply(self.BufferingHints.as_ref(), draft);
        RetryOptions::apply(self.RetryOptions.as_ref(), draft);
        // Says how records find their tables, too.
        ProcessingConfiguration::apply(self.ProcessingConfiguration.as_ref(), draft)?;
        CloudWatchLoggingOptions::apply(self.CloudWatchLoggingOptions.as_ref(), LOGGING, draft)?;
        backup::apply_bucket(self.S3Configuration.as_ref(), BUCKET, draft)?;
        DATA.apply(self.S3BackupMode.as_ref(), BackupMode::FailedOnly, draft)
    }
}

impl CatalogConfiguration {
    fn apply(
        &self,
        iceberg: &mut IcebergDestination,
        draft: &mut Draft<'_>,
    ) -> Result<(), ApiError> {
        let Some(arn) = &self.CatalogARN else {
            return Err(invalid_argument("CatalogConfiguration needs a CatalogARN."));
        };
        // arn:PARTITION:glue:REGION:ACCOUNT:catalog, and what is nested in it.
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let [_, _, _, region, account, resource] = parts.as_slice() else {
            return Err(invalid_argument(format!("CatalogARN {arn} is no ARN of a catalog.")));
        };
        let catalog_id = match resource.strip_prefix("catalog/") {
            Some(nested) => format!("{account}:{nested}"),
            None => (*account).to_owned(),
        };
        draft.keep(CATALOG, Some(arn));
        let known = iceberg.catalog.glue.take().unwrap_or_default();
        let glue = GlueCatalog {
            region: (*region).to_owned(),
            catalog_id: Some(catalog_id),
            warehouse_location: self.WarehouseLocation.clone(),
            ..known
        };
        iceberg.catalog = IcebergCatalog { rest: None, glue: Some(glue) };
        Ok(())
    }

    /// A catalog that is not Glue's has no ARN.
    fn told(told: &Told<'_>, catalog: &IcebergCatalog) -> CatalogConfiguration {
        let glue = catalog.glue.as_ref();
        let arn = glue.map(|glue| {
            let id = glue.catalog_id.as_deref().unwrap_or(&told.identity.account);
            let (account, nested) = id.split_once(':').unwrap_or((id, ""));
            let slash = if nested.is_empty() { "" } else { "/" };
            let made = format!("arn:aws:glue:{}:{account}:catalog{slash}{nested}", glue.region);
            let rest = made.split_once(":glue:").map_or("", |(_, rest)| rest).to_owned();
            let is_same = |kept: &String| kept.ends_with(&format!(":glue:{rest}"));
            told.kept(CATALOG).filter(is_same).unwrap_or(made)
        });
        let rest = catalog.rest.as_ref().and_then(|rest| rest.warehouse.clone());
        let warehouse = glue.and_then(|glue| glue.warehouse_location.clone()).or(rest);
        CatalogConfiguration {
            CatalogARN: arn,
            WarehouseLocation: warehouse.filter(|location| location.starts_with("s3://")),
        }
    }
}

impl TableConfiguration {
    fn to_spec(&self) -> IcebergTable {
        let fields = self.PartitionSpec.as_ref().and_then(|spec| spec.Identity.as_ref());
        let names = |fields: &Vec<PartitionField>| {
            fields.iter().filter_map(|field| field.SourceName.clone()).collect()
        };
        IcebergTable {
            database: self.DestinationDatabaseName.clone().unwrap_or_default(),
            table: self.DestinationTableName.clone().unwrap_or_default(),
            unique_keys: self.UniqueKeys.clone(),
            partition_by: fields.map(names),
            error_output_prefix: self.S3ErrorOutputPrefix.clone().filter(|it| !it.is_empty()),
        }
    }

    fn of(table: &IcebergTable) -> TableConfiguration {
        let field = |name: &String| PartitionField { SourceName: Some(name.clone()) };
        TableConfiguration {
            DestinationTableName: Some(table.table.clone()),
            DestinationDatabaseName: Some(table.database.clone()),
            UniqueKeys: table.unique_keys.clone(),
            PartitionSpec: table
                .partition_by
                .as_ref()
                .map(|names| PartitionSpec { Identity: Some(names.iter().map(field).collect()) }),
            S3ErrorOutputPrefix: table.error_output_prefix.clone(),
        }
    }
}

impl Iceberg {
    pub(super) fn told(told: &Told<'_>) -> Option<Iceberg> {
        let iceberg = told.spec().destination.iceberg.as_ref()?;
        let tables = iceberg.tables.as_ref();
        let switch = |on: Option<bool>| on.map(|on| Switch { Enabled: Some(on) });
        Some(Iceberg {
            DestinationTableConfigurationList: tables
                .map(|tables| tables.iter().map(TableConfiguration::of).collect()),
            SchemaEvolutionConfiguration: switch(iceberg.schema_evolution),
            TableCreationConfiguration: switch(iceberg.table_creation),
            BufferingHints: BufferingHints::told(told, MIB_DEFAULT, SECONDS_DEFAULT),
            CloudWatchLoggingOptions: CloudWatchLoggingOptions::told(told, LOGGING),
            ProcessingConfiguration: ProcessingConfiguration::told(told),
            S3BackupMode: DATA.told(told),
            RetryOptions: RetryOptions::told(told, RETRY_SECONDS_DEFAULT),
            RoleARN: told.kept("RoleARN"),
            AppendOnly: Some(iceberg.append_only.unwrap_or(false)),
            CatalogConfiguration: Some(CatalogConfiguration::told(told, &iceberg.catalog)),
            S3Configuration: backup::told_bucket(told, BUCKET),
        })
    }
}
