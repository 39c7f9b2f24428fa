//! What end-to-end tests are made of: a real `leat` process, a disk whose power can fail, destinations that
//! have a bad day, a real Kubernetes.

pub mod bad_day;
pub mod cluster;
pub mod destinations;
mod leat;
pub mod power_cut_fs;
pub mod small_disk;

pub use leat::{Leat, Start, broken_program, program};
