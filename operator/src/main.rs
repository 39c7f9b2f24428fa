//! The Kubernetes operator of Leat.

fn main() {}
