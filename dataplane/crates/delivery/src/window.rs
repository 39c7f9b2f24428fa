//! What is gathered of a window, and delivered of it.

mod load;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use columnar::RefusedCode;
use delivery_core::guid::guid_of;
use delivery_core::objects::{ErrorOutputType, KeyError, PartitionKeys, Refusal, RefusedRecord};
use delivery_core::processing::{
    Failed, FailureCode, Failures, Item, Keyed, Outcome, Processor, StartError, TableMetadata,
};
use model::{DeliveryRecord, Offset, Origin, UnixMillis};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::compaction::Mark;
use crate::memory::Holder;
use crate::metrics::DeliveryMetrics;
use crate::object::{FillError, Full, Kind, Place, Pushed, Series};
use crate::pipeline::{Output, Pipeline};
use crate::retry::{self, Undelivered};
use crate::schema::Form;
use crate::sinks::{Batch, BatchId};
use crate::status::ShardStatus;
use crate::transform::Transformer;
use load::Loading;

/// Objects of a window that are on their way at the same time.
const UPLOADS_MAX: usize = 4;
/// What a document about a record takes, beside the record.
const DOCUMENT_BYTES: usize = 1_024;

/// Why a window cannot be delivered now. Its records have to be read again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WindowError {
    #[error(transparent)]
    Fill(#[from] FillError),
    #[error(transparent)]
    Start(#[from] StartError),
    /// It is not known whether an object arrived.
    #[error("put an object")]
    Upload(#[source] tokio::task::JoinError),
    /// Holds the delivery up until the prefix is mended: nothing is lost.
    #[error("name an object of the backup, or of refused records")]
    Key(#[source] KeyError),
    /// Holds the delivery up until the prefix is mended: nothing is lost.
    #[error("name a manifest")]
    Manifest(#[source] KeyError),
}

/// Records of one shard that are dealt with as one piece.
pub(crate) struct Window {
    pipeline: Arc<Pipeline>,
    status: Arc<ShardStatus>,
    place: Place,
    /// Records that wait for a call of the transformer, and since when.
    waiting: Vec<DeliveryRecord>,
    waiting_bytes: usize,
    waiting_since: Option<Instant>,
    /// How records are converted, if they are.
    form: Option<Arc<Form>>,
    /// Objects by partition.
    objects: BTreeMap<PartitionKeys, Series>,
    /// Objects that are on their way, or in their bucket, and yet to be loaded.
    loading: Loading,
    /// Records that are to go to a service.
    batch: Vec<DeliveryRecord>,
    batch_bytes: usize,
    /// What a transformer said of the tables that they go to.
    tables: BTreeMap<(Offset, u32), TableMetadata>,
    batches: u32,
    /// Documents about refused records, by kind and by what follows the prefix.
    errors: BTreeMap<(ErrorOutputType, String), Series>,
    copies: Series,
    uploads: JoinSet<()>,
    /// The bytes of those.
    on_their_way: Arc<AtomicUsize>,
    oldest: Option<UnixMillis>,
    first: Option<Origin>,
    /// Whether it was told that what is refused is lost.
    tells_of_losses: bool,
    holder: Option<Holder>,
}

impl Window {
    pub(crate) fn new(pipeline: &Arc<Pipeline>, status: Arc<ShardStatus>, place: Place) -> Window {
        Window {
            place,
            pipeline: Arc::clone(pipeline),
            status,
            waiting: Vec::new(),
            waiting_bytes: 0,
            waiting_since: None,
            form: None,
            objects: BTreeMap::new(),
            loading: Loading::default(),
            batch: Vec::new(),
            batch_bytes: 0,
            tables: BTreeMap::new(),
            batches: 0,
            errors: BTreeMap::new(),
            copies: Series::default(),
            uploads: JoinSet::new(),
            on_their_way: Arc::default(),
            oldest: None,
            first: None,
            tells_of_losses: false,
            holder: None,
        }
    }

    /// When the oldest record arrived.
    pub(crate) fn oldest(&self) -> Option<UnixMillis> {
        self.oldest
    }

    /// Whether taking these records may deliver something.
    pub(crate) fn may_deliver(&self, records: &[DeliveryRecord]) -> bool {
        let pipeline = &self.pipeline;
        let becomes = |record: &DeliveryRecord| pipeline.processor.bytes_max(&record.data);
        let coming: usize = records.iter().map(becomes).sum();
        let series = self.objects.values().chain(self.errors.values()).chain([&self.copies]);
        let most = series.map(Series::source_bytes).max().unwrap_or(0).max(self.batch_bytes);
        // What was taken apart may be more records than these; what failed is written down as Base64.
        pipeline.processor.expands()
            || pipeline.transformer.is_some()
            || pipeline.buffer_bytes
                <= most + self.waiting_bytes + 2 * coming + DOCUMENT_BYTES * records.len()
            || pipeline.output.records_max() <= self.batch.len() + coming
    }

    /// Whether it is to end: it holds more than its part of the memory there is, or a service has taken a
    /// batch of it, which would be delivered again with all the others of the window.
    pub(crate) fn is_over(&self) -> bool {
        0 < self.batches || self.is_large()
    }

    fn is_large(&self) -> bool {
        let series = self.objects.values().chain(self.errors.values()).chain([&self.copies]);
        let objects: usize = series.map(Series::memory_bytes).sum();
        let records = self.waiting.len() + self.batch.len();
        let held = objects
            + self.on_their_way.load(Ordering::Relaxed)
            + self.waiting_bytes
            + self.batch_bytes
            + records * size_of::<DeliveryRecord>();
        self.pipeline.context().memory.allowance() < held
    }

    /// Takes records that follow those it has. What is full of them is on its way when it returns.
    pub(crate) async fn take(&mut self, records: Vec<DeliveryRecord>) -> Result<(), WindowError> {
        let memory = &self.pipeline.context().memory;
        self.holder.get_or_insert_with(|| memory.hold());
        if self.first.is_none()
            && let Some(schema) = self.pipeline.output.schema()
        {
            self.form = Some(schema.form(self.pipeline.context(), &self.status).await);
        }
        self.first = self.first.or(records.first().map(|record| record.origin));
        self.oldest = self.first.map(|first| first.arrival);
        self.copy(&records).await?;
        if self.pipeline.transformer.is_none() {
            return self.process(records).await;
        }
        self.waiting_since.get_or_insert_with(Instant::now);
        self.waiting_bytes += records.iter().map(|record| record.data.len()).sum::<usize>();
        self.waiting.extend(records);
        self.call_if_due().await
    }

    /// Calls the transformer with what waits for it, if that is enough or has waited long enough.
    pub(crate) async fn call_if_due(&mut self) -> Result<(), WindowError> {
        let (Some(transformer), Some(since)) = (&self.pipeline.transformer, self.waiting_since)
        else {
            return Ok(());
        };
        let is_due = transformer.call_bytes() <= self.waiting_bytes
            || transformer.interval() <= since.elapsed();
        if is_due { self.process_waiting().await } else { Ok(()) }
    }

    async fn process_waiting(&mut self) -> Result<(), WindowError> {
        self.waiting_since = None;
        self.waiting_bytes = 0;
        let records = std::mem::take(&mut self.waiting);
        self.process(records).await
    }

    /// Delivers what is left; it is delivered when it returns.
    pub(crate) async fn finish(mut self) -> Result<(), WindowError> {
        self.process_waiting().await?;
        self.deliver_batch().await?;
        let pipeline = Arc::clone(&self.pipeline);
        if let Some(to) = pipeline.output.objects() {
            for mut series in std::mem::take(&mut self.objects).into_values() {
                let full = series.end(to)?;
                self.upload_records(full).await?;
            }
        }
        self.put_errors().await?;
        if let Some(to) = &pipeline.copies {
            let full = self.copies.end(to)?;
            self.upload(full, pipeline.metrics.backup.clone(), None).await?;
        }
        self.wait_for_uploads().await?;
        self.load().await
    }

    /// Puts the documents about refused records that there are.
    async fn put_errors(&mut self) -> Result<(), WindowError> {
        let pipeline = Arc::clone(&self.pipeline);
        let Some(to) = &pipeline.errors else { return Ok(()) };
        let ended = self.errors.values_mut().map(|series| series.end(to));
        for full in ended.collect::<Result<Vec<_>, _>>()? {
            self.upload(full, pipeline.metrics.backup.clone(), None).await?;
        }
        Ok(())
    }

    /// Waits until an object has arrived.
    async fn wait_for_upload(&mut self) -> Result<(), WindowError> {
        match self.uploads.join_next().await {
            Some(Err(error)) => Err(WindowError::Upload(error)),
            _ => Ok(()),
        }
    }

    async fn wait_for_uploads(&mut self) -> Result<(), WindowError> {
        while !self.uploads.is_empty() {
            self.wait_for_upload().await?;
        }
        Ok(())
    }

    /// Puts source records aside, if all are to be.
    async fn copy(&mut self, records: &[DeliveryRecord]) -> Result<(), WindowError> {
        let pipeline = Arc::clone(&self.pipeline);
        let Some(to) = &pipeline.copies else { return Ok(()) };
        let none = PartitionKeys::default();
        for record in records {
            let what = (&record.data[..], record.origin.arrival);
            let pushed = self.copies.push(to, Kind::Copies, self.place, &none, what)?;
            if let Pushed::NoKey(error) = pushed {
                return Err(WindowError::Key(error));
            }
            if pipeline.buffer_bytes <= self.copies.source_bytes() {
                let full = self.copies.end(to)?;
                self.upload(full, pipeline.metrics.backup.clone(), None).await?;
            }
        }
        Ok(())
    }

    /// Processes records that follow those that were, so many at a time as may become no more than there
    /// is memory for.
    async fn process(&mut self, records: Vec<DeliveryRecord>) -> Result<(), WindowError> {
        let allowance = self.pipeline.context().memory.allowance();
        let (mut some, mut bytes_max) = (Vec::new(), 0);
        for record in records {
            let becomes = self.pipeline.processor.bytes_max(&record.data);
            if !some.is_empty() && allowance < bytes_max + becomes {
                self.process_some(std::mem::take(&mut some)).await?;
                bytes_max = 0;
            }
            bytes_max += becomes;
            some.push(record);
        }
        self.process_some(some).await
    }

    async fn process_some(&mut self, records: Vec<DeliveryRecord>) -> Result<(), WindowError> {
        if records.is_empty() {
            return Ok(());
        }
        let pipeline = Arc::clone(&self.pipeline);
        let prepared = on_own_thread(&pipeline, records, |processor, records| {
            let prepared = processor.prepare(records);
            let mut transformed = processor.transform_in_place(prepared.kept)?;
            transformed.dropped += prepared.dropped;
            transformed.failed.splice(..0, prepared.failed);
            Ok(transformed)
        });
        let Outcome { mut kept, failed, dropped } = prepared.await?;
        self.fail(failed).await?;
        pipeline.metrics.dropped.inc_by(dropped as u64);
        if let Some(transformer) = &pipeline.transformer {
            let answered = transformer.call(kept).await;
            self.fail(answered.failed).await?;
            pipeline.metrics.dropped.inc_by(answered.dropped as u64);
            kept = answered.kept;
        }
        let finished = on_own_thread(&pipeline, kept, Processor::finish).await?;
        self.fail(finished.failed).await?;
        pipeline.metrics.succeed_processing.inc_by(finished.records.len() as u64);
        // What one source record became may fail many times, and is written down once.
        let mut failed = Failures::default();
        for keyed in finished.records {
            self.gather(keyed, &mut failed).await?;
        }
        self.fail(failed.into_all()).await
    }

    async fn gather(&mut self, keyed: Keyed, failed: &mut Failures) -> Result<(), WindowError> {
        let pipeline = Arc::clone(&self.pipeline);
        let Some(to) = pipeline.output.objects() else {
            let Item { record, metadata, .. } = keyed.item;
            if let Some(table) = metadata.and_then(|metadata| metadata.table) {
                self.tables.insert((record.origin.offset, record.origin.sub), table);
            }
            self.batch_bytes += record.data.len();
            self.batch.push(record);
            let is_full = pipeline.buffer_bytes <= self.batch_bytes
                || pipeline.output.records_max() <= self.batch.len();
            if is_full {
                self.deliver_batch().await?;
            }
            return Ok(());
        };
        let Keyed { item, query_keys } = keyed;
        // As AWS: what a function says of partitions says nothing where there are none.
        let keys = pipeline.partitions_max.map(|_| {
            let from_lambda = item.metadata.as_ref().map(|it| it.partition_keys.clone());
            PartitionKeys { from_query: query_keys, from_lambda: from_lambda.unwrap_or_default() }
        });
        let keys = keys.unwrap_or_default();
        if !self.objects.contains_key(&keys) {
            if pipeline.partitions_max.is_some_and(|max| max <= self.objects.len()) {
                pipeline.metrics.partitions_exceeded.inc();
                let what = "more partitions are active than may be";
                failed.push(item.fail(FailureCode::PartitionsExceeded, what));
                return Ok(());
            }
            self.objects.insert(keys.clone(), Series::default());
        }
        let Some(series) = self.objects.get_mut(&keys) else { return Ok(()) };
        let what = (&item.record.data[..], item.record.origin.arrival);
        let form = self.form.clone();
        let converter = form.as_ref().map(|form| &form.converter);
        let pushed = series.push(to, Kind::Records(converter), self.place, &keys, what)?;
        let is_full = pipeline.buffer_bytes <= series.source_bytes();
        let full = if is_full { series.end(to)? } else { None };
        self.upload_records(full).await?;
        match pushed {
            Pushed::Taken => {
                pipeline.metrics.succeed_conversion.inc_by(u64::from(converter.is_some()));
            }
            Pushed::NoKey(error) => {
                // Nor will there be an object for others of its partition.
                self.objects.remove(&keys);
                failed.push(item.fail(FailureCode::MetadataExtraction, error.to_string()));
            }
            Pushed::Unfit(refused) => {
                pipeline.metrics.failed_conversion.inc();
                let code = match refused.code {
                    RefusedCode::ParseError => FailureCode::ConversionParse,
                    RefusedCode::MalformedData => FailureCode::ConversionMalformed,
                };
                failed.push(item.fail(code, refused.message));
            }
        }
        Ok(())
    }

    /// Writes down what could not be processed.
    async fn fail(&mut self, failed: Vec<Failed>) -> Result<(), WindowError> {
        let (pipeline, form) = (Arc::clone(&self.pipeline), self.form.clone());
        for Failed { raw, origin, code, message, records, attempts } in failed {
            pipeline.metrics.failed_processing.inc_by(records as u64);
            let output = code.error_output_type();
            let refusal = match output {
                ErrorOutputType::FormatConversionFailed => {
                    let described = pipeline.output.schema().zip(form.as_deref());
                    let table = described.and_then(|(schema, form)| schema.table(form));
                    Refusal::FormatConversion { table }
                }
                _ => Refusal::Processing {
                    lambda_arn: pipeline.transformer.as_ref().and_then(Transformer::function_arn),
                },
            };
            let about = RefusedRecord {
                data: &raw,
                origin: &origin,
                error_code: code.as_str(),
                error_message: &message,
                attempts,
                ended: pipeline.context().clock.now(),
                refusal,
            };
            let line = (&about.line()[..], origin.arrival);
            self.put_aside((output, ""), line).await?;
        }
        Ok(())
    }

    /// Writes down what a service did not take.
    async fn back_up(&mut self, undelivered: Vec<Undelivered>) -> Result<(), WindowError> {
        let pipeline = Arc::clone(&self.pipeline);
        let Output::Sink(sink, output) = &pipeline.output else { return Ok(()) };
        for Undelivered { record, failure, attempts, last_attempt } in undelivered {
            let about = RefusedRecord {
                data: &record.data,
                origin: &record.origin,
                error_code: &failure.code,
                error_message: &failure.message,
                attempts,
                ended: last_attempt,
                refusal: Refusal::HttpEndpoint,
            };
            let line = sink.document(&record, &failure, about);
            let below = sink.error_prefix(&failure);
            self.put_aside((*output, below), (&line, record.origin.arrival)).await?;
        }
        Ok(())
    }

    /// Puts a document about a record to those of its kind.
    async fn put_aside(
        &mut self,
        (output, below): (ErrorOutputType, &str),
        line: (&[u8], UnixMillis),
    ) -> Result<(), WindowError> {
        let pipeline = Arc::clone(&self.pipeline);
        let Some(to) = &pipeline.errors else {
            // Its owner has switched the backup off, or set none where none is required.
            pipeline.metrics.lost.inc();
            if !std::mem::replace(&mut self.tells_of_losses, true) {
                let (stream, shard) = (pipeline.name(), self.place.shard);
                let why = output.name();
                tracing::warn!(delivery_stream = %stream, %shard, "records are lost, for there is no backup: {why}");
            }
            return Ok(());
        };
        let series = self.errors.entry((output, below.to_owned())).or_insert_with(|| {
            // What an earlier run put is then there too, under other names: it may hold other records.
            let hides = matches!(&pipeline.output, Output::Sink(sink, _) if sink.hides_refused());
            Series::after(if hides {
                (f64::from(u32::MAX / 2) * (pipeline.context().random)()) as u32
            } else {
                0
            })
        });
        let none = PartitionKeys::default();
        let pushed = series.push(to, Kind::Refused(output, below), self.place, &none, line)?;
        if let Pushed::NoKey(error) = pushed {
            return Err(WindowError::Key(error));
        }
        if pipeline.buffer_bytes <= series.source_bytes() {
            let full = series.end(to)?;
            self.upload(full, pipeline.metrics.backup.clone(), None).await?;
        }
        Ok(())
    }

    async fn upload_records(&mut self, full: Option<Full>) -> Result<(), WindowError> {
        if let (Output::Loaded(..), Some(full)) = (&self.pipeline.output, &full) {
            self.loading.push(full);
        }
        let metrics = self.pipeline.metrics.objects.clone();
        let Place { stream_uid: uid, shard, start, .. } = self.place;
        self.upload(full, metrics, Some(Mark::Window { uid, shard, start })).await
    }

    /// Sends an object on its way, once there is room for it.
    async fn upload(
        &mut self,
        full: Option<Full>,
        metrics: DeliveryMetrics,
        mark: Option<Mark>,
    ) -> Result<(), WindowError> {
        let Some(Full { store, key, bytes, source_bytes, records }) = full else { return Ok(()) };
        let allowance = self.pipeline.context().memory.allowance();
        let is_too_much = |window: &Window| {
            let on_their_way = window.on_their_way.load(Ordering::Relaxed);
            UPLOADS_MAX <= window.uploads.len() || allowance < on_their_way + bytes.len()
        };
        while !self.uploads.is_empty() && is_too_much(self) {
            self.wait_for_upload().await?;
        }
        let (pipeline, status) = (Arc::clone(&self.pipeline), Arc::clone(&self.status));
        let (on_their_way, length) = (Arc::clone(&self.on_their_way), bytes.len());
        on_their_way.fetch_add(length, Ordering::Relaxed);
        self.uploads.spawn(async move {
            let mark = mark.map(|mark| mark.to_string());
            let to = (key.as_str(), mark.as_deref());
            retry::put(pipeline.context(), &status, &*store, to, bytes).await;
            metrics.bytes.inc_by(source_bytes as u64);
            metrics.records.inc_by(records);
            metrics.success.inc();
            on_their_way.fetch_sub(length, Ordering::Relaxed);
        });
        Ok(())
    }

    /// Delivers the records that were gathered for a service.
    async fn deliver_batch(&mut self) -> Result<(), WindowError> {
        let pipeline = Arc::clone(&self.pipeline);
        let Output::Sink(sink, _) = &pipeline.output else { return Ok(()) };
        if self.batch.is_empty() {
            return Ok(());
        }
        if sink.hides_refused() {
            self.put_errors().await?;
            self.wait_for_uploads().await?;
        }
        let records = std::mem::take(&mut self.batch);
        let (mut bytes, count) = (std::mem::take(&mut self.batch_bytes), records.len());
        let tables = std::mem::take(&mut self.tables);
        let batch = Batch { id: self.batch_id(), since: self.first, records, tables };
        self.batches += 1;
        let (context, status) = (pipeline.context(), &self.status);
        let undelivered = retry::deliver(context, status, &**sink, batch, pipeline.retry_for).await;
        let metrics = &pipeline.metrics.delivery;
        bytes -= undelivered.iter().map(|it| it.record.data.len()).sum::<usize>();
        metrics.bytes.inc_by(bytes as u64);
        metrics.records.inc_by((count - undelivered.len()) as u64);
        metrics.success.inc_by(u64::from(undelivered.len() < count));
        self.back_up(undelivered).await
    }

    fn batch_id(&self) -> BatchId {
        let Place { stream_uid, recipe, .. } = self.place;
        // The number of the first record tells its shard from one of the same name that was before.
        let first = self.first.map(|first| first.sequence_number.to_string()).unwrap_or_default();
        let batches = self.batches;
        BatchId(guid_of(format!("{stream_uid} {recipe} {first} {batches}").as_bytes()))
    }
}

/// Runs a step where it keeps nobody waiting, if it may take long.
async fn on_own_thread<I: Send + 'static, O: Send + 'static>(
    pipeline: &Arc<Pipeline>,
    input: I,
    step: impl FnOnce(&Processor, I) -> Result<O, StartError> + Send + 'static,
) -> Result<O, WindowError> {
    if pipeline.processor.is_quick() {
        return Ok(step(&pipeline.processor, input)?);
    }
    let pipeline = Arc::clone(pipeline);
    let done = tokio::task::spawn_blocking(move || step(&pipeline.processor, input)).await;
    Ok(done.unwrap_or_else(|failure| std::panic::resume_unwind(failure.into_panic()))?)
}
