-- The head of the table that a chunk begins in the middle of, which is embedded and indexed with it. Null: it begins in none, or is older
-- than this column.
ALTER TABLE chunks ADD COLUMN lead text;
