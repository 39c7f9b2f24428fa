//! What a program may still do and hold, on the thread that it runs on.
//!
//! Operators see values and nothing else, so the meter is the thread's. Whoever makes a value takes
//! the memory here before it is taken from the system, and gives it back when the value is dropped.

use std::cell::Cell;
use std::panic::resume_unwind;

/// What a step counts for. Less is counted for what is less than a step.
pub(super) const STEP: usize = 64;
/// Bytes of all values that a program holds at one time.
pub(super) const MEMORY_BYTES_MAX: usize = 256 << 20;

thread_local! {
    static WORK_LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
    static MEMORY_LEFT: Cell<usize> = const { Cell::new(MEMORY_BYTES_MAX) };
    static WALKS: Cell<usize> = const { Cell::new(0) };
}

/// What unwinding carries out of an evaluation.
pub(super) struct Stopped(pub(super) &'static str);

/// Leaves the evaluation. It has no other way out that a program's `try` could not take back.
pub(super) fn stop(why: &'static str) -> ! {
    resume_unwind(Box::new(Stopped(why)));
}

/// Begins anew, with so many steps and all the memory.
pub(super) fn start(steps: usize) {
    WORK_LEFT.set(steps.saturating_mul(STEP));
    MEMORY_LEFT.set(MEMORY_BYTES_MAX);
    WALKS.set(0);
}

/// Counts.
pub(super) fn work(units: usize) {
    match WORK_LEFT.get().checked_sub(units) {
        Some(left) => WORK_LEFT.set(left),
        None => stop("the program takes too many steps"),
    }
}

/// Counts going through so many bytes.
pub(super) fn read(bytes: usize) {
    work(bytes / 16 + 1);
}

/// Counts moving so many bytes.
pub(super) fn copy(bytes: usize) {
    work(bytes / 64 + 1);
}

/// Memory that is taken.
#[derive(Debug, Default)]
pub(super) struct Held(usize);

impl Held {
    pub(super) fn new(bytes: usize) -> Held {
        let mut held = Held::default();
        held.grow(bytes);
        held
    }

    pub(super) fn grow(&mut self, bytes: usize) {
        match MEMORY_LEFT.get().checked_sub(bytes) {
            Some(left) => MEMORY_LEFT.set(left),
            None => stop("the program takes too much memory"),
        }
        self.0 += bytes;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        MEMORY_LEFT.set(MEMORY_LEFT.get().saturating_add(self.0).min(MEMORY_BYTES_MAX));
    }
}

/// A walk through the parts of a value. Walks are mostly in one another, and then what the innermost
/// gives passes through all of them, which nobody else counts.
#[derive(Debug)]
pub(super) struct Walk(());

impl Walk {
    pub(super) fn new() -> Walk {
        let walks = WALKS.get();
        work(16 + walks);
        WALKS.set(walks + 1);
        Walk(())
    }
}

impl Drop for Walk {
    fn drop(&mut self) {
        WALKS.set(WALKS.get().saturating_sub(1));
    }
}
