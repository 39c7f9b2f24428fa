//! A handle for a shard on another node.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::time::{Duration, Instant};
use wire::{Call, Refusal, Reply, ShardRef};

use super::client::{Peer, PeerError};
use super::convert;
use crate::error::{AppendError, ReadError, Unavailable};
use crate::handle::{Appended, Committed, Progress, Read, ReadRequest, ShardHandle, Write};
use crate::leases::{Claim, Lease};
use crate::machine::{Command, Machine};

/// As for a shard of this process.
const MAILBOX_MESSAGES_MAX: usize = 1024;
/// Calls on one shard that may be under way.
const CALLS_MAX: usize = 128;
/// How long a shard may take until it is on its node, which may be starting.
const ARRIVAL_WAIT_MAX: Duration = Duration::from_secs(10);
const ARRIVAL_PAUSE: Duration = Duration::from_millis(50);
/// After a lost connection, how long until the shard is followed again.
const FOLLOW_PAUSE: Duration = Duration::from_millis(200);

/// A handle for a shard that `peer` holds. Must be called within a runtime.
///
/// It is as good as one of this process, with three differences: settings it is given go nowhere,
/// because the node has them from the catalog; a put whose connection is lost may or may not have been
/// carried out; and its progress is what was last heard, from when somebody first looked.
#[must_use]
pub fn remote(peer: Peer, shard: ShardRef) -> ShardHandle {
    let (writes, write_mailbox) = mpsc::channel(MAILBOX_MESSAGES_MAX);
    let (reads, read_mailbox) = mpsc::channel(MAILBOX_MESSAGES_MAX);
    let (sender, progress) = watch::channel(Progress::default());
    let (proxy, looked_at) = (Proxy { peer, shard }, Arc::new(Notify::new()));
    tokio::spawn(proxy.clone().run(write_mailbox, read_mailbox));
    tokio::spawn(proxy.follow(Arc::clone(&looked_at), sender));
    ShardHandle { writes, reads, progress, looked_at: Some(looked_at) }
}

#[derive(Clone)]
struct Proxy {
    peer: Peer,
    shard: ShardRef,
}

impl Proxy {
    /// Forwards until the last handle is gone.
    async fn run(self, mut writes: mpsc::Receiver<Write>, mut reads: mpsc::Receiver<Read>) {
        let slots = Arc::new(Semaphore::new(CALLS_MAX));
        loop {
            let slot = Arc::clone(&slots).acquire_owned().await.expect("never closed");
            let proxy = self.clone();
            tokio::select! {
                write = writes.recv() => {
                    let Some(write) = write else { return };
                    tokio::spawn(async move {
                        proxy.write(write).await;
                        drop(slot);
                    });
                }
                read = reads.recv() => {
                    let Some(read) = read else { return };
                    tokio::spawn(async move {
                        proxy.read(read).await;
                        drop(slot);
                    });
                }
            }
        }
    }

    /// Keeps up with the shard while there is a handle, from when somebody first wants to know: those
    /// who only put do not, and each change is a message.
    async fn follow(self, looked_at: Arc<Notify>, progress: watch::Sender<Progress>) {
        tokio::select! {
            () = looked_at.notified() => {}
            () = progress.closed() => return,
        }
        while !progress.is_closed() {
            if let Ok(mut news) = self.peer.follow(self.shard).await {
                loop {
                    tokio::select! {
                        changed = news.changed() => if changed.is_err() { break },
                        () = progress.closed() => return,
                    }
                    let now = convert::heard(news.borrow_and_update().clone());
                    progress.send_replace(now);
                }
            }
            tokio::time::sleep(FOLLOW_PAUSE).await;
        }
    }

    /// Calls, again while the shard is on its way to its node: nothing was done then. A read is not made
    /// again, as [`Peer::call`] says why.
    async fn call(&self, call: Call) -> Result<Reply, PeerError> {
        let is_read = matches!(call, Call::Read(_));
        let wait_max = if is_read { Duration::ZERO } else { ARRIVAL_WAIT_MAX };
        let deadline = Instant::now() + wait_max;
        loop {
            match self.peer.call(call.clone()).await {
                Ok(Reply::Refused(Refusal::NotHere)) if Instant::now() < deadline => {
                    tokio::time::sleep(ARRIVAL_PAUSE).await;
                }
                answer => return answer,
            }
        }
    }

    async fn write(&self, write: Write) {
        match write {
            Write::Append { records, reply } => {
                let record_count = records.record_count();
                let records = Bytes::from(records.into_payload());
                let call = Call::Append { shard: self.shard, record_count, records };
                let appended = match self.call(call).await {
                    Ok(Reply::Appended { first, timestamp }) => Ok(Appended { first, timestamp }),
                    other => Err(convert::append_error(refusal(other))),
                };
                let _ = reply.send(appended);
            }
            Write::Command { command, lease, reply } => {
                let _ = reply.send(self.command(command, lease).await);
            }
            Write::Claim { lease, vacant_for, reply } => {
                let vacant_for = u64::try_from(vacant_for.as_millis()).unwrap_or(u64::MAX);
                let Lease { consumer, holder } = lease;
                let call = Call::Claim { shard: self.shard, consumer, holder, vacant_for };
                let claim = match self.call(call).await {
                    Ok(Reply::Claimed { is_wanted }) => Ok(Claim::Granted { is_wanted }),
                    Ok(Reply::Refused(Refusal::NotHeld)) => Ok(Claim::Held),
                    other => Err(convert::append_error(refusal(other))),
                };
                let _ = reply.send(claim);
            }
            Write::Release { lease: Lease { consumer, holder } } => {
                let released = self.call(Call::Release { shard: self.shard, consumer, holder });
                // What was not released runs out.
                let _ = released.await;
            }
            Write::Checkpoint { name, reply } => {
                let checkpoint = self.call(Call::Checkpoint { shard: self.shard, name });
                let _ = reply.send(match checkpoint.await {
                    Ok(Reply::Checkpoint(next)) => Ok(next),
                    other => Err(convert::append_error(refusal(other))),
                });
            }
            // Its node knows better.
            Write::Configure(_) | Write::TailBytesMax(_) => {}
            Write::Stop { reply } => drop(reply.send(())),
        }
    }

    async fn command(
        &self,
        command: Command,
        lease: Option<Lease>,
    ) -> Result<Committed, AppendError> {
        let shard = self.shard;
        let call = match command {
            Command::Close { at } => Call::Close { shard, at: model::UnixMillis(at) },
            Command::Checkpoint { consumer: name, next } => {
                let Lease { consumer, holder } = lease.ok_or(AppendError::NotHeld)?;
                let next = model::Offset(next);
                Call::SetCheckpoint { shard, consumer, holder, name, next }
            }
            Command::Forget { consumer } => Call::ForgetConsumer { shard, consumer },
        };
        match self.call(call).await {
            Ok(Reply::Closed { end, at }) => {
                Ok(Committed { end, machine: Machine::closed(Some(at)) })
            }
            Ok(Reply::Done) => {
                Ok(Committed { end: model::Offset::default(), machine: Machine::default() })
            }
            other => Err(convert::append_error(refusal(other))),
        }
    }

    async fn read(&self, read: Read) {
        match read {
            Read::Records { request, reply } => {
                let call = Call::Read(self.request(&request));
                let answer = match self.call(call).await {
                    Ok(Reply::Records(records)) => Ok(convert::reply(records, &request)),
                    other => Err(convert::read_error(refusal(other))),
                };
                let _ = reply.send(answer);
            }
            Read::OffsetAt { timestamp, reply } => {
                let call = Call::OffsetAt { shard: self.shard, timestamp };
                let _ = reply.send(self.offset(call).await);
            }
            Read::Start { reply } => {
                let _ = reply.send(self.offset(Call::StartOffset(self.shard)).await);
            }
        }
    }

    fn request(&self, request: &ReadRequest) -> wire::Read {
        wire::Read {
            shard: self.shard,
            from: request.from,
            bytes_max: u32::try_from(request.bytes_max).unwrap_or(u32::MAX),
            records_max: u32::try_from(request.records_max).unwrap_or(u32::MAX),
            is_charged: request.charged,
        }
    }

    async fn offset(&self, call: Call) -> Result<model::Offset, ReadError> {
        match self.call(call).await {
            Ok(Reply::Offset(offset)) => Ok(offset),
            other => Err(convert::read_error(refusal(other))),
        }
    }
}

/// Why there was no other answer.
fn refusal(answer: Result<Reply, PeerError>) -> Refusal {
    match answer {
        Ok(Reply::Refused(refusal)) => refusal,
        Ok(other) => Refusal::Failed(format!("its node answered {other:?}")),
        Err(error) => Refusal::Failed(error.to_string()),
    }
}

impl From<PeerError> for Unavailable {
    fn from(error: PeerError) -> Unavailable {
        Unavailable::Failed(error.to_string().into())
    }
}
