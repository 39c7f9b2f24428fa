//! The steps.

use bytes::Bytes;
use model::{DeliveryRecord, Origin};

use super::jq::{Out, Program, on_deep_stack, write_record};
use super::pieces::Split;
use super::{
    DECOMPRESSED_BYTES_MAX, FailureCode, Finished, Item, Keyed, Outcome, Processor, StartError,
    TRANSFORMED_BYTES_MAX, TRANSFORMED_RECORDS_MAX, Transform, failure, gzip, keys, kpl, logs,
};

/// What is left, and counted, for one source record.
struct Source {
    decompressed_bytes_left: usize,
    next_sub: u32,
}

impl Source {
    fn take_sub(&mut self) -> u32 {
        let sub = self.next_sub;
        self.next_sub = sub.saturating_add(1);
        sub
    }
}

impl Processor {
    /// Takes source records apart and unpacks them.
    #[must_use]
    pub fn prepare(&self, records: Vec<DeliveryRecord>) -> Outcome {
        let mut out = Outcome { kept: Vec::with_capacity(records.len()), ..Outcome::default() };
        for record in records {
            let mut source =
                Source { decompressed_bytes_left: DECOMPRESSED_BYTES_MAX, next_sub: 0 };
            let user_records = if self.from_stream { kpl::deaggregate(&record.data) } else { None };
            match user_records {
                None => self.unpack(record, &mut source, &mut out),
                Some(user_records) => {
                    for kpl::UserRecord { partition_key, data } in user_records {
                        let origin = Origin { sub: source.next_sub, ..record.origin };
                        let record = DeliveryRecord { data, partition_key, origin };
                        self.unpack(record, &mut source, &mut out);
                    }
                }
            }
        }
        out
    }

    /// Decompression, log messages, de-aggregation.
    fn unpack(&self, record: DeliveryRecord, source: &mut Source, out: &mut Outcome) {
        let mut item = Item::from(record);
        if self.decompression {
            match gzip::decompress(&item.record.data, source.decompressed_bytes_left) {
                Ok(data) => {
                    source.decompressed_bytes_left -= data.len();
                    item.replace_data(data);
                }
                Err(message) => {
                    return fail(item, FailureCode::Decompression, message, source, out);
                }
            }
        }
        if self.log_messages {
            match logs::extract(&item.record.data) {
                Ok(Some(data)) => item.replace_data(data),
                Ok(None) => {
                    out.dropped += 1;
                    return;
                }
                Err(message) => {
                    return fail(item, FailureCode::Decompression, message, source, out);
                }
            }
        }
        match self.pieces.as_ref().map(|pieces| pieces.split(&item.record.data)) {
            None | Some(Ok(Split::Whole)) => {
                item.record.origin.sub = source.take_sub();
                out.kept.push(item);
            }
            Some(Ok(Split::At(pieces))) => {
                for piece in pieces {
                    let mut part = item.clone();
                    part.record.data = item.record.data.slice(piece);
                    part.record.origin.sub = source.take_sub();
                    out.kept.push(part);
                }
            }
            Some(Err(message)) => fail(item, FailureCode::Deaggregation, message, source, out),
        }
    }

    /// Runs the program of a transform that is run in place; without one, all go on.
    ///
    /// # Errors
    /// There is no thread to run it on.
    pub fn transform_in_place(&self, items: Vec<Item>) -> Result<Outcome, StartError> {
        let Transform::InPlace(program) = &self.transform else {
            return Ok(Outcome { kept: items, ..Outcome::default() });
        };
        if items.is_empty() {
            return Ok(Outcome::default());
        }
        on_deep_stack(|| transform_all(program, items))
    }

    /// Takes partition keys and appends the delimiter.
    ///
    /// # Errors
    /// There is no thread to run the query on.
    pub fn finish(&self, items: Vec<Item>) -> Result<Finished, StartError> {
        let mut finished = match (&self.query, &self.key) {
            (Some(query), _) if !items.is_empty() => on_deep_stack(|| key_all(query, items))?,
            (None, Some(key)) if !items.is_empty() => on_deep_stack(|| rekey_all(key, items))?,
            _ => {
                let key = |item| Keyed { item, query_keys: keys::PartitionKeys::new() };
                Finished { records: items.into_iter().map(key).collect(), failed: Vec::new() }
            }
        };
        if !self.delimiter.is_empty() {
            for keyed in &mut finished.records {
                let delimited = [&*keyed.item.record.data, &self.delimiter].concat();
                keyed.item.replace_data(Bytes::from(delimited));
            }
        }
        Ok(finished)
    }
}

fn fail(
    mut item: Item,
    code: FailureCode,
    message: String,
    source: &mut Source,
    out: &mut Outcome,
) {
    item.record.origin.sub = source.take_sub();
    failure::push(&mut out.failed, item.fail(code, message));
}

fn transform_all(program: &Program, items: Vec<Item>) -> Outcome {
    let mut out = Outcome { kept: Vec::with_capacity(items.len()), ..Outcome::default() };
    let mut source = None;
    let mut next_sub = 0_u32;
    for mut item in items {
        let origin = item.record.origin;
        if source != Some((origin.shard, origin.offset)) {
            source = Some((origin.shard, origin.offset));
            next_sub = 0;
        }
        let made = match transform(program, &item.record.data) {
            Ok(made) => made,
            Err(message) => {
                item.record.origin.sub = next_sub;
                next_sub = next_sub.saturating_add(1);
                failure::push(&mut out.failed, item.fail(FailureCode::Jq, message));
                continue;
            }
        };
        if made.is_empty() {
            out.dropped += 1;
        }
        for data in made {
            let mut one = item.clone();
            one.replace_data(data);
            one.record.origin.sub = next_sub;
            next_sub = next_sub.saturating_add(1);
            out.kept.push(one);
        }
    }
    out
}

/// What `program` makes of one record.
fn transform(program: &Program, data: &Bytes) -> Result<Vec<Bytes>, String> {
    let mut out = Out::new(TRANSFORMED_BYTES_MAX);
    let mut ends = Vec::new();
    program.run(data, |value| {
        if ends.len() == TRANSFORMED_RECORDS_MAX {
            return Err(format!("the program gives more than {TRANSFORMED_RECORDS_MAX} values"));
        }
        write_record(&value, &mut out)?;
        ends.push(out.len());
        Ok(())
    })?;
    let bytes = Bytes::from(out.into_bytes());
    let mut start = 0;
    let cut = |end| bytes.slice(std::mem::replace(&mut start, end)..end);
    Ok(ends.into_iter().map(cut).collect())
}

fn key_all(query: &Program, items: Vec<Item>) -> Finished {
    finish_all(items, |item| {
        let query_keys = keys::extract(query, &item.record.data)?;
        Ok((query_keys, None))
    })
}

fn rekey_all(key: &Program, items: Vec<Item>) -> Finished {
    finish_all(items, |item| {
        let key = keys::extract_one(key, &item.record.data)?;
        Ok((keys::PartitionKeys::new(), Some(Bytes::from(key))))
    })
}

/// With the keys for a prefix, and the partition key if it is another one, that `keys_of` finds.
fn finish_all(
    items: Vec<Item>,
    keys_of: impl Fn(&Item) -> Result<(keys::PartitionKeys, Option<Bytes>), String>,
) -> Finished {
    let mut finished = Finished::default();
    for mut item in items {
        match keys_of(&item) {
            Ok((query_keys, partition_key)) => {
                item.record.partition_key = partition_key.unwrap_or(item.record.partition_key);
                finished.records.push(Keyed { item, query_keys });
            }
            Err(message) => {
                let failed = item.fail(FailureCode::MetadataExtraction, message);
                failure::push(&mut finished.failed, failed);
            }
        }
    }
    finished
}
