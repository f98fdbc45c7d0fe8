#!/usr/bin/env bash
# Writes .env.example, docs/configuration.md and the Helm chart's values.schema.json from the option tables, as the programs themselves print them,
# and the chart's copy of the alerts, since a chart takes files of its own folder only.
# usage: gen-config.sh            write them
#        gen-config.sh --check    exit 1 when a committed file differs from its tables, or when docker-compose.yml does not
#                                 hand an option to the service that knows it
# FOOTNOTE_BIN is where the programs are (default build/release).
set -euo pipefail
export LC_ALL=C
top=$(cd "$(dirname "$0")/.." && pwd)
bin=${FOOTNOTE_BIN:-$top/build/release}
services=(gateway embedder retriever store janitor)
# Fixed in docker-compose.yml, or secrets: nothing to write into .env.
fixed=' HOST HUB_BIND AUTH METRICS_HOST METRICS_PORT DRAIN_TIMEOUT ADMIN_KEY DEPLOYMENT_SECRET BUS_SECRET_KEY HUB_SECRET_KEY HUB_PUBLIC_KEY HUB_ALLOW_FILE '
# Not handed over: the owner's address (service migrate has it), defaults that fit a container, and test hooks (FAULT_…), which are no settings either.
inside=' METRICS_PORT DRAIN_TIMEOUT IMPORT_FROM IMPORT_SCHEMA IMPORT_TENANT IMPORT_BASE_URL DATABASE_OWNER_URL '

for s in "${services[@]}"; do
    [ -x "$bin/footnote-$s" ] || { echo "gen-config: $bin/footnote-$s is missing: make build" >&2; exit 2; }
done

# All rows of a kind, service by service. A row that every service has, or every one but the gateway, is given once,
# under "all" or "workers". Out: lines "GROUP<tab>ROW"; the two lines of an env row are joined by \x01.
rows() { # rows env|md
    local s
    for s in "${services[@]}"; do
        if [ "$1" = env ]; then "$bin/footnote-$s" --print-options=env | sed -n "s/^# $s: //;N;s/\n/\x01/;p"
        else "$bin/footnote-$s" --print-options=md | sed "s/^| $s | //"; fi | sed "s/^/$s\t/"
    done | awk -F'\t' '
        { line[NR] = $2; svc[NR] = $1; n[$2]++; if ($1 == "gateway") gw[$2] = 1 }
        END {
            for (i = 1; i <= NR; i++) {
                group = n[line[i]] == 5 ? "all" : n[line[i]] == 4 && !gw[line[i]] ? "workers" : svc[i]
                if (!((group, line[i]) in seen)) print group "\t" line[i]
                seen[group, line[i]] = 1
            }
        }'
}
of_group() { awk -F'\t' -v g="$2" '$1 == g { print $2 }' <<<"$1"; }

title() {
    case $1 in
    all) echo 'Every service' ;;
    workers) echo 'Every worker (embedder, retriever, store, janitor)' ;;
    *) echo "footnote-$1" ;;
    esac
}

# The chart's schema: an option that no service knows, or one that the chart sets itself, is refused with its name.
helm_schema() {
    local s comma=''
    printf '{\n  "$schema": "http://json-schema.org/draft-07/schema#",\n  "type": "object",\n  "properties": {\n'
    for s in all "${services[@]}"; do
        printf '%s' "$comma"
        if [ "$s" = all ]; then printf '    "options": '; else printf '    "%s": {"type": "object", "properties": {"options": ' "$s"; fi
        for p in "${services[@]}"; do
            [ "$s" != all ] && [ "$s" != "$p" ] || "$bin/footnote-$p" --print-options=md
        done | tr -d '`' | sort -u -t'|' -k3,3 | awk -F' *[|] *' -v not=" $fixed $inside PORT BUS_CURVE " '
            index(not, " " $3 " ") && $3 != "DRAIN_TIMEOUT" || $3 !~ /^[A-Z]/ || $3 ~ /^FAULT_/ || $4 == "secret" { next }
            {
                type = $4 == "whole number" ? "integer" : $4 == "on or off" ? "boolean" : "number"
                range = type == "integer" && split($6, m, " to ") == 2 ? ", \"minimum\": " m[1] ", \"maximum\": " m[2] : ""
                printf "%s\n      \"%s\": {\"type\": [\"%s\", \"string\"]%s}", n++ ? "," : head, $3, type, range
            }
            BEGIN { head = "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {" }
            END { printf "}}" }'
        [ "$s" = all ] || printf '}}'
        comma=$',\n'
    done
    printf '\n  }\n}\n'
}

# What docker-compose.yml says where a setting is not made: NAME: ${NAME:-this}
compose_default() { sed -n "s/^ *$1: \${$1:-\(.*\)}$/\1/p" "$top/docker-compose.yml" | head -1; }

env_example() {
    local all g name row def seen=' '
    all=$(rows env)
    cat <<'TEXT'
# Settings of the compose stack: copy to .env and take away the '#' of what you change. Nothing here is needed to start.
# Made by deploy/gen-config.sh from the option tables: change those, not this file.
# Secrets belong into deploy/secrets/ (make secrets), not here; .env is not under version control either.

# The one published port, on 127.0.0.1.
#PORT=8080
# Images, if not these; BASE is what footnote:local is built on.
#POSTGRES_IMAGE=postgres:17
# With INDEX_ENGINE=pgvector: POSTGRES_IMAGE=pgvector/pgvector:pg17, the same server with that extension.
#REDIS_IMAGE=redis:7
#BASE=debian:trixie-slim
#FOOTNOTE_IMAGE=footnote:local
# With --profile monitoring: Grafana's port on 127.0.0.1, how long Prometheus keeps what it measured, their images.
#GRAFANA_PORT=3000
#PROMETHEUS_RETENTION=30d
#PROMETHEUS_IMAGE=prom/prometheus:v2.53.4
#GRAFANA_IMAGE=grafana/grafana:11.6.0
# With --profile local: llama.cpp's server and the model's file (make local-model prints these and what the embedder is told).
#LOCAL_MODEL_IMAGE=ghcr.io/ggml-org/llama.cpp:server-b11176
#LOCAL_MODEL_THREADS=-1
#LOCAL_MODEL_FILE=./build/local-model/smollm2-135m-instruct-q4_1.gguf
# Time zone of the janitor's schedule.
#TZ=UTC
TEXT
    for g in all workers "${services[@]}"; do
        printf '\n# ---- %s\n' "$(title "$g")"
        while IFS= read -r row; do
            name=${row#*$'\x01'#}; name=${name%%=*}
            [[ $fixed$seen != *" $name "* && $name != PORT && $name != FAULT_* ]] || continue
            seen+="$name "
            def=$(compose_default "$name")
            if [ -n "$def" ]; then row=${row%%$'\x01'*}$'\x01'"#$name=$def"; fi
            printf '# %s\n' "${row//$'\x01'/$'\n'}"
        done < <(of_group "$all" "$g")
    done
}

configuration() {
    local all g
    all=$(rows md)
    cat <<'TEXT'
# Configuration

Every program takes each of its options as a flag (`--database-pool-size 20`), from the environment (`DATABASE_POOL_SIZE=20`) and,
where it is a text or a secret, from a file that `NAME_FILE` names (its first line). Precedence: flag, environment, file,
default. An empty variable or file counts as not set. `footnote-NAME --check-config` prints what is in force and where it
came from, secrets masked, and exits 1 when something is wrong; `--help` lists the options of one program.

With docker-compose, `.env` holds the settings (`.env.example` shows them all) and `deploy/secrets/` the secrets
(`make secrets`). With `make run` they come from the environment. What the stack itself needs is fixed in
`docker-compose.yml`: HOST, HUB_BIND, AUTH=on, METRICS_HOST, METRICS_PORT, DRAIN_TIMEOUT, and the files of the bus's keys
(`make secrets` makes them). There the bus is encrypted (`BUS_CURVE=on`) and lets in only workers whose key is listed, each only
with its own services.

This page is made by `deploy/gen-config.sh` from the option tables (`*/opt.tbl`): change those.
TEXT
    for g in all workers "${services[@]}"; do
        printf '\n## %s\n\n| name | kind | default | bounds | what it is |\n|---|---|---|---|---|\n' "$(title "$g")"
        of_group "$all" "$g" | sed 's/^/| /; s/ *|  *|/ | |/g; s/|  |/| |/g'
    done
}

# Names that docker-compose.yml hands to a service: the keys of its environment and of the anchors that it merges.
compose_names() {
    awk -v want="$1" '
        /^x-env:/ { in_env = 1 } /^x-worker-env:/ { in_env = want != "gateway" } /^services:/ { in_env = 0; services = 1 }
        services && /^  [a-z-]+:/ { in_env = 0; mine = $1 == want ":" }
        mine && /^    environment:/ { in_env = 1; next }
        mine && /^    [a-z]/ { in_env = 0 }
        in_env && /^ +[A-Z_]+:/ { sub(/:.*/, "", $1); print $1 }' "$top/docker-compose.yml"
}
check_compose() {
    local s name given bad=0
    for s in "${services[@]}"; do
        given=$(compose_names "$s")
        while read -r name; do
            [[ $inside == *" $name "* || $name == FAULT_* ]] || grep -qxE "$name(_FILE)?" <<<"$given" ||
                { echo "docker-compose.yml: $s knows $name, but is not handed it" >&2; bad=1; }
        done < <("$bin/footnote-$s" --print-options=env | sed -n 's/^#\([A-Z][A-Z0-9_]*\)=.*/\1/p')
    done
    return $bad
}

same() { # same FILE < what it should hold
    diff -u "$top/$1" - >&2 || { echo "$1 is stale: run deploy/gen-config.sh" >&2; return 1; }
}
case ${1:-} in
--check)
    rc=0
    same .env.example < <(env_example) || rc=1
    same docs/configuration.md < <(configuration) || rc=1
    same deploy/helm/footnote/values.schema.json < <(helm_schema) || rc=1
    same deploy/helm/footnote/files/alerts.yml < "$top/deploy/prometheus/alerts.yml" || rc=1
    check_compose || rc=1
    [ $rc -ne 0 ] || echo "gen-config: .env.example, docs/configuration.md, the chart's schema and docker-compose.yml fit the option tables"
    exit $rc ;;
'')
    env_example > "$top/.env.example.new" && mv "$top/.env.example.new" "$top/.env.example"
    configuration > "$top/docs/configuration.md.new" && mv "$top/docs/configuration.md.new" "$top/docs/configuration.md"
    helm_schema > "$top/build/schema.new" && mv "$top/build/schema.new" "$top/deploy/helm/footnote/values.schema.json"
    cp "$top/deploy/prometheus/alerts.yml" "$top/deploy/helm/footnote/files/alerts.yml" ;;
*) sed -n '2,7p' "$0" | sed 's/^# //'; exit 2 ;;
esac
