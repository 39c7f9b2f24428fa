//! Damage to what was acknowledged is refused and named; a torn tail is not.

use model::{Offset, UnixMillis};
use shard_log::{OpenError, OpenMode, ReadError, ReadRequest};
use storage::sim::{Faults, Sim};

use crate::run::{LOG_ID, Run, Step, on_log_thread, open, segment_path};

/// A log of several segments, the last one with several synced batches.
async fn written() -> Run {
    let mut run = Run::new(7, Faults::default()).await;
    for _ in 0..20 {
        assert!(run.step(&Step::Append(vec![100, 3_000])).await);
        assert!(run.step(&Step::Sync).await);
    }
    run
}

async fn reopen_error(sim: &Sim) -> Option<String> {
    sim.restart();
    open(sim, OpenMode::Existing).await.err().map(|error| error.to_string())
}

/// The numbers of the segments there are.
async fn segments(sim: &Sim) -> Vec<u64> {
    use storage::Storage;
    let entries = sim.storage().list(&crate::run::directory()).await.unwrap();
    entries.iter().map(|entry| entry.name[..20].parse().unwrap()).collect()
}

#[test]
fn every_damaged_bit_of_the_active_segment_before_its_last_batch_is_refused() {
    on_log_thread(async {
        let mut run = Run::new(7, Faults::default()).await;
        for _ in 0..3 {
            assert!(run.step(&Step::Append(vec![1_000])).await);
            assert!(run.step(&Step::Sync).await);
        }
        // Head and batches at 0, 4096, 8192 and 12288; only the last could be a torn tail.
        for position in [0, 9, 30, 85, 4_096, 4_100, 4_200, 5_000, 8_192, 8_196, 8_300, 9_000] {
            run.sim.restart();
            run.sim.flip_bit(&segment_path(1), position);
            let error = reopen_error(&run.sim).await.unwrap_or_default();
            assert!(error.contains("00000000000000000001.segment: corrupt at byte"), "{error}");
            let block = position / 4_096 * 4_096;
            assert!(error.contains(&format!("byte {block}:")), "{position}: {error}");
            run.sim.flip_bit(&segment_path(1), position);
        }
        assert_eq!(reopen_error(&run.sim).await, None, "mended, it opens");
    });
}

#[test]
fn a_damaged_last_batch_is_refused_once_a_mark_follows_it() {
    on_log_thread(async {
        for marked in [false, true] {
            let mut run = Run::new(7, Faults::default()).await;
            for _ in 0..2 {
                assert!(run.step(&Step::Append(vec![1_000])).await);
                assert!(run.step(&Step::Sync).await);
            }
            if marked {
                assert!(run.step(&Step::Mark).await);
            }
            run.sim.restart();
            run.sim.flip_bit(&segment_path(1), 8_300);
            let refused = reopen_error(&run.sim).await.is_some();
            assert_eq!(refused, marked, "without a mark it looks like a torn tail");
        }
    });
}

#[test]
fn a_damaged_head_of_a_segment_with_batches_is_refused() {
    on_log_thread(async {
        let run = written().await;
        let numbers = segments(&run.sim).await;
        // The last file is prepared and not part of the log.
        for number in &numbers[1..numbers.len() - 1] {
            run.sim.restart();
            run.sim.flip_bit(&segment_path(*number), 20);
            let error = reopen_error(&run.sim).await.unwrap_or_default();
            assert!(error.contains("the segment's head is damaged"), "{number}: {error}");
            run.sim.flip_bit(&segment_path(*number), 20);
        }
        assert_eq!(reopen_error(&run.sim).await, None);
    });
}

#[test]
fn a_lost_segment_is_refused() {
    on_log_thread(async {
        let run = written().await;
        let middle = segments(&run.sim).await[1];
        run.sim.restart();
        run.sim.lose(&segment_path(middle));
        let error = reopen_error(&run.sim).await.unwrap_or_default();
        assert!(error.contains("the segment is missing"), "{error}");
    });
}

#[test]
fn a_log_that_must_exist_is_not_created() {
    on_log_thread(async {
        let sim = Sim::new(1);
        let missing = open(&sim, OpenMode::Existing).await.err();
        assert!(matches!(missing, Some(OpenError::Missing { .. })));
        open(&sim, OpenMode::Create(LOG_ID)).await.unwrap();
        sim.restart();
        open(&sim, OpenMode::Existing).await.unwrap();
    });
}

#[test]
fn damage_in_a_sealed_segment_is_named_by_the_reader_that_meets_it() {
    on_log_thread(async {
        let mut run = written().await;
        let first = segments(&run.sim).await[0];
        run.recover().await;
        run.sim.flip_bit(&segment_path(first), 4_300);
        let reader = &run.log.as_ref().unwrap().reader;
        let end = reader.written_end();
        let request = ReadRequest { from: Offset(0), end, bytes_max: 1 << 20, records_max: 10_000 };
        let error = reader.read(&request).await.unwrap_err();
        assert!(
            matches!(&error, ReadError::Corrupt(damage) if damage.position == 4_096),
            "{error}"
        );
        let beyond = ReadRequest { from: Offset(end.0 - 2), ..request };
        assert!(reader.read(&beyond).await.is_ok(), "other segments can be read");
    });
}

#[test]
fn offsets_are_found_by_time() {
    on_log_thread(async {
        let run = written().await;
        let reader = &run.log.as_ref().unwrap().reader;
        // Entry n, with two records, arrived at 1,000 + n.
        for (timestamp, want) in
            [(0, 0), (1_000, 0), (1_001, 2), (1_010, 20), (1_019, 38), (1_020, 40)]
        {
            let offset = reader.offset_at(UnixMillis(timestamp)).await.unwrap();
            assert_eq!(offset, Offset(want), "at {timestamp}");
        }
    });
}

#[test]
fn a_full_disk_refuses_and_then_takes_again() {
    on_log_thread(async {
        let mut run = Run::new(7, Faults::default()).await;
        run.sim.set_space(0);
        let mut appended = 0;
        while run.step(&Step::Append(vec![3_000])).await {
            appended += 1;
        }
        assert!(0 < appended, "what has been prepared is used up first");
        // The model took it for written; the log says that nothing was.
        let log = run.log.as_mut().unwrap();
        log.writer.sync().await.unwrap();
        assert_eq!(log.reader.written_end(), Offset(appended));
        run.sim.set_space(u64::MAX);
        let mut buffer = shard_log::RecordBuffer::default();
        buffer.push("key", &[0; 3_000]);
        let entry = shard_log::Entry {
            kind: shard_log::EntryKind::Records(1),
            term: 1,
            timestamp: UnixMillis(9_000),
            parts: &[buffer.payload()],
        };
        assert_eq!(log.writer.append(entry).await.unwrap().offsets.start, Offset(appended));
        log.writer.sync().await.unwrap();
    });
}

/// Expired segments that could not be removed are not forgotten: the ones behind them stay until
/// they are gone, so that the log has no gap.
#[test]
fn a_segment_that_cannot_be_removed_leaves_no_gap() {
    for seed in 0..50 {
        on_log_thread(async move {
            let mut run = Run::new(seed, Faults::default()).await;
            for round in 0..40 {
                assert!(run.step(&Step::Append(vec![3_000])).await);
                assert!(run.step(&Step::Sync).await);
                assert!(run.step(&Step::Image).await);
                let name_errors_per_mille = if round % 4 == 0 { 0 } else { 500 };
                run.sim.set_faults(Faults { name_errors_per_mille, ..Faults::default() });
                let _ = run.step(&Step::Trim(6)).await;
                run.sim.set_faults(Faults::default());
            }
            run.recover().await;
            run.check_reads().await;
        });
    }
}
