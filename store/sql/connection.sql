-- Settings of a connection itself, and questions to the server about its own safety.

-- name: TIMEOUT (shared)
-- The time that the transaction may take.
--   $1 milliseconds for a statement, $2 milliseconds to wait for a lock: few for a group, where others wait
--   along
SELECT set_config('statement_timeout', $1::text, true), set_config('lock_timeout', $2::text, true);

-- name: SETTINGS (shared)
-- The time that the transaction may take, for a server connection that may be another one each time
-- (PgBouncer): also what a connection's setup says otherwise.
--   $1 milliseconds for a statement, $2 milliseconds to wait for a lock, $3 schema
SELECT set_config('statement_timeout', $1::text, true), set_config('lock_timeout', $2::text, true),
    set_config('search_path', $3::text, true);

-- name: SAFETY (shared)
-- Does the server keep what it has acknowledged? Are there connections enough, does it take writes, are we
-- its superuser?
SELECT current_setting('fsync') = 'on', current_setting('synchronous_commit') <> 'off',
    current_setting('max_connections')::int8, pg_is_in_recovery(),
    (SELECT rolsuper FROM pg_roles WHERE rolname = current_user);
