//! Group commit: many clients append 1 KiB records to 16 shards.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::engine::{Fixture, RECORD_BYTES, record};
use crate::{Args, fio, say};

const SHARDS: usize = 16;
/// Appends that each shard has waiting: they become its batches.
const CLIENTS_OF_EACH_SHARD: [usize; 3] = [4, 16, 64];
const WARM_UP: Duration = Duration::from_secs(4);
const MEASURED: Duration = Duration::from_secs(5);
/// Small enough that segments are recycled while measuring, as in a stream that has reached its
/// retention.
const SHARD_BYTES_MAX: u64 = 48 << 20;

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    say(&format!(
        "\nappend: {SHARDS} shards, {RECORD_BYTES} byte records, each acknowledged after fdatasync ({}, {} log threads)",
        args.backend, args.log_threads
    ));
    for clients in CLIENTS_OF_EACH_SHARD {
        measure(args, clients)?;
    }
    Ok(())
}

fn measure(args: &Args, clients: usize) -> anyhow::Result<()> {
    let fixture = Fixture::new(args, SHARDS, Some(SHARD_BYTES_MAX))?;
    let stop = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicU64::new(0));
    for shard in &fixture.shards {
        for _ in 0..clients {
            let (shard, stop, count) = (shard.clone(), Arc::clone(&stop), Arc::clone(&count));
            fixture.runtime.spawn(async move {
                while !stop.load(Ordering::Relaxed) && shard.append(record()).await.is_ok() {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    }
    std::thread::sleep(WARM_UP);
    let before = (count.load(Ordering::Relaxed), fixture.metric("leat_shard_commits_total")?);
    let started = Instant::now();
    std::thread::sleep(MEASURED);
    let seconds = started.elapsed().as_secs_f64();
    let records = (count.load(Ordering::Relaxed) - before.0) as f64;
    let commits = fixture.metric("leat_shard_commits_total")? - before.1;
    stop.store(true, Ordering::Relaxed);
    drop(fixture);

    // The blocks a commit writes: a header and its records, padded.
    let payload = records / commits * (RECORD_BYTES + 3 + 6) as f64;
    let block_bytes = (payload as u64 + 80).next_multiple_of(4096);
    let limit = fio::overwrite(&args.dir, block_bytes, SHARDS)?;
    let written = commits * block_bytes as f64 / seconds;
    say(&format!(
        "  {clients:>3} clients a shard: {:>8.0} records/s {:>7.1} MB/s of data, {:>6.0} commits/s of {:>3} KiB = {:>7.1} MB/s written; fio {:>7.1} MB/s; {:>3.0} %",
        records / seconds,
        records / seconds * RECORD_BYTES as f64 / 1e6,
        commits / seconds,
        block_bytes >> 10,
        written / 1e6,
        limit.bytes_per_second / 1e6,
        written / limit.bytes_per_second * 100.0,
    ));
    Ok(())
}
