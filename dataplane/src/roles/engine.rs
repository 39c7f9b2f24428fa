//! Starting the shard engine, with io_uring where it can be had.

use std::sync::Arc;

use model::Clock;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use shard::{Engine, EngineOptions};
use storage::Backend;

/// What can be chosen.
pub(crate) struct EngineSettings {
    /// Without it, io_uring if this machine allows it.
    pub(crate) backend: Option<Backend>,
    /// Without it, one for each two processors, and at least two.
    pub(crate) log_threads: Option<usize>,
    /// Memory for recent records.
    pub(crate) tail_mib: usize,
    /// Memory for reads of older ones that are under way.
    pub(crate) reads_mib: usize,
}

/// Starts the log threads.
pub(crate) fn start(
    settings: &EngineSettings,
    clock: &Arc<dyn Clock>,
    registry: &mut Registry,
) -> anyhow::Result<Engine> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let options = EngineOptions {
        backend: backend(settings.backend, registry)?,
        threads: settings.log_threads.unwrap_or(processors.div_ceil(2).max(2)),
        tail_bytes_max: settings.tail_mib << 20,
        read_bytes_max: settings.reads_mib << 20,
        log: shard_log::Options::standard(),
    };
    let metrics = shard::Metrics::register(registry);
    Ok(Engine::start(&options, clock, &metrics)?)
}

/// The backend asked for; else io_uring, if it can be had.
fn backend(wanted: Option<Backend>, registry: &mut Registry) -> anyhow::Result<Backend> {
    let refused: Gauge = Gauge::default();
    registry.register(
        "leat_io_uring_refused",
        "1 when io_uring was refused and blocking calls are used instead",
        refused.clone(),
    );
    match (wanted, storage::uring::probe()) {
        (Some(Backend::Blocking), _) => Ok(Backend::Blocking),
        (_, Ok(())) => Ok(Backend::Uring),
        (Some(Backend::Uring), Err(error)) => Err(error.into()),
        (None, Err(error)) => {
            refused.set(1);
            tracing::warn!(
                %error,
                "using blocking calls instead, durable but slower; --backend blocking says that this is meant"
            );
            Ok(Backend::Blocking)
        }
    }
}
