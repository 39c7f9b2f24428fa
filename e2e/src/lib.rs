//! What end-to-end tests are made of: a real `leat` process, and a disk whose power can fail.

mod leat;
pub mod power_cut_fs;

pub use leat::{Leat, Start, broken_program, program};
