#!/usr/bin/env bash
# The short form of the targets that `make test` does not run whole: each of `make help` can be read by make, what it builds can be built
# and linked, and what it runs can be loaded. Nothing is measured.
# The last line is "targets: N passed, N failed".
set -u
cd "$(dirname "$0")/../.." || exit 2
OUT=${FOOTNOTE_BIN:-build/release}
export FOOTNOTE_BIN=$OUT PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests/kit
log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0 failed=0
check() { # check NAME COMMAND…
    local name=$1; shift
    if "$@" >"$log" 2>&1 </dev/null; then passed=$((passed + 1)); printf '%-40s ok\n' "$name"
    else failed=$((failed + 1)); printf '%-40s FAILED\n' "$name"; tail -20 "$log" | sed 's/^/    /'; fi
}
mk() { make --no-print-directory -s "$@"; }

every_target_can_be_read() {
    local t
    for t in $(mk help | awk '{ print $1 }'); do mk -n "$t" >/dev/null || { echo "make $t"; return 1; }; done
    rm -f build.log # make runs a line with $(MAKE) even so: this one's output
}
every_script_can_be_read() {
    local f
    git ls-files '*.sh' .ci/run | while read -r f; do bash -n "$f" || exit 1; done &&
        git ls-files -z '*.py' | xargs -0 /usr/bin/python3 -c 'import ast, sys; [ast.parse(open(f).read(), f) for f in sys.argv[1:]]'
}
programs() { mk -j"$(nproc)" kit "$OUT"/bench/{httpbench,bare_http,bus_bare,bus_bench,store-load,store-bare} "$OUT/upstream-stub"; }
loads() { # loads FOLDER MODULE: imported, so that what it imports is there, too
    PYTHONPATH=tests/kit:$1 /usr/bin/python3 -c "import $2"
}
evaluation() { mk -j"$(nproc)" "$OUT"/eval/{answer_eval,retrieval_eval} && tests/eval/run.sh --help >/dev/null; }

check every_target_can_be_read every_target_can_be_read
check every_script_can_be_read every_script_can_be_read
check programs_of_the_benchmarks programs
for m in bench profile store_bench janitor_bench import_bench; do check "loads_$m" loads tests/bench $m; done
check loads_soak loads tests/soak soak
check evaluation_is_linked evaluation
echo "targets: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
