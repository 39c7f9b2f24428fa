//! Driving a log and its model side by side.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use model::{Offset, UnixMillis};
use shard_log::{
    Entry, EntryKind, LogId, OpenError, OpenMode, Opened, Options, ReadRequest, RecordBuffer,
};
use storage::sim::{Faults, Sim, SimStorage};

pub(crate) const LOG_ID: LogId = LogId(0xfeed);

/// Small, so that a few batches roll over.
pub(crate) fn options() -> Options {
    Options { segment_bytes_min: 16 << 10, segment_bytes_max: 64 << 10, tail_bytes_max: 24 << 10 }
}

pub(crate) fn directory() -> PathBuf {
    PathBuf::from("/data/log")
}

/// Something done to a log.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Appends an entry with records of these sizes.
    Append(Vec<usize>),
    /// As the same with a sync behind it.
    AppendDurable(usize),
    /// Appends a command.
    Command(u8),
    HardState(u8),
    Sync,
    Mark,
    /// Hands over an image of all commands so far.
    Image,
    /// Trims what is older than this many entries ago.
    Trim(u64),
    /// Drops this many entries from the end.
    Truncate(u64),
    /// Closes and opens again.
    Reopen,
}

/// One entry as the model knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Records { first: u64, data: Vec<Vec<u8>> },
    Command(u8),
}

/// What the log must hold.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    /// By index, all that was ever written and not truncated.
    entries: BTreeMap<u64, Known>,
    end_offset: u64,
    last_index: u64,
    durable_index: u64,
    /// The hard states written since the one that is durable, that one first.
    hard_states: Vec<Vec<u8>>,
    /// Commands up to here are in the image.
    image_index: u64,
}

pub(crate) struct Run {
    pub(crate) sim: Sim,
    pub(crate) model: Model,
    pub(crate) log: Option<Opened<SimStorage>>,
}

/// Runs a future as a log thread would.
pub(crate) fn on_log_thread<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let local = tokio::task::LocalSet::new();
    runtime.block_on(local.run_until(future))
}

pub(crate) async fn open(sim: &Sim, mode: OpenMode) -> Result<Opened<SimStorage>, OpenError> {
    shard_log::open(sim.storage(), &directory(), mode, options()).await
}

impl Run {
    pub(crate) async fn new(seed: u64, faults: Faults) -> Run {
        let sim = Sim::new(seed);
        let log = open(&sim, OpenMode::Create(LOG_ID)).await.unwrap();
        sim.set_faults(faults);
        Run { sim, model: Model::new(), log: Some(log) }
    }

    /// Does one step; `false` when the log failed and has to be opened again.
    pub(crate) async fn step(&mut self, step: &Step) -> bool {
        let Some(log) = &mut self.log else { return false };
        let writer = &mut log.writer;
        let model = &mut self.model;
        match step {
            Step::AppendDurable(size) => {
                let data = vec![model.end_offset as u8; *size];
                let mut buffer = RecordBuffer::default();
                buffer.push("key", &data);
                let entry = Entry {
                    kind: EntryKind::Records(1),
                    term: 1,
                    timestamp: UnixMillis(1_000 + model.last_index),
                    parts: &[buffer.payload()],
                };
                let appended = writer.append_durable(entry).await.is_ok();
                model.push(Known::Records { first: model.end_offset, data: vec![data] });
                if appended {
                    model.synced();
                }
                appended
            }
            Step::Append(sizes) => {
                let mut buffer = RecordBuffer::default();
                let mut data = Vec::new();
                for (at, size) in sizes.iter().enumerate() {
                    let byte = (model.end_offset + at as u64) as u8;
                    data.push(vec![byte; *size]);
                    buffer.push(&format!("key-{byte}"), data.last().unwrap());
                }
                let entry = Entry {
                    kind: EntryKind::Records(buffer.record_count()),
                    term: 1,
                    timestamp: UnixMillis(1_000 + model.last_index),
                    parts: &[buffer.payload()],
                };
                // Even when it fails, it may have been written.
                let appended = writer.append(entry).await;
                model.push(Known::Records { first: model.end_offset, data });
                let Ok(appended) = appended else { return false };
                assert_eq!(appended.index, model.last_index);
                assert_eq!(appended.offsets.end, Offset(model.end_offset));
                true
            }
            Step::Command(byte) => {
                let entry = Entry {
                    kind: EntryKind::Command,
                    term: 1,
                    timestamp: UnixMillis(1_000 + model.last_index),
                    parts: &[&[*byte]],
                };
                let appended = writer.append(entry).await;
                model.push(Known::Command(*byte));
                appended.is_ok()
            }
            Step::HardState(byte) => {
                model.hard_states.push(vec![*byte]);
                writer.append_hard_state(&[*byte]).await.is_ok()
            }
            Step::Sync => {
                let synced = writer.sync().await.is_ok();
                if synced {
                    model.synced();
                }
                synced
            }
            Step::Mark => {
                let marked = writer.mark_durable().await.is_ok();
                if marked {
                    model.synced();
                }
                marked
            }
            Step::Image => {
                model.image_index = model.last_index;
                writer.set_image(model.last_index, model.commands_to(model.last_index));
                true
            }
            Step::Trim(ago) => {
                let horizon = UnixMillis((1_000 + model.last_index).saturating_sub(*ago));
                let trimmed = writer.trim_before(horizon).await;
                self.check_reads().await;
                trimmed.is_ok()
            }
            Step::Truncate(count) => self.truncate(*count).await,
            Step::Reopen => {
                let log = self.log.take().unwrap();
                drop(log.reader);
                let closed = log.writer.close().await.is_ok();
                if closed {
                    self.model.synced();
                }
                closed && self.reopen().await
            }
        }
    }

    async fn truncate(&mut self, count: u64) -> bool {
        let log = self.log.as_mut().unwrap();
        // Never into what was trimmed or is in the image, as its caller sees to.
        let start = self.model.index_at(log.reader.start_offset().0).max(self.model.image_index);
        let index = self.model.last_index.saturating_sub(count).max(start);
        let truncated = log.writer.truncate_suffix(index).await;
        match &truncated {
            Ok(()) => self.model.truncate(index),
            // Cut or not: recovery tells.
            Err(_) => self.model.durable_index = self.model.durable_index.min(index),
        }
        truncated.is_ok()
    }

    /// After a power failure, or a failure of the log.
    pub(crate) async fn recover(&mut self) {
        if let Some(log) = self.log.take() {
            drop(log.reader);
            log.writer.abandon().await;
        }
        self.sim.restart();
        self.sim.set_faults(Faults::default());
        assert!(self.reopen().await, "a log opens after any crash");
    }

    /// Opens the log; it must hold everything durable, and nothing that was never written.
    async fn reopen(&mut self) -> bool {
        let opened = match open(&self.sim, OpenMode::Existing).await {
            Ok(opened) => opened,
            Err(OpenError::Io { .. }) => return false,
            Err(error) => panic!("{error}"),
        };
        let recovered = &opened.recovered;
        let model = &mut self.model;
        assert!(
            model.durable_index <= recovered.last_index,
            "durable up to {}, recovered {}",
            model.durable_index,
            recovered.last_index
        );
        assert!(recovered.last_index <= model.last_index, "entries from nowhere");
        let hard_state = recovered.hard_state.clone();
        assert!(
            model.hard_states.contains(&hard_state),
            "hard state {hard_state:?}, written {:?}",
            model.hard_states
        );
        let mut commands = recovered.image.clone();
        commands.extend(recovered.commands.iter().map(|command| command.payload[0]));
        assert_eq!(commands, model.commands_to(recovered.last_index), "commands");
        model.truncate(recovered.last_index);
        model.hard_states = vec![hard_state];
        model.synced();
        self.log = Some(opened);
        self.check_reads().await;
        true
    }

    /// Reads everything, from the start and from places in between, and compares.
    pub(crate) async fn check_reads(&self) {
        let Some(log) = &self.log else { return };
        let reader = &log.reader;
        let (start, end) = (reader.start_offset(), reader.written_end());
        assert_eq!(end, Offset(self.model.end_offset));
        let want = self.model.records();
        for (from, bytes_max) in [(start.0, 1 << 30), (start.0, 1), ((start.0 + end.0) / 2, 9_000)]
        {
            let mut next = from;
            while next < end.0 {
                let request =
                    ReadRequest { from: Offset(next), end, bytes_max, records_max: usize::MAX };
                let Ok(batches) = reader.read(&request).await else { return };
                assert!(!batches.is_empty(), "nothing at {next} of {end}");
                let from = Offset(next);
                for record in batches.iter().flat_map(|batch| batch.records_from(from)) {
                    assert_eq!(record.offset.0, next, "a gap or a repetition");
                    assert_eq!(record.data, want[&next], "offset {next}");
                    next += 1;
                }
            }
        }
    }
}

impl Model {
    fn new() -> Model {
        Model {
            entries: BTreeMap::new(),
            end_offset: 0,
            last_index: 0,
            durable_index: 0,
            hard_states: vec![Vec::new()],
            image_index: 0,
        }
    }

    fn push(&mut self, entry: Known) {
        if let Known::Records { data, .. } = &entry {
            self.end_offset += data.len() as u64;
        }
        self.last_index += 1;
        self.entries.insert(self.last_index, entry);
    }

    fn synced(&mut self) {
        self.durable_index = self.last_index;
        if let Some(last) = self.hard_states.pop() {
            self.hard_states = vec![last];
        }
    }

    fn truncate(&mut self, index: u64) {
        self.entries.split_off(&(index + 1));
        self.last_index = index;
        self.durable_index = self.durable_index.min(index);
        let records = self.entries.values().rev().find_map(|entry| match entry {
            Known::Records { first, data } => Some(first + data.len() as u64),
            Known::Command(_) => None,
        });
        self.end_offset = records.unwrap_or(0);
        self.image_index = self.image_index.min(index);
    }

    /// The last index before the record at `offset`.
    fn index_at(&self, offset: u64) -> u64 {
        let before = self.entries.iter().filter(|(_, entry)| match entry {
            Known::Records { first, .. } => *first < offset,
            Known::Command(_) => false,
        });
        before.map(|(index, _)| *index).max().unwrap_or(0)
    }

    fn commands_to(&self, index: u64) -> Vec<u8> {
        let commands = self.entries.range(..=index).filter_map(|(_, entry)| match entry {
            Known::Command(byte) => Some(*byte),
            Known::Records { .. } => None,
        });
        commands.collect()
    }

    fn records(&self) -> BTreeMap<u64, &[u8]> {
        let records = self.entries.values().flat_map(|entry| match entry {
            Known::Records { first, data } => {
                (*first..).zip(data.iter().map(Vec::as_slice)).collect::<Vec<_>>()
            }
            Known::Command(_) => Vec::new(),
        });
        records.collect()
    }
}

pub(crate) fn segment_path(number: u64) -> PathBuf {
    directory().join(Path::new(&format!("{number:020}.segment")))
}
