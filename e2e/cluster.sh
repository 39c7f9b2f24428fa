#!/usr/bin/env bash
# A real Kubernetes on this machine: e2e/cluster.sh up | down | status | load IMAGE.tar; --help says
# more. `up` first installs Debian's part of it. Then set KUBECONFIG as the last line says.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ ${1:-} = up && "$*" != *kind* ]]; then
    e2e/setup.sh python3-venv openssl build-essential go:golang-go etcd-server containerd runc \
        containernetworking-plugins iptables conntrack iproute2 socat procps >&2
fi
exec cargo run --quiet --package e2e --bin cluster -- "$@"
