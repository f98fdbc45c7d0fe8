-- Why an answer was cut: length (its limit was reached), content_filter. Null: it was not, or is older than this column.
ALTER TABLE messages ADD COLUMN finish text;
