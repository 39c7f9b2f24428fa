#!/usr/bin/env bash
# Licences, sources and duplicate versions of all dependencies. Advisories need the RustSec database
# from the network: `cargo deny check advisories` where that can be reached.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v cargo-deny >/dev/null || cargo install --quiet --locked cargo-deny@0.20.2
cargo deny --log-level error --config .deny.toml check licenses sources bans
