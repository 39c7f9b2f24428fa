#!/usr/bin/env bash
# Builds the clients in other languages, so that the tests only run them. Does nothing twice.
set -euo pipefail
cd "$(dirname "$0")"

(cd go && go build -o /dev/null .)
if ! cmp -s js/package-lock.json js/node_modules/installed; then
    (cd js && npm ci --silent --no-audit --no-fund)
    cp js/package-lock.json js/node_modules/installed
fi
(cd java && mvn -q -B compile exec:exec -Dexec.skip=true)
(cd kcl && mvn -q -B compile dependency:copy-dependencies)
(cd kcl/dynamodb && mvn -q -B dependency:copy-dependencies)
