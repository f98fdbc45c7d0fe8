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
# ---- releases: what is committed and what is built, installed into a folder of its own
scratch=$(mktemp -d)
trap 'rm -rf "$log" "$scratch"' EXIT
# without git, and inside another's git: its version and build must be its own
an_archive_builds_from_itself() {
    local id
    mk dist && tar -xzf "build/dist/footnote-$(cat VERSION).tar.gz" -C "$scratch" || return 1
    id=$(git rev-parse --short HEAD)
    (cd "$scratch/footnote-"* && nice make -s -j"$(nproc)" build/release/footnote && ./build/release/footnote --version) |
        tee /dev/stderr | grep -qx "footnote $(cat VERSION) (build $id)"
}
every_program_says_the_version() {
    local p
    for p in gateway embedder retriever store janitor; do
        "$OUT/footnote-$p" --version | grep -q "^footnote-$p $(cat VERSION) (build " || { "$OUT/footnote-$p" --version; return 1; }
    done
}
install_puts_all_and_uninstall_takes_it() {
    local to=$scratch/root f
    mk install DESTDIR="$to" PREFIX=/opt/footnote || return 1
    for f in bin/footnote bin/footnote-{gateway,embedder,retriever,store,janitor} share/man/man1/footnote.1 share/man/man8/footnote-store.8 \
        lib/systemd/system/footnote{.target,-gateway.service,-migrate.service} share/footnote/prompts/default.txt share/doc/footnote/SECURITY.md; do
        [ -s "$to/opt/footnote/$f" ] || { echo "$f is not there"; return 1; }
    done
    ! grep -rn /usr/local "$to/opt/footnote/lib" || return 1
    "$to/opt/footnote/bin/footnote" --version || return 1
    mk uninstall DESTDIR="$to" PREFIX=/opt/footnote && f=$(find "$to" -type f) && { [ -z "$f" ] || { echo "left: $f"; return 1; }; }
}
# systemd's own check wants the programs in their place; exposure: 10 is none of the guards, 2 and less is "OK"
units_are_sound_and_closed() {
    local u out
    command -v systemd-analyze >/dev/null || { echo "systemd is missing: make deps-test"; return 1; }
    mk install PREFIX="$scratch/here" || return 1
    for u in "$scratch"/here/lib/systemd/system/*; do
        out=$(SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --man=no "$u" 2>&1) && [ -z "$out" ] || { echo "$u: $out"; return 1; }
        [[ $u == *.target ]] || systemd-analyze security --offline=true --threshold=20 "$u" >"$scratch/exposure" 2>&1 ||
            { tail -1 "$scratch/exposure"; return 1; }
    done
}
# every option of an environment file stands in the unit under a name that the service knows
units_name_options_that_are_there() {
    local s n
    for s in gateway embedder retriever store janitor; do
        while read -r n; do
            "$OUT/footnote-$s" --print-options=env | grep -qE "^#$n=" || { echo "footnote-$s.service: there is no option $n"; return 1; }
        done < <(sed -n 's/^Environment=//p' "deploy/systemd/footnote-$s.service" | tr ' ' '\n' | sed -E 's/=.*//; s/_FILE$//; s/^HUB_ALLOW$/HUB_ALLOW_FILE/')
    done
}
man_pages_are_clean() {
    local f out bad=0
    mk man || return 1
    for f in "$OUT"/man/*.[18]; do
        out=$(mandoc -Tlint -W warning "$f" 2>&1; man --warnings -l "$f" 2>&1 >/dev/null)
        [ -z "$out" ] || { echo "$out"; bad=1; }
        [ "$(grep -c '^\.TP$' "$f")" -gt 10 ] || { echo "$f has hardly an option"; bad=1; }
    done
    return $bad
}
third_party_is_whole() {
    local p
    mk -f - deps-names <<<$'include Makefile\ndeps-names:\n\t@echo "$(DEPS_BUILD) $(DEPS_RUN) $(DEPS_TEST)"' | tr ' |' '\n\n' | sort -u > "$scratch/deps"
    [ "$(wc -l < "$scratch/deps")" -gt 40 ] || { echo "the Makefile names no packages"; return 1; }
    while read -r p; do grep -qE "^\|.*\`$p\`.*\|" THIRD_PARTY.md || { echo "THIRD_PARTY.md: $p is missing"; return 1; }; done < "$scratch/deps"
    for p in $(grep -E '^\|' THIRD_PARTY.md | cut -d'|' -f3 | grep -oE '`[^`]+`' | tr -d '`'); do
        grep -qx -- "$p" "$scratch/deps" || { echo "THIRD_PARTY.md: $p is no package of the Makefile"; return 1; }
    done
}
# a line of make run or bench on a bare machine begins with the packages
targets_install_what_they_need() {
    local t
    for t in run test test-unit test-service test-e2e test-cases bench bench-store bench-ingest faults soak profile test-upgrade test-llama test-compose \
        eval eval-retrieval attacks mutate fuzz model sim; do
        make --no-print-directory -n "$t" 2>/dev/null | grep -v '^#' | head -1 | grep -q '^deploy/deps.sh ' || { echo "make $t begins without its packages"; return 1; }
    done
    rm -f build.log
}
check targets_install_what_they_need targets_install_what_they_need
check an_archive_builds_from_itself an_archive_builds_from_itself
check every_program_says_the_version every_program_says_the_version
check install_puts_all_and_uninstall_takes_it install_puts_all_and_uninstall_takes_it
check units_are_sound_and_closed units_are_sound_and_closed
check units_name_options_that_are_there units_name_options_that_are_there
check man_pages_are_clean man_pages_are_clean
check third_party_is_whole third_party_is_whole
check every_target_can_be_read every_target_can_be_read
check every_script_can_be_read every_script_can_be_read
check programs_of_the_benchmarks programs
for m in bench profile store_bench janitor_bench import_bench; do check "loads_$m" loads tests/bench $m; done
check loads_soak loads tests/soak soak
check evaluation_is_linked evaluation
echo "targets: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
