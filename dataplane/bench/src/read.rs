//! Reads: at the tip, which memory serves, and of cold segments, which the disk does.

use std::time::{Duration, Instant};

use model::Offset;
use shard::{ReadRequest, ShardHandle};

use crate::engine::{Fixture, records};
use crate::{Args, fio, say};

const RECORDS: u64 = 256 << 10;
const RECORDS_OF_AN_APPEND: u32 = 512;
const REPLY_BYTES_MAX: usize = 10 << 20;

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    say("\nread: replies of up to 10 MiB, every record looked at");
    let warm = Fixture::with_tail(args, 1, None, 512 << 20)?;
    fill(&warm)?;
    let tip = warm.runtime.block_on(read_all(&warm.shards[0]))?;
    drop(warm);
    let copy = memory_copy();
    say(&format!(
        "  from the tip:       {:>7.0} MB/s; a copy in memory {:>7.0} MB/s; {:>3.0} %",
        tip / 1e6,
        copy / 1e6,
        tip / copy * 100.0
    ));
    let cold = Fixture::with_tail(args, 1, None, 0)?;
    fill(&cold)?;
    let disk = cold.runtime.block_on(read_all(&cold.shards[0]))?;
    drop(cold);
    let limit = fio::read(&args.dir, 1 << 20, 1)?;
    say(&format!(
        "  from cold segments: {:>7.0} MB/s; fio, 1 MiB reads  {:>7.0} MB/s; {:>3.0} %",
        disk / 1e6,
        limit.bytes_per_second / 1e6,
        disk / limit.bytes_per_second * 100.0
    ));
    Ok(())
}

fn fill(fixture: &Fixture) -> anyhow::Result<()> {
    fixture.runtime.block_on(async {
        for _ in 0..RECORDS / u64::from(RECORDS_OF_AN_APPEND) {
            fixture.shards[0].append(records(RECORDS_OF_AN_APPEND)).await?;
        }
        Ok(())
    })
}

/// Bytes of data a second.
async fn read_all(shard: &ShardHandle) -> anyhow::Result<f64> {
    let started = Instant::now();
    let (mut next, mut bytes) = (Offset(0), 0);
    while next < Offset(RECORDS) {
        let request = ReadRequest {
            from: next,
            bytes_max: REPLY_BYTES_MAX,
            records_max: 10_000,
            wait: Duration::ZERO,
            charged: false,
        };
        let reply = shard.read(request).await?;
        for (record, _) in reply.records() {
            assert_eq!(record.offset, next, "in order and without a gap");
            bytes += record.data.len();
            next = next.advance(1);
        }
    }
    Ok(bytes as f64 / started.elapsed().as_secs_f64())
}

fn memory_copy() -> f64 {
    const BYTES: usize = 10 << 20;
    const ROUNDS: usize = 50;
    let source = vec![7_u8; BYTES];
    let mut target = vec![0_u8; BYTES];
    let started = Instant::now();
    for _ in 0..ROUNDS {
        target.copy_from_slice(std::hint::black_box(&source));
        std::hint::black_box(&mut target);
    }
    (BYTES * ROUNDS) as f64 / started.elapsed().as_secs_f64()
}
