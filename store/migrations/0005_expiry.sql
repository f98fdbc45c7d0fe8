-- Everything that expires says when, in a column of one name. These are generated: no program has to write them, and the
-- programs of the release before, which do not know them, go on as they are.
ALTER TABLE jobs ADD COLUMN expires_at timestamptz
    GENERATED ALWAYS AS ((updated_at AT TIME ZONE 'UTC' + interval '7 days') AT TIME ZONE 'UTC') STORED;
ALTER TABLE changes ADD COLUMN expires_at timestamptz
    GENERATED ALWAYS AS (CASE WHEN op = 'delete' THEN (at AT TIME ZONE 'UTC' + interval '7 days') AT TIME ZONE 'UTC' END) STORED;
ALTER TABLE erased_sessions ADD COLUMN expires_at timestamptz
    GENERATED ALWAYS AS ((erased_at AT TIME ZONE 'UTC' + interval '2 days') AT TIME ZONE 'UTC') STORED;
CREATE INDEX ix_jobs_expires_at ON jobs (expires_at);
CREATE INDEX ix_changes_expires_at ON changes (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX ix_erased_sessions_expires_at ON erased_sessions (expires_at);
CREATE INDEX ix_api_keys_expires_at ON api_keys (expires_at);
DROP INDEX ix_jobs_updated_at, ix_changes_at, ix_erased_sessions_erased_at;

-- All of a user are deleted in the order of their ids, so that two who do it never wait for each other: without a sort.
DROP INDEX ix_user_sessions_user_id;
CREATE INDEX ix_user_sessions_user_id ON user_sessions (tenant, user_id, id) WHERE user_id IS NOT NULL;

-- Keys are few and read all at once.
DROP INDEX ix_api_keys_tenant;
