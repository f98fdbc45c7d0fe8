#!/usr/bin/env bash
# `make secrets`: the secrets that docker-compose.yml mounts, made once; what is there is kept. Prints names, never values.
#   postgres_password  of the database in the stack       database_url    how the store reaches it (or your own database)
#   admin_key          the first API key, of all scopes   deployment_secret  part of every cache key
#   openai_api_key     empty: built-in models; put your key on its first line for a real one
# Modes: docker-compose mounts a file secret as it is on the host, owner and mode included, and the services run as users
# of their own (10001, 999). So the files are 0444, and the folder is 0700: on the host only its owner gets at them, in a
# container only what docker-compose.yml mounts there. A file of mode 0600 could not be read by the services at all.
set -euo pipefail
umask 077
top=$(cd "$(dirname "$0")/.." && pwd)
dir=${SECRETS_DIR:-$top/deploy/secrets}

random_hex() { head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }

# put NAME: stdin becomes the secret, unless there is one. Whole or not at all: written beside it, then renamed.
put() {
    if [ -e "$dir/$1" ]; then cat >/dev/null; kept+=("$1"); return 0; fi
    cat > "$dir/.$1.new"
    chmod 444 "$dir/.$1.new"
    mv "$dir/.$1.new" "$dir/$1"
    made+=("$1")
}

made=() kept=()
mkdir -p "$dir"
chmod 700 "$dir"
if [ ! -e "$dir/postgres_password" ] && [ -e "$dir/database_url" ]; then
    echo "secrets: $dir/database_url is there, postgres_password is not: put the password of that URL into it" >&2
    exit 1
fi
put postgres_password < <(random_hex)
put database_url < <(printf 'postgresql://footnote:%s@postgres:5432/footnote\n' "$(cat "$dir/postgres_password")")
put admin_key < <(printf 'fn_admin_%s\n' "$(random_hex)")
put deployment_secret < <(random_hex)
put openai_api_key </dev/null

echo "secrets: in ${dir#"$top"/} (only its owner gets in); made: ${made[*]:-none}; kept: ${kept[*]:-none}"
[ ${#made[@]} -eq 0 ] || cat <<'TEXT'
  docker-compose up -d                         start everything; then http://127.0.0.1:8080
  docker-compose exec gateway footnote documents --key-file /run/secrets/admin_key
  curl -H "Authorization: Bearer $(cat deploy/secrets/admin_key)" http://127.0.0.1:8080/api/v1/documents
A real model: write its key into deploy/secrets/openai_api_key, or set OPENAI_BASE_URL in .env, and restart the embedder.
TEXT
