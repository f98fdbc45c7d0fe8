#!/usr/bin/env bash
# Footnote on this machine, with nothing configured: private Postgres and Redis under .run/, the five services, the
# sample documents, one demonstration question. Everything it starts has a pid file; it stops only what it started.
# usage: run.sh up|stop|status|restart SERVICE|logs [SERVICE]|psql|redis-cli|ingest DIR
#   DATABASE_URL, REDIS_URL, OPENAI_BASE_URL, OPENAI_API_KEY …, when set, are used instead of the private ones.
#   LOCAL_MODEL=1 (or what else local-model.sh takes): a model server on this machine writes the answers, as one more process, `model`.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
bin=${FOOTNOTE_BIN:-$top/build/release}
run=${FOOTNOTE_RUN:-$top/.run}
services=(store embedder retriever janitor gateway)
asked_port=${PORT:-}
# the sentence model that `make model` made
model=$top/build/model/embedding.model
if [ -z "${EMBEDDING_MODEL_FILE+x}" ] && [ "${EMBEDDING_MODEL:-on}" != off ] && [ -s "$model" ]; then export EMBEDDING_MODEL_FILE=$model; fi
export HOST=${HOST:-127.0.0.1} PORT=${PORT:-8080} AUTH=${AUTH:-off}
url=http://$HOST:$PORT

say() { printf '%s\n' "$*"; }
die() { printf 'footnote: %s\n' "$*" >&2; exit 1; }
# alive NAME: the process that its pid file names is still ours, and not another's that was given the number since
alive() {
    local pid
    pid=$(cat "$run/pid/$1" 2>/dev/null) && [ -n "$pid" ] && [[ "$(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline")" == *"$1"* ]]
}

# wait_for SECONDS WHAT COMMAND…: poll until the command succeeds.
wait_for() {
    local end=$((SECONDS + $1)) what=$2; shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || { say "$what did not become ready" >&2; return 1; }
        sleep 0.02
    done
}

# ---- private Postgres: its own user when we are root, a folder it can reach, a socket path that is short enough ----
pg_bin() { local d; for d in /usr/lib/postgresql/*/bin; do [ -x "$d/postgres" ] && echo "$d"; done | sort -V | tail -1; }
as_pg() { if [ "$(id -u)" -eq 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
pg_can_reach() { [ "$(id -u)" -ne 0 ] || runuser -u postgres -- test -x "$1"; }
private_dir() {
    # a link when the checkout lies where user postgres may not go, or where a socket's path would be too long
    if [ ! -e "$run/db" ]; then
        if pg_can_reach "$run" && [ ${#run} -lt 70 ]; then mkdir -p "$run/db"; else ln -s "$(mktemp -d /var/tmp/footnote-XXXXXX)" "$run/db"; fi
        chmod 755 "$run/db/."
        mkdir -p "$run/db/pg" "$run/db/sock"
        chmod 700 "$run/db/pg" "$run/db/sock"
        [ "$(id -u)" -ne 0 ] || chown postgres: "$run/db/pg" "$run/db/sock"
    fi
    db=$(readlink -f "$run/db")
}
pg_up() {
    [ -z "${DATABASE_URL:-}${NEON_DATABASE_URL:-}" ] || return 0
    local b; b=$(pg_bin); [ -n "$b" ] || die "Postgres is not installed: run 'make deps'"
    private_dir
    if [ ! -s "$db/pg/PG_VERSION" ]; then
        as_pg "$b/initdb" -D "$db/pg" -U footnote -E UTF8 --locale=C.UTF-8 --auth-local=trust --auth-host=reject \
            > "$run/log/initdb.log" 2>&1 || { cat "$run/log/initdb.log" >&2; die "initdb failed"; }
    fi
    if ! as_pg "$b/pg_ctl" -D "$db/pg" status >/dev/null 2>&1; then
        rm -f "$db/pg/postmaster.pid"
        # the server writes its log into its own folder: $run/log is not its user's
        as_pg "$b/pg_ctl" -D "$db/pg" -s -w -t 30 -l "$db/pg/server.log" \
            -o "-c listen_addresses='' -c unix_socket_directories='$db/sock' -c unix_socket_permissions=0777 -c max_connections=100" \
            start || { tail -5 "$db/pg/server.log" >&2; die "Postgres did not start"; }
    fi
    psql_cmd -d postgres -Atc "SELECT 1 FROM pg_database WHERE datname='footnote'" | grep -q 1 ||
        psql_cmd -d postgres -qc 'CREATE DATABASE footnote'
    # the owner migrates; the role that serves is no superuser and owns nothing (store/owner.c makes it)
    owner_url="postgresql://footnote@/footnote?host=$db/sock"
    export DATABASE_URL="postgresql://footnote_app@/footnote?host=$db/sock"
}
migrate() {
    [ -n "${owner_url:-}" ] || return 0
    DATABASE_OWNER_URL=$owner_url program store --metrics-port=0 --migrate </dev/null >>"$run/log/store.log" 2>&1 ||
        { tell_why store; die "the schema was not migrated"; }
}
psql_cmd() { "$(pg_bin)/psql" -h "$db/sock" -U footnote "$@"; }

redis_up() {
    [ -z "${REDIS_URL:-}" ] || return 0
    private_dir; mkdir -p "$run/redis"
    command -v redis-server >/dev/null || die "Redis is not installed: run 'make deps'"
    export REDIS_URL="unix://$db/redis.sock"
    alive redis && return 0
    rm -f "$db/redis.sock"
    redis-server --port 0 --unixsocket "$db/redis.sock" --unixsocketperm 700 --dir "$run/redis" --appendonly yes \
        --save '' --maxmemory 256mb --maxmemory-policy volatile-lru --logfile "$run/log/redis.log" \
        --daemonize yes --pidfile "$run/pid/redis" >/dev/null
    wait_for 10 Redis redis-cli -s "$db/redis.sock" ping
}

# ---- services ----
# Internal ports: the usual ones (bus 5555, 9101-9105), or the next free ones when another suite runs here.
port_free() { ! (exec 3<>"/dev/tcp/${2:-127.0.0.1}/$1") 2>/dev/null; }
choose_ports() {
    local s step p free
    for s in "${services[@]}"; do if alive "$s" && [ -e "$run/ports" ]; then return 0; fi; done
    for step in 0 10 20 30 40 50 60 70 80 90; do
        free=yes
        for p in $((5555 + step)) 910{1,2,3,4,5}; do
            [ "$p" -lt 9000 ] || p=$((p + step))
            port_free "$p" || free=
        done
        if [ -n "$free" ]; then echo "bus_port=$((5555 + step)) metrics_base=$((9100 + step))" > "$run/ports"; return 0; fi
    done
    die "no free internal ports: is something else using 5555 and 9101-9105?"
}
# shellcheck disable=SC1091
use_ports() {
    bus_port=5555 metrics_base=9100
    if [ -e "$run/ports" ]; then . "$run/ports"; fi
    export HUB_BIND=${HUB_BIND:-tcp://127.0.0.1:$bus_port}
    export HUB_ENDPOINTS=${HUB_ENDPOINTS:-$HUB_BIND}
}
metrics_port() { case $1 in gateway) echo $((metrics_base + 1)) ;; embedder) echo $((metrics_base + 2)) ;;
    retriever) echo $((metrics_base + 3)) ;; store) echo $((metrics_base + 4)) ;; janitor) echo $((metrics_base + 5)) ;; esac; }
# The public port: PORT where it is set; else 8080, or the next free one when somebody else has it. One that was chosen is kept.
choose_public_port() {
    local chosen p
    [ -z "$asked_port" ] || { rm -f "$run/port"; return 0; }
    chosen=$(cat "$run/port" 2>/dev/null || true)
    for p in ${chosen:-8080} {8080..8179}; do
        if [ "$p" = "$(running_port)" ] || port_free "$p" "$HOST"; then PORT=$p; break; fi
    done
    url=http://$HOST:$PORT
    if [ "$PORT" = 8080 ]; then rm -f "$run/port"; return 0; fi
    echo "$PORT" > "$run/port"
    say "Port 8080 of $HOST is in use by another program: this Footnote takes $PORT."
}
running_port() { if alive gateway; then sed -n 's/^export PORT=//p' "$run/options" 2>/dev/null; fi; }
# Names of a service's options in the environment, aliases and files too.
options_of() {
    "$bin/footnote-$1" --help | sed -nE 's/^ .* \[([A-Z][A-Z0-9_]*(, [A-Z][A-Z0-9_]*)*)(;.*)?\]$/\1/p' | sed 's/, /\n/g' | sed 's/.*/&\n&_FILE/'
}
# What a service is given: its own options, and what any program on this machine may need. Another's secrets are not in its
# environment, where whoever breaks into it would look first.
environment_of() { # NAME=value, each with a NUL behind it
    local n keep=(PATH HOME USER LANG LANGUAGE LC_ALL LC_CTYPE TZ TMPDIR LD_LIBRARY_PATH ASAN_OPTIONS TSAN_OPTIONS UBSAN_OPTIONS
        SSL_CERT_FILE SSL_CERT_DIR OPENSSL_CONF)
    [ "$1" != embedder ] || keep+=(http_proxy https_proxy no_proxy all_proxy HTTPS_PROXY NO_PROXY ALL_PROXY)   # curl's
    [ "$1" != store ] || mapfile -t -O "${#keep[@]}" keep < <(compgen -e PG)                                   # libpq's
    mapfile -t -O "${#keep[@]}" keep < <(options_of "$1")
    for n in "${keep[@]}"; do [ -z "${!n+x}" ] || printf '%s=%s\0' "$n" "${!n}"; done
}
# program SERVICE [OPTION…]: that service's program, with what the service is given
program() {
    local s=$1 given; shift
    mapfile -d '' -t given < <(METRICS_PORT=$(metrics_port "$s") environment_of "$s")
    env -i "${given[@]}" "$bin/footnote-$s" "$@"
}
start_service() {
    local s=$1 given
    alive "$s" && return 0
    [ "$s" != store ] || migrate
    mapfile -d '' -t given < <(METRICS_PORT=$(metrics_port "$s") environment_of "$s")
    setsid nohup env -i "${given[@]}" "$bin/footnote-$s" </dev/null >>"$run/log/$s.log" 2>&1 &
    echo $! > "$run/pid/$s"
}
# runs PID: it has not ended; one that did, with all its threads, and waits for a parent to notice (a container's init may be slow) runs no more
runs() {
    local stat threads
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    threads=("/proc/$1/task"/*)
    [[ ${stat##*) } != [ZX]* ]] || [ ${#threads[@]} -gt 1 ]
}
stop_service() {
    alive "$1" || { rm -f "$run/pid/$1"; return 0; }
    local pid; pid=$(cat "$run/pid/$1")
    kill -TERM "$pid"
    local end=$((SECONDS + 130))
    while runs "$pid"; do
        [ $SECONDS -lt $end ] || { kill -KILL "$pid"; break; }
        sleep 0.02
    done
    rm -f "$run/pid/$1"
}
ready() { alive "$1" && program "$1" --ready; }
# wait_ready SERVICE: until it is ready; a service that ended, or takes over 30 s, is named with its last words. One that still
# loads its index, or waits for the retriever that does, is at work: that is said, and it has ten minutes.
wait_ready() {
    local end=$((SECONDS + 30)) late=$((SECONDS + 600)) why said=
    until why=$(ready "$1" 2>&1); do
        if [ $SECONDS -ge $end ] && [ $SECONDS -lt $late ] && [[ $why == *"index loading"* || $why == *": starting"* ]]; then
            [ -n "$said" ] || { said=1; say "$1: ${why##*: not ready: } ..."; }
            end=$((SECONDS + 1))
        fi
        if ! alive "$1" || [ $SECONDS -ge $end ]; then
            tell_why "$1"
            die "$1 $(alive "$1" && echo 'did not become ready' || echo 'ended')"
        fi
        sleep 0.02
    done
}
tell_why() { say "--- last lines of $run/log/$1.log:" >&2; tail -8 "$run/log/$1.log" >&2; }

# ---- the local model: a process like the services, with its command, port and name in $run/model ----
local_model() { [[ ${LOCAL_MODEL:-off} != @(off|0|no) ]]; }
# The five are given what local-model.sh says, unless something else is asked for.
use_local_model() {
    local lines out p line n
    if ! local_model; then forget_local_model; return 0; fi
    [ -z "${OPENAI_BASE_URL:-}" ] || die "LOCAL_MODEL and OPENAI_BASE_URL are both set: which of the two writes the answers?"
    out=$(LOCAL_MODEL=$LOCAL_MODEL "$top/deploy/local-model.sh") || exit 1
    mapfile -t lines <<<"$out"
    p=$(model_value port)
    alive model || [ -z "$p" ] || port_free "$p" || p=
    [ -n "$p" ] || p=$(free_model_port)
    (umask 077; printf '%s\n' "$p" "${lines[@]:0:4}" > "$run/model.new")
    # another model, server or port: the one that runs is not the one that is asked for
    cmp -s "$run/model.new" "$run/model" || stop_service model
    mv "$run/model.new" "$run/model"
    [ -z "${OPENAI_API_KEY:-}${OPENAI_API_KEY_FILE:-}" ] || say "LOCAL_MODEL: OPENAI_API_KEY is not used."
    unset OPENAI_API_KEY OPENAI_API_KEY_FILE
    export OPENAI_BASE_URL=http://127.0.0.1:$p/v1 OPENAI_MODEL=${lines[2]} CHAT_PROVIDER=openai
    for line in "${lines[@]:4}"; do n=${line%%=*}; [ -n "${!n:-}" ] || declare -gx "$line"; done
    if [ -n "${EMBEDDING_MODEL_FILE:-}" ]; then : "${EMBEDDING_PROVIDER:=minilm}"; else : "${EMBEDDING_PROVIDER:=ngram}"; fi
    export EMBEDDING_PROVIDER
}
forget_local_model() { stop_service model; rm -f "$run/model"; }
model_value() { # port, command, file, name or threads; empty without a local model
    local -A line=([port]=1 [command]=2 [file]=3 [name]=4 [threads]=5)
    sed -n "${line[$1]}p" "$run/model" 2>/dev/null || true
}
free_model_port() {
    local p
    for p in {8090..8189}; do if port_free "$p"; then echo "$p"; return 0; fi; done
    die "no free port for the model server (8090 to 8189)"
}
start_model() {
    local command n given
    given=("LLAMA_ARG_THREADS=$(model_value threads)")
    if alive model; then return 0; fi
    port_free "$(model_value port)" || die "the model server's port $(model_value port) is in use by another program: make run LOCAL_MODEL=… chooses another"
    IFS=$'\t' read -ra command <<<"$(model_value command)"
    for n in PATH HOME LANG LC_ALL TMPDIR LD_LIBRARY_PATH; do [ -z "${!n+x}" ] || given+=("$n=${!n}"); done
    # nice: a question's own work goes before the writing of another's answer
    setsid nohup nice -n 5 env -i "${given[@]}" "${command[@]}" --model "$(model_value file)" --alias "$(model_value name)" \
        --host 127.0.0.1 --port "$(model_value port)" --ctx-size 8192 --parallel 2 </dev/null >>"$run/log/model.log" 2>&1 &
    echo $! > "$run/pid/model"
}
model_ready() { alive model && curl -sf -m 2 -o /dev/null "http://127.0.0.1:$(model_value port)/health"; }
wait_model() { # a large file on a slow disk takes its time
    local end=$((SECONDS + 600)) late=$((SECONDS + 5)) pid
    pid=$(cat "$run/pid/model")
    until model_ready; do
        runs "$pid" || { tell_why model; rm -f "$run/pid/model"; die "the model server ended"; }
        [ $SECONDS -lt $end ] || { tell_why model; die "the model server did not become ready"; }
        [ $SECONDS -lt $late ] || { say "model: loading ..."; late=$end; }
        sleep 0.1
    done
}
secrets() {
    mkdir -p "$run/secrets"; chmod 700 "$run/secrets"
    if [ -z "${DEPLOYMENT_SECRET:-}${DEPLOYMENT_SECRET_FILE:-}" ]; then
        [ -s "$run/secrets/deployment_secret" ] || (umask 077; head -c 32 /dev/urandom | base64 > "$run/secrets/deployment_secret")
        export DEPLOYMENT_SECRET_FILE="$run/secrets/deployment_secret"
    fi
}
# The options that were given to `up` are kept (mode 0600), so that a restart of one service has them too.
option_names() { for s in "${services[@]}"; do options_of "$s"; done | sort -u; }
remember_options() {
    local n new
    new=$(for n in $(option_names); do [ -z "${!n+x}" ] || printf 'export %s=%q\n' "$n" "${!n}"; done)
    if [ "$new" != "$(cat "$run/options" 2>/dev/null)" ]; then
        [ ! -e "$run/options" ] || stop_services
        (umask 077; printf '%s\n' "$new" > "$run/options")
    fi
}
# shellcheck disable=SC1091
recall_options() { if [ -e "$run/options" ]; then . "$run/options"; fi; url=http://$HOST:$PORT; }
environment() { mkdir -p "$run/log" "$run/pid"; use_ports; secrets; pg_up; redis_up; }

up() {
    local s check how=()
    mkdir -p "$run/log" "$run/pid"
    choose_public_port
    use_local_model
    remember_options
    if local_model; then start_model; wait_model; fi   # first: an embedder that finds nobody there leaves it alone for seconds
    choose_ports
    environment
    if ! alive gateway && ! port_free "$PORT" "$HOST"; then
        die "port $PORT of $HOST is in use by another program: make run PORT=8081"
    fi
    for s in "${services[@]}"; do
        check=$(program "$s" --check-config 2>&1 >/dev/null) || die "$s: $check"
        # a service that is older than its program is replaced
        if alive "$s" && [ "$bin/footnote-$s" -nt "$run/pid/$s" ]; then stop_service "$s"; fi
        start_service "$s"
    done
    for s in "${services[@]}"; do
        wait_ready "$s"
    done
    if [ "${SAMPLE_DOCUMENTS:-on}" = on ]; then
        docs=$(cat "$top"/docs/*.md | sha256sum)
        if [ "$docs" != "$(cat "$run/sample" 2>/dev/null)" ]; then
            say "Adding the sample documents (docs/):"
            "$bin/footnote" ingest "$top"/docs/*.md --url "$url"
            printf '%s\n' "$docs" > "$run/sample"
        fi
    fi
    say ""
    question='What happens to questions in flight when a service is restarted?'
    say "Q: $question"
    if local_model; then how=(--stream --top-k 3); fi   # it takes its time, and is lost among many passages
    if ! "$bin/footnote" ask "${how[@]}" "$question" --url "$url"; then
        local_model || return 1
        say "The model did not come to an end: this machine is slow for it, or has other work. All else is up."
    fi
    say ""
    say "Footnote answers at $url  (make stop ends it, make status shows it)"
}
stop_services() { local s; for s in gateway janitor retriever embedder store; do stop_service "$s"; done; }
stop() {
    stop_services
    stop_service model
    if alive redis; then stop_service redis; fi
    if [ -e "$run/db/pg/PG_VERSION" ]; then
        as_pg "$(pg_bin)/pg_ctl" -D "$(readlink -f "$run/db")/pg" -s -m fast stop 2>/dev/null || true
    fi
    say "stopped"
}
status() {
    local s rc=0
    recall_options; use_ports
    for s in "${services[@]}"; do
        if ! alive "$s"; then say "$s: not running"; rc=1
        elif ready "$s" >/dev/null 2>&1; then say "$s: ready (pid $(cat "$run/pid/$s"))"
        else say "$s: running, not ready (pid $(cat "$run/pid/$s")): see .run/log/$s.log"; rc=1; fi
    done
    if [ -e "$run/model" ]; then
        if model_ready; then say "model: ready (pid $(cat "$run/pid/model")): $(model_value name) on http://127.0.0.1:$(model_value port)/v1"
        else
            say "model: $(alive model && echo 'running, not ready' || echo 'not running'): answers are quotes until it is back (make restart SERVICE=model): see .run/log/model.log"; rc=1
        fi
    fi
    alive gateway && say "$url"
    return $rc
}
restart() {
    if [ "$1" = model ] && [ -e "$run/model" ]; then
        stop_service model; start_model; wait_model
        say "model: ready (pid $(cat "$run/pid/model"))"
        return 0
    fi
    [[ -n $1 && " ${services[*]} " == *" $1 "* ]] || die "restart what? make restart SERVICE=$(IFS='|'; echo "${services[*]}")$([ ! -e "$run/model" ] || echo '|model')"
    recall_options
    environment
    stop_service "$1"; start_service "$1"
    wait_ready "$1"
    # and so that questions are answered again: the gateway must have seen it, too
    if alive gateway; then wait_ready gateway; fi
    say "$1: ready (pid $(cat "$run/pid/$1"))"
}

case ${1:-} in
up) up ;;
stop) stop ;;
status) status ;;
restart) restart "${2:-}" ;;
logs) tail -n "${LINES_SHOWN:-40}" ${FOLLOW:+-f} "$run"/log/${2:-*}.log ;;
psql) private_dir; exec "$(pg_bin)/psql" -h "$db/sock" -U footnote footnote ;;
redis-cli) private_dir; exec redis-cli -s "$db/redis.sock" ;;
ingest) [ -n "${2:-}" ] || die "which folder? make ingest DIR=path"; recall_options; exec "$bin/footnote" ingest "$2" --url "$url" ;;
*) sed -n '2,6p' "$0" | sed 's/^# //'; exit 2 ;;
esac
