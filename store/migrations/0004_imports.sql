-- How far an import from another database has come: written in the transaction of each batch, so that a run that was
-- killed is taken up where it stopped.
CREATE TABLE imports (
    source      text NOT NULL,                  -- database and schema
    tenant      text NOT NULL,
    step        text NOT NULL,                  -- sessions, conversations, messages, citations, references
    position    text,                           -- key of the last source row that was read; NULL: none
    seen        bigint NOT NULL DEFAULT 0,      -- source rows read
    refused     bigint NOT NULL DEFAULT 0,      -- of them, not taken
    done        boolean NOT NULL DEFAULT false,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source, tenant, step)
);
