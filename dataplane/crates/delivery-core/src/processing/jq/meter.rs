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

/// What evaluation may use of the stack.
const EVALUATION_STACK_BYTES: usize = 16 << 20;

thread_local! {
    static WORK_LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
    static MEMORY_LEFT: Cell<usize> = const { Cell::new(MEMORY_BYTES_MAX) };
    static STACK_START: Cell<usize> = const { Cell::new(0) };
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
    STACK_START.set(stack_position());
}

/// Counts.
pub(super) fn work(units: usize) {
    match WORK_LEFT.get().checked_sub(units) {
        Some(left) => WORK_LEFT.set(left),
        None => stop("the program takes too many steps"),
    }
}

/// Counts a term, and ends what recurses too deep.
pub(super) fn step() {
    let depth = stack_bytes();
    if EVALUATION_STACK_BYTES < depth {
        stop("the program recurses too deep");
    }
    work(STEP + depth / 8_192);
}

/// Counts a value that is generated. On its way out it passes through all that waits on the stack.
pub(super) fn generate() {
    work(1 + stack_bytes() / 1_024);
}

/// What evaluation has on the stack.
fn stack_bytes() -> usize {
    stack_position().abs_diff(STACK_START.get())
}

/// About where the stack ends now.
#[inline(never)]
fn stack_position() -> usize {
    let here = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&here)).addr()
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
