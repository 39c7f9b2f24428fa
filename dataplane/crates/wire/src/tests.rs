use model::{HashKey, Offset, Passed, ShardId, ShardLoad, UnixMillis};
use proptest::prelude::*;

use super::*;

fn shard() -> impl Strategy<Value = ShardRef> {
    any::<(u64, u32)>().prop_map(|(stream, shard)| ShardRef { stream, shard: ShardId(shard) })
}

fn offset() -> impl Strategy<Value = Offset> {
    (0..=i64::MAX as u64).prop_map(Offset)
}

fn bytes() -> impl Strategy<Value = Bytes> {
    proptest::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from)
}

fn call() -> impl Strategy<Value = Call> {
    let text = "[a-z]{0,128}";
    prop_oneof![
        any::<(u16, u16)>().prop_map(|(oldest, newest)| Call::Hello { oldest, newest }),
        (shard(), any::<u32>(), bytes()).prop_map(|(shard, record_count, records)| Call::Append {
            shard,
            record_count,
            records
        }),
        (shard(), offset(), any::<(u32, u32, bool)>()).prop_map(
            |(shard, from, (bytes_max, records_max, is_charged))| {
                Call::Read(Read { shard, from, bytes_max, records_max, is_charged })
            }
        ),
        (shard(), any::<u64>())
            .prop_map(|(shard, at)| Call::OffsetAt { shard, timestamp: UnixMillis(at) }),
        shard().prop_map(Call::StartOffset),
        shard().prop_map(Call::Follow),
        (shard(), text, any::<(u64, u64)>()).prop_map(|(shard, consumer, (holder, vacant_for))| {
            Call::Claim { shard, consumer, holder, vacant_for }
        }),
        (shard(), text, any::<u64>()).prop_map(|(shard, consumer, holder)| Call::Release {
            shard,
            consumer,
            holder
        }),
        (shard(), text).prop_map(|(shard, name)| Call::Checkpoint { shard, name }),
        (shard(), text, any::<u64>(), text, offset()).prop_map(
            |(shard, consumer, holder, name, next)| {
                Call::SetCheckpoint { shard, consumer, holder, name, next }
            }
        ),
        (shard(), text).prop_map(|(shard, consumer)| Call::ForgetConsumer { shard, consumer }),
        shard().prop_map(Call::Open),
        (shard(), any::<u64>()).prop_map(|(shard, at)| Call::Close { shard, at: UnixMillis(at) }),
        shard().prop_map(Call::Remove),
        Just(Call::Look),
        (shard(), any::<(u64, u64)>(), proptest::collection::vec(hash_key(), 0..20)).prop_map(
            |(shard, (bytes, records), samples)| {
                Call::Passed { shard, passed: Passed { bytes, records, samples } }
            }
        ),
        (shard(), any::<u64>()).prop_map(|(shard, quiet_for)| Call::Load { shard, quiet_for }),
    ]
}

fn hash_key() -> impl Strategy<Value = HashKey> {
    any::<u128>().prop_map(HashKey)
}

fn load() -> impl Strategy<Value = ShardLoad> {
    (any::<(u64, u64, bool)>(), proptest::option::of(hash_key())).prop_map(
        |((bytes_per_second, records_per_second, is_settled), median)| ShardLoad {
            bytes_per_second,
            records_per_second,
            median,
            is_settled,
        },
    )
}

fn refusal() -> impl Strategy<Value = Refusal> {
    prop_oneof![
        Just(Refusal::Closed),
        any::<u64>().prop_map(Refusal::Throttled),
        Just(Refusal::DiskFull),
        "\\PC{0,100}".prop_map(Refusal::Failed),
        Just(Refusal::NotHere),
        any::<u32>().prop_map(Refusal::NoKey),
        Just(Refusal::TooManyConsumers),
        Just(Refusal::NotHeld),
    ]
}

fn progress() -> impl Strategy<Value = Progress> {
    let closed = proptest::option::of(1u64..);
    (offset(), any::<u64>(), closed, proptest::option::of(refusal())).prop_map(
        |(commit_end, tip, closed, unavailable)| Progress {
            commit_end,
            tip_timestamp: UnixMillis(tip),
            closed_at: closed.map(UnixMillis),
            unavailable,
        },
    )
}

fn batch() -> impl Strategy<Value = ReceivedBatch> {
    (offset(), any::<(u64, bool)>(), bytes()).prop_map(|(base_offset, (at, is_sealed), payload)| {
        let timestamp = UnixMillis(at);
        ReceivedBatch { base_offset, timestamp, is_sealed, payload }
    })
}

fn reply() -> impl Strategy<Value = Reply> {
    let records = (offset(), offset(), progress(), proptest::collection::vec(batch(), 0..5));
    prop_oneof![
        any::<u16>().prop_map(Reply::Hello),
        (offset(), any::<u64>())
            .prop_map(|(first, at)| Reply::Appended { first, timestamp: UnixMillis(at) }),
        records.prop_map(|(from, end, progress, batches)| {
            Reply::Records(Records { from, end, progress, batches })
        }),
        offset().prop_map(Reply::Offset),
        progress().prop_map(Reply::Progress),
        (offset(), any::<u64>()).prop_map(|(end, at)| Reply::Closed { end, at: UnixMillis(at) }),
        Just(Reply::Done),
        any::<bool>().prop_map(|is_wanted| Reply::Claimed { is_wanted }),
        proptest::option::of(offset()).prop_map(Reply::Checkpoint),
        any::<bool>().prop_map(|refused| Reply::Node { is_io_uring_refused: refused }),
        proptest::option::of(load()).prop_map(Reply::Load),
        refusal().prop_map(Reply::Refused),
    ]
}

/// A call's frame in one piece.
fn whole(call: &Call, id: u64) -> BytesMut {
    let mut frame = BytesMut::new();
    frame.put(call.encode(id));
    frame
}

proptest! {
    #[test]
    fn calls_and_replies_come_back_as_they_went(
        calls in proptest::collection::vec((call(), reply()), 1..5), cut in any::<usize>()
    ) {
        let mut sent = BytesMut::new();
        for (id, (call, reply)) in (7..).zip(&calls) {
            sent.put(call.encode(id));
            sent.put(reply.encode(id));
        }
        // They arrive in two pieces, cut anywhere.
        let rest = sent.split_off(cut % (sent.len() + 1));
        let mut buffer = sent;
        let mut frames = Vec::new();
        while let Some(frame) = Frame::take(&mut buffer).unwrap() {
            frames.push(frame);
        }
        buffer.unsplit(rest);
        while let Some(frame) = Frame::take(&mut buffer).unwrap() {
            frames.push(frame);
        }
        prop_assert!(buffer.is_empty());
        for ((id, (call, reply)), pair) in (7..).zip(calls).zip(frames.chunks(2)) {
            prop_assert_eq!((pair[0].id, pair[1].id), (id, id));
            prop_assert_eq!(pair[0].clone().call(), Ok(call));
            prop_assert_eq!(pair[1].clone().reply(), Ok(reply));
        }
    }

    #[test]
    fn junk_is_refused_and_never_panics(kind in any::<u8>(), body in bytes()) {
        let frame = Frame { id: 1, kind, body };
        let _ = frame.clone().call();
        let _ = frame.reply();
    }

    #[test]
    fn a_frame_that_is_cut_short_or_goes_on_is_refused(call in call(), cut in any::<usize>()) {
        let mut encoded = whole(&call, 1);
        let frame = Frame::take(&mut encoded).unwrap().unwrap();
        let mut longer = frame.body.to_vec();
        longer.push(0);
        let longer = Frame { body: longer.into(), ..frame.clone() };
        prop_assert!(longer.call().is_err());
        if !frame.body.is_empty() {
            let shorter = Frame { body: frame.body.slice(..cut % frame.body.len()), ..frame };
            prop_assert!(shorter.call().is_err());
        }
    }
}

#[test]
fn offsets_that_counting_on_would_overflow_are_refused() {
    for (last, is_taken) in [(i64::MAX as u64, true), (u64::MAX, false)] {
        let reply = Reply::Appended { first: Offset(last), timestamp: UnixMillis(1) };
        let mut encoded = BytesMut::from(&reply.encode(1)[..]);
        let frame = Frame::take(&mut encoded).unwrap().unwrap();
        assert_eq!(frame.reply().is_ok(), is_taken);
    }
}

#[test]
fn the_bytes_of_version_1_are_these() {
    let shard = ShardRef { stream: 0x0102_0304_0506_0708, shard: ShardId(9) };
    let call = Call::Append { shard, record_count: 1, records: Bytes::from_static(b"xyz") };
    let hex: String = whole(&call, 5).iter().map(|byte| format!("{byte:02x}")).collect();
    let head = concat!("20000000", "0500000000000000", "02");
    assert_eq!(hex, format!("{head}0807060504030201090000000100000003000000{}", "78797a"));
}

#[test]
fn more_samples_than_a_shard_keeps_are_refused() {
    let shard = ShardRef { stream: 1, shard: ShardId(2) };
    let samples = vec![HashKey(7); SAMPLES_MAX + 1];
    let passed = Passed { bytes: 1, records: 1, samples };
    let mut encoded = whole(&Call::Passed { shard, passed }, 1);
    let frame = Frame::take(&mut encoded).unwrap().unwrap();
    let Ok(Call::Passed { passed, .. }) = frame.clone().call() else { panic!("{frame:?}") };
    assert_eq!(passed.samples.len(), SAMPLES_MAX, "no more are sent");
    // Behind the shard and two sums is their number.
    let mut more = frame.body.to_vec();
    let count = u16::try_from(SAMPLES_MAX + 1).unwrap();
    more[28..30].copy_from_slice(&count.to_le_bytes());
    more.extend([0; 16]);
    assert!(Frame { body: more.into(), ..frame }.call().is_err());
}

#[test]
fn no_memory_is_taken_for_a_frame_that_is_too_long() {
    let mut buffer = BytesMut::from(&u32::MAX.to_le_bytes()[..]);
    assert_eq!(Frame::take(&mut buffer), Err(DecodeError::TooLong(u32::MAX as usize)));
}
