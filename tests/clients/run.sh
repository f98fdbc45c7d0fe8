#!/usr/bin/env bash
# Clients as they come from their registries, against a whole Footnote with keys and a stub model server. They are installed into
# build/tools the first time. usage: run.sh [--short]: the official Python clients and some of OpenAPI's cases only
# The last line is "clients: N passed, N failed". FOOTNOTE_BIN is where the programs are.
set -u
cd "$(dirname "$0")/../.." || exit 2
here=tests/clients
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$here
out=$(mktemp)
trap 'rm -f "$out"' EXIT
passed=0 failed=0
beside() { /usr/bin/python3 $here/with_suite.py "$@" 2>&1 | tee "$out"; return "${PIPESTATUS[0]}"; }
add() { # add CODE PASSED FAILED: a run that ends with another code than 0, or in which nothing passed, is a failure, too
    local bad=${3:-0}
    [ "$bad" -gt 0 ] || { [ "$1" -eq 0 ] && [ "${2:-0}" -gt 0 ]; } || bad=1
    passed=$((passed + ${2:-0})) failed=$((failed + bad))
}
in_python() {
    local code last
    beside "$python" -m pytest -p no:cacheprovider -q --tb=short --rootdir=$here "$@"; code=$?
    last=$(grep -E '[0-9]+ (passed|failed|errors?).* in [0-9.]+s' "$out" | tail -1)
    count() { grep -oE "[0-9]+ $1" <<<"$last" | head -1 | cut -d' ' -f1; }
    add $code "$(count passed)" $(($(count failed) + $(count 'errors?') + 0))
}
in_node() {
    local code
    beside node --test --test-reporter=tap --test-concurrency=1 "$@"; code=$?
    add $code "$(sed -n 's/^# pass //p' "$out" | tail -1)" "$(sed -n 's/^# fail //p' "$out" | tail -1)"
}
python=$PWD/$($here/install.sh python) ||
    { echo "SKIPPED: the clients of $here could not be installed with pip: is there a package index?"; echo "clients: 0 passed, 0 failed"; exit 0; }
if [ "${1:-}" = --short ]; then
    export OPENAPI_CASES=${OPENAPI_CASES:-200}
    in_python $here/test_openai_python.py $here/test_mcp_python.py $here/test_openapi.py
else
    export OPENAPI_CASES=${OPENAPI_CASES:-20000}
    OPENWEBUI=$PWD/$($here/install.sh openwebui) || { echo "the package open-webui could not be had with pip"; failed=$((failed + 1)) OPENWEBUI=; }
    export OPENWEBUI
    # schemathesis in a suite of its own: it uses up what an address may try with wrong keys, and the others' would be 429
    in_python $here/test_openapi.py
    in_python $here/test_[!o]*.py $here/test_openai*.py $here/test_openw*.py
    FOOTNOTE_NODE=$PWD/$($here/install.sh node) || { echo "the clients of $here could not be installed with npm"; failed=$((failed + 1)); }
    export FOOTNOTE_NODE
    in_node $here/*.test.mjs
fi
echo "clients: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
