//! Between what a shard says and what goes over the wire.

use std::time::Duration;

use shard_log::Batch;
use wire::{ReceivedBatch, Records, Refusal};

use crate::error::{AppendError, ReadError, Unavailable};
use crate::handle::{Progress, ReadReply, ReadRequest};
use crate::machine::Machine;

pub(super) fn refusal_of_append(error: AppendError) -> Refusal {
    match error {
        AppendError::Closed => Refusal::Closed,
        AppendError::Throttled(pause) => Refusal::Throttled(millis(pause)),
        AppendError::Unavailable(why) => refusal(why),
        AppendError::NoKey(number) => Refusal::NoKey(number),
        AppendError::TooManyConsumers => Refusal::TooManyConsumers,
        AppendError::NotHeld => Refusal::NotHeld,
    }
}

pub(super) fn refusal_of_read(error: ReadError) -> Refusal {
    match error {
        ReadError::Throttled(pause) => Refusal::Throttled(millis(pause)),
        ReadError::NoKey(number) => Refusal::NoKey(number),
        ReadError::Unavailable(why) => refusal(why),
    }
}

pub(super) fn refusal(why: Unavailable) -> Refusal {
    match why {
        Unavailable::DiskFull => Refusal::DiskFull,
        Unavailable::Failed(why) => Refusal::Failed(why.to_string()),
        Unavailable::Stopped => Refusal::NotHere,
    }
}

pub(super) fn append_error(refusal: Refusal) -> AppendError {
    match refusal {
        Refusal::Closed => AppendError::Closed,
        Refusal::Throttled(millis) => AppendError::Throttled(Duration::from_millis(millis)),
        Refusal::NoKey(number) => AppendError::NoKey(number),
        Refusal::TooManyConsumers => AppendError::TooManyConsumers,
        Refusal::NotHeld => AppendError::NotHeld,
        other => AppendError::Unavailable(unavailable(other)),
    }
}

pub(super) fn read_error(refusal: Refusal) -> ReadError {
    match refusal {
        Refusal::Throttled(millis) => ReadError::Throttled(Duration::from_millis(millis)),
        Refusal::NoKey(number) => ReadError::NoKey(number),
        other => ReadError::Unavailable(unavailable(other)),
    }
}

pub(super) fn unavailable(refusal: Refusal) -> Unavailable {
    match refusal {
        Refusal::DiskFull => Unavailable::DiskFull,
        Refusal::Failed(why) => Unavailable::Failed(why.into()),
        Refusal::NotHere => Unavailable::Failed("it is not on its node yet".into()),
        Refusal::Closed => Unavailable::Failed("it is closed".into()),
        Refusal::Throttled(_) => Unavailable::Failed("it is throttled".into()),
        Refusal::NoKey(number) => Unavailable::Failed(format!("no data key {number}").into()),
        Refusal::TooManyConsumers => Unavailable::Failed("too many consumers".into()),
        Refusal::NotHeld => Unavailable::Failed("a lease is somebody else's".into()),
    }
}

pub(super) fn told(progress: &Progress) -> wire::Progress {
    wire::Progress {
        commit_end: progress.commit_end,
        tip_timestamp: progress.tip_timestamp,
        closed_at: progress.machine.closed_at(),
        unavailable: progress.unavailable.clone().map(refusal),
    }
}

/// Checkpoints stay where the shard is.
pub(super) fn heard(progress: wire::Progress) -> Progress {
    Progress {
        commit_end: progress.commit_end,
        tip_timestamp: progress.tip_timestamp,
        machine: Machine::closed(progress.closed_at),
        unavailable: progress.unavailable.map(unavailable),
    }
}

pub(super) fn records(reply: &ReadReply) -> Records {
    let batch = |batch: &Batch| ReceivedBatch {
        base_offset: batch.header().base_offset,
        timestamp: batch.header().timestamp,
        is_sealed: batch.is_sealed(),
        payload: batch.payload().clone(),
    };
    Records {
        from: reply.from,
        end: reply.end,
        progress: told(&reply.progress),
        batches: reply.batches.iter().map(batch).collect(),
    }
}

pub(super) fn reply(records: Records, request: &ReadRequest) -> ReadReply {
    let batch = |batch: ReceivedBatch| {
        Batch::received(batch.base_offset, batch.timestamp, batch.is_sealed, batch.payload)
    };
    ReadReply {
        batches: records.batches.into_iter().map(batch).collect(),
        from: records.from,
        end: records.end,
        bytes_max: request.bytes_max,
        records_max: request.records_max,
        progress: heard(records.progress),
        _reservation: None,
    }
}

fn millis(pause: Duration) -> u64 {
    u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)
}
