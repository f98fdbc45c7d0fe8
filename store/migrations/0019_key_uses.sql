-- The day on which a key was last used. Apart from the keys: a use is no change that gateways follow.
CREATE TABLE key_uses (
    hash     bytea PRIMARY KEY REFERENCES api_keys (hash) ON DELETE CASCADE,
    tenant   text NOT NULL,
    used_on  date NOT NULL                      -- in UTC
);
