-- How an answer came about (what was found, how long each stage took, what it cost), and, of a cached one, which message it was
-- copied from. It goes with its message.
ALTER TABLE messages ADD COLUMN trace jsonb, ADD COLUMN origin_id uuid, ADD COLUMN origin_at timestamptz;
