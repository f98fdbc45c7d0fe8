#!/usr/bin/env bash
# The short form of the targets that `make test` does not run whole: each of `make help` can be read by make, what it builds can be built
# and linked, and what it runs can be loaded. Only bench-streams really runs, with 200 streams.
# The last line is "targets: N passed, N failed".
set -u
cd "$(dirname "$0")/../.." || exit 2
OUT=${FOOTNOTE_BIN:-build/release}
export FOOTNOTE_BIN=$OUT PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests/kit
log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0 failed=0
ran=()
check() { # check NAME COMMAND…
    local name=$1; shift
    ran+=("$name")
    if "$@" >"$log" 2>&1 </dev/null; then passed=$((passed + 1)); printf '%-40s ok\n' "$name"
    else failed=$((failed + 1)); printf '%-40s FAILED\n' "$name"; tail -20 "$log" | sed 's/^/    /'; fi
}
mk() { make --no-print-directory -s "$@"; }

# what each target would do, in $scratch/read: two checks look at it
every_target_can_be_read() {
    mkdir "$scratch/read"
    mk help | awk '{ print $1 }' | xargs -P "$(nproc)" -I{} sh -c 'make --no-print-directory -n {} >"$0/{}" || { echo "make {}"; exit 1; }' "$scratch/read" || return 1
    rm -f build.log # make runs a line with $(MAKE) even so: this one's output
}
every_script_can_be_read() {
    local f
    git ls-files '*.sh' .ci/run | while read -r f; do bash -n "$f" || exit 1; done &&
        git ls-files -z '*.py' | xargs -0 /usr/bin/python3 -c 'import ast, sys; [ast.parse(open(f).read(), f) for f in sys.argv[1:]]'
}
programs() { mk -j"$(nproc)" programs; }
loads() { # loads FOLDER MODULE: imported, so that what it imports is there, too
    PYTHONPATH=tests/kit:$1 /usr/bin/python3 -c "import $2"
}
streams() { STREAMS=200 BENCH_SHORT=1 tests/bench/streams_bench.py; }
evaluation() { tests/eval/run.sh --help >/dev/null; }
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
        lib/systemd/system/footnote{.target,-gateway.service,-migrate.service} share/footnote/prompts/default.txt share/doc/footnote/SECURITY.md share/bash-completion/completions/footnote \
        share/zsh/site-functions/_footnote share/fish/vendor_completions.d/footnote.fish; do
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
    mk -f - deps-names <<<$'include Makefile\ndeps-names:\n\t@echo "$(DEPS_BUILD) $(DEPS_RUN) $(DEPS_TEST) $(DEPS_NODE) $(DEPS_OFFICE) $(DEPS_OPENSEARCH)"' | tr ' |' '\n\n' | sort -u > "$scratch/deps"
    [ "$(wc -l < "$scratch/deps")" -gt 40 ] || { echo "the Makefile names no packages"; return 1; }
    while read -r p; do grep -qE "^\|.*\`$p\`.*\|" THIRD_PARTY.md || { echo "THIRD_PARTY.md: $p is missing"; return 1; }; done < "$scratch/deps"
    for p in $(grep -E '^\|' THIRD_PARTY.md | cut -d'|' -f3 | grep -oE '`[^`]+`' | tr -d '`'); do
        grep -qx -- "$p" "$scratch/deps" || { echo "THIRD_PARTY.md: $p is no package of the Makefile"; return 1; }
    done
}
# targets that need nothing beyond what `make deps` installs, or nothing at all
bare=' build kit programs stop status restart logs psql redis-cli ingest secrets house man dist install uninstall clean help '
# the others begin with their packages, on a bare machine, too
targets_install_what_they_need() {
    local t
    for t in "$scratch/read/"*; do
        [[ $bare != *" ${t##*/} "* ]] || continue
        grep -v '^#' "$t" | head -1 | grep -q '^deploy/deps.sh ' || { echo "make ${t##*/} begins without its packages"; return 1; }
    done
}
# Each target of `make help`: the part of `make test` that runs it or its short form (of targets: the check of this file), or "no:" and the reason.
short_forms='
build             build-gcc
kit               build-gcc
test-unit         unit
fuzz              fuzz
deps              no: installs packages; targets_install_what_they_need
deps-test         no: installs packages; targets_install_what_they_need
run               e2e
stop              e2e
status            e2e
restart           e2e
logs              e2e
psql              e2e
redis-cli         e2e
ingest            e2e
secrets           compose
model             e2e
test              no: it is what runs all of this
test-service      service
test-e2e          e2e
test-cases        cases
sim               sim
model-check       model-check
test-compose      compose
test-helm         helm
test-llama        no: 150 MB of somebody else'"'"'s model
test-clients      clients
test-formats      service
test-opensearch   no: 52 MB of jars and a Java machine of 400 MB; the same promises of the engine memory are in unit
test-pgvector     e2e
test-web          e2e
test-widget-sites sites
test-upgrade      no: builds a whole release of before; a step of every release
faults            faults-bus
faults-net        faults-net
attacks           attacks
mutate            mutate
soak              targets loads_soak
bench-store       targets loads_store_bench
bench-ingest      targets loads_ingest_bench
bench-model-change targets loads_model_change
bench-fallback    targets loads_fallback_bench
bench             targets loads_bench
bench-minilm      targets every_program_is_linked
bench-idle        targets loads_idle
bench-retriever   targets loads_retriever_bench
bench-streams     targets two_hundred_streams_are_whole
eval              targets evaluation_speaks
eval-retrieval    targets evaluation_speaks
eval-answers      targets evaluation_speaks
eval-semantic     targets every_program_is_linked
local-model       e2e
programs          targets every_program_is_linked
profile           targets loads_profile
house             house
lint              lint
format            lint
man               targets man_pages_are_clean
dist              targets an_archive_builds_from_itself
install           targets install_puts_all_and_uninstall_takes_it
uninstall         targets install_puts_all_and_uninstall_takes_it
clean             no: takes away what the other parts work with
help              targets every_target_can_be_read
'
every_target_has_a_short_form_or_a_reason() {
    local target part by
    diff <(mk help | awk '{ print $1 }' | sort) <(awk 'NF { print $1 }' <<<"$short_forms" | sort) || { echo "targets and short_forms differ"; return 1; }
    while read -r target part by; do
        case $part in
        no:) [ -n "$by" ] || { echo "$target: no reason"; return 1; } ;;
        *) grep -qE "^part +[0-9]+ +$part " tests/kit/run_all.sh || { echo "$target: there is no part $part"; return 1; }
           [ "$part" != targets ] || [[ " ${ran[*]} " == *" $by "* ]] || { echo "$target: there is no check $by"; return 1; } ;;
        esac
    done < <(sed '/^$/d' <<<"$short_forms")
}
check every_target_can_be_read every_target_can_be_read
check targets_install_what_they_need targets_install_what_they_need
check an_archive_builds_from_itself an_archive_builds_from_itself
check every_program_says_the_version every_program_says_the_version
check install_puts_all_and_uninstall_takes_it install_puts_all_and_uninstall_takes_it
check units_are_sound_and_closed units_are_sound_and_closed
check units_name_options_that_are_there units_name_options_that_are_there
check man_pages_are_clean man_pages_are_clean
check third_party_is_whole third_party_is_whole
check every_script_can_be_read every_script_can_be_read
check every_program_is_linked programs
for m in bench profile store_bench ingest_bench janitor_bench import_bench model_change fallback_bench idle retriever_bench; do check "loads_$m" loads tests/bench $m; done
check two_hundred_streams_are_whole streams
check loads_soak loads tests/soak soak
check evaluation_speaks evaluation
check every_target_has_a_short_form_or_a_reason every_target_has_a_short_form_or_a_reason
echo "targets: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
