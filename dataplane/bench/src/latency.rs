//! One append at a time on an otherwise idle log.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::engine::{Fixture, records};
use crate::{Args, fio, say};

const APPENDS: usize = 10_000;
const WARM_UP: usize = 1_000;
const SHARD_BYTES_MAX: u64 = 256 << 20;
/// Between two appends.
const PAUSE: Duration = Duration::from_micros(200);

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let fixture = Fixture::new(args, 1, Some(SHARD_BYTES_MAX))?;
    fixture.fill(SHARD_BYTES_MAX)?;
    let shard = fixture.shards[0].clone();
    let latencies = fixture.runtime.block_on(async {
        let mut latencies = Histogram::<u64>::new(3)?;
        for number in 0..WARM_UP + APPENDS {
            let started = Instant::now();
            shard.append(records(1)).await?;
            let elapsed = started.elapsed();
            if WARM_UP <= number {
                latencies.record(u64::try_from(elapsed.as_nanos())?)?;
            }
            // Idle: the next one finds everybody asleep.
            tokio::time::sleep(PAUSE).await;
        }
        anyhow::Ok(latencies)
    })?;
    drop(fixture);
    let paced = fio::overwrite(&args.dir, 4096, 1, PAUSE)?;
    let busy = fio::overwrite(&args.dir, 4096, 1, Duration::ZERO)?;
    let micros = |quantile: f64| latencies.value_at_quantile(quantile) as f64 / 1e3;
    say(&format!(
        "\nlatency: one append of 1 KiB at a time: p50 {:.0} us, p99 {:.0} us; fio write + fdatasync of 4 KiB at the same pace: p99 {:.0} us; {:.1} times; one behind the other: p99 {:.0} us; {:.1} times",
        micros(0.5),
        micros(0.99),
        paced.p99_micros,
        micros(0.99) / paced.p99_micros,
        busy.p99_micros,
        micros(0.99) / busy.p99_micros,
    ));
    Ok(())
}
