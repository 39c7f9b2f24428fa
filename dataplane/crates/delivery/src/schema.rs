//! The columns that records are converted to, as the resource says them, or a catalog.
//!
//! A catalog is asked before a shard is read, for as long as it takes: nothing is lost meanwhile, for nothing
//! is read. Where columns may change it is asked anew when a window begins, if what is known is old
//! by then, and so a window's objects all have the same. A catalog that does not answer then, or that
//! describes what cannot be written, changes nothing.

mod glue;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use columnar::{ConversionError, Converter};
use delivery_core::backoff::Backoff;
use delivery_core::objects::CatalogTable;
use iceberg_table::TableError;
use model::StreamName;
use operator_api::delivery_stream::{ConversionSchema, FormatConversion, IcebergSchema};
use tokio::time::{Instant, sleep_until, timeout};

use self::glue::Glue;
use crate::aws::json::CallError;
use crate::pipeline::{Context, SetupError};
use crate::sinks::TableName;
use crate::sinks::iceberg::catalog::{Catalog, CatalogError};
use crate::status::ShardStatus;

/// How old what is known may be when a window begins; and so how long a catalog is left alone that did not
/// answer then.
const AGE_MAX: Duration = Duration::from_secs(180);
/// How long a catalog may take.
const LOOK_UP_MAX: Duration = Duration::from_secs(20);

/// The columns that records are converted to.
pub(crate) enum Schema {
    /// The resource says them.
    Known(Arc<Form>),
    /// A catalog does.
    InCatalog(Box<InCatalog>),
}

/// How records are converted.
pub(crate) struct Form {
    pub(crate) converter: Converter,
    /// The table's version, of one that has versions.
    version: Option<String>,
}

/// Columns that are looked up.
pub(crate) struct InCatalog {
    conversion: FormatConversion,
    catalog: AnyCatalog,
    /// Told in logs.
    delivery_stream: StreamName,
    /// What is known of them, if anything is.
    known: Mutex<Option<Arc<Form>>>,
    /// One at a time looks them up.
    turn: tokio::sync::Mutex<Turn>,
}

enum AnyCatalog {
    Glue(Box<Glue>),
    Iceberg(Box<Catalog>, TableName),
}

/// When the catalog is asked next, and what became of it the last time.
#[derive(Default)]
struct Turn {
    next: Option<Instant>,
    failed: Option<Failed>,
}

#[derive(Clone)]
struct Failed {
    attempts: u32,
    next: Instant,
    what: String,
}

/// The columns are not known. They may be later: what the catalog says may be mended there.
#[derive(Debug, thiserror::Error)]
enum LookUpError {
    #[error("ask AWS Glue")]
    Glue(#[from] CallError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error("records cannot become rows of the table")]
    Table(#[from] TableError),
    #[error("records cannot become rows of the table")]
    Conversion(#[from] ConversionError),
    #[error("no answer of the catalog in {} seconds", LOOK_UP_MAX.as_secs())]
    Late,
}

impl Schema {
    pub(crate) fn new(
        conversion: &FormatConversion,
        delivery_stream: &StreamName,
        context: &Context,
    ) -> Result<Schema, SetupError> {
        let ConversionSchema { columns, glue, iceberg } = &conversion.schema;
        let catalog = match (columns, glue, iceberg) {
            (Some(columns), _, _) => {
                let converter = Converter::new(conversion, columns)?;
                return Ok(Schema::Known(Arc::new(Form { converter, version: None })));
            }
            (None, Some(glue), _) => AnyCatalog::Glue(Box::new(Glue::new(glue, context)?)),
            (None, None, Some(iceberg)) => in_iceberg(iceberg, context)?,
            (None, None, None) => {
                let field = "spec.formatConversion.schema";
                return Err(SetupError::Wrong { field, what: "is empty; set columns" });
            }
        };
        Converter::check(conversion)?;
        Ok(Schema::InCatalog(Box::new(InCatalog {
            conversion: conversion.clone(),
            catalog,
            delivery_stream: delivery_stream.clone(),
            known: Mutex::default(),
            turn: Default::default(),
        })))
    }

    /// How records of a window that begins now are converted. Until that is known, waits.
    ///
    /// # Cancel safety
    /// Dropping the future drops the question.
    pub(crate) async fn form(&self, context: &Context, status: &ShardStatus) -> Arc<Form> {
        match self {
            Schema::Known(form) => Arc::clone(form),
            Schema::InCatalog(columns) => columns.wait(context, status).await,
        }
    }

    /// The table that describes the columns, for who is told that a record does not fit.
    pub(crate) fn table<'a>(&'a self, form: &'a Form) -> Option<CatalogTable<'a>> {
        let Schema::InCatalog(columns) = self else { return None };
        let table = CatalogTable::of(&columns.conversion.schema)?;
        Some(CatalogTable { version_id: form.version.as_deref().or(table.version_id), ..table })
    }
}

impl InCatalog {
    async fn wait(&self, context: &Context, status: &ShardStatus) -> Arc<Form> {
        let step = status.step();
        loop {
            match self.look_up_if_due(context).await {
                Ok(form) => {
                    step.succeeds();
                    return form;
                }
                Err(Failed { attempts, next, what }) => {
                    step.fails(context.clock.now(), attempts, &what);
                    sleep_until(next).await;
                }
            }
        }
    }

    async fn look_up_if_due(&self, context: &Context) -> Result<Arc<Form>, Failed> {
        let mut turn = match self.known() {
            None => self.turn.lock().await,
            Some(form) => match self.turn.try_lock() {
                Ok(turn) => turn,
                // Somebody else is asking, and need not be waited for.
                Err(_) => return Ok(form),
            },
        };
        // It may have become known meanwhile.
        let known = self.known();
        let is_due = turn.next.is_none_or(|next| next <= Instant::now());
        match (known, &turn.failed) {
            (Some(form), _) if !is_due || self.is_fixed() => return Ok(form),
            (None, Some(failed)) if !is_due => return Err(failed.clone()),
            _ => {}
        }
        let looked_up = timeout(LOOK_UP_MAX, self.look_up()).await;
        match looked_up.unwrap_or(Err(LookUpError::Late)) {
            Ok(form) => {
                *turn = Turn { next: Some(Instant::now() + AGE_MAX), failed: None };
                Ok(self.is_known(form))
            }
            Err(error) => self.is_not_known(&error, &mut turn, context),
        }
    }

    fn is_known(&self, form: Form) -> Arc<Form> {
        let form = Arc::new(form);
        let before = self.lock().replace(Arc::clone(&form));
        if before.is_some_and(|before| before.converter.schema() != form.converter.schema()) {
            let stream = &self.delivery_stream;
            tracing::info!(delivery_stream = %stream, "columns have changed in the catalog");
        }
        form
    }

    /// What was known before stays; if nothing was, it is asked for again soon.
    fn is_not_known(
        &self,
        error: &LookUpError,
        turn: &mut Turn,
        context: &Context,
    ) -> Result<Arc<Form>, Failed> {
        let what = format!("{}: {}", self.field(), crate::chain(error));
        if let Some(form) = self.known() {
            let stream = &self.delivery_stream;
            tracing::warn!(delivery_stream = %stream, "columns stay as they are, for they could not be looked up: {what}");
            turn.next = Some(Instant::now() + AGE_MAX);
            return Ok(form);
        }
        let attempts = turn.failed.as_ref().map_or(0, |failed| failed.attempts);
        let pause = Backoff::endless().next(attempts, Duration::ZERO, (context.random)());
        let next = Instant::now() + pause.unwrap_or_default();
        let failed = Failed { attempts: attempts + 1, next, what };
        *turn = Turn { next: Some(next), failed: Some(failed.clone()) };
        Err(failed)
    }

    async fn look_up(&self) -> Result<Form, LookUpError> {
        match &self.catalog {
            AnyCatalog::Glue(glue) => {
                let (columns, version) = glue.columns().await?;
                let converter = Converter::new(&self.conversion, &columns)?;
                Ok(Form { converter, version })
            }
            AnyCatalog::Iceberg(catalog, table) => {
                let described = catalog.load(table).await?.metadata.described()?;
                let converter = Converter::as_described(&self.conversion, &described)?;
                Ok(Form { converter, version: None })
            }
        }
    }

    fn known(&self) -> Option<Arc<Form>> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Form>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the columns are the same for ever.
    fn is_fixed(&self) -> bool {
        match &self.catalog {
            AnyCatalog::Glue(glue) => glue.is_fixed(),
            AnyCatalog::Iceberg(..) => false,
        }
    }

    fn field(&self) -> &'static str {
        match &self.catalog {
            AnyCatalog::Glue(_) => "spec.formatConversion.schema.glue",
            AnyCatalog::Iceberg(..) => "spec.formatConversion.schema.iceberg",
        }
    }
}

fn in_iceberg(of: &IcebergSchema, context: &Context) -> Result<AnyCatalog, SetupError> {
    let IcebergSchema { catalog, database, table } = of;
    let Some(rest) = &catalog.rest else {
        let field = "spec.formatConversion.schema.iceberg.catalog.glue";
        return Err(SetupError::Unsupported { field, instead: "use schema.glue, or rest" });
    };
    let (secrets, clock) = (Arc::clone(&context.secrets), Arc::clone(&context.clock));
    // What is in the table's files is of no interest.
    let catalog = Catalog::new(rest.clone(), false, secrets, clock);
    let name = TableName { database: database.clone(), table: table.clone() };
    Ok(AnyCatalog::Iceberg(Box::new(catalog), name))
}
