//! `leat bench`: a load generator for any Kinesis endpoint.
//!
//! Each record carries its number and a pattern that follows from it, so that reading everything back
//! proves that each arrived exactly once and whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::args::BenchArgs;
use crate::client::{Answer, Client};

mod check;

/// How long to wait before records that were throttled are put again.
const THROTTLED_PAUSE: Duration = Duration::from_millis(100);
/// Attempts without a single record going through before a connection gives up.
const FRUITLESS_ATTEMPTS_MAX: u32 = 100;
/// How long --create waits for its stream.
const CREATE_WAIT_MAX: Duration = Duration::from_secs(60);

/// What was measured, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Outcome {
    records: u64,
    record_bytes: u32,
    connections: u32,
    batch: u32,
    seconds: f64,
    records_per_second: f64,
    megabytes_per_second: f64,
    put_records_milliseconds: Percentiles,
    retried_records: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<check::Checked>,
}

#[derive(Debug, Serialize)]
struct Percentiles {
    p50: f64,
    p90: f64,
    p99: f64,
    p99_9: f64,
    max: f64,
}

/// Runs the benchmark and prints its outcome; fails when a check does.
pub(crate) async fn run(args: BenchArgs) -> anyhow::Result<()> {
    let client = Client::new(&args)?;
    if args.create {
        create(&client, &args).await?;
    }
    let measured = measure(&client, &args).await;
    if args.create && !args.keep {
        client.call("DeleteStream", &json!({"StreamName": args.stream})).await?;
    }
    let outcome = measured?;
    print(&outcome, args.json)?;
    match &outcome.check {
        Some(checked) if !checked.is_right() => bail!("the records read back are not those put"),
        _ => Ok(()),
    }
}

async fn create(client: &Client, args: &BenchArgs) -> anyhow::Result<()> {
    let request = json!({"StreamName": args.stream, "ShardCount": args.shards});
    client.call("CreateStream", &request).await?;
    let deadline = Instant::now() + CREATE_WAIT_MAX;
    let request = json!({"StreamName": args.stream});
    loop {
        let reply = client.call("DescribeStreamSummary", &request).await?;
        if reply["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE" {
            return Ok(());
        }
        if deadline < Instant::now() {
            bail!("stream {} is not ACTIVE after {CREATE_WAIT_MAX:?}", args.stream);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn measure(client: &Client, args: &BenchArgs) -> anyhow::Result<Outcome> {
    let starts = match args.check {
        true => Some(check::tips(client, &args.stream).await?),
        false => None,
    };
    let progress = progress(args.records, "putting");
    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let mut connections = JoinSet::new();
    for _ in 0..args.connections {
        let putter = Putter {
            client: Client::new(args)?,
            stream: args.stream.clone(),
            next: Arc::clone(&next),
            records: args.records,
            size: args.size as usize,
            batch: u64::from(args.batch),
            pace: args.rate.map(|rate| Pace { started, rate }),
            progress: progress.clone(),
        };
        connections.spawn(putter.run());
    }
    let mut latencies = Histogram::<u64>::new(3)?;
    let mut retried_records = 0;
    while let Some(done) = connections.join_next().await {
        let done = done??;
        latencies.add(&done.latencies)?;
        retried_records += done.retried;
    }
    let seconds = started.elapsed().as_secs_f64();
    progress.finish_and_clear();
    let check = match starts {
        None => None,
        Some(starts) => {
            let progress = self::progress(args.records, "reading back");
            let checked = check::read_back(client, args, starts, &progress).await?;
            progress.finish_and_clear();
            Some(checked)
        }
    };
    let millis = |quantile: f64| latencies.value_at_quantile(quantile) as f64 / 1_000.0;
    Ok(Outcome {
        records: args.records,
        record_bytes: args.size,
        connections: args.connections,
        batch: args.batch,
        seconds,
        records_per_second: args.records as f64 / seconds,
        megabytes_per_second: args.records as f64 * f64::from(args.size) / seconds / 1e6,
        put_records_milliseconds: Percentiles {
            p50: millis(0.5),
            p90: millis(0.9),
            p99: millis(0.99),
            p99_9: millis(0.999),
            max: latencies.max() as f64 / 1_000.0,
        },
        retried_records,
        check,
    })
}

fn progress(records: u64, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {per_sec} {eta}");
    let bar = ProgressBar::new(records).with_message(what);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn print(outcome: &Outcome, as_json: bool) -> anyhow::Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    if as_json {
        writeln!(out, "{}", serde_json::to_string_pretty(outcome)?)?;
        return Ok(());
    }
    let Percentiles { p50, p90, p99, p99_9, max } = outcome.put_records_milliseconds;
    writeln!(
        out,
        "{} records of {} bytes in {:.2} s: {:.0} records/s, {:.1} MB/s\n\
         PutRecords of {}, {} connections: p50 {p50:.2} ms, p90 {p90:.2}, p99 {p99:.2}, p99.9 {p99_9:.2}, max {max:.2}\n\
         {} records were put again after an error",
        outcome.records,
        outcome.record_bytes,
        outcome.seconds,
        outcome.records_per_second,
        outcome.megabytes_per_second,
        outcome.batch,
        outcome.connections,
        outcome.retried_records,
    )?;
    if let Some(checked) = &outcome.check {
        writeln!(out, "{checked}")?;
    }
    Ok(())
}

/// One connection.
struct Putter {
    client: Client,
    stream: String,
    /// The next record's number, shared by all connections.
    next: Arc<AtomicU64>,
    records: u64,
    size: usize,
    batch: u64,
    /// `None` as fast as it goes.
    pace: Option<Pace>,
    progress: ProgressBar,
}

/// So many records a second, from then on.
#[derive(Clone, Copy)]
struct Pace {
    started: Instant,
    rate: u64,
}

impl Pace {
    /// When the record of this number is to be put.
    fn due(self, number: u64) -> Instant {
        self.started + Duration::from_secs_f64(number as f64 / self.rate as f64)
    }
}

struct Done {
    /// Of PutRecords calls, in microseconds.
    latencies: Histogram<u64>,
    retried: u64,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct PutReply {
    failed_record_count: u64,
    records: Vec<PutReplyRecord>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct PutReplyRecord {
    error_code: Option<String>,
}

impl Putter {
    async fn run(self) -> anyhow::Result<Done> {
        let mut done = Done { latencies: Histogram::new(3)?, retried: 0 };
        loop {
            let first = self.next.fetch_add(self.batch, Ordering::Relaxed);
            if self.records <= first {
                return Ok(done);
            }
            let end = (first + self.batch).min(self.records);
            let mut due = Instant::now();
            if let Some(pace) = self.pace {
                due = pace.due(first);
                tokio::time::sleep_until(due.into()).await;
            }
            self.put((first..end).collect(), due, &mut done).await?;
            self.progress.inc(end - first);
        }
    }

    /// Puts these records, which were due then, and those that fail again and again.
    async fn put(
        &self,
        mut numbers: Vec<u64>,
        due: Instant,
        done: &mut Done,
    ) -> anyhow::Result<()> {
        let mut fruitless = 0;
        let mut late = due.elapsed();
        loop {
            let body = self.body(&numbers);
            let started = Instant::now();
            let answer = self.client.send::<PutReply>("PutRecords", body.into()).await?;
            let micros = u64::try_from((late + started.elapsed()).as_micros())?;
            late = Duration::ZERO;
            done.latencies.record(micros.max(1))?;
            let before = numbers.len();
            let why = match answer {
                Answer::Reply(reply) if reply.failed_record_count == 0 => return Ok(()),
                Answer::Reply(reply) => {
                    let mut outcomes = reply.records.iter();
                    let failed = |_: &u64| outcomes.next().is_none_or(|o| o.error_code.is_some());
                    numbers.retain(failed);
                    format!("{} records failed", numbers.len())
                }
                Answer::Error { code, message } => format!("{code}: {message}"),
            };
            fruitless = if numbers.len() < before { 0 } else { fruitless + 1 };
            if FRUITLESS_ATTEMPTS_MAX < fruitless {
                bail!("PutRecords keeps failing: {why}");
            }
            done.retried += numbers.len() as u64;
            tokio::time::sleep(THROTTLED_PAUSE).await;
        }
    }

    fn body(&self, numbers: &[u64]) -> String {
        let mut body = format!("{{\"StreamName\":{},\"Records\":[", Value::from(&*self.stream));
        for (at, number) in numbers.iter().enumerate() {
            let separator = if at == 0 { "" } else { "," };
            let data = base64_simd::STANDARD.encode_to_string(record(*number, self.size));
            body.push_str(&format!(
                "{separator}{{\"PartitionKey\":\"{number}\",\"Data\":\"{data}\"}}"
            ));
        }
        body.push_str("]}");
        body
    }
}

/// The record of this number: the number, then a pattern that follows from it.
fn record(number: u64, size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size);
    bytes.extend(number.to_le_bytes());
    let mut state = number;
    while bytes.len() < size {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let left = size - bytes.len();
        bytes.extend(&state.to_le_bytes()[..left.min(8)]);
    }
    bytes
}

/// The number of a record that is whole.
fn number_of(bytes: &[u8]) -> anyhow::Result<u64> {
    let number = bytes.first_chunk::<8>().map(|first| u64::from_le_bytes(*first));
    let number = number.context("a record that was not put here")?;
    if record(number, bytes.len()) != bytes {
        bail!("a record that is not as it was put");
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_due_evenly() {
        let pace = Pace { started: Instant::now(), rate: 2_000 };
        assert_eq!(pace.due(0), pace.started);
        assert_eq!(pace.due(3_000), pace.started + Duration::from_millis(1_500));
    }

    #[test]
    fn a_record_tells_its_number_and_whether_it_is_whole() {
        for size in [16, 17, 1024] {
            let whole = record(77, size);
            assert_eq!(whole.len(), size);
            assert_eq!(number_of(&whole).unwrap(), 77);
            let mut damaged = whole;
            damaged[size - 1] ^= 1;
            assert!(number_of(&damaged).is_err());
        }
        assert!(number_of(b"short").is_err());
    }
}
