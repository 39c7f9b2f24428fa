//! Writers, and what they were told: every acknowledged record must be found, in order of its key.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_kinesis::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kinesis::error::BoxError;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::ShardIteratorType;
use tokio::task::JoinHandle;

/// How long reading back may take.
const READ_MAX: Duration = Duration::from_secs(120);

/// Writers that put one record after the other, each under a key of its own.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    writers: Vec<(u32, JoinHandle<Written>)>,
}

/// What one writer was told.
#[derive(Debug, Default)]
struct Written {
    acknowledged: u64,
    /// How often a record was sent, if not once and acknowledged: so often it may be there.
    sent: BTreeMap<u64, u32>,
    refused: u64,
    latencies: Vec<Duration>,
}

/// What all of them were told.
#[derive(Debug)]
pub(crate) struct Report {
    writers: BTreeMap<String, Written>,
    /// Puts that failed after the client's own retries; they were put again.
    pub(crate) refused: u64,
    latencies: Vec<Duration>,
}

/// Counts how often the client sends: it tries again by itself.
#[derive(Debug, Default)]
struct Sends(Arc<AtomicU32>);

impl Intercept for Sends {
    fn name(&self) -> &'static str {
        "sends"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

impl Load {
    pub(crate) fn start(client: &Client, stream: &str, writers: u32) -> Load {
        Load::of(client, stream, 0..writers)
    }

    /// Of these writers, each with a key of its own.
    pub(crate) fn of(client: &Client, stream: &str, writers: Range<u32>) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let writers = writers
            .map(|writer| {
                let (client, stream) = (client.clone(), stream.to_owned());
                (writer, tokio::spawn(write(client, stream, writer, Arc::clone(&stop))))
            })
            .collect();
        Load { stop, writers }
    }

    pub(crate) async fn finish(self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        let mut report = Report { writers: BTreeMap::new(), refused: 0, latencies: Vec::new() };
        for (writer, written) in self.writers {
            let mut written = written.await.unwrap();
            report.refused += written.refused;
            report.latencies.append(&mut written.latencies);
            report.writers.insert(writer.to_string(), written);
        }
        report.latencies.sort_unstable();
        report
    }
}

async fn write(client: Client, stream: String, writer: u32, stop: Arc<AtomicBool>) -> Written {
    let mut written = Written::default();
    while !stop.load(Ordering::Relaxed) {
        let put = client.put_record().stream_name(&stream).partition_key(format!("key-{writer}"));
        let number = written.acknowledged;
        let data = Blob::new(format!("{writer}:{number}"));
        let (started, sends) = (Instant::now(), Arc::new(AtomicU32::new(0)));
        let put = put.data(data).customize().interceptor(Sends(Arc::clone(&sends)));
        let put = put.send().await;
        let before = written.sent.get(&number).copied().unwrap_or_default();
        let sent = before + sends.load(Ordering::Relaxed);
        if put.is_err() || sent != 1 {
            written.sent.insert(number, sent);
        }
        match put {
            Ok(_) => {
                written.acknowledged += 1;
                written.latencies.push(started.elapsed());
            }
            // It may have been stored all the same: the same record is put again.
            Err(_) => written.refused += 1,
        }
    }
    written
}

impl Report {
    pub(crate) fn total(&self) -> u64 {
        self.writers.values().map(|written| written.acknowledged).sum()
    }

    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let at = (self.latencies.len() * percent / 100).min(self.latencies.len().max(1) - 1);
        self.latencies.get(at).copied().unwrap_or_default()
    }

    /// As [`Report::check_read`], of what can be read now.
    pub(crate) async fn check(&self, client: &Client, stream: &str) {
        self.check_read(&read_all(client, stream).await);
    }

    /// Every acknowledged record is there, once and in order. One that was sent again may be there again,
    /// as often as it was sent, but before the next.
    pub(crate) fn check_read(&self, records: &[String]) {
        let mut found: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for record in records.iter().filter(|record| !record.starts_with("probe")) {
            let (writer, number) = record.split_once(':').unwrap();
            found.entry(writer).or_default().push(number.parse().unwrap());
        }
        for (writer, written) in &self.writers {
            let found = found.remove(writer.as_str()).unwrap_or_default();
            if let Err(why) = written.check(&found) {
                panic!("writer {writer}: {why}");
            }
        }
    }
}

impl Written {
    fn check(&self, found: &[u64]) -> Result<(), String> {
        let mut runs = found.chunk_by(|one, next| one == next);
        for number in 0..=self.acknowledged {
            let is_acknowledged = number < self.acknowledged;
            // The last may have been stored though nobody was told.
            let sent = self.sent.get(&number).copied().unwrap_or(u32::from(is_acknowledged));
            match runs.next() {
                None if is_acknowledged => return Err(format!("{number} is not there")),
                None => {}
                Some(run) if run[0] != number => {
                    return Err(format!("{} where {number} should be", run[0]));
                }
                Some(run) if (sent as usize) < run.len() => {
                    return Err(format!("{number} is there {} times, sent {sent}", run.len()));
                }
                Some(_) => {}
            }
        }
        runs.next().map_or(Ok(()), |run| Err(format!("{} behind the last", run[0])))
    }
}

#[test]
fn only_what_was_sent_again_may_be_there_again_and_only_before_the_next() {
    let check = |acknowledged: u64, sent: &[(u64, u32)], found: &[u64], want: Result<(), &str>| {
        let sent = sent.iter().copied().collect();
        let written = Written { acknowledged, sent, ..Written::default() };
        assert_eq!(written.check(found), want.map_err(str::to_owned), "{found:?}");
    };
    check(0, &[], &[], Ok(()));
    check(3, &[], &[0, 1, 2], Ok(()));
    check(3, &[], &[0, 1], Err("2 is not there"));
    check(3, &[], &[0, 2, 1], Err("2 where 1 should be"));
    check(3, &[], &[1, 2], Err("1 where 0 should be"));
    check(3, &[], &[0, 1, 1, 2], Err("1 is there 2 times, sent 1"));
    check(3, &[(1, 2)], &[0, 1, 1, 2], Ok(()));
    check(3, &[(1, 2)], &[0, 1, 2], Ok(()));
    check(3, &[(1, 2)], &[0, 1, 1, 1, 2], Err("1 is there 3 times, sent 2"));
    check(3, &[(1, 2)], &[0, 1, 2, 1], Err("1 where 3 should be"));
    check(3, &[(1, 2), (2, 2)], &[0, 1, 2, 1, 2], Err("1 where 3 should be"));
    // The last one failed, and was not put again.
    check(2, &[(2, 1)], &[0, 1], Ok(()));
    check(2, &[(2, 1)], &[0, 1, 2], Ok(()));
    check(2, &[(2, 1)], &[0, 1, 2, 2], Err("2 is there 2 times, sent 1"));
    check(2, &[], &[0, 1, 2], Err("2 is there 1 times, sent 0"));
    check(2, &[(2, 1)], &[0, 1, 2, 3], Err("3 behind the last"));
}

/// Reads along as consumer libraries do: all open shards at once, children when their parents are done.
pub(crate) struct Reader {
    stop: Arc<AtomicBool>,
    read: JoinHandle<Vec<String>>,
}

impl Reader {
    pub(crate) fn start(client: &Client, stream: &str) -> Reader {
        let stop = Arc::new(AtomicBool::new(false));
        let read = read_along(client.clone(), stream.to_owned(), Arc::clone(&stop));
        Reader { read: tokio::spawn(read), stop }
    }

    /// What it has read when nothing is left.
    pub(crate) async fn finish(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.read.await.unwrap()
    }
}

async fn read_along(client: Client, stream: String, stop: Arc<AtomicBool>) -> Vec<String> {
    let mut records = Vec::new();
    // By shard: where to go on, `None` at its end.
    let mut shards: BTreeMap<String, Option<String>> = BTreeMap::new();
    loop {
        let is_last_round = stop.load(Ordering::Relaxed);
        let before = (records.len(), shards.clone().into_keys().collect::<Vec<_>>());
        let listed = client.list_shards().stream_name(&stream).send().await.unwrap();
        for shard in listed.shards.unwrap() {
            let parents = [shard.parent_shard_id, shard.adjacent_parent_shard_id];
            let is_ready = parents
                .into_iter()
                .flatten()
                .all(|parent| matches!(shards.get(&parent), Some(None)));
            if is_ready && !shards.contains_key(&shard.shard_id) {
                let first = client.get_shard_iterator().stream_name(&stream);
                let first = first.shard_id(&shard.shard_id);
                let first = first.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await;
                shards.insert(shard.shard_id, first.unwrap().shard_iterator);
            }
        }
        for next in shards.values_mut() {
            let Some(iterator) = next.take() else { continue };
            // The client has tried again by itself: what fails now is where it was.
            match client.get_records().shard_iterator(&iterator).send().await {
                Ok(got) => {
                    let texts = got.records.iter().map(|record| record.data.as_ref().to_vec());
                    records.extend(texts.map(|data| String::from_utf8(data).unwrap()));
                    *next = got.next_shard_iterator;
                }
                Err(_) => *next = Some(iterator),
            }
        }
        let after = (records.len(), shards.clone().into_keys().collect::<Vec<_>>());
        if is_last_round && before == after {
            return records;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// All records, parents before children, as a consumer library reads them.
pub(crate) async fn read_all(client: &Client, stream: &str) -> Vec<String> {
    let deadline = Instant::now() + READ_MAX;
    let shards = client.list_shards().stream_name(stream).send().await.unwrap().shards.unwrap();
    let mut records = Vec::new();
    // A child's id is always larger than its parents'.
    for shard in shards {
        let iterator = client.get_shard_iterator().stream_name(stream).shard_id(shard.shard_id);
        let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon);
        let mut next = iterator.send().await.unwrap().shard_iterator;
        while let Some(iterator) = next {
            assert!(Instant::now() < deadline, "reading takes too long");
            let got = client.get_records().shard_iterator(iterator).send().await.unwrap();
            let texts = got.records.iter().map(|record| record.data.as_ref().to_vec());
            records.extend(texts.map(|data| String::from_utf8(data).unwrap()));
            next = got.next_shard_iterator.filter(|_| !got.records.is_empty());
        }
    }
    records
}
