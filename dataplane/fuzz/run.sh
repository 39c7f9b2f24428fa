#!/usr/bin/env bash
# Fuzzes every target for a bounded time: run.sh SECONDS. A finding is a failing input in artifacts/.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:?run.sh SECONDS, for each target}

command -v cargo-fuzz >/dev/null || cargo install --quiet --locked cargo-fuzz@0.13.2
for target in $(cargo +nightly fuzz list); do
    echo "fuzzing $target for $seconds s"
    cargo +nightly fuzz run "$target" -- -max_total_time="$seconds" -max_len=65536 -verbosity=0 -print_funcs=0
done
