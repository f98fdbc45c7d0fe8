#!/usr/bin/env bash
# `make lint`: the rules of the code that a machine can check. Prints each finding, ends with a count, exits 1 on any.
#   one style of the C sources (.clang-format)   no name with two bodies
#   sizes: .c ≤ 600 lines, .h ≤ 150, functions ≤ 60 lines   layers: service → proto → common, no service includes another
#   banned calls   SQL in .sql files   one file per foreign library   absolute machine paths   shell scripts (shellcheck)
#   guards of headers from their paths   migrations.inc is what generate.sh makes of the migrations
#   the image's context holds every source   metrics: docs/metrics.md lists what the tables declare; dashboards and alerts name nothing else
# shellcheck disable=SC2046 # lists of files are split on purpose
set -u
cd "$(dirname "$0")/../.." || exit 2
findings=0
say() { printf '%s\n' "$*"; findings=$((findings + 1)); }
code() { git ls-files --cached --others --exclude-standard -- "$@"; }
# Folders of the product: libraries, of which each may include those before it, and programs.
libraries=(common proto text cite) programs=(gateway client embedder retriever extract convert store janitor)
product=$(code "${libraries[@]/%//*.[ch]}" "${programs[@]/%//*.[ch]}")

for f in $product; do
    n=$(wc -l < "$f"); max=600; [[ $f == *.h ]] && max=150
    [ "$n" -le $max ] || say "$f: $n lines, at most $max"
done
# A function starts with '{' in the first column and ends with '}' there; "long:" in a comment above it gives the reason.
long=$(for f in $(code '*.c'); do
    awk -v f="$f" '/^\/\* long:/ {why=NR} /^\{/ {start=NR} /^\}/ && start {if (NR-start-1 > 60 && why < start-6) print f ":" start ": function of " NR-start-1 " lines"; start=0}' "$f"
done)
[ -z "$long" ] || while read -r l; do say "$l"; done <<<"$long"

# No name has two bodies: a function that others may call, and another one of its name anywhere, which would be taken for it. A definition
# has its name in the first column, its type on the line before; what a header declares ends in ';'.
twice=$(awk '
    FNR == 1 { before = "" }
    /^[a-z][a-z0-9_]*\(/ && !/;$/ && (FILENAME ~ /\.c$/ || before ~ /^static inline/) {
        name = substr($0, 1, index($0, "(") - 1)
        at = " " FILENAME ":" FNR
        if (before ~ /^static/ && FILENAME ~ /\.c$/) hidden[name] = hidden[name] at
        else { bodies[name]++; open[name] = open[name] at }
    }
    { before = $0 }
    END { for (name in open) if (name != "main" && (bodies[name] > 1 || name in hidden)) print name ":" open[name] hidden[name] }' $product | sort)
[ -z "$twice" ] || while read -r l; do say "$l (a name with two bodies)"; done <<<"$twice"

layer() { # layer FILES-PATTERN FORBIDDEN-INCLUDE-REGEX WHY
    local hits
    hits=$(grep -nE "^#include \"($2)" $(code "$1/*.[ch]") /dev/null)
    [ -z "$hits" ] || while read -r l; do say "$l ($3)"; done <<<"$hits"
}
any() { (IFS='|'; echo "($*)/"); }
for i in "${!libraries[@]}"; do
    layer "${libraries[i]}" "$(any "${libraries[@]:i + 1}" "${programs[@]}")" "${libraries[i]} knows no service"
done
for s in "${programs[@]}"; do
    others=()
    for o in "${programs[@]}"; do [ "$o" = "$s" ] || others+=("$o"); done
    layer "$s" "$(any "${others[@]}")" 'a service never includes another'
done

# Rooms of the gateway, from the top to the bottom: nothing includes what stands above it. Tables (*.tbl) are nobody's.
rooms=(main mcp openai spec console api ask upload admit watch request safe edge hub)
for ((i = 2; i < ${#rooms[@]}; i++)); do
    above=$(IFS='|'; echo "${rooms[*]:1:i-1}")
    layer "gateway/${rooms[i]}" "gateway/(($above)/[a-z_]*\.h|(serve|router)\.h)" "a room of the gateway includes what is above it"
    case ${rooms[i]} in safe|edge|hub) layer "gateway/${rooms[i]}" 'gateway/gateway\.h' 'edge, hub and safe know no gateway' ;; esac
done

ban() { # ban REGEX EXCEPT-FILES-REGEX WHY
    local hits
    hits=$(grep -nE "(^|[^A-Za-z0-9_])($1)[[:space:]]*\(" $product /dev/null | grep -vE "^($2):" | grep -vE ':[0-9]+:[[:space:]]*(/?\*|//)')
    [ -z "$hits" ] || while read -r l; do say "$l ($3)"; done <<<"$hits"
}
ban 'strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|atof|gets|alloca' 'none' 'banned call'
ban 'malloc|calloc|realloc|free|strdup|strndup' 'common/mem\.[ch]' 'memory only through common/mem.h'
ban 'PQescape[A-Za-z]*|PQexec' 'none' 'SQL only with parameters'
# SQL stands in store/sql/*.sql and store/migrations, where psql and an editor can read it. In C only what cannot be a prepared statement:
# a connection's settings (conn), names of schemas, roles and tables, which are no parameters (migrate, owner, clean's VACUUM), and
# the import's look into another database, whose columns it has to find out (source).
sql='SELECT [^"]|INSERT INTO|UPDATE [a-z_.%]+ SET|DELETE FROM|WITH [a-z]+ AS|(FROM|JOIN|ON CONFLICT|RETURNING|WHERE) [a-z(]|(ORDER|GROUP) BY|VALUES \(|(CREATE|ALTER|DROP|TRUNCATE) [A-Z]+|GRANT|REVOKE|VACUUM|SET LOCAL'
hits=$(grep -nE "\"[^\"]*\\b($sql)" $product $(code '*.tbl') /dev/null |
    grep -vE '^store/(pool/conn|migrate|owner|calls/clean|import/source)\.c:|:[0-9]+:[[:space:]]*(/?\*|//)')
[ -z "$hits" ] || while read -r l; do say "$l (SQL stands in store/sql/*.sql)"; done <<<"$hits"
hits=$(code '*.c' '*.h' | xargs grep -nE '== NULL|NULL ==' /dev/null)
[ -z "$hits" ] || while read -r l; do say "$l (no pointer is !p)"; done <<<"$hits"
only() { # only HEADER-REGEX ALLOWED-FILES-REGEX
    local hits
    hits=$(grep -nE "^#include <($1)" $product /dev/null | grep -vE "^($2):")
    [ -z "$hits" ] || while read -r l; do say "$l (one place per foreign library)"; done <<<"$hits"
}
only 'zmq|czmq' 'proto/zsock\.[ch]|proto/worker_conn\.c|gateway/hub/[a-z_]*\.[ch]'
only 'libpq|postgres' 'store/(pool/[a-z_]*|stat)\.[ch]'
only 'curl' 'embedder/openai/upstream[a-z_]*\.[ch]|client/.*|convert/main\.c|common/process/curl_lib\.[ch]'
only 'civetweb' 'gateway/edge/(http|conn)\.[ch]'
only 'hiredis' 'common/redis/conn\.c'
only 'msgpack' 'proto/msg\.c'
only 'openssl' 'common/(digest|redis/tls)\.c'
only 'md4c' 'retriever/extract/heading\.c'
only 'yaml' 'retriever/extract/front_matter\.c'
only 'gumbo' 'extract/html\.c|client/files/exclude\.c'
only 'archive' 'extract/zip\.c'
only 'expat' 'extract/xml\.c|client/sync/sitemap\.c'
only 'zlib' 'client/sync/sitemap\.c'
only 'uchardet|iconv' 'extract/charset\.c'
only 'seccomp' 'extract/confine\.c'

# A header's guard is its path.
for f in $(code '*.h'); do
    guard=$(tr 'a-z/.-' 'A-Z___' <<<"$f") has=$(sed -nE 's/^#ifndef ([A-Z0-9_]+_H)$/\1/p' "$f" | head -1)
    [ "$has" = "$guard" ] || grep -q 'guard, on purpose' "$f" || say "$f: its include guard is ${has:-missing}, not $guard"
done

# What was generated from the migrations, and is compiled in, is what they say.
made=$(mktemp)
store/migrations/generate.sh "$made"
cmp -s "$made" store/migrations/migrations.inc || say "store/migrations/migrations.inc is stale: store/migrations/generate.sh"
rm -f "$made"

# The client's commands and options that papers and notes name are those of its tables.
client=" --version --help $(sed -nE 's/^CLI_CMD\("([a-z]+)".*/\1/p' client/cmd.tbl | tr '\n' ' ')$(sed -nE 's/^CLI_OPT\([A-Z_]+, *"([a-z-]+)".*/--\1/p' client/opt.tbl | tr '\n' ' ')"
while read -r l; do say "$l (client/cmd.tbl, client/opt.tbl)"; done < <(code '*.md' '*NOTES.txt' | xargs awk -v known="$client" '
    match($0, /(^ *|`)footnote [^`|#]*/) {
        line = substr($0, RSTART, RLENGTH)
        gsub(/[][(),;`]/, " ", line)
        n = split(line, word, /[ =]+/)
        for (i = 1; word[i] != "footnote"; i++) continue
        for (first = ++i; i <= n; i++)
            if ((i == first || word[i] ~ /^--/) && index(known, " " word[i] " ") == 0) print FILENAME ":" FNR ": footnote knows no " word[i]
    }')

# The examples of -k in CONTRIBUTING.md find tests: a word of a name.
while read -r file word; do
    grep -qE "def test_[a-z0-9_]*$word" "$file" || say "CONTRIBUTING.md: -k $word finds no test of $file"
done < <(sed -nE 's/.*run_py\.sh (tests\/[a-z0-9_\/]+\.py) -- -k ([a-z0-9_]+).*/\1 \2/p' CONTRIBUTING.md)

# What the image is built from goes into its context: an ignored source would be missed only by who builds the image.
kept_out=$(code Makefile VERSION 'deploy/prompts/*' $(for d in $(make --no-print-directory -s source-folders); do echo "$d/*"; done) |
    git -c core.excludesFile="$PWD/.dockerignore" check-ignore --no-index --stdin)
[ -z "$kept_out" ] || while read -r l; do say "$l is kept out of the image by .dockerignore"; done <<<"$kept_out"
grep -qx 'COPY \. \.' Dockerfile || say "Dockerfile: not all of the context is copied (COPY . .)"

# the version stands in one file; the image's label cannot read it
grep -qx "ARG VERSION=$(cat VERSION)" Dockerfile || say "Dockerfile: ARG VERSION is not what VERSION says"
chart=deploy/helm/footnote/Chart.yaml
[ "$(sed -nE 's/^(version|appVersion): "?([^"]*)"?$/\2/p' $chart | sort -u)" = "$(cat VERSION)" ] || say "$chart: version and appVersion are not what VERSION says"
# a chart takes files of its own folder only
cmp -s deploy/prometheus/alerts.yml deploy/helm/footnote/files/alerts.yml || say "deploy/helm/footnote/files/alerts.yml is stale: deploy/gen-config.sh"
grep -qE "^## $(sed 's/\./\\./g' VERSION)\b" CHANGELOG.md || say "CHANGELOG.md: no section of version $(cat VERSION)"
# `make help` shows every target that is meant for people
while read -r t; do say "Makefile: target $t has no words for make help (##)"; done < <(comm -23 \
    <(sed -n 's/^\.PHONY: //p' Makefile | tr ' ' '\n' | grep -vxE 'unit-build|fuzz-build|source-folders' | sort -u) \
    <(sed -nE 's/^([a-z][a-z0-9-]*):.*## .*/\1/p' Makefile | sort -u))

# The subject of a comment's sentence comes first, and is a noun: not "What was sent …", but "The sent bytes …". Questions may begin so.
relative=$(code '*.c' '*.h' '*.tbl' '*.sql' | xargs awk '
    !(FILENAME ~ /\.sql$/ ? match($0, /--/) : match($0, /\/\*|^[ \t]*\*[ \t]/)) { next }
    {
        text = substr($0, RSTART + RLENGTH)
        sub(/^[-* \t]*/, ". ", text)
        while (match(text, /[.!?:;] (What|Whatever|Whoever|Whichever|That which) [^.!?]*[.!?]?/)) {
            if (substr(text, RSTART + RLENGTH - 1, 1) != "?") print FILENAME ":" FNR ":" substr(text, RSTART + 1, 60)
            text = substr(text, RSTART + 2)
        }
    }')
[ -z "$relative" ] || while read -r l; do say "$l (a sentence begins with its subject)"; done <<<"$relative"

# The papers that are referred to are in the tree.
papers=$(git grep -nE '\b(DESIGN|FAULTS|LIBRARIES|LAYOUT|GUIDE|API)\.md\b|(^|[^/])\bPROTOCOL\.md\b' -- . ':!tests/kit/lint.sh' ':!proto/PROTOCOL.md' 2>/dev/null)
[ -z "$papers" ] || while read -r l; do say "$l (a paper that is not in the tree)"; done <<<"$papers"

paths=$(git grep -nE '(^|[^A-Za-z0-9_.-])/(work|root|home/[a-z]+)/' -- . ':!tests/kit/lint.sh' 2>/dev/null)
[ -z "$paths" ] || while read -r l; do say "$l (absolute path of a machine)"; done <<<"$paths"
style=$(tests/kit/format.sh --check 2>&1) || while read -r l; do say "$l"; done <<<"$style"
todo=$(grep -nE '\b(TODO|FIXME|XXX)\b' $product /dev/null)
[ -z "$todo" ] || while read -r l; do say "$l (unfinished)"; done <<<"$todo"
if command -v shellcheck >/dev/null; then
    out=$(shellcheck -S warning $(code '*.sh' '.ci/run') 2>&1) || { printf '%s\n' "$out"; say "shellcheck found something"; }
fi
declared=$(sed -nE 's/^STAT[0-2]\(([A-Z]+), *[A-Z0-9_]+, *"([a-z0-9_]+)".*/\1 \2/p' $(code '*stat.tbl') | sed -E 's/ (process_)?/ footnote_\1/; s/footnote_process_/process_/' | sort -u)
names=$(cut -d' ' -f2 <<<"$declared")
series=$(sed -nE 's/^HISTOGRAM (.*)/\1_bucket\n\1_sum\n\1_count/p; s/^(COUNTER|FINE|GAUGE) //p' <<<"$declared")
shown=$(grep -ohE '\b(footnote|process)_[a-z0-9_]+' $(code 'deploy/grafana/dashboards/*.json' 'deploy/prometheus/alerts.yml' 'tests/alerts/*.yml' 'client/admin/gauge.tbl') | sort -u)
listed=$(sed -nE 's/^\| `([a-z0-9_]+)` .*/\1/p' docs/metrics.md | sort -u)
while read -r n; do say "docs/metrics.md: $n is missing, or is of no table"; done < <(comm -3 <(sort -u <<<"$names") <(echo "$listed") | tr -d '\t')
while read -r n; do say "dashboards, alerts, client/admin/gauge.tbl: there is no series $n"; done < <(comm -23 <(echo "$shown") <(sort -u <<<"$series"))
# Where programs are built: what was generated from their option tables must fit them. Older programs say nothing.
bin=${FOOTNOTE_BIN:-build/release}
if [ -x "$bin/footnote-gateway" ] && [ -z "$(find $(code '*opt.tbl') -newer "$bin/footnote-gateway")" ]; then
    out=$(FOOTNOTE_BIN=$bin deploy/gen-config.sh --check 2>&1) || { printf '%s\n' "$out"; say "configuration is stale"; }
fi
echo "lint: $findings findings"
[ $findings -eq 0 ]
