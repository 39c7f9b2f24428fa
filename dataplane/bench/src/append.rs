//! Group commit: many clients append 1 KiB records to 16 shards.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use crate::engine::{Fixture, RECORD_BYTES, records};
use crate::{Args, fio, say};

const SHARDS: usize = 16;
/// Clients of each shard, each with one append waiting; and the records of an append: one, as of
/// PutRecord, or as many as a PutRecords of 500 brings to each of 16 shards.
const LOADS: [(usize, u32); 4] = [(4, 1), (16, 1), (64, 1), (4, 32)];
const WARM_UP: Duration = Duration::from_secs(1);
const MEASURED: Duration = Duration::from_secs(5);
const SHARD_BYTES_MAX: u64 = 256 << 20;

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    say(&format!(
        "\nappend: {SHARDS} shards, {RECORD_BYTES} byte records, each acknowledged after fdatasync ({}, {} log threads)",
        args.backend, args.log_threads
    ));
    let fixture = Fixture::new(args, SHARDS, Some(SHARD_BYTES_MAX))?;
    fixture.fill(SHARD_BYTES_MAX)?;
    for (clients, records_of_an_append) in LOADS {
        measure(args, &fixture, clients, records_of_an_append)?;
    }
    Ok(())
}

fn measure(
    args: &Args,
    fixture: &Fixture,
    clients: usize,
    records_of_an_append: u32,
) -> anyhow::Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicU64::new(0));
    let mut running = Vec::new();
    for shard in &fixture.shards {
        for _ in 0..clients {
            let (shard, stop, count) = (shard.clone(), Arc::clone(&stop), Arc::clone(&count));
            let request = records(records_of_an_append);
            running.push(fixture.runtime.spawn(async move {
                while !stop.load(Ordering::Relaxed) && shard.append(request.clone()).await.is_ok() {
                    count.fetch_add(u64::from(records_of_an_append), Ordering::Relaxed);
                }
            }));
        }
    }
    std::thread::sleep(WARM_UP);
    let before = (count.load(Ordering::Relaxed), fixture.metric("leat_shard_commits_total")?);
    let started = Instant::now();
    std::thread::sleep(MEASURED);
    let seconds = started.elapsed().as_secs_f64();
    let put = (count.load(Ordering::Relaxed) - before.0) as f64;
    let commits = fixture.metric("leat_shard_commits_total")? - before.1;
    stop.store(true, Ordering::Relaxed);
    fixture.runtime.block_on(try_join_all(running))?;

    // The blocks a commit writes: a header and its records, padded.
    let payload = put / commits * (RECORD_BYTES + 3 + 6) as f64;
    let block_bytes = (payload as u64 + 80).next_multiple_of(4096);
    let limit = fio::overwrite(&args.dir, block_bytes, SHARDS, Duration::ZERO)?;
    let written = commits * block_bytes as f64 / seconds;
    say(&format!(
        "  {clients:>2} clients a shard x {records_of_an_append:>2} records: {:>8.0} records/s {:>7.1} MB/s of data, {:>6.0} commits/s of {:>3} KiB = {:>7.1} MB/s written; fio {:>7.1} MB/s; {:>3.0} %",
        put / seconds,
        put / seconds * RECORD_BYTES as f64 / 1e6,
        commits / seconds,
        block_bytes >> 10,
        written / 1e6,
        limit.bytes_per_second / 1e6,
        written / limit.bytes_per_second * 100.0,
    ));
    Ok(())
}
