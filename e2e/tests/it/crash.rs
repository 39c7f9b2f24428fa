//! Kills and power cuts under load: every acknowledged record is there, once, at its sequence number,
//! in order.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{bail, ensure};
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, ShardIteratorType};
use e2e::power_cut_fs::PowerCutFs;
use e2e::{Leat, Start};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::clients::rust_sdk;

const STREAM: &str = "crash";
const KILLS: u32 = 50;
const WRITERS: u64 = 4;

/// What a writer was told: payload to shard and sequence number.
type Acknowledged = HashMap<String, (String, String)>;

/// What the writers did, over all lives of the server.
#[derive(Default)]
struct Ledger {
    acknowledged: Mutex<Acknowledged>,
    /// The next number of each writer; numbers are not used again, whatever became of them.
    next: [AtomicU64; WRITERS as usize],
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_loses_nothing_acknowledged_on_io_uring() {
    let directory = tempfile::tempdir().unwrap();
    crash_test(&Start::on(directory.path()).with(&["--backend", "uring"]), || {}).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_loses_nothing_acknowledged_on_blocking_calls() {
    let directory = tempfile::tempdir().unwrap();
    crash_test(&Start::on(directory.path()).with(&["--backend", "blocking"]), || {}).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_loses_nothing_acknowledged_on_io_uring() {
    power_cut_test(|path| Start::on(path).with(&["--backend", "uring"])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_loses_nothing_acknowledged_on_blocking_calls() {
    power_cut_test(|path| Start::on(path).with(&["--backend", "blocking"])).await.unwrap();
}

/// This test must be able to fail: a build that does not wait for the disk loses records.
#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_acknowledges_before_fdatasync_is_found_out() {
    let broken = |path: &Path| Start { program: e2e::broken_program(), ..Start::on(path) };
    let error = power_cut_test(broken).await.unwrap_err().to_string();
    assert!(error.contains("acknowledged"), "{error}");
}

async fn power_cut_test(start: impl Fn(&Path) -> Start) -> anyhow::Result<()> {
    let mountpoint = tempfile::tempdir()?;
    let disk = PowerCutFs::mount(mountpoint.path(), 11)?;
    crash_test(&start(&mountpoint.path().join("data")), || disk.cut()).await
}

/// Load, kill, `after_kill`, start again; at the end everything acknowledged is read.
async fn crash_test(start: &Start, after_kill: impl Fn()) -> anyhow::Result<()> {
    let mut random = StdRng::seed_from_u64(5);
    let ledger = Arc::new(Ledger::default());
    let leat = Leat::start(start)?;
    rust_sdk(&leat.endpoint()).create_stream().stream_name(STREAM).shard_count(3).send().await?;
    let mut leat = Some(leat);
    for kill in 0..KILLS {
        let running = match leat.take() {
            Some(leat) => leat,
            None => Leat::start(start)?,
        };
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let client = rust_sdk(&running.endpoint());
                tokio::spawn(write(client, writer, Arc::clone(&ledger), Arc::clone(&stop)))
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(random.random_range(20..200))).await;
        running.kill();
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.await?;
        }
        after_kill();
        // Damage is found where it happened, not only at the end.
        if kill % 10 == 9 {
            let leat = Leat::start(start)?;
            check(&rust_sdk(&leat.endpoint()), &ledger).await?;
            leat.kill();
            after_kill();
        }
    }
    let leat = Leat::start(start)?;
    let count = check(&rust_sdk(&leat.endpoint()), &ledger).await?;
    ensure!(500 < count, "only {count} records were acknowledged in all");
    Ok(())
}

/// Puts one record or a few at a time, under the writer's own key, until the server is gone.
async fn write(client: Client, writer: u64, ledger: Arc<Ledger>, stop: Arc<AtomicBool>) {
    let key = format!("writer-{writer}");
    let next = || {
        let number = ledger.next[writer as usize].fetch_add(1, Ordering::Relaxed);
        // Some fill several blocks.
        format!("{writer}:{number:08}:{}", "x".repeat((number % 50) as usize * 100))
    };
    while !stop.load(Ordering::Relaxed) {
        let acknowledged: Vec<(String, String, String)> = if writer.is_multiple_of(2) {
            let payload = next();
            let put = client.put_record().stream_name(STREAM).partition_key(&key);
            match put.data(Blob::new(payload.clone())).send().await {
                Ok(put) => vec![(payload, put.shard_id, put.sequence_number)],
                Err(_) => return,
            }
        } else {
            let payloads: Vec<String> = (0..10).map(|_| next()).collect();
            let entry = |payload: &String| {
                let entry = PutRecordsRequestEntry::builder().partition_key(&key);
                entry.data(Blob::new(payload.clone())).build().unwrap()
            };
            let entries = payloads.iter().map(entry).collect();
            match client.put_records().stream_name(STREAM).set_records(Some(entries)).send().await {
                Ok(put) => payloads
                    .into_iter()
                    .zip(put.records)
                    .filter_map(|(payload, put)| {
                        Some((payload, put.shard_id?, put.sequence_number?))
                    })
                    .collect(),
                Err(_) => return,
            }
        };
        let mut ledger = ledger.acknowledged.lock().unwrap();
        ledger.extend(
            acknowledged.into_iter().map(|(payload, shard, number)| (payload, (shard, number))),
        );
    }
}

/// Reads everything and compares; how many records were acknowledged.
async fn check(client: &Client, ledger: &Ledger) -> anyhow::Result<usize> {
    let mut found: HashMap<String, (String, String)> = HashMap::new();
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for shard in client.list_shards().stream_name(STREAM).send().await?.shards.unwrap_or_default() {
        for (payload, number) in read_shard(client, &shard.shard_id).await? {
            let mut parts = payload.splitn(3, ':');
            let (Some(writer), Some(count)) = (parts.next(), parts.next()) else {
                bail!("a record nobody wrote: {payload}");
            };
            let count: u64 = count.parse()?;
            if let Some(before) = last.insert(writer.to_owned(), count)
                && count <= before
            {
                bail!("writer {writer}: record {count} after {before}");
            }
            found.insert(payload, (shard.shard_id.clone(), number));
        }
    }
    let acknowledged = ledger.acknowledged.lock().unwrap();
    for (payload, place) in &*acknowledged {
        match found.get(payload) {
            Some(found) if found == place => {}
            Some(found) => bail!("acknowledged at {place:?}, found at {found:?}"),
            None => bail!("acknowledged at {place:?} and lost: {}", &payload[..10]),
        }
    }
    Ok(acknowledged.len())
}

async fn read_shard(client: &Client, shard: &str) -> anyhow::Result<Vec<(String, String)>> {
    let iterator = client.get_shard_iterator().stream_name(STREAM).shard_id(shard);
    let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await?;
    let mut next = iterator.shard_iterator;
    let mut records = Vec::new();
    while let Some(iterator) = next {
        let got = client.get_records().shard_iterator(iterator).send().await?;
        for record in &got.records {
            let payload = String::from_utf8(record.data.as_ref().to_vec())?;
            records.push((payload, record.sequence_number.clone()));
        }
        let caught_up = got.records.is_empty() && got.millis_behind_latest == Some(0);
        next = got.next_shard_iterator.filter(|_| !caught_up);
    }
    Ok(records)
}
