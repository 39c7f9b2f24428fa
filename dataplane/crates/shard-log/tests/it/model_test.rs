//! Random histories, and crashes at every point of a fixed one.

use proptest::prelude::*;
use storage::sim::Faults;

use crate::run::{Run, Step, on_log_thread};

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let sizes = prop_oneof![4 => 0..200_usize, 2 => 3_000..6_000_usize, 1 => 20_000..40_000_usize];
    let step = prop_oneof![
        10 => prop::collection::vec(sizes, 1..5).prop_map(Step::Append),
        6 => (0..9_000_usize).prop_map(Step::AppendDurable),
        3 => any::<u8>().prop_map(Step::Command),
        2 => any::<u8>().prop_map(Step::HardState),
        8 => Just(Step::Sync),
        1 => Just(Step::Mark),
        2 => Just(Step::Image),
        2 => (0..12_u64).prop_map(Step::Trim),
        2 => (0..4_u64).prop_map(Step::Truncate),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..40)
}

/// A history of everything, long enough to roll over, trim and recycle.
fn history() -> Vec<Step> {
    let mut steps = Vec::new();
    for round in 0..12 {
        steps.push(Step::Append(vec![100, 5_000, 1]));
        steps.push(Step::Sync);
        steps.push(Step::Command(round));
        steps.push(Step::AppendDurable(200));
        steps.push(Step::AppendDurable(4_000));
        steps.push(Step::Append(vec![3_000]));
        steps.push(Step::Sync);
        match round % 4 {
            0 => steps.push(Step::HardState(round)),
            1 => steps.extend([Step::Image, Step::Trim(6)]),
            2 => steps.extend([Step::Append(vec![10]), Step::Truncate(2), Step::Append(vec![20])]),
            _ => steps.push(Step::Reopen),
        }
    }
    steps
}

/// Runs a history with a crash at operation `crash_at`; whether there was one.
async fn crash_once(seed: u64, history: &[Step], crash_at: u64, faults: Faults) -> bool {
    let mut run = Run::new(seed, faults).await;
    let first = run.sim.operations();
    run.sim.crash_at(first + crash_at);
    for step in history {
        if !run.step(step).await {
            break;
        }
    }
    let crashed = run.sim.is_crashed();
    run.recover().await;
    // It goes on as if nothing had been.
    for step in &history[..4] {
        assert!(run.step(step).await);
    }
    run.check_reads().await;
    crashed
}

#[test]
fn nothing_durable_is_lost_whatever_operation_the_power_fails_in() {
    let history = history();
    for seed in 0..4 {
        let mut crash_at = 0;
        while on_log_thread(crash_once(seed, &history, crash_at, Faults::default())) {
            crash_at += 1;
        }
        assert!(100 < crash_at, "{crash_at} operations");
    }
}

#[test]
fn a_disk_that_does_not_sync_is_found_out() {
    let lies = Faults { syncs_do_nothing: true, ..Faults::default() };
    let history = history();
    let losses = (0..200).filter(|crash_at| {
        let run = || on_log_thread(crash_once(1, &history, *crash_at, lies));
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err()
    });
    assert!(0 < losses.count(), "these tests must be able to fail");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_log_is_what_the_model_says(seed: u64, steps in steps()) {
        on_log_thread(async {
            let mut run = Run::new(seed, Faults::default()).await;
            for step in &steps {
                prop_assert!(run.step(step).await);
            }
            run.check_reads().await;
            Ok(())
        })?;
    }

    #[test]
    fn it_survives_crashes_and_failing_disks(
        seed: u64,
        lives in prop::collection::vec((steps(), 0..120_u64), 1..4),
        sync_errors_per_mille in prop_oneof![Just(0_u32), Just(50)],
        write_errors_per_mille in prop_oneof![Just(0_u32), Just(20)],
    ) {
        on_log_thread(async {
            let faults =
                Faults { sync_errors_per_mille, write_errors_per_mille, ..Faults::default() };
            let mut run = Run::new(seed, faults).await;
            for (steps, crash_after) in &lives {
                run.sim.set_faults(faults);
                run.sim.crash_at(run.sim.operations() + crash_after);
                for step in steps {
                    if !run.step(step).await {
                        break;
                    }
                }
                run.recover().await;
            }
        });
    }
}
