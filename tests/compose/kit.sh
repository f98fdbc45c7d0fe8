# shellcheck shell=bash
# shellcheck disable=SC2154  # top is run.sh's
# Tools of run.sh: bars, waiting for conditions, compose with our settings, HTTP with our keys.
short=0 passed=0 failed=0
brief=               # the short form: times are shown, not judged
project=fntest$$
origin=https://docs.example.org
session=$(python3 -c 'import uuid; print(uuid.uuid4())')

# bar NAME MEASURED OP BAR: OP is = or <= (numbers: a time). Says ok or SHORT, remembers the latter.
bar() {
    local verdict=SHORT
    case $3 in
    '=') [ "$2" != "$4" ] || verdict=ok ;;
    '<=') if [ -n "$brief" ]; then verdict=shown
        elif awk -v a="$2" -v b="$4" 'BEGIN { exit !(a ~ /^[0-9.]+$/ && a <= b) }'; then verdict=ok; fi ;;
    esac
    case $verdict in ok) passed=$((passed + 1)) ;; SHORT) short=1 failed=$((failed + 1)) ;; esac
    printf '%-34s %-22s %-22s %s\n' "$1" "$2" "$3 $4" $verdict
}
now_ms() { date +%s%3N; }
# until_true SECONDS COMMAND…: poll until it succeeds
until_true() {
    local end=$(( $(now_ms) + $1 * 1000 )); shift
    until "$@"; do
        [ "$(now_ms)" -lt "$end" ] || return 1
        sleep 0.05
    done
}

# An .env of the checkout must not reach the stack: an empty one stands in for it.
compose() {
    if command -v docker-compose >/dev/null; then docker-compose --env-file "$work/env" -p "$project" "$@"
    else docker compose --env-file "$work/env" -p "$project" "$@"; fi
}
containers() { docker ps -aq --filter "label=com.docker.compose.project=$project" "$@"; }
container_of() { containers --filter "label=com.docker.compose.service=$1" | head -1; }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

prepare() {
    work=$(mktemp -d "${TMPDIR:-/tmp}/footnote-compose.XXXXXX")
    export SECRETS_DIR=$work/secrets FOOTNOTE_IMAGE=footnote:compose-test ALLOWED_ORIGINS=$origin
    BUILD_ID=$(git rev-parse --short HEAD 2>/dev/null || echo image)
    PORT=$(free_port)
    : > "$work/env"
    # neither must settings of this shell
    unset REDIS_URL REDIS_STATE_URL DATABASE_URL NEON_DATABASE_URL OPENAI_API_KEY OPENAI_BASE_URL HUB_ENDPOINTS PROMPT_FILE
    export BUILD_ID PORT RATE_LIMIT_REQUESTS=10000 RATE_LIMIT_PER_HOUR=100000 RATE_LIMIT_ADDR_REQUESTS=100000
    url=http://127.0.0.1:$PORT
    deploy/secrets.sh >/dev/null
    # in a file, so that the key shows in no list of processes
    (umask 077; printf 'Authorization: Bearer %s\n' "$(cat "$SECRETS_DIR/admin_key")" > "$work/auth")
}
finish() {
    local rc=$?
    if [ $rc -ne 0 ] || [ "$short" -ne 0 ]; then
        echo "--- last warnings of the stack"
        compose logs --no-color --tail 400 2>/dev/null | grep -E '"level":"(warn|error)"|FATAL|ERROR' | tail -20
    fi
    compose down -v --remove-orphans -t 10 >"$work/down.log" 2>&1 </dev/null || tail -3 "$work/down.log"
    if [ "${COMPOSE_TEST_DOCKER:-private}" = private ] && [ -z "${KEEP:-}" ]; then "$top/tests/compose/down.sh"; fi
    rm -rf "$work"
    if [ $rc -ne 0 ] && [ "$failed" -eq 0 ]; then failed=1; fi
    echo "compose: $passed passed, $failed failed"
    exit $rc
}

# Python over the JSON in a file: field FILE EXPRESSION (d is the document)
field() { python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2" 2>/dev/null; }
admin() { curl -s -m 40 -H @"$work/auth" "$@"; }
# widget QUESTION FILE [CURL OPTION…]: a browser's keyless request; prints the status
widget() {
    local question=$1 out=$2; shift 2
    curl -s -m 20 -o "$out" -w '%{http_code}' -H "Origin: $origin" -H 'Content-Type: application/json' \
        -d "{\"question\":\"$question\",\"session_id\":\"$session\"}" "$@" "$url/api/v1/chat/query"
}
# A cited answer, never from the query cache
answered() {
    [ "$(widget "$1" "$work/answer" -H 'Cache-Control: no-cache')" = 200 ] &&
        [ "$(field "$work/answer" 'd["grounded"] and "[1]" in d["answer"] and len(d["sources"]) > 0')" = True ]
}
all_healthy() { [ "$(containers --filter health=healthy | wc -l)" = "$1" ]; }
workers() { curl -s -m 5 "$url/api/v1/health" > "$work/health" && [ "$(field "$work/health" "d['services']['$1']['workers']")" = "$2" ]; }
