#!/usr/bin/env bash
# Installs what the demonstration and the tests need beside Rust: a few Debian packages, and a Python
# environment in e2e/.venv. Does nothing that has been done already.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
for package in "$@"; do
    # COMMAND:PACKAGE, for what may have come another way.
    if [[ $package == *:* ]]; then
        command -v "${package%%:*}" >/dev/null && continue
        package=${package#*:}
    fi
    dpkg --status "$package" >/dev/null 2>&1 || missing+=("$package")
done
if [ "${#missing[@]}" -gt 0 ]; then
    sudo=$([ "$(id -u)" = 0 ] || echo sudo)
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq "${missing[@]}" >/dev/null
fi
if ! cmp -s e2e/clients/requirements.txt e2e/.venv/installed; then
    python3 -m venv e2e/.venv
    e2e/.venv/bin/pip install --quiet --requirement e2e/clients/requirements.txt
    cp e2e/clients/requirements.txt e2e/.venv/installed
fi
