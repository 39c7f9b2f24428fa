//! A shard engine on a fresh directory.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::future::try_join_all;
use model::Clock;
use prometheus_client::registry::Registry;
use shard::{
    Engine, EngineOptions, Metrics, Retention, ShardHandle, ShardOptions, SystemClock, Throughput,
};
use shard_log::{LogId, OpenMode, RecordBuffer};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::Args;

pub(crate) const RECORD_BYTES: usize = 1024;

pub(crate) struct Fixture {
    pub(crate) runtime: Runtime,
    pub(crate) shards: Vec<ShardHandle>,
    pub(crate) registry: Registry,
    engine: Engine,
    _directory: TempDir,
}

impl Fixture {
    /// `count` shards that keep at most `bytes_max` each, so that segments are recycled.
    pub(crate) fn new(
        args: &Args,
        count: usize,
        bytes_max: Option<u64>,
    ) -> anyhow::Result<Fixture> {
        Fixture::with_tail(args, count, bytes_max, 64 << 20)
    }

    pub(crate) fn with_tail(
        args: &Args,
        count: usize,
        bytes_max: Option<u64>,
        tail_bytes_max: usize,
    ) -> anyhow::Result<Fixture> {
        let directory = tempfile::tempdir_in(&args.dir)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let options = EngineOptions {
            backend: args.backend,
            threads: args.log_threads,
            tail_bytes_max,
            read_bytes_max: 64 << 20,
            log: shard_log::Options::standard(),
        };
        let engine = Engine::start(&options, &clock, &metrics)?;
        let age = Duration::from_secs(24 * 3600);
        let options = ShardOptions {
            throughput: Throughput::Unlimited,
            retention: Retention { age, bytes_max },
            keyring: Arc::default(),
        };
        let opened = (0..count).map(|number| {
            let mode = OpenMode::Create(LogId(number as u64));
            engine.open(directory.path().join(number.to_string()), mode, options.clone())
        });
        let shards = runtime.block_on(try_join_all(opened))?;
        Ok(Fixture { runtime, shards, registry, engine, _directory: directory })
    }

    /// Fills every shard beyond `bytes_max`, so that from then on segments are recycled, as in a
    /// stream that has reached its retention.
    pub(crate) fn fill(&self, bytes_max: u64) -> anyhow::Result<()> {
        const RECORDS: u32 = 512;
        let appends = bytes_max * 5 / 4 / (u64::from(RECORDS) * RECORD_BYTES as u64);
        let filling = self.shards.iter().map(|shard| async move {
            for _ in 0..appends {
                shard.append(records(RECORDS)).await?;
            }
            anyhow::Ok(())
        });
        self.runtime.block_on(try_join_all(filling)).map(drop)
    }

    /// The value of a metric without labels.
    pub(crate) fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(line.with_context(|| format!("no metric {name}"))?.parse()?)
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.runtime.block_on(self.engine.shutdown());
    }
}

/// Records as a client's request brings them.
pub(crate) fn records(count: u32) -> RecordBuffer {
    let mut buffer = RecordBuffer::default();
    (0..count).for_each(|_| buffer.push("key", &[7; RECORD_BYTES]));
    buffer
}
