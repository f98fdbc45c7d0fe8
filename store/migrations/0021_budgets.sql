-- Tokens and money of a day (UTC). A reservation of a call that runs counts as spent until the call has ended and its real figures are
-- known. A reservation that nobody settles (its gateway died) ends, and stays counted: the model may have been paid.
CREATE TABLE budget_days (
    tenant   text NOT NULL,
    owner    bytea NOT NULL,                        -- whose limits (api_keys.limits); empty: the whole tenant's
    day      date NOT NULL,
    tokens   bigint NOT NULL DEFAULT 0,             -- spent and reserved
    nanos    bigint NOT NULL DEFAULT 0,             -- billionths of a dollar, likewise
    warned   boolean NOT NULL DEFAULT false,        -- its alert was given
    PRIMARY KEY (tenant, owner, day)
);
CREATE INDEX ix_budget_days_day ON budget_days (day);
CREATE TABLE budget_holds (
    id          uuid NOT NULL,                      -- of the request
    tenant      text NOT NULL,
    owner       bytea NOT NULL,
    day         date NOT NULL,
    tokens      bigint NOT NULL,
    nanos       bigint NOT NULL,
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant, id, owner)
);
CREATE INDEX ix_budget_holds_owner ON budget_holds (tenant, owner, day);
CREATE INDEX ix_budget_holds_expires_at ON budget_holds (expires_at);
