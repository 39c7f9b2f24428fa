#!/usr/bin/env bash
# The tests on a real Kubernetes: the harness and the chart, the operator, then all of Leat as its chart
# installs it. Minutes more the first time, when Kubernetes is compiled. Needs root: the cluster's nodes
# are processes of this machine.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never RUST_BACKTRACE=0

trap 'e2e/cluster.sh down' EXIT
e2e/cluster.sh up
# What a session that is cut leaves behind must not be in the next cluster's way: all processes end
# unasked, and the cluster comes up again, as a new one.
for record in target/cluster/pids/*; do
    kill -KILL "$(head -n 1 "$record")"
done
e2e/cluster.sh up
cargo build --quiet --workspace --bins --test cluster --test leat
cargo test --quiet --workspace --test cluster
cargo test --quiet --workspace --test leat -- --skip alone:: --test-threads=3
cargo test --quiet --workspace --test leat -- alone:: --test-threads=1
