//! What the simulated disk loses, keeps and refuses.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use storage::sim::{Faults, Sim, SimStorage};
use storage::{AlignedBuffer, BLOCK_BYTES, LogFile, Storage};

const BLOCK: u64 = BLOCK_BYTES as u64;

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(tokio::task::LocalSet::new().run_until(future))
}

fn path() -> PathBuf {
    PathBuf::from("/d/file")
}

fn block(byte: u8) -> AlignedBuffer {
    let mut buffer = AlignedBuffer::zeroed(BLOCK_BYTES);
    buffer.fill(byte);
    buffer
}

/// A file of four zero blocks, with a durable name.
async fn new(sim: &Sim) -> <SimStorage as Storage>::File {
    let storage = sim.storage();
    storage.create_dir_all(Path::new("/d")).await.unwrap();
    let file = storage.create(&path(), 4 * BLOCK).await.unwrap();
    storage.sync_dir(Path::new("/d")).await.unwrap();
    file
}

async fn content(sim: &Sim) -> Vec<u8> {
    let file = sim.storage().open(&path()).await.unwrap();
    let (count, buffer) = file.read_at(AlignedBuffer::zeroed(4 * BLOCK_BYTES), 0).await;
    buffer[..count.unwrap()].to_vec()
}

/// Writes a block without a sync and cuts the power: which of its sectors are there.
fn torn(seed: u64) -> Vec<bool> {
    run(async {
        let sim = Sim::new(seed);
        let file = new(&sim).await;
        file.write_at(block(1), 0).await.0.unwrap();
        sim.restart();
        content(&sim).await[..BLOCK_BYTES].chunks(512).map(|sector| sector[0] == 1).collect()
    })
}

#[test]
fn writes_that_were_not_synced_are_torn_by_sector_and_by_seed() {
    let outcomes: std::collections::BTreeSet<_> = (0..40).map(torn).collect();
    assert!(20 < outcomes.len(), "many ways to tear a write");
    assert_eq!(torn(7), torn(7), "the same seed tears the same way");
}

#[test]
fn what_was_synced_is_kept() {
    for seed in 0..20 {
        run(async {
            let sim = Sim::new(seed);
            let file = new(&sim).await;
            file.write_at(block(1), 0).await.0.unwrap();
            file.sync().await.unwrap();
            file.write_durable_at(block(2), BLOCK).await.0.unwrap();
            sim.restart();
            let content = content(&sim).await;
            assert!(content[..BLOCK_BYTES].iter().all(|byte| *byte == 1));
            assert!(content[BLOCK_BYTES..2 * BLOCK_BYTES].iter().all(|byte| *byte == 2));
            let dead = file.write_at(block(3), 0).await.0;
            assert!(dead.is_err(), "handles from before are dead");
        });
    }
}

#[test]
fn names_that_were_not_synced_are_kept_or_lost() {
    let kept = (0..40).filter(|seed| {
        run(async {
            let sim = Sim::new(*seed);
            new(&sim).await;
            sim.storage().remove(&path()).await.unwrap();
            sim.restart();
            sim.storage().open(&path()).await.is_ok()
        })
    });
    let kept = kept.count();
    assert!(0 < kept && kept < 40, "{kept} of 40");
}

#[test]
fn after_a_failed_sync_what_it_covered_is_not_brought_back_by_the_next() {
    let lost = (0..40).filter(|seed| {
        run(async {
            let sim = Sim::new(*seed);
            let file = new(&sim).await;
            sim.set_faults(Faults { sync_errors_per_mille: 1_000, ..Faults::default() });
            file.write_at(block(1), 0).await.0.unwrap();
            assert!(file.sync().await.is_err());
            sim.set_faults(Faults::default());
            sim.restart();
            content(&sim).await[..BLOCK_BYTES].contains(&0)
        })
    });
    assert!(30 < lost.count());
}

#[test]
fn space_and_damage_are_as_told() {
    run(async {
        let sim = Sim::new(1);
        new(&sim).await;
        sim.set_space(6 * BLOCK);
        let full = sim.storage().create(Path::new("/d/more"), 3 * BLOCK).await.err().unwrap();
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        sim.storage().create(Path::new("/d/more"), 2 * BLOCK).await.unwrap();
        sim.flip_bit(&path(), 5);
        assert_eq!(content(&sim).await[5], 1);
    });
}

#[test]
fn the_power_fails_in_the_operation_it_was_told_to() {
    run(async {
        let sim = Sim::new(1);
        let file = new(&sim).await;
        sim.crash_at(sim.operations() + 1);
        file.write_at(block(1), 0).await.0.unwrap();
        assert!(!sim.is_crashed());
        assert!(file.sync().await.is_err());
        assert!(sim.is_crashed());
        assert!(sim.storage().open(&path()).await.is_err(), "nothing works without power");
        sim.restart();
        assert!(sim.storage().open(&path()).await.is_ok());
    });
}
