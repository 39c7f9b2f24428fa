//! The node's side: calls are carried out as they come, and answered as they are done.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use model::{Passed, ShardLoad};
use shard_log::RecordBuffer;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufWriter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use wire::{Call, FRAME_BYTES_MAX, Refusal, Reply, ShardRef};

use super::{Connection, Pending, READ_BYTES, convert, invalid, next_frame};
use crate::handle::{ReadRequest, ShardHandle};
use crate::leases::{Claim, Lease};

/// Calls of one connection that may be under way, those that follow a shard excepted.
const CALLS_MAX: usize = 1024;
/// Shards that one connection may follow.
const FOLLOWED_MAX: usize = 20_000;
/// Replies that wait to be written.
const REPLIES_MAX: usize = 256;
/// Replies below this are gathered while they are ready.
const WRITE_BYTES: usize = 1 << 14;
/// Between two words about how far a shard has come: far less than a subscriber would notice.
const NEWS_PAUSE: Duration = Duration::from_millis(1);
/// How long a caller may take to say what it speaks.
const HELLO_WAIT_MAX: Duration = Duration::from_secs(10);

/// Where the shards are that calls are about.
pub trait Host: Send + Sync + 'static {
    /// A shard that runs here.
    fn shard(&self, shard: ShardRef) -> Option<ShardHandle>;

    /// Makes a shard's log, if it is not there, and runs it.
    fn open(&self, shard: ShardRef) -> Pending<'_, Result<(), Refusal>>;

    /// Whether io_uring is refused here.
    fn is_io_uring_refused(&self) -> bool;

    /// Counts what a gateway has passed on to a shard.
    fn passed(&self, shard: ShardRef, passed: Passed);

    /// What a shard was asked to take since the last look; `None` the first time.
    fn load(&self, shard: ShardRef, quiet_for: Duration) -> Option<ShardLoad>;

    /// Removes a shard's log; one that is not there is removed.
    fn remove(&self, shard: ShardRef) -> Pending<'_, Result<(), Refusal>>;
}

/// What connections are served with. Clones share the memory.
#[derive(Clone)]
pub struct ServeOptions {
    host: Arc<dyn Host>,
    /// One permit for each KiB of calls under way.
    call_memory: Arc<Semaphore>,
    /// One for each KiB of replies that have not been written.
    reply_memory: Arc<Semaphore>,
    /// Whether callers may make, close and remove shards.
    may_manage: bool,
}

impl ServeOptions {
    /// Serves the shards of `host`, with at most this much memory each for calls and for replies.
    #[must_use]
    pub fn new(host: Arc<dyn Host>, bytes_max: usize) -> ServeOptions {
        let memory = || Arc::new(Semaphore::new(bytes_max.max(2 * FRAME_BYTES_MAX) / 1024));
        ServeOptions { host, call_memory: memory(), reply_memory: memory(), may_manage: true }
    }

    /// The same for callers who read, put and remember, and may do nothing else.
    #[must_use]
    pub fn for_readers(self) -> ServeOptions {
        ServeOptions { may_manage: false, ..self }
    }
}

/// A reply's frame, and the memory it is allowed.
type Outgoing = (Bytes, Option<OwnedSemaphorePermit>);

/// Serves one connection until it ends.
///
/// # Errors
/// What ended it, unless the caller did.
pub async fn serve(options: ServeOptions, connection: Box<dyn Connection>) -> io::Result<()> {
    let (mut input, output) = tokio::io::split(connection);
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    let (replies, outgoing) = mpsc::channel(REPLIES_MAX);
    let greeted = async {
        let frame = next_frame(&mut input, &mut buffer).await?;
        frame.ok_or_else(|| invalid("no greeting"))
    };
    let hello = tokio::time::timeout(HELLO_WAIT_MAX, greeted).await??;
    let id = hello.id;
    match hello.call().map_err(invalid)? {
        Call::Hello { oldest, newest } if (oldest..=newest).contains(&wire::VERSION) => {
            let _ = replies.send((Reply::Hello(wire::VERSION).encode(id), None)).await;
        }
        other => return Err(invalid(format!("{other:?}; this speaks version {}", wire::VERSION))),
    }
    let mut served = Served { options, replies, calls: JoinSet::new(), follows: JoinSet::new() };
    // What is under way is given up with the connection: nobody is left to be told.
    tokio::select! {
        ended = served.take_calls(&mut input, buffer) => ended,
        ended = write_replies(output, outgoing) => ended,
    }
}

struct Served {
    options: ServeOptions,
    replies: mpsc::Sender<Outgoing>,
    calls: JoinSet<()>,
    follows: JoinSet<()>,
}

impl Served {
    async fn take_calls(
        &mut self,
        input: &mut (impl AsyncRead + Unpin),
        mut buffer: BytesMut,
    ) -> io::Result<()> {
        while let Some(frame) = next_frame(input, &mut buffer).await? {
            let id = frame.id;
            let call = frame.call().map_err(invalid)?;
            if let Call::Follow(shard) = call {
                while self.follows.try_join_next().is_some() {}
                if FOLLOWED_MAX <= self.follows.len() {
                    return Err(invalid("too many shards are followed"));
                }
                let (options, replies) = (self.options.clone(), self.replies.clone());
                self.follows.spawn(async move { follow(&options, shard, id, &replies).await });
                continue;
            }
            let memory = reserve(&self.options.call_memory, call_bytes(&call)).await;
            while CALLS_MAX <= self.calls.len() {
                self.calls.join_next().await;
            }
            while self.calls.try_join_next().is_some() {}
            let (options, replies) = (self.options.clone(), self.replies.clone());
            self.calls.spawn(async move {
                let (reply, allowed) = answer(&options, call).await;
                drop(memory);
                let _ = replies.send((reply.encode(id), allowed)).await;
            });
        }
        Ok(())
    }
}

fn call_bytes(call: &Call) -> usize {
    match call {
        Call::Append { records, .. } => records.len(),
        _ => 1024,
    }
}

async fn reserve(memory: &Arc<Semaphore>, bytes: usize) -> OwnedSemaphorePermit {
    let kib = u32::try_from(bytes.div_ceil(1024)).expect("frames are bounded");
    Arc::clone(memory).acquire_many_owned(kib).await.expect("the budget is never closed")
}

/// Carries out one call. With the reply comes the memory that it is allowed until it is written.
async fn answer(options: &ServeOptions, call: Call) -> (Reply, Option<OwnedSemaphorePermit>) {
    let refused = |refusal| (Reply::Refused(refusal), None);
    let host = &options.host;
    let with = |shard: ShardRef| host.shard(shard).ok_or(Refusal::NotHere);
    let done = |result: Result<(), Refusal>| match result {
        Ok(()) => (Reply::Done, None),
        Err(refusal) => (Reply::Refused(refusal), None),
    };
    let manages = matches!(
        call,
        Call::Open(_)
            | Call::Close { .. }
            | Call::Remove(_)
            | Call::ForgetConsumer { .. }
            | Call::Passed { .. }
            | Call::Load { .. }
    );
    if manages && !options.may_manage {
        return refused(Refusal::Failed("not for who only reads and puts".into()));
    }
    match call {
        Call::Hello { .. } | Call::Follow(_) => refused(Refusal::Failed("out of place".into())),
        Call::Look => {
            let is_io_uring_refused = host.is_io_uring_refused();
            (Reply::Node { is_io_uring_refused }, None)
        }
        Call::Passed { shard, passed } => {
            host.passed(shard, passed);
            (Reply::Done, None)
        }
        Call::Load { shard, quiet_for } => {
            (Reply::Load(host.load(shard, Duration::from_millis(quiet_for))), None)
        }
        Call::Open(shard) => done(host.open(shard).await),
        Call::Remove(shard) => done(host.remove(shard).await),
        Call::Read(read) => match with(read.shard) {
            Err(refusal) => refused(refusal),
            Ok(handle) => read_records(options, &handle, &read).await,
        },
        Call::Append { shard, record_count, records } => match with(shard) {
            Err(refusal) => refused(refusal),
            Ok(handle) => (append(&handle, record_count, records).await, None),
        },
        Call::OffsetAt { shard, timestamp } => match with(shard) {
            Err(refusal) => refused(refusal),
            Ok(handle) => (offset(handle.offset_at(timestamp).await), None),
        },
        Call::StartOffset(shard) => match with(shard) {
            Err(refusal) => refused(refusal),
            Ok(handle) => (offset(handle.start_offset().await), None),
        },
        Call::Claim { shard, consumer, holder, vacant_for } => match with(shard) {
            Err(refusal) => refused(refusal),
            Ok(handle) => {
                let lease = Lease { consumer, holder };
                match handle.claim(&lease, Duration::from_millis(vacant_for)).await {
                    Ok(Claim::Granted { is_wanted }) => (Reply::Claimed { is_wanted }, None),
                    Ok(Claim::Held) => refused(Refusal::NotHeld),
                    Err(error) => refused(convert::refusal_of_append(error)),
                }
            }
        },
        Call::Release { shard, consumer, holder } => match with(shard) {
            Err(refusal) => refused(refusal),
            Ok(handle) => {
                handle.release(&Lease { consumer, holder });
                (Reply::Done, None)
            }
        },
        Call::Checkpoint { shard, name } => match with(shard) {
            Err(refusal) => refused(refusal),
            Ok(handle) => match handle.checkpoint(&name).await {
                Ok(next) => (Reply::Checkpoint(next), None),
                Err(error) => refused(convert::refusal_of_append(error)),
            },
        },
        Call::SetCheckpoint { shard, consumer, holder, name, next } => match with(shard) {
            Err(refusal) => refused(refusal),
            Ok(handle) => {
                let set = handle.set_checkpoint(&Lease { consumer, holder }, &name, next).await;
                done(set.map_err(convert::refusal_of_append))
            }
        },
        Call::ForgetConsumer { shard, consumer } => match with(shard) {
            Err(refusal) => refused(refusal),
            Ok(handle) => {
                let forgotten = handle.forget_consumer(&consumer).await;
                done(forgotten.map_err(convert::refusal_of_append))
            }
        },
        Call::Close { shard, at } => match with(shard) {
            Err(refusal) => refused(refusal),
            Ok(handle) => match handle.close(at).await {
                Ok((end, at)) => (Reply::Closed { end, at }, None),
                Err(why) => refused(convert::refusal(why)),
            },
        },
    }
}

async fn append(handle: &ShardHandle, record_count: u32, records: Bytes) -> Reply {
    let Some(records) = RecordBuffer::from_encoded(records.into(), record_count) else {
        return Reply::Refused(Refusal::Failed("the records do not parse".into()));
    };
    match handle.append(records).await {
        Ok(appended) => Reply::Appended { first: appended.first, timestamp: appended.timestamp },
        Err(error) => Reply::Refused(convert::refusal_of_append(error)),
    }
}

async fn read_records(
    options: &ServeOptions,
    handle: &ShardHandle,
    read: &wire::Read,
) -> (Reply, Option<OwnedSemaphorePermit>) {
    // A reply may pass its limit by one record; and a batch is sent whole.
    let most = (read.bytes_max as usize).saturating_mul(2).clamp(1 << 20, FRAME_BYTES_MAX);
    let allowed = reserve(&options.reply_memory, most).await;
    let request = ReadRequest {
        from: read.from,
        bytes_max: read.bytes_max as usize,
        records_max: read.records_max as usize,
        wait: Duration::ZERO,
        charged: read.is_charged,
    };
    match handle.read(request).await {
        Ok(reply) => (Reply::Records(convert::records(&reply)), Some(allowed)),
        Err(error) => (Reply::Refused(convert::refusal_of_read(error)), None),
    }
}

fn offset(found: Result<model::Offset, crate::ReadError>) -> Reply {
    match found {
        Ok(offset) => Reply::Offset(offset),
        Err(error) => Reply::Refused(convert::refusal_of_read(error)),
    }
}

/// Tells how far a shard has come, until it stops or nobody listens.
async fn follow(
    options: &ServeOptions,
    shard: ShardRef,
    id: u64,
    replies: &mpsc::Sender<Outgoing>,
) {
    let Some(handle) = options.host.shard(shard) else {
        let _ = replies.send((Reply::Refused(Refusal::NotHere).encode(id), None)).await;
        return;
    };
    let mut progress = handle.follow().clone();
    loop {
        let told = convert::told(&progress.borrow_and_update());
        if replies.send((Reply::Progress(told).encode(id), None)).await.is_err() {
            return;
        }
        tokio::time::sleep(NEWS_PAUSE).await;
        if progress.changed().await.is_err() {
            let _ = replies.send((Reply::Refused(Refusal::NotHere).encode(id), None)).await;
            return;
        }
    }
}

async fn write_replies(
    output: impl AsyncWrite + Unpin,
    mut outgoing: mpsc::Receiver<Outgoing>,
) -> io::Result<()> {
    // Most replies are a few bytes: those that are ready together go together. Records go by themselves.
    let mut output = BufWriter::with_capacity(WRITE_BYTES, output);
    let mut ready = Vec::new();
    while 0 < outgoing.recv_many(&mut ready, REPLIES_MAX).await {
        for (frame, allowed) in ready.drain(..) {
            output.write_all(&frame).await?;
            drop(allowed);
        }
        output.flush().await?;
    }
    Ok(())
}
