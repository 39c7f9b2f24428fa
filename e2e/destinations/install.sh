#!/usr/bin/env bash
# Installs the servers that delivery streams are tested against, outside the tree. Does nothing twice.
# What Python brings is in e2e/.venv (e2e/setup.sh).
set -euo pipefail
cd "$(dirname "$0")"

# Search engines run as nobody, who must be able to read it.
cache=${LEAT_E2E_SERVERS:-/var/tmp/leat-e2e-servers}
mkdir -p "$cache"

# Maven Central has Elasticsearch and OpenSearch whole: their own integration tests use these archives.
search() {
    local group=$1 name=$2 version=$3
    [ -x "$cache/$name-$version/bin/$name" ] && return
    local download
    download=$(mktemp -d)
    mvn -q -B dependency:copy -Dartifact="$group:$name:$version:zip" -DoutputDirectory="$download"
    unzip -q "$download/$name-$version.zip" -d "$download"
    chmod -R a+rX "$download/$name-$version"
    mv "$download/$name-$version" "$cache/"
    rm -r "$download"
}
search org.elasticsearch.distribution.integ-test-zip elasticsearch 8.19.21
search org.opensearch.distribution.integ-test-zip opensearch 2.19.4

# Apache Iceberg's own REST catalog, with all that it needs in one archive.
iceberg=iceberg-open-api-1.10.0.jar
if [ ! -f "$cache/$iceberg" ]; then
    download=$(mktemp -d)
    mvn -q -B dependency:copy -Dartifact=org.apache.iceberg:iceberg-open-api:1.10.0 -DoutputDirectory="$download"
    mv "$download/$iceberg" "$cache/"
    rm -r "$download"
fi

# Its reader of tables, which the catalog has no use for.
if ! cmp -s iceberg-reader/pom.xml "$cache/iceberg-reader/pom.xml"; then
    mvn -q -B -f iceberg-reader/pom.xml dependency:copy-dependencies -DincludeScope=runtime \
        -DoutputDirectory="$cache/iceberg-reader"
    cp iceberg-reader/pom.xml "$cache/iceberg-reader/"
fi

# The OpenTelemetry collector, with what takes Splunk's and Firehose's requests.
if ! cmp -s collector.yaml "$cache/collector/built.yaml"; then
    mkdir -p "$cache/collector"
    GOBIN=$cache/collector go install go.opentelemetry.io/collector/cmd/builder@v0.145.0
    work=$(mktemp -d)
    sed "s|OUTPUT|$work|" collector.yaml > "$work/builder.yaml"
    "$cache/collector/builder" --config "$work/builder.yaml" >/dev/null
    mv "$work/collector" "$cache/collector/collector"
    rm -r "$work"
    cp collector.yaml "$cache/collector/built.yaml"
fi

# Emulators of object stores.
(cd gcs && go build -o "$cache/gcs" .)
if [ ! -x "$cache/azurite-3.35.0/node_modules/.bin/azurite-blob" ]; then
    mkdir -p "$cache/azurite-3.35.0"
    npm install --silent --no-audit --no-fund --prefix "$cache/azurite-3.35.0" azurite@3.35.0
fi
