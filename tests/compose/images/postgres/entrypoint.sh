#!/usr/bin/env bash
# What docker-compose.yml counts on of the well-known postgres image: runs as user 999, makes the cluster, its user and
# its database the first time, the password from POSTGRES_PASSWORD_FILE.
set -Eeo pipefail
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    mkdir -p "$PGDATA"
    chmod 700 "$PGDATA" 2>/dev/null || true
    initdb --username="$POSTGRES_USER" --pwfile=<(cat "$POSTGRES_PASSWORD_FILE"; echo)
    printf '\nhost all all all scram-sha-256\n' >> "$PGDATA/pg_hba.conf"
    # This server is for setting up and has no TCP: a health check by TCP waits for the real one.
    PGUSER=$POSTGRES_USER pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w start
    createdb --username="$POSTGRES_USER" --maintenance-db=postgres "$POSTGRES_DB"
    pg_ctl -D "$PGDATA" -m fast -w stop
fi
exec "$@"
