#!/usr/bin/env bash
# Builds the clients in other languages, so that the tests only run them. Does nothing twice.
set -euo pipefail
cd "$(dirname "$0")"

(cd go && go build -o /dev/null .)
(cd js && { cmp -s package-lock.json node_modules/installed || { npm ci --silent --no-audit --no-fund && cp package-lock.json node_modules/installed; }; })
for project in java kcl; do
    if [ -d "$project" ]; then
        (cd "$project" && mvn -q -B compile exec:exec -Dexec.skip=true)
    fi
done
