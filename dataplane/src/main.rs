//! The data plane of Leat: the program leat.

fn main() {}
