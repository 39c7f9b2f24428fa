//! The `iceberg` destination: rows of tables, through a catalog that speaks Iceberg's REST protocol.
//!
//! ```text
//!  batch ─► tables ─► load the table ─► what is in it already? ─► has it columns? ─► files ─► the store
//!                          ▲                                                                    │
//!                          └──────────── others were first, or the answer was lost ────────── commit
//! ```
//!
//! All records of a batch that go to one table become one commit, which says which they are ([`marks`]).
//! What they are to do there, one after the other, is cut down before to rows that are added and keys
//! whose rows are taken out ([`resolve`]). Those are written as equality deletes: nothing of the table is
//! read for them, however large it is.
//! Before anything is written it is looked up what is there; so a batch that comes again, after a crash or
//! after an answer that was lost, adds what is missing, once. That somebody else commits the same at the
//! same time cannot be: a commit holds only for the state of the table that it was looked up in.
//!
//! Files are never deleted here. One whose commit was not made belongs to no table: it is left to the
//! table's upkeep, as engines do with their own.

pub(crate) mod catalog;
mod commit;
mod evolve;
mod files;
mod infer;
mod keys;
mod marks;
mod place;
mod prepare;
mod resolve;
mod step;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use delivery_core::guid::guid_of;
use delivery_core::objects::{Refusal, RefusedRecord};
use delivery_core::processing::{Router, StartError, TableMetadata, TableOperation};
use futures_util::{StreamExt, TryStreamExt, stream};
use iceberg_table::{DataFile, ManifestError, TableError};
use model::{Clock, DeliveryRecord};
use operator_api::delivery_stream::{IcebergDestination, IcebergTable};

use self::catalog::{Catalog, CatalogError, Loaded};
use self::commit::Adding;
use self::files::{Change, Form, FormError, Judge, Rules, WriteError, Written};
use self::infer::InferError;
use self::marks::{Marks, Place};
use self::place::Places;
use super::{Attempt, Batch, Failure, Feed, Parts, Sink, TableName};
use crate::pipeline::SetupError;
use crate::store::StoreError;

/// Tables that records of a batch may go to.
const TABLES_MAX: usize = 100;
/// A batch's records, however small they are.
const RECORDS_MAX: usize = 1_000_000;
/// Files that are put at the same time.
const PUTS_MAX: usize = 4;

/// Brings records to tables.
pub(crate) struct IcebergSink {
    catalog: Catalog,
    places: Places,
    /// Those that the resource names.
    tables: BTreeMap<Arc<TableName>, IcebergTable>,
    /// Where records go that say nothing else.
    single: Option<Arc<TableName>>,
    /// Where the tables are, if they are all in one.
    database: Option<String>,
    router: Option<Arc<Router>>,
    /// By what it is decided which table a record goes to, in short.
    routes: u64,
    creates: bool,
    evolves: bool,
    appends_only: bool,
    feed: Feed,
    clock: Arc<dyn Clock>,
    /// One commit at a time for each table: all of this process would be in each other's way.
    commits: Mutex<HashMap<Arc<TableName>, Arc<tokio::sync::Mutex<()>>>>,
}

/// Records were not brought to a table. They may be later.
#[derive(Debug, thiserror::Error)]
enum TableTrouble {
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("nothing can be appended to the table")]
    Form(#[from] FormError),
    #[error("nothing can be appended to the table")]
    Table(#[from] TableError),
    #[error("read or write manifests")]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("make a table")]
    Infer(#[from] InferError),
    /// Somebody has changed what is ours.
    #[error("the table's property {0} is not as it was written; remove it")]
    Marks(String),
    #[error("{0}")]
    Location(String),
    #[error("the table was replaced by another of its name")]
    Replaced,
    #[error("the catalog says that it changes the table, and does not")]
    Unchanged,
    #[error("others bring the same records to the table at the same time")]
    Overtaken,
    #[error("too many others commit to the table at the same time")]
    Busy(#[source] CatalogError),
    /// It is cancelled when the process ends.
    #[error("write files on another thread")]
    Thread(#[from] tokio::task::JoinError),
}

/// Where a record goes, and what is to become of it there.
struct Route {
    table: Arc<TableName>,
    operation: TableOperation,
}

/// Records of a batch that go to one table.
struct Share<'a> {
    table: &'a Arc<TableName>,
    batch: &'a Batch,
    routes: u64,
    /// Of all records of the batch.
    operations: &'a [TableOperation],
    /// By their index in the batch; there is one.
    indexes: Vec<usize>,
}

impl IcebergSink {
    pub(crate) fn new(of: &IcebergDestination, parts: &Parts) -> Result<IcebergSink, SetupError> {
        let unsupported = |field, instead| Err(SetupError::Unsupported { field, instead });
        let Some(rest) = &of.catalog.rest else {
            let field = "spec.destination.iceberg.catalog.glue";
            return unsupported(field, "use rest");
        };
        let tables = of.tables.iter().flatten().map(|table| {
            let IcebergTable { database, table: name, .. } = table;
            let name = TableName { database: database.clone(), table: name.clone() };
            (Arc::new(name), table.clone())
        });
        let tables: BTreeMap<_, _> = tables.collect();
        let single = tables.keys().next().filter(|_| tables.len() == 1).cloned();
        let mut databases = tables.keys().map(|of| of.database.clone());
        let database = databases.next().filter(|first| databases.all(|other| other == *first));
        let names: Vec<_> = tables.keys().map(|name| (&name.database, &name.table)).collect();
        // What is done with records may change what the routes see.
        let routes = (&of.routing, names, of.append_only, parts.feed.processing);
        let routes = guid_of(&serde_json::to_vec(&routes).expect("what was JSON is JSON")) as u64;
        let router = of.routing.as_ref().map(Router::new).transpose()?.map(Arc::new);
        let (secrets, clock) = (Arc::clone(&parts.secrets), Arc::clone(&parts.clock));
        Ok(IcebergSink {
            catalog: Catalog::new(rest.clone(), of.s3.is_none(), secrets, Arc::clone(&clock)),
            places: Places::new(of.s3.clone(), Arc::clone(&parts.stores)),
            database,
            tables,
            single,
            router,
            routes,
            creates: of.table_creation == Some(true),
            evolves: of.schema_evolution == Some(true),
            appends_only: of.append_only == Some(true),
            feed: parts.feed.clone(),
            clock,
            commits: Mutex::default(),
        })
    }

    async fn attempt(&self, batch: &Batch) -> Attempt {
        let mut attempt = Attempt::default();
        let routes = match self.route(batch).await {
            Ok(routes) => routes,
            Err(error) => {
                let failure = Failure::new("Iceberg.InternalError", &crate::chain(&error));
                return Attempt::all_again(batch.records.len(), &failure);
            }
        };
        let mut by_table: BTreeMap<Arc<TableName>, Vec<usize>> = BTreeMap::new();
        let mut operations = vec![TableOperation::Insert; batch.records.len()];
        for (index, route) in routes.into_iter().enumerate() {
            match route {
                Ok(Route { table, operation })
                    if by_table.len() < TABLES_MAX || by_table.contains_key(&table) =>
                {
                    by_table.entry(table).or_default().push(index);
                    operations[index] = operation;
                }
                Ok(Route { table, .. }) => {
                    let what = format!("a batch goes to more than {TABLES_MAX} tables");
                    let failure = Failure::new("Iceberg.TooManyTables", &what);
                    attempt.refused.push((index, failure.of_table(&table)));
                }
                Err(failure) => attempt.refused.push((index, failure)),
            }
        }
        for (table, indexes) in &by_table {
            let (indexes_of, operations) = (indexes.clone(), &operations[..]);
            let routes = self.routes;
            let share = Share { table, batch, routes, operations, indexes: indexes_of };
            match self.deliver_share(&share).await {
                Ok(refused) => attempt.refused.extend(refused),
                Err(trouble) => {
                    let failure = failure(&trouble).of_table(table);
                    attempt.again.extend(indexes.iter().map(|index| (*index, failure.clone())));
                    attempt.pause = attempt.pause.max(trouble.pause());
                }
            }
        }
        attempt.again.sort_by_key(|(index, _)| *index);
        attempt
    }

    /// The table of each record, and its operation.
    async fn route(&self, batch: &Batch) -> Result<Vec<Result<Route, Failure>>, StartError> {
        let said = |record: &DeliveryRecord| {
            let said = batch.tables.get(&(record.origin.offset, record.origin.sub));
            said.cloned().unwrap_or_default()
        };
        let routed = match &self.router {
            None => batch.records.iter().map(|record| Ok(said(record))).collect(),
            Some(router) => {
                let router = Arc::clone(router);
                let datas = batch.records.iter().map(|record| (record.data.clone(), said(record)));
                let datas: Vec<(Bytes, TableMetadata)> = datas.collect();
                let route = move || {
                    router.route(datas.iter().map(|(data, said)| (&data[..], said.clone())))
                };
                let routed = tokio::task::spawn_blocking(route).await;
                routed.unwrap_or_else(|failure| std::panic::resume_unwind(failure.into_panic()))?
            }
        };
        let mut known: BTreeSet<Arc<TableName>> = self.tables.keys().cloned().collect();
        let route_of = |routed: Result<TableMetadata, String>| {
            let invalid = |what: &str| Failure::new("Iceberg.InvalidRoute", what);
            let routed = routed.map_err(|what| invalid(&what))?;
            let operation = routed.operation.unwrap_or(TableOperation::Insert);
            if self.appends_only && operation != TableOperation::Insert {
                return Err(invalid("appendOnly allows inserts only"));
            }
            let single = self.single.as_ref();
            let database = routed.database.or_else(|| self.database.clone());
            let table = routed.table.or_else(|| single.map(|of| of.table.clone()));
            let (Some(database), Some(table)) = (database, table) else {
                return Err(invalid(
                    "the record names no database and table, and there is no single one of them",
                ));
            };
            let name = TableName { database, table };
            let table = known.get(&name).cloned().unwrap_or_else(|| Arc::new(name));
            known.insert(Arc::clone(&table));
            Ok(Route { table, operation })
        };
        Ok(routed.into_iter().map(route_of).collect())
    }

    /// Brings records to their table: all of them but those that come back.
    async fn deliver_share(
        &self,
        share: &Share<'_>,
    ) -> Result<Vec<(usize, Failure)>, TableTrouble> {
        let loaded = self.load(share).await?;
        let marks = share.marks(&self.feed, &loaded)?;
        let mut refused = Vec::new();
        let (mut fresh, mut again) = (Vec::new(), BTreeMap::<i32, Vec<usize>>::new());
        let rules = self.rules(share.table);
        let changes = !self.appends_only && rules.have_keys(&loaded.metadata);
        for index in &share.indexes {
            let place = share.place(*index);
            match marks.schema_of(place, self.routes) {
                Some(schema) => again.entry(schema).or_default().push(*index),
                // It was given up before a crash, and what came after it was not.
                None if changes && marks.is_overtaken(place) => {
                    let what = "later changes are in the table already";
                    let failure = Failure::new("Iceberg.Overtaken", what);
                    refused.push((*index, failure.of_table(share.table)));
                }
                None => fresh.push(*index),
            }
        }
        let of_table = |indexes: &[usize], found: Vec<(usize, Failure)>| {
            let of_table =
                |(at, failure): (usize, Failure)| (indexes[at], failure.of_table(share.table));
            found.into_iter().map(of_table).collect::<Vec<_>>()
        };
        // What is in the table needs no second look, but what was refused has to be written down again.
        for (schema, indexes) in again {
            let known = loaded.metadata.schema_of(schema.into())?;
            let schema = known.map_or_else(|| loaded.metadata.schema(), Ok)?;
            let judge = Judge::of(&loaded.metadata, schema, &rules)?;
            refused.extend(of_table(&indexes, judge.misfits(&share.changes(&indexes))));
        }
        if !fresh.is_empty() {
            let loaded = self.prepare(share, loaded, &fresh).await?;
            let found = self.bring(share, loaded, &fresh, &rules).await?;
            refused.extend(of_table(&fresh, found));
        }
        Ok(refused)
    }

    async fn load(&self, share: &Share<'_>) -> Result<Loaded, TableTrouble> {
        match self.catalog.load(share.table).await {
            Err(CatalogError::NotFound(_)) if self.creates => {
                let datas = share.indexes.iter().map(|index| &share.batch.records[*index].data[..]);
                let by = self.tables.get(share.table).and_then(|of| of.partition_by.as_deref());
                let (schema, spec) = infer::table(datas, by.unwrap_or_default())?;
                self.catalog.create(share.table, &schema, spec.as_ref()).await?;
                Ok(self.catalog.load(share.table).await?)
            }
            loaded => Ok(loaded?),
        }
    }

    /// Brings records, which the table does not have, as one commit; but for those that come back.
    async fn bring(
        &self,
        share: &Share<'_>,
        loaded: Loaded,
        fresh: &[usize],
        rules: &Rules,
    ) -> Result<Vec<(usize, Failure)>, TableTrouble> {
        let form = Arc::new(Form::of(&loaded.metadata, rules)?);
        let site = self.places.of(&loaded)?;
        let (written, form) = self.write(share, form, fresh).await?;
        let Written { rows, deletes, refused } = written;
        if rows.is_empty() && deletes.is_empty() {
            return Ok(refused);
        }
        let both = rows.iter().chain(&deletes);
        let puts: Vec<_> = both.map(|(bytes, file)| site.put(&file.path, bytes.clone())).collect();
        stream::iter(puts).buffer_unordered(PUTS_MAX).try_collect::<()>().await?;
        let told = |files: Vec<(Bytes, DataFile)>| {
            files.into_iter().map(|(_, file)| file).collect::<Vec<_>>()
        };
        let (rows, deletes) = (told(rows), told(deletes));
        let files = form.files(&rows, &deletes)?;
        let adding = Adding { share, fresh, form: &form, files: &files, site: &site };
        let turn = self.turn(share.table);
        let _turn = turn.lock().await;
        adding.commit(&self.catalog, &self.feed, &*self.clock, loaded).await?;
        Ok(refused)
    }

    /// Writes files where it keeps nobody waiting.
    async fn write(
        &self,
        share: &Share<'_>,
        form: Arc<Form>,
        fresh: &[usize],
    ) -> Result<(Written, Arc<Form>), TableTrouble> {
        let changes = share.changes(fresh);
        let shard = share.batch.records.first().map(|record| record.origin.shard);
        let shard = shard.map(|shard| shard.to_string()).unwrap_or_default();
        let name = format!("{}-{shard}", self.feed.name);
        let write = move || (form.write(&changes, &name), form);
        let (written, form) = tokio::task::spawn_blocking(write).await?;
        Ok((written?, form))
    }

    fn rules(&self, table: &Arc<TableName>) -> Rules {
        let keys = self.tables.get(table).and_then(|of| of.unique_keys.clone());
        Rules { unique_keys: keys.unwrap_or_default(), evolves: self.evolves }
    }

    fn turn(&self, table: &Arc<TableName>) -> Arc<tokio::sync::Mutex<()>> {
        let mut commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        if TABLES_MAX < commits.len() {
            // Those whom nobody waits for.
            commits.retain(|_, turn| 1 < Arc::strong_count(turn));
        }
        Arc::clone(commits.entry(Arc::clone(table)).or_default())
    }
}

impl Share<'_> {
    /// What of the batch's shard is in the table.
    fn marks(&self, feed: &Feed, loaded: &Loaded) -> Result<Marks, TableTrouble> {
        let name = self.property(feed);
        let marks = Marks::parse(loaded.metadata.property(&name));
        marks.map_err(|_| TableTrouble::Marks(name))
    }

    fn property(&self, feed: &Feed) -> String {
        Marks::property(feed.uid, &self.batch.records[self.indexes[0]].origin)
    }

    fn place(&self, index: usize) -> Place {
        Place::from(&self.batch.records[index].origin)
    }

    fn changes(&self, indexes: &[usize]) -> Vec<Change> {
        let change = |index: &usize| {
            let (record, operation) = (self.batch.records[*index].clone(), self.operations[*index]);
            Change { record, operation }
        };
        indexes.iter().map(change).collect()
    }
}

impl TableTrouble {
    fn pause(&self) -> Option<Duration> {
        match self {
            TableTrouble::Catalog(
                CatalogError::Failed(_, pause) | CatalogError::Refused(_, pause),
            ) => *pause,
            _ => None,
        }
    }
}

fn failure(trouble: &TableTrouble) -> Failure {
    let code = match trouble {
        TableTrouble::Catalog(CatalogError::NotFound(_)) => "Iceberg.NoSuchTable",
        TableTrouble::Catalog(_) | TableTrouble::Unchanged => "Iceberg.CatalogError",
        TableTrouble::Store(_) => "Iceberg.StoreError",
        TableTrouble::Busy(_) | TableTrouble::Overtaken => "Iceberg.CommitConflict",
        TableTrouble::Form(_)
        | TableTrouble::Table(_)
        | TableTrouble::Manifest(_)
        | TableTrouble::Infer(_)
        | TableTrouble::Marks(_)
        | TableTrouble::Location(_)
        | TableTrouble::Replaced => "Iceberg.InvalidTable",
        TableTrouble::Write(WriteError::TooManyPartitions) => "Iceberg.TooManyPartitions",
        TableTrouble::Write(WriteError::File(_)) | TableTrouble::Thread(_) => {
            "Iceberg.InternalError"
        }
    };
    Failure::new(code, &crate::chain(trouble))
}

impl Failure {
    fn of_table(self, table: &Arc<TableName>) -> Failure {
        Failure { table: Some(Arc::clone(table)), ..self }
    }
}

impl Sink for IcebergSink {
    fn deliver<'a>(
        &'a self,
        batch: &'a Batch,
    ) -> Pin<Box<dyn Future<Output = Attempt> + Send + 'a>> {
        Box::pin(self.attempt(batch))
    }

    fn document(&self, _: &DeliveryRecord, failure: &Failure, about: RefusedRecord<'_>) -> Vec<u8> {
        let table = failure.table.as_deref();
        let refusal = Refusal::Iceberg {
            database: table.map(|of| of.database.as_str()),
            table: table.map(|of| of.table.as_str()),
        };
        RefusedRecord { refusal, ..about }.line()
    }

    fn error_prefix(&self, failure: &Failure) -> &str {
        let table = failure.table.as_ref().and_then(|table| self.tables.get(table));
        table.and_then(|table| table.error_output_prefix.as_deref()).unwrap_or_default()
    }

    fn hides_refused(&self) -> bool {
        !self.feed.repeats
    }

    fn records_max(&self) -> usize {
        RECORDS_MAX
    }
}
