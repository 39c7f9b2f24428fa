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

/// Starts the log threads. With the engine comes whether io_uring was refused.
pub(crate) fn start(
    settings: &EngineSettings,
    clock: &Arc<dyn Clock>,
    registry: &mut Registry,
) -> anyhow::Result<(Engine, bool)> {
    let (backend, is_refused) = backend(settings.backend, registry)?;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let options = EngineOptions {
        backend,
        threads: settings.log_threads.unwrap_or(processors.div_ceil(2).max(2)),
        tail_bytes_max: settings.tail_mib << 20,
        read_bytes_max: settings.reads_mib << 20,
        log: shard_log::Options::standard(),
    };
    let metrics = shard::Metrics::register(registry);
    Ok((Engine::start(&options, clock, &metrics)?, is_refused))
}

/// The backend asked for; else io_uring, if it can be had: whether it was refused.
fn backend(wanted: Option<Backend>, registry: &mut Registry) -> anyhow::Result<(Backend, bool)> {
    let refused: Gauge = Gauge::default();
    registry.register(
        "leat_io_uring_refused",
        "1 when io_uring was refused and blocking calls are used instead",
        refused.clone(),
    );
    match (wanted, storage::uring::probe()) {
        (Some(Backend::Blocking), _) => Ok((Backend::Blocking, false)),
        (_, Ok(())) => Ok((Backend::Uring, false)),
        (Some(Backend::Uring), Err(error)) => Err(error.into()),
        (None, Err(error)) => {
            refused.set(1);
            tracing::warn!(
                %error,
                "using blocking calls instead, durable but slower; --backend blocking says that this is meant"
            );
            Ok((Backend::Blocking, true))
        }
    }
}
