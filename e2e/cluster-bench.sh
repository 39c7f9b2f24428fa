#!/usr/bin/env bash
# Measures Leat on the cluster of this machine, which it brings up if it is not there: time to the first
# record, resharding under load, memory, and throughput through the gateway beside standalone.
set -euo pipefail
cd "$(dirname "$0")/.."

e2e/cluster.sh up
cargo build --release --package dataplane --package operator
LEAT_PROFILE=release cargo run --quiet --package e2e --bin cluster_bench -- "$@"
