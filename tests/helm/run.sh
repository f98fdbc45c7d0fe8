#!/usr/bin/env bash
# `make test-helm`: the chart of deploy/helm, rendered by helm and checked offline. helm is built from its sources by Go, once, into
# build/tools; HELM=/path/to/helm uses another one. The last line is "helm: N passed, N failed".
#   --short    what `make test` runs: builds no helm, which takes minutes and 150 MB; without one it says so and skips.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
version=v3.19.2
tools=$PWD/build/tools
mkdir -p "$tools"
helm=${HELM:-$tools/helm-$version/helm}
venv=$tools/kubernetes-validate

skip() { # skip WHY: allowed to the short form
    [ "${1:-}" = --short ] || { echo "test-helm: $2" >&2; exit 2; }
    echo "SKIPPED: $2"
    echo "helm: 0 passed, 0 failed"
    exit 0
}
if [ ! -x "$helm" ]; then
    [ "${1:-}" != --short ] || skip --short "no helm yet: make test-helm builds it, or set HELM"
    command -v go >/dev/null || skip "" "no helm, and no Go to build it (1.24 or newer): set HELM"
    echo "building helm $version from its sources (minutes, once)" >&2
    GOBIN=$(dirname "$helm") GOFLAGS=-mod=mod go install "helm.sh/helm/v3/cmd/helm@$version" >"$tools/helm.log" 2>&1 ||
        { tail -5 "$tools/helm.log" >&2; skip "" "Go could not build helm $version: set HELM"; }
fi
if [ ! -x "$venv/bin/kubernetes-validate" ]; then
    rm -rf "$venv"
    /usr/bin/python3 -m venv "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check kubernetes-validate==1.37.0 pyyaml pytest
fi
HELM=$helm KUBERNETES_VERSIONS=$(ls "$venv"/lib/python3*/site-packages/kubernetes_validate/kubernetes-json-schema 2>/dev/null | sed -n 's/^v\([0-9.]*\)-.*/\1/p' | sort -uV | tail -3 | tr '\n' ' ')
export HELM KUBERNETES_VERSIONS PYTHONDONTWRITEBYTECODE=1
out=$(mktemp)
trap 'rm -f "$out"' EXIT
rc=0
"$venv/bin/python" -m pytest -q -p no:cacheprovider tests/helm 2>&1 | tee "$out" || rc=$?
tail -1 "$out" | awk '{ for (i = 1; i < NF; i++) { if ($(i + 1) ~ /^passed/) p = $i; if ($(i + 1) ~ /^failed|^error/) f += $i } printf "helm: %d passed, %d failed\n", p, f }'
exit $rc
