-- A key that was rotated names the one that takes its place, and ends when the overlap is over.
ALTER TABLE api_keys ADD COLUMN replaced_by bytea;
