//! Benchmark programs of the log and the server, as ratios to the disk.

fn main() {}
