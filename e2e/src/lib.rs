//! What end-to-end tests are made of: a real `leat` process, a disk whose power can fail, a real
//! Kubernetes.

pub mod cluster;
pub mod destinations;
mod leat;
pub mod power_cut_fs;

pub use leat::{Leat, Start, broken_program, program};
