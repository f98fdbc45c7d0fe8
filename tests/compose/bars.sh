# shellcheck shell=bash
# shellcheck disable=SC2154  # work, url, project … are kit.sh's
# The bars of run.sh, a function each; the order is run.sh's.

# What a checkout may hold beside its sources never reaches the daemon, and every source does: a copy of the tracked files
# with such things planted is sent as a context, and the image tells what came.
context_holds_no_secret() {
    local tree=$work/context came=$work/came planted hit f
    planted='deploy/secrets/admin_key .env .env.production gateway/.env .git/config .run/options .run/log/store.log build/release/footnote
        .test/docker/x deploy/tls/server.key ca.pem footnote.dump gateway/crash.log .venv/bin/python tests/x'
    mkdir -p "$tree"
    git ls-files -z | tar -c --null --ignore-failed-read -T - 2>/dev/null | tar -x -C "$tree"
    for f in $planted; do mkdir -p "$tree/$(dirname "$f")"; echo secret > "$tree/$f"; done
    printf 'FROM %s\nCOPY . /context\nRUN cd /context && find . -type f | sed "s,^./,,"\n' "${BASE:-debian:trixie-slim}" > "$work/ls.Dockerfile"
    docker build --no-cache --network none --force-rm -f "$work/ls.Dockerfile" "$tree" > "$came" 2>&1 || tail -5 "$came"
    docker image rm -f "$(sed -n 's/^Successfully built //p' "$came")" >/dev/null 2>&1
    hit=$(for f in $planted; do grep -xF "$f" "$came"; done | paste -sd' ')
    bar planted_files_in_the_context "${hit:-none}" = none
    # shellcheck disable=SC2046  # a list of folders
    hit=$(git ls-files Makefile deploy/prompts $(make --no-print-directory -s source-folders) | grep -vxF -f "$came" | paste -sd' ')
    bar sources_not_in_the_context "${hit:-none}" = none
}

image_is_built() {
    local begun
    begun=$(now_ms)
    # over the host's network, like images.sh; then compose itself, which finds every layer there
    if ! docker build --network host --build-arg BUILD_ID="$BUILD_ID" --build-arg BASE="${BASE:-debian:trixie-slim}" \
            -t "$FOOTNOTE_IMAGE" . >"$work/build.log" 2>&1 || ! compose build gateway >>"$work/build.log" 2>&1; then
        tail -20 "$work/build.log"
        bar image_built no = yes
        exit 1
    fi
    bar image_built yes = yes
    bar image_build_warnings "$(grep -c 'warning: .*\[-W' "$work/build.log")" = 0
    bar image_build_s $(( ($(now_ms) - begun) / 1000 )) '<=' 600
    bar image_user "$(docker image inspect -f '{{.Config.User}}' "$FOOTNOTE_IMAGE")" = 10001:10001
    bar image_stop_signal "$(docker image inspect -f '{{.Config.StopSignal}}' "$FOOTNOTE_IMAGE")" = SIGTERM
}

# What is started only when it is asked for can be read as it stands.
profiles_are_read() {
    bar profile_local "$(compose --profile local config 2>"$work/config.err" | grep -c 'target: /models/model.gguf'; head -3 "$work/config.err")" = 1
    bar profile_monitoring "$(compose --profile monitoring config -q 2>&1 | head -3)" = ''
}

stack_becomes_healthy() {
    local begun
    begun=$(now_ms)
    compose up -d >"$work/up.log" 2>&1 || { tail -5 "$work/up.log"; bar up failed = started; exit 1; }
    until_true 90 all_healthy 8
    bar healthy_containers "$(containers --filter health=healthy | wc -l)" = 8
    bar up_and_healthy_ms $(( $(now_ms) - begun )) '<=' 60000
    curl -s -m 5 "$url/api/v1/health" > "$work/health"
    bar health_status "$(field "$work/health" 'd["status"]')" = ok
    bar migrate_ended_with "$(docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' "$(container_of migrate)")" = 'exited 0'
    bar client_in_the_image "$(compose exec -T gateway footnote health >/dev/null 2>&1; echo $?)" = 0
}

containers_are_hardened() {
    local id hard=0 ports=''
    for id in $(containers); do
        # read-only root, no capability, no new privileges, a user that is not root, bounded logs
        [ "$(docker inspect -f '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}} {{if .Config.User}}user{{end}} {{index .HostConfig.LogConfig.Config "max-size"}}' "$id")" \
            = 'true [ALL] [no-new-privileges:true] user 10m' ] && hard=$((hard + 1))
        ports+=$(docker port "$id")
    done
    bar hardened_containers $hard = 9          # the eight that run, and migrate, which has ended
    bar published_ports "$ports" = "8080/tcp -> 127.0.0.1:$PORT"
    bar back_network_is_internal "$(docker network inspect -f '{{.Internal}}' "${project}_back")" = true
}

# The bus is encrypted: the gateway has proved that a stranger's key is refused, and a worker with one is kept out.
curve_on() {
    compose logs --no-color gateway > "$work/gateway.log" 2>&1
    bar curve_on "$(grep -c 'bus self-test: a random key is refused' "$work/gateway.log")" = 1
    bar unlisted_key_is_refused "$(refused janitor "$(head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n')")" = yes
    bar janitors_at_the_hub "$(workers janitor 1; field "$work/health" 'd["services"]["janitor"]["workers"]')" = 1
}
# refused SERVICE KEY: a worker of that service with that key of the bus; yes when the gateway says that it is kept out
refused() {
    local id before
    before=$(refusals)
    id=$(compose run -d -e "BUS_SECRET_KEY=$2" "$1" 2>/dev/null | tail -1)
    until_true 90 more_refusals_than "$before" && echo yes
    docker rm -f "$id" >/dev/null
}
refusals() { compose logs --no-color gateway 2>&1 | grep -c 'a key that is not listed was refused on the bus'; }
more_refusals_than() { [ "$(refusals)" -gt "$1" ]; }
logged() { compose logs --no-color "$1" 2>&1 | grep -qF "$2"; }

# Each service reaches Redis and Postgres as a user of its own, who may do what it needs and no more.
databases_are_least_privileged() {
    local s
    bar store_is_a_plain_role "$(compose exec -T postgres psql -U footnote -Atc "SELECT DISTINCT usename, usesuper FROM pg_stat_activity
        JOIN pg_user USING (usename) WHERE application_name = 'footnote-store'" 2>&1)" = 'footnote_app|f'
    for s in redis redis-state; do
        bar "${s}_without_a_name" "$(compose exec -T $s redis-cli get fn:turns 2>&1 | tr -d '\r' | cut -c1-6)" = NOAUTH
    done
    bar embedder_reads_the_query_cache "$(redis_as redis_embedder_url redis get fn:q:x)" = NOPERM
    bar embedder_empties_redis "$(redis_as redis_embedder_url redis flushall)" = NOPERM
    bar store_lifts_limits "$(redis_as redis_store_url redis-state set fn:rl:x 1)" = NOPERM
    bar gateway_changes_the_server "$(redis_as redis_gateway_url redis config get dir)" = NOPERM
    bar commands_that_redis_denied "$(compose logs --no-color 2>&1 | grep -c 'redis denies a command')" = 0
    bar secrets_of_the_store "$(compose exec -T store ls /run/secrets | tr -d '\r' | paste -sd' ')" = 'bus_hub_public bus_key database_url redis_store_url'
}
# redis_as SECRET SERVICE COMMAND…: the first word that Redis says to who stole that secret
redis_as() {
    local service=$2 login
    login=$(sed 's,^redis://\(.*\)@.*,\1,' "$SECRETS_DIR/$1"); shift 2
    compose exec -T "$service" redis-cli --no-auth-warning --user "${login%%:*}" --pass "${login#*:}" "$@" 2>&1 | tr -d '\r' | head -1 | cut -d' ' -f1
}

keyless_upload_is_refused() {
    bar keyless_upload "$(curl -s -m 10 -o /dev/null -w '%{http_code}' -H 'Content-Type: application/json' \
        -d '{"title":"x","text":"y"}' "$url/api/v1/documents")" = 401
}

documents_are_ingested() {
    local status
    status=$(admin -o "$work/put" -w '%{http_code}' -H 'Content-Type: application/x-ndjson' \
        --data-binary @"$here/documents.jsonl" "$url/api/v1/documents?wait=1")
    bar ingest_with_admin_key "$status" = 200
    until_true 20 three_ready
    bar documents_ready "$(field "$work/list" 'sum(i["status"] == "ready" for i in d["items"])')" = 3
    bar client_lists_documents "$(compose exec -T gateway footnote documents --key-file /run/secrets/admin_key 2>/dev/null | grep -c ready)" = 3
}
three_ready() {
    admin "$url/api/v1/documents" > "$work/list"
    [ "$(field "$work/list" 'sum(i["status"] == "ready" for i in d["items"])')" = 3 ]
}

widget_gets_a_cited_answer() {
    local status id
    status=$(widget 'How long is a dump of the database kept?' "$work/first" -D "$work/head")
    bar widget_answer "$status" = 200
    bar answer_is_cited "$(field "$work/first" '"[1]" in d["answer"] and d["grounded"] and len(d["sources"]) >= 1')" = True
    bar answer_is_saved "$(field "$work/first" 'd["saved"]')" = yes
    bar answer_allows_the_origin "$(grep -ci "^access-control-allow-origin: $origin" "$work/head")" = 1
    id=$(field "$work/first" 'd["sources"][0]["document_id"]')
    admin "$url/api/v1/documents/$id/text" > "$work/text"
    bar source_bytes_hold_the_excerpt "$(python3 - "$work/first" "$work/text" <<'PY'
import json, sys
s = json.load(open(sys.argv[1]))["sources"][0]
part = open(sys.argv[2], "rb").read()[s["start"]:s["end"]]
print(len(part) > 0 and s["content_excerpt"].encode() in part)
PY
)" = True
    # the same question again comes from the cache, that is: Redis works from inside the gateway's container
    widget 'How long is a dump of the database kept?' "$work/again" >/dev/null
    bar same_question_again "$(field "$work/again" 'd["cached"]')" = query
}

foreign_origin_is_refused() {
    bar foreign_origin "$(origin=https://evil.example.net widget 'How long is a dump kept?' /dev/null)" = 403
}

embedders_scale() {
    local begun
    begun=$(now_ms)
    compose up -d --scale embedder=3 >"$work/scale.log" 2>&1 || tail -5 "$work/scale.log"
    until_true 30 workers embed 3
    bar embedders_at_the_hub "$(field "$work/health" 'd["services"]["embed"]["workers"]')" = 3
    bar scaled_in_ms $(( $(now_ms) - begun )) '<=' 30000
    answered 'When does the amber lamp blink?'
    bar answer_with_three_embedders $? = 0
    compose up -d --scale embedder=1 >"$work/scale.log" 2>&1 || tail -5 "$work/scale.log"
    until_true 30 workers embed 1
    bar embedders_after_scaling_back "$(field "$work/health" 'd["services"]["embed"]["workers"]')" = 1
}

# The others scale the same way, and take their part: each of two answers alone while the other one is stopped.
retrievers_and_stores_scale() {
    local begun service first offered
    begun=$(now_ms)
    compose up -d --scale retriever=2 --scale store=2 >"$work/scale.log" 2>&1 || tail -5 "$work/scale.log"
    until_true 30 workers retrieve 2 && until_true 30 workers store 2
    bar two_retrievers_and_stores_in_ms $(( $(now_ms) - begun )) '<=' 30000
    for service in retriever store; do
        offered=$service; [ $service = store ] || offered=retrieve
        first=$(container_of $service)
        docker stop "$first" >/dev/null
        answered 'When does the amber lamp blink?'
        bar "answer_without_the_first_$service" $? = 0
        docker start "$first" >/dev/null
        until_true 30 workers $offered 2
        bar "workers_at_the_hub_$offered" "$(field "$work/health" "d['services']['$offered']['workers']")" = 2
    done
    compose up -d --scale retriever=1 --scale store=1 >"$work/scale.log" 2>&1 || tail -5 "$work/scale.log"
    until_true 30 workers retrieve 1 && until_true 30 workers store 1
    answered 'When does the amber lamp blink?'
    bar answer_after_scaling_back $? = 0
}

# As docs/operating.md tells it: new key on the list, the list read again, the worker restarted, the old key off the list.
bus_key_is_changed() {
    local old
    old=$(cat "$SECRETS_DIR/bus_retriever_key")
    rm -f "$SECRETS_DIR/bus_retriever_key"
    deploy/secrets.sh >/dev/null
    bar keys_listed_for_the_retriever "$(grep -c ' retrieve ' "$SECRETS_DIR/bus/bus_workers")" = 2
    compose kill -s HUP gateway >/dev/null 2>&1
    until_true 10 logged gateway '"keys":5'
    compose restart retriever >"$work/restart.log" 2>&1 || tail -3 "$work/restart.log"
    until_true 20 answered 'What does the badge open?'
    bar answer_with_the_new_key $? = 0
    bar key_in_the_container_is_new "$([ "$(compose exec -T retriever head -1 /run/secrets/bus_key)" != "$old" ] && echo yes)" = yes
    deploy/secrets.sh forget >/dev/null
    compose kill -s HUP gateway >/dev/null 2>&1
    until_true 10 logged gateway '"msg":"worker keys read","keys":4'
    # the old key is a stranger's now; the new one still gets in
    bar old_key_is_refused "$(refused retriever "$old")" = yes
    compose restart retriever >"$work/restart.log" 2>&1
    until_true 20 answered 'What does the badge open?'
    bar answer_with_the_old_key_forgotten $? = 0
}
# After a restart the next question is answered: asked again, as a client with the retry of docs/api.md would, for 2 s. The
# database and a store without it need longer, and say so with 503 and Retry-After: 5 s.
restart_is_survived() {
    local begun tries=0 limit=2000
    [[ $1 != postgres ]] || limit=5000
    compose restart "$1" >"$work/restart.log" 2>&1 || tail -3 "$work/restart.log"
    begun=$(now_ms)
    until answered "What does the red lamp mean?"; do
        tries=$((tries + 1))
        [ $(( $(now_ms) - begun )) -lt 20000 ] || break
        sleep 0.1
    done
    bar "restart_${1}_answered_in_ms" $(( $(now_ms) - begun )) '<=' $limit
    [ $tries -eq 0 ] || echo "    ($tries times refused before)"
}

# restart: unless-stopped. `docker kill` would count as a stop by hand, so the process itself is killed.
killed_service_comes_back() {
    local begun
    kill -KILL "$(docker inspect -f '{{.State.Pid}}' "$(container_of retriever)")"
    begun=$(now_ms)
    until_true 20 answered 'What does a visitor get at the north gate?'
    bar killed_retriever_answered_in_ms $(( $(now_ms) - begun )) '<=' 5000
    bar killed_retriever_restarts "$(docker inspect -f '{{.RestartCount}}' "$(container_of retriever)")" = 1
}

logs_hold_no_secret() {
    local s found=0
    compose logs --no-color > "$work/logs" 2>&1
    for s in postgres_password database_url database_owner_url redis_{gateway,gateway_state,embedder,store}_url admin_key deployment_secret bus_hub_key bus_{embedder,retriever,store,janitor}_key; do
        if grep -qF -f "$SECRETS_DIR/$s" "$work/logs"; then found=$((found + 1)); fi
    done
    if grep -qF "$session" "$work/logs"; then found=$((found + 1)); fi
    bar secrets_in_the_logs $found = 0
    bar log_lines_that_are_not_json "$(grep -E '^(gateway|embedder|retriever|store|janitor)[-_]' "$work/logs" | sed 's/^[^|]*| //' |
        grep -cv '^{.*}$')" = 0
}

stop_ends_with_zero() {
    local begun id codes=''
    begun=$(now_ms)
    compose stop >"$work/stop.log" 2>&1 || tail -3 "$work/stop.log"
    bar stopped_in_ms $(( $(now_ms) - begun )) '<=' 30000
    for id in $(containers); do
        [ "$(docker inspect -f '{{.State.ExitCode}}' "$id")" = 0 ] ||
            codes+=$(docker inspect -f '{{index .Config.Labels "com.docker.compose.service"}}:{{.State.ExitCode}} ' "$id")
    done
    bar exit_codes_that_are_not_zero "${codes:-none}" = none
}

history_survives_everything() {
    compose up -d >"$work/up.log" 2>&1 || tail -5 "$work/up.log"
    until_true 60 all_healthy 8
    curl -s -m 10 -H "Origin: $origin" -H "X-Session-ID: $session" "$url/api/v1/chat/history" > "$work/history"
    bar history_after_a_restart_of_all "$(field "$work/history" 'any(m["sources"] for m in d["items"]) and len(d["items"]) >= 4')" = True
    until_true 5 answered 'What does the badge open?'
    bar answer_after_a_restart_of_all $? = 0
}
