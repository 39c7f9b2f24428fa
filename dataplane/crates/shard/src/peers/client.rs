//! A node as others see it: many calls at a time over one connection, which is made when it is needed
//! and made again when it is lost.
//!
//! A call that was sent when the connection was lost fails: nobody knows whether it was carried out.
//! One that was not sent waits for the next connection, for a bounded time; but a read does not, when the
//! last attempt to connect failed: what readers wait in (memory for their replies) is needed by others,
//! and they come again.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use wire::{Call, Progress, Reply, ShardRef};

use super::{Connect, Connection, READ_BYTES, invalid, next_frame};

/// Calls that wait to be sent.
const CALLS_MAX: usize = 256;
/// How long a call waits for a connection.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(10);
/// Between attempts to connect: this, then twice as long each time.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(50);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// The node could not be reached in time. The call was not sent.
    #[error("{0} cannot be reached")]
    Unreachable(Arc<str>),
    /// The connection was lost. Whether the call was carried out is unknown.
    #[error("the connection to {0} was lost")]
    Lost(Arc<str>),
}

/// A node. Cheap to clone; it is forgotten with its last clone.
#[derive(Clone, Debug)]
pub struct Peer {
    name: Arc<str>,
    calls: mpsc::Sender<Outgoing>,
    /// Whether the last attempt to connect and be greeted failed.
    is_down: Arc<AtomicBool>,
}

/// A call on its way.
#[derive(Debug)]
struct Outgoing {
    call: Call,
    reply_to: ReplyTo,
    deadline: Instant,
}

/// Where answers go. What is dropped without one was not sent, or got none.
#[derive(Debug)]
enum ReplyTo {
    Once(oneshot::Sender<Result<Reply, PeerError>>),
    /// Only the newest counts.
    Follow(watch::Sender<Progress>),
}

impl ReplyTo {
    fn is_closed(&self) -> bool {
        match self {
            ReplyTo::Once(reply) => reply.is_closed(),
            ReplyTo::Follow(progress) => progress.is_closed(),
        }
    }
}

impl Peer {
    /// The node that `connect` leads to. Must be called within a runtime.
    #[must_use]
    pub fn new(connect: impl Connect) -> Peer {
        let (calls, waiting) = mpsc::channel(CALLS_MAX);
        let name: Arc<str> = connect.to_string().into();
        let is_down = Arc::new(AtomicBool::new(false));
        let queue = Queue {
            name: Arc::clone(&name),
            waiting,
            unsent: VecDeque::new(),
            is_down: Arc::clone(&is_down),
        };
        tokio::spawn(queue.run(connect));
        Peer { name, calls, is_down }
    }

    /// Calls, and waits for the answer.
    ///
    /// # Errors
    /// See [`PeerError`].
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether the call is carried out.
    pub async fn call(&self, call: Call) -> Result<Reply, PeerError> {
        let (reply, answer) = oneshot::channel();
        if matches!(call, Call::Read(_)) && self.is_down.load(Ordering::Relaxed) {
            // Nobody waits for it, but it has the node tried again.
            let reply_to = ReplyTo::Once(reply);
            let _ = self.calls.try_send(Outgoing { call, reply_to, deadline: Instant::now() });
            return Err(self.unreachable());
        }
        self.send(call, ReplyTo::Once(reply)).await?;
        answer.await.unwrap_or_else(|_| Err(self.unreachable()))
    }

    fn unreachable(&self) -> PeerError {
        PeerError::Unreachable(Arc::clone(&self.name))
    }

    /// How far a shard has come, now and whenever that changes, until the connection is lost.
    pub(super) async fn follow(
        &self,
        shard: ShardRef,
    ) -> Result<watch::Receiver<Progress>, PeerError> {
        let (sender, progress) = watch::channel(Progress::default());
        self.send(Call::Follow(shard), ReplyTo::Follow(sender)).await?;
        Ok(progress)
    }

    async fn send(&self, call: Call, reply_to: ReplyTo) -> Result<(), PeerError> {
        let deadline = Instant::now() + CONNECT_WAIT_MAX;
        let outgoing = Outgoing { call, reply_to, deadline };
        match tokio::time::timeout_at(deadline, self.calls.send(outgoing)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(self.unreachable()),
        }
    }
}

/// What waits to be sent to one node.
struct Queue {
    name: Arc<str>,
    waiting: mpsc::Receiver<Outgoing>,
    /// Taken off the mailbox, but not sent yet.
    unsent: VecDeque<Outgoing>,
    is_down: Arc<AtomicBool>,
}

impl Queue {
    async fn run(mut self, connect: impl Connect) {
        let mut pause = RETRY_PAUSE_MIN;
        // A connection is made when there is something to say.
        while self.fill().await {
            let greeted = match connect.connect().await {
                Ok(connection) => greet(connection).await,
                Err(error) => Err(error),
            };
            self.is_down.store(greeted.is_err(), Ordering::Relaxed);
            match greeted {
                Ok(connection) => {
                    let started = Instant::now();
                    let ended = self.converse(connection).await;
                    tracing::debug!(peer = %self.name, why = ?ended, "a connection ended");
                    if RETRY_PAUSE_MAX < started.elapsed() {
                        pause = RETRY_PAUSE_MIN;
                    }
                }
                Err(error) => tracing::debug!(peer = %self.name, %error, "no connection"),
            }
            let now = Instant::now();
            self.unsent.retain(|outgoing| now < outgoing.deadline);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_PAUSE_MAX);
        }
    }

    /// Waits for something to send; `false` when there will be nothing any more.
    ///
    /// # Cancel safety
    /// What was taken off the mailbox stays in `unsent`.
    async fn fill(&mut self) -> bool {
        if self.unsent.is_empty() {
            let Some(outgoing) = self.waiting.recv().await else {
                return false;
            };
            self.unsent.push_back(outgoing);
        }
        while self.unsent.len() < CALLS_MAX
            && let Ok(outgoing) = self.waiting.try_recv()
        {
            self.unsent.push_back(outgoing);
        }
        true
    }

    /// Sends calls and gives out answers, until the connection ends.
    async fn converse(&mut self, greeted: Greeted) -> io::Result<()> {
        let Greeted { connection, buffer } = greeted;
        let (mut input, mut output) = tokio::io::split(connection);
        let pending = Unanswered::new(Arc::clone(&self.name));
        // Both at once: a node that waits for its answers to be read reads no calls.
        tokio::select! {
            ended = self.send_calls(&mut output, &pending) => ended,
            ended = take_replies(&mut input, buffer, &pending) => ended,
        }
    }

    async fn send_calls(
        &mut self,
        output: &mut (impl AsyncWrite + Unpin),
        pending: &Unanswered,
    ) -> io::Result<()> {
        let mut id = 0;
        while self.fill().await {
            while let Some(outgoing) = self.unsent.pop_front() {
                // Whoever asked may have gone meanwhile.
                if !outgoing.reply_to.is_closed() {
                    id += 1;
                    pending.lock().insert(id, outgoing.reply_to);
                    output.write_all_buf(&mut outgoing.call.encode(id)).await?;
                }
            }
            output.flush().await?;
        }
        Ok(())
    }
}

/// A connection whose other end has said that it speaks what we do.
struct Greeted {
    connection: Box<dyn Connection>,
    /// What came behind the greeting.
    buffer: BytesMut,
}

async fn greet(mut connection: Box<dyn Connection>) -> io::Result<Greeted> {
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    let hello = Call::Hello { oldest: wire::VERSION, newest: wire::VERSION };
    connection.write_all_buf(&mut hello.encode(0)).await?;
    connection.flush().await?;
    match next_reply(&mut connection, &mut buffer).await? {
        (0, Reply::Hello(wire::VERSION)) => Ok(Greeted { connection, buffer }),
        other => Err(invalid(format!("{other:?} instead of a greeting"))),
    }
}

/// Calls that were sent. When the connection ends they are told that it did.
struct Unanswered {
    name: Arc<str>,
    calls: Mutex<HashMap<u64, ReplyTo>>,
}

impl Unanswered {
    fn new(name: Arc<str>) -> Unanswered {
        Unanswered { name, calls: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, ReplyTo>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, id: u64, reply: Reply) {
        let mut calls = self.lock();
        match (calls.remove(&id), reply) {
            (Some(ReplyTo::Follow(sender)), Reply::Progress(progress)) => {
                let is_followed = sender.send(progress).is_ok();
                is_followed.then(|| calls.insert(id, ReplyTo::Follow(sender)));
            }
            (Some(ReplyTo::Once(sender)), reply) => drop(sender.send(Ok(reply))),
            // News of what nobody follows any more; or the end of what can be followed.
            _ => {}
        }
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        for (_, reply_to) in self.lock().drain() {
            if let ReplyTo::Once(sender) = reply_to {
                let _ = sender.send(Err(PeerError::Lost(Arc::clone(&self.name))));
            }
        }
    }
}

async fn take_replies(
    input: &mut (impl AsyncRead + Unpin),
    mut buffer: BytesMut,
    pending: &Unanswered,
) -> io::Result<()> {
    loop {
        let (id, reply) = next_reply(input, &mut buffer).await?;
        pending.answer(id, reply);
    }
}

async fn next_reply(
    input: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> io::Result<(u64, Reply)> {
    let frame = next_frame(input, buffer).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok((frame.id, frame.reply().map_err(invalid)?))
}
