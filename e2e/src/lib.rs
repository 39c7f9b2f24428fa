//! End-to-end tests: real clients, real kills, power cuts.
