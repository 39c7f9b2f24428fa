//! The engine: the log threads, and the shards spread over them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use model::Clock;
use shard_log::OpenMode;
use storage::{Backend, Storage};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::actor::{Actor, Place};
use crate::error::Unavailable;
use crate::handle::{Progress, ShardHandle, ShardOptions, Write};
use crate::metrics::Metrics;
use crate::reads::{self, ReadTrouble, ShardState};
use crate::throttle::Throttle;

/// Messages that wait for one shard; more wait in their senders.
const MAILBOX_MESSAGES_MAX: usize = 1_024;
/// Shards that wait to be opened on one thread.
const JOBS_MAX: usize = 1_024;
/// Submission queue entries of each io_uring.
const RING_ENTRIES: u32 = 1_024;
/// The least a read budget can be: two of the largest reads.
const READ_BYTES_MIN: usize = 32 << 20;

/// How the engine is laid out. Its memory is bounded by the two budgets, plus what callers have in
/// flight.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// How log files are read and written.
    pub backend: Backend,
    /// Log threads, at least one; pinned to processors where there are four or more.
    pub threads: usize,
    /// Memory for the in-memory tails of all shards together.
    pub tail_bytes_max: usize,
    /// Memory for cold reads in flight on all threads together.
    pub read_bytes_max: usize,
    /// The layout of every log; its tail budget is overridden by this engine's.
    pub log: shard_log::Options,
}

/// Why the engine did not start.
#[derive(Debug, thiserror::Error)]
#[error("start a log thread")]
pub struct StartError(#[from] io::Error);

/// A running engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    threads: Arc<[LogThread]>,
    /// Which thread each running shard is on.
    placed: Arc<Mutex<HashMap<PathBuf, usize>>>,
}

struct LogThread {
    jobs: mpsc::Sender<Job>,
}

pub(crate) enum Job {
    Open {
        directory: PathBuf,
        mode: OpenMode,
        options: ShardOptions,
        reply: oneshot::Sender<ShardHandle>,
    },
    Delete {
        directory: PathBuf,
        reply: oneshot::Sender<io::Result<()>>,
    },
    CloseAll {
        reply: oneshot::Sender<()>,
    },
}

impl Engine {
    /// Starts the log threads.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(
        options: &EngineOptions,
        clock: &Arc<dyn Clock>,
        metrics: &Metrics,
    ) -> Result<Engine, StartError> {
        let count = options.threads.max(1);
        let read_bytes = options.read_bytes_max.max(READ_BYTES_MIN);
        let read_memory = Arc::new(Semaphore::new(read_bytes / 1024));
        let threads = (0..count).map(|number| {
            let (jobs, incoming) = mpsc::channel(JOBS_MAX);
            let context = Context {
                clock: Arc::clone(clock),
                metrics: metrics.clone(),
                log: options.log.clone(),
                tail_bytes_max: options.tail_bytes_max / count,
                read_memory: Arc::clone(&read_memory),
            };
            start_thread(number, options.backend, context, incoming)?;
            Ok(LogThread { jobs })
        });
        let threads = threads.collect::<io::Result<_>>()?;
        Ok(Engine { threads, placed: Arc::default() })
    }

    /// Opens the shard in `directory`, on one of the threads. Always gives a handle: a log that does
    /// not open makes a shard that says why in its progress, refuses everything, and tries again.
    ///
    /// # Errors
    /// `Stopped`: the engine has been shut down.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether the shard runs.
    pub async fn open(
        &self,
        directory: PathBuf,
        mode: OpenMode,
        options: ShardOptions,
    ) -> Result<ShardHandle, Unavailable> {
        let thread = self.place(&directory);
        self.ask(thread, |reply| Job::Open { directory, mode, options, reply }).await
    }

    /// Stops the shard in `directory`, if it runs, and removes its log, if there is one.
    ///
    /// # Errors
    /// The disk refused: part of it is left, delete again.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open what is left of the log.
    pub async fn delete(&self, directory: PathBuf) -> io::Result<()> {
        let thread = self.place(&directory);
        let deleted =
            self.ask(thread, |reply| Job::Delete { directory: directory.clone(), reply }).await;
        self.placed().remove(&directory);
        deleted.unwrap_or_else(|stopped| Err(io::Error::other(stopped)))
    }

    /// Stops all shards: what was acknowledged is durable anyway; this leaves word of it.
    pub async fn shutdown(&self) {
        for thread in 0..self.threads.len() {
            // A thread that is gone has nothing to close.
            let _ = self.ask(thread, |reply| Job::CloseAll { reply }).await;
        }
    }

    /// The thread of a running shard; for a new one, the thread with the fewest.
    fn place(&self, directory: &Path) -> usize {
        let mut placed = self.placed();
        if let Some(thread) = placed.get(directory) {
            return *thread;
        }
        let mut counts = vec![0_usize; self.threads.len()];
        placed.values().for_each(|thread| counts[*thread] += 1);
        let fewest = (0..counts.len()).min_by_key(|thread| counts[*thread]);
        let thread = fewest.expect("there is at least one thread");
        placed.insert(directory.to_owned(), thread);
        thread
    }

    fn placed(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, usize>> {
        self.placed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask<T>(
        &self,
        thread: usize,
        job: impl FnOnce(oneshot::Sender<T>) -> Job,
    ) -> Result<T, Unavailable> {
        let (reply, answer) = oneshot::channel();
        let sent = self.threads[thread].jobs.send(job(reply)).await;
        sent.map_err(|_| Unavailable::Stopped)?;
        answer.await.map_err(|_| Unavailable::Stopped)
    }
}

/// What the shards of one thread share.
pub(crate) struct Context {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    pub(crate) log: shard_log::Options,
    pub(crate) tail_bytes_max: usize,
    pub(crate) read_memory: Arc<Semaphore>,
}

fn start_thread(
    number: usize,
    backend: Backend,
    context: Context,
    jobs: mpsc::Receiver<Job>,
) -> io::Result<()> {
    let body = move || {
        pin(number);
        match backend {
            Backend::Uring => storage::uring::start(RING_ENTRIES, |storage| {
                or_abort(serve(storage, context, jobs))
            }),
            Backend::Blocking => {
                storage::blocking::start(|storage| or_abort(serve(storage, context, jobs)))
            }
        }
    };
    thread::Builder::new().name(format!("log-{number}")).spawn(body).map(drop)
}

/// Fewer processors are shared with clients and the kernel's interrupts: a thread tied to one of them
/// waits behind those (a third longer at the 99th percentile, on two processors).
const PROCESSORS_TO_PIN: usize = 4;

/// Ties the calling thread to one processor, where there are enough. Without the right to do so it
/// runs anywhere.
fn pin(number: usize) {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    if processors < PROCESSORS_TO_PIN {
        return;
    }
    let mut set = rustix::thread::CpuSet::new();
    set.set(number % processors);
    if let Err(error) = rustix::thread::sched_setaffinity(None, &set) {
        tracing::debug!(number, %error, "a log thread could not be pinned");
    }
}

/// Opens, closes and deletes the shards of one thread until the engine is gone.
pub(crate) async fn serve<S: Storage>(storage: S, context: Context, mut jobs: mpsc::Receiver<Job>) {
    let mut thread = Thread { storage, context, shards: HashMap::new(), tail_share: 0 };
    while let Some(job) = jobs.recv().await {
        // Whoever asked may have gone meanwhile: then nobody needs the answer.
        match job {
            Job::Open { directory, mode, options, reply } => {
                let _ = reply.send(thread.open(directory, mode, options).await);
            }
            Job::Delete { directory, reply } => {
                thread.close(&directory).await;
                let _ = reply.send(remove_log(&thread.storage, &directory).await);
            }
            Job::CloseAll { reply } => {
                thread.close_all().await;
                let _ = reply.send(());
            }
        }
    }
    thread.close_all().await;
}

/// The shards of one log thread.
struct Thread<S> {
    storage: S,
    context: Context,
    shards: HashMap<PathBuf, Running>,
    /// What each shard's tail may hold.
    tail_share: usize,
}

struct Running {
    handle: ShardHandle,
    task: JoinHandle<()>,
}

impl<S: Storage> Thread<S> {
    async fn open(
        &mut self,
        directory: PathBuf,
        mode: OpenMode,
        options: ShardOptions,
    ) -> ShardHandle {
        if let Some(running) = self.shards.get(&directory) {
            return running.handle.clone();
        }
        self.share_tail(self.shards.len() + 1).await;
        let (writes, mailbox) = mpsc::channel(MAILBOX_MESSAGES_MAX);
        let (reads, reads_mailbox) = mpsc::channel(MAILBOX_MESSAGES_MAX);
        let (progress, watched) = watch::channel(Progress::default());
        let Context { clock, metrics, log, read_memory, .. } = &self.context;
        let state = Rc::new(ShardState {
            reader: RefCell::default(),
            throttle: RefCell::new(Throttle::new(options.throughput, clock.now())),
            options: RefCell::new(options),
            opener: RefCell::default(),
            progress,
            trouble: ReadTrouble::default(),
            clock: Arc::clone(clock),
            metrics: metrics.clone(),
        });
        let place = Place {
            storage: self.storage.clone(),
            directory: directory.clone(),
            mode,
            log_options: shard_log::Options { tail_bytes_max: self.tail_share, ..log.clone() },
        };
        let actor = Actor::open(place, Rc::clone(&state), mailbox).await;
        let reads_task = reads::run(state, reads_mailbox, Arc::clone(read_memory));
        tokio::task::spawn_local(or_abort(reads_task));
        let task = tokio::task::spawn_local(or_abort(actor.run()));
        let handle = ShardHandle { writes, reads, progress: watched, looked_at: None };
        self.shards.insert(directory, Running { handle: handle.clone(), task });
        self.context.metrics.shards.inc();
        handle
    }

    async fn close(&mut self, directory: &Path) {
        if let Some(running) = self.shards.remove(directory) {
            running.stop().await;
            self.context.metrics.shards.dec();
        }
    }

    async fn close_all(&mut self) {
        // All at once: each leaves a durable mark.
        let stopping: Vec<_> = self.shards.drain().map(|(_, running)| running).collect();
        let stopping = stopping.into_iter().map(|running| tokio::task::spawn_local(running.stop()));
        for stopped in stopping.collect::<Vec<_>>() {
            let _ = stopped.await;
            self.context.metrics.shards.dec();
        }
    }

    /// Divides the tail budget. Shares change with powers of two, so that opening a thousand shards
    /// does not mean telling each of them a thousand times.
    async fn share_tail(&mut self, count: usize) {
        let share = self.context.tail_bytes_max / count.next_power_of_two();
        if share == self.tail_share {
            return;
        }
        self.tail_share = share;
        for running in self.shards.values() {
            // A stopped shard has no tail.
            let _ = running.handle.writes.send(Write::TailBytesMax(share)).await;
        }
    }
}

impl Running {
    async fn stop(self) {
        let (reply, stopped) = oneshot::channel();
        if self.handle.writes.send(Write::Stop { reply }).await.is_ok() {
            let _ = stopped.await;
        }
        let _ = self.task.await;
    }
}

/// Removes a log's files and its directory.
async fn remove_log<S: Storage>(storage: &S, directory: &Path) -> io::Result<()> {
    let entries = match storage.list(directory).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        listed => listed?,
    };
    for entry in entries {
        storage.remove(&directory.join(&entry.name)).await?;
    }
    storage.remove_dir(directory).await?;
    match directory.parent() {
        Some(parent) => storage.sync_dir(parent).await,
        None => Ok(()),
    }
}

/// Runs a task of a log thread so that a panic in it ends the process: a log in an unknown state
/// must not answer, and recovery is the tested path.
pub(crate) async fn or_abort<T>(task: impl Future<Output = T>) -> T {
    struct Guard;
    impl Drop for Guard {
        fn drop(&mut self) {
            if thread::panicking() {
                std::process::abort();
            }
        }
    }
    let _guard = Guard;
    task.await
}

#[cfg(test)]
mod tests;
