#!/usr/bin/env bash
# Sets everything up and passes the tests: formatting, lints, unit and
# property tests, end-to-end tests with real clients, kills and power cuts, a real Kubernetes with the
# chart installed, bounded fuzzing, licences. Stops at the first failure; ends with the sum of the tests.
# Needs root: the cluster's nodes are processes of this machine.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never RUST_BACKTRACE=0

log=$(mktemp)
end() {
    e2e/cluster.sh down >/dev/null 2>&1 || true
    rm -f "$log"
}
trap end EXIT

step() { printf '\n=== %s (%s s)\n' "$1" "$SECONDS"; }

step "set up"
e2e/setup.sh python3-venv curl openssl build-essential \
    javac:default-jdk-headless mvn:maven go:golang-go node:nodejs npm:npm
e2e/clients/build.sh

step "cluster (minutes the first time: Kubernetes is compiled)"
e2e/cluster.sh up

step "formatting and lints"
cargo fmt --check
cargo clippy --quiet --workspace --all-targets -- -D warnings

step "unit and property tests"
cargo test --quiet 2>&1 | tee -a "$log"

step "end-to-end tests"
# First the build that the crash tests must find out, then the one they must not.
cargo build --quiet --package dataplane --features broken-ack-before-sync
cp target/debug/leat target/leat-broken
cargo build --quiet --package dataplane
cargo test --quiet --package e2e --lib --test it 2>&1 | tee -a "$log"

step "cluster tests: the harness, the operator, then all of Leat as its chart installs it"
cargo build --quiet --package operator
cargo test --quiet --package e2e --test cluster 2>&1 | tee -a "$log"
cargo test --quiet --package e2e --test leat -- --skip alone:: --test-threads=3 2>&1 | tee -a "$log"
for alone in node_drain api_server_down; do
    cargo test --quiet --package e2e --test leat -- "alone::$alone" 2>&1 | tee -a "$log"
done
e2e/cluster.sh down

step "soak, short"
e2e/.venv/bin/python e2e/soak.py 45 target/debug/leat

step "fuzzing, bounded"
dataplane/fuzz/run.sh 20

step "licences and advisories"
e2e/deny.sh

step "done"
awk '/^test result:/ { passed += $4; failed += $6 } END { print passed " passed, " failed " failed" }' "$log"
