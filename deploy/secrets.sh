#!/usr/bin/env bash
# `make secrets`: the secrets that docker-compose.yml mounts, made once; what is there is kept, what a newer version adds
# is added. Prints names, never values.
#   postgres_password  of the stack's database's owner    database_owner_url  how service migrate reaches it, as its owner
#   database_url       how the store reaches it, as a plain role, or your own database
#   redis_NAME_url     how a service reaches Redis (redis_gateway_state_url, redis_store_url: redis-state), each as a user of its own
#   redis_acl, redis_state_acl   what these users may do there: made from the former
#   admin_key          the first API key, of all scopes   deployment_secret  part of every cache key
#   openai_api_key     empty: built-in models; put your key on its first line for a real one
#   grafana_password   of Grafana's user admin (profile monitoring)
# The bus's CURVE keys, 64 hex digits each (X25519):
#   bus_hub_key, bus_hub_public                           bus_NAME_key    of each worker: embedder, retriever, store, janitor
#   bus/bus_workers    public keys that the gateway lets in, and their services. A key that is made is added to it; keys
#                      that were replaced stay until `secrets.sh forget`, so that running workers keep their connection.
#                      It has a folder, because a file that is mounted by itself never changes in a running container.
# usage: secrets.sh            make what is missing
#        secrets.sh forget     take the replaced keys off the list (docs/operating.md: "Changing a key of the bus")
# Without compose: SECRETS_DIR=/etc/footnote/secrets, and POSTGRES_AT, REDIS_AT, REDIS_STATE_AT (host:port) before the first run.
# Modes: docker-compose mounts a file secret as it is on the host, owner and mode included, and the services run as users
# of their own (10001, 999). So the files are 0444, and the folder is 0700: on the host only its owner gets at them, in a
# container only what docker-compose.yml mounts there. A file of mode 0600 could not be read by the services at all.
set -euo pipefail
umask 077
top=$(cd "$(dirname "$0")/.." && pwd)
dir=${SECRETS_DIR:-$top/deploy/secrets}
# where the servers are, host and port; of the compose stack unless set
postgres=${POSTGRES_AT:-postgres:5432} redis=${REDIS_AT:-redis:6379} redis_state=${REDIS_STATE_AT:-redis-state:6379}

die() { printf 'secrets: %s\n' "$*" >&2; exit 1; }
hex() { od -An -v -tx1 | tr -d ' \n'; }
random_hex() { head -c 32 /dev/urandom | hex; }

# write NAME: stdin becomes that file, whole or not at all: written beside it, then renamed.
write() {
    cat > "$dir/$1.new"
    chmod 444 "$dir/$1.new"
    mv -f "$dir/$1.new" "$dir/$1"
}
# put NAME: stdin becomes the secret, unless there is one.
put() {
    if [ -e "$dir/$1" ]; then cat >/dev/null; kept+=("$1"); return 0; fi
    write "$1"
    made+=("$1")
}

# ---- keys of the bus: the raw 32 bytes stand at the end of both DER forms (RFC 8410) ----
is_key() { [[ $1 =~ ^[0-9a-f]{64}$ ]]; }
new_key() { openssl genpkey -algorithm X25519 -outform DER 2>/dev/null | hex | tail -c 64; }
# public_of SECRET: through a pipe, so that the secret shows in no list of processes
public_of() {
    printf '%b' "$(sed 's/../\\x&/g' <<<"302e020100300506032b656e04220420$1")" |
        openssl pkey -inform DER -pubout -outform DER 2>/dev/null | hex | tail -c 64
}
# bus_key NAME: make that key unless it is there; its public half goes to $public
bus_key() {
    local secret
    if [ ! -e "$dir/$1" ]; then
        secret=$(new_key) || true
        is_key "$secret" || die "this openssl makes no X25519 keys: version 1.1.0 or newer is needed"
        put "$1" <<<"$secret"
    else put "$1" </dev/null; fi
    secret=$(head -1 "$dir/$1" | tr A-F a-f)
    is_key "$secret" || die "$dir/$1 is not a key: its first line must be 64 hex digits. Remove it, and a new one is made"
    public=$(public_of "$secret") || true
    is_key "$public" || die "openssl cannot read the key in $dir/$1"
}
services_of() { if [ "$1" = embedder ]; then echo embed,chat; elif [ "$1" = retriever ]; then echo retrieve; else echo "$1"; fi; }

bus_keys() {
    local s list current='' header='# Worker keys that the gateway lets in: public key, services. Read at start and on SIGHUP.'
    command -v openssl >/dev/null || die "openssl makes the keys of the bus and is missing: install your system's package openssl (Debian: apt-get install openssl)"
    mkdir -p "$dir/bus"
    chmod 755 "$dir/bus"
    bus_key bus_hub_key
    [ "$(cat "$dir/bus_hub_public" 2>/dev/null)" = "$public" ] || { write bus_hub_public <<<"$public"; made+=(bus_hub_public); }
    list=$(cat "$dir/bus/bus_workers" 2>/dev/null || echo "$header")
    for s in embedder retriever store janitor; do
        bus_key "bus_${s}_key"
        current+=" $public"
        grep -qiE "^[[:space:]]*$public" <<<"$list" || list+=$'\n'"$public $(services_of $s)  # made for $s"
    done
    # only lines that were written here are forgotten, never those of an operator
    [ "$1" != forget ] || list=$(awk -v current="$current" '!/ # made for / || index(current, $1)' <<<"$list")
    [ "$(cat "$dir/bus/bus_workers" 2>/dev/null)" = "$list" ] || { write bus/bus_workers <<<"$list"; made+=(bus/bus_workers); }
}

# ---- users of Redis: only the commands and keys that each service needs; nobody is let in without a name
redis_url() { printf 'redis://%s:%s@%s/0\n' "$1" "$(random_hex)" "$2"; }
# acl_user FILE NAME RULES: a line of the ACL, with the password of that URL as its SHA-256
acl_user() {
    local password
    password=$(sed -n '1s,^redis://[^:]*:\(.*\)@[^@]*$,\1,p' "$dir/$1")
    [ -n "$password" ] || die "$dir/$1 is no redis://NAME:PASSWORD@HOST URL: remove it, and a new one is made"
    printf 'user %s on #%s resetchannels -@all +ping +select +set ~fn:probe %s\n' "$2" "$(printf %s "$password" | sha256sum | cut -d' ' -f1)" "$3"
}
redis_users() {
    local f text gateway='+eval +evalsha +mget +get +getrange +exists +del +expire +time +sadd +srem +scard +smembers +xlen +xadd ~fn:rl:*'
    local frames='+hset +hget +strlen ~fn:f:* ~fn:fb:*'
    put redis_gateway_url < <(redis_url gateway "$redis")
    put redis_gateway_state_url < <(redis_url gateway "$redis_state")
    put redis_embedder_url < <(redis_url embedder "$redis")
    put redis_store_url < <(redis_url store "$redis_state")
    for f in redis_acl redis_state_acl; do
        text=$(printf 'user default off resetpass -@all\nuser health on nopass -@all +ping\n'
            if [ $f = redis_acl ]; then
                acl_user redis_gateway_url gateway "$gateway $frames +hmget +hdel +hexists +zadd +zcard +zrange +zrem +zremrangebyscore +ttl +incr +setrange +lpush +ltrim +lrange ~fn:fs ~fn:q:* ~fn:qs:* ~fn:sr:* ~fn:so:* ~fn:sw:* ~fn:turns"  # the script names the stream whichever server it asks
                acl_user redis_embedder_url embedder "+mget +get +del +eval +evalsha +exists +append $frames ~fn:e:* ~fn:d:*"
            else
                acl_user redis_gateway_state_url gateway "$gateway ~fn:turns"
                acl_user redis_store_url store '+xgroup|create +xlen +xautoclaim +xreadgroup +xadd +xtrim +xack +xdel +expire ~fn:turns ~fn:turns:bad'
            fi)
        [ "$(cat "$dir/$f" 2>/dev/null)" = "$text" ] || { write $f <<<"$text"; made+=("$f"); }
    done
}

case ${1:-} in ''|forget) ;; *) sed -n '/^# usage/,/forget/s/^# //p' "$0"; exit 2 ;; esac

made=() kept=()
mkdir -p "$dir"
chmod 700 "$dir"
if [ ! -e "$dir/postgres_password" ] && [ -e "$dir/database_url" ]; then
    die "$dir/database_url is there, postgres_password is not: put the password of that URL into it"
fi
put postgres_password < <(random_hex)
put database_owner_url < <(printf 'postgresql://footnote:%s@%s/footnote\n' "$(cat "$dir/postgres_password")" "$postgres")
put database_url < <(printf 'postgresql://footnote_app:%s@%s/footnote\n' "$(random_hex)" "$postgres")
redis_users
mkdir -p "$dir/tls"
chmod 755 "$dir/tls"
put admin_key < <(printf 'fn_admin_%s\n' "$(random_hex)")
put deployment_secret < <(random_hex)
put openai_api_key </dev/null
put grafana_password < <(random_hex)
public=''
bus_keys "${1:-}"

echo "secrets: in ${dir#"$top"/} (only its owner gets in); made: ${made[*]:-none}; kept: ${kept[*]:-none}"
[[ " ${made[*]:-} " != *" admin_key "* ]] || cat <<'TEXT'
  docker-compose up -d                         start everything; then http://127.0.0.1:8080
  docker-compose exec gateway footnote documents --key-file /run/secrets/admin_key
  curl -H "Authorization: Bearer $(cat deploy/secrets/admin_key)" http://127.0.0.1:8080/api/v1/documents
A real model: write its key into deploy/secrets/openai_api_key, or set OPENAI_BASE_URL in .env, and restart the embedder.
TEXT
