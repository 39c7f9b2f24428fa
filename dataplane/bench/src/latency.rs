//! One append at a time on an otherwise idle log.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::engine::{Fixture, records};
use crate::{Args, fio, say};

const APPENDS: usize = 5_000;
const WARM_UP: usize = 1_000;

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let fixture = Fixture::new(args, 1, None)?;
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
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        anyhow::Ok(latencies)
    })?;
    drop(fixture);
    let limit = fio::overwrite(&args.dir, 4096, 1)?;
    let micros = |quantile: f64| latencies.value_at_quantile(quantile) as f64 / 1e3;
    say(&format!(
        "\nlatency: one append of 1 KiB at a time: p50 {:.0} us, p99 {:.0} us; fio write + fdatasync of 4 KiB: p99 {:.0} us; {:.1} times",
        micros(0.5),
        micros(0.99),
        limit.p99_micros,
        micros(0.99) / limit.p99_micros,
    ));
    Ok(())
}
