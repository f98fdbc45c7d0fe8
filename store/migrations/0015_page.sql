-- The page of the document that a chunk or a quoted text stands on, from 1. Null: the document has no pages, or is older than this column.
ALTER TABLE chunks ADD COLUMN page int;
ALTER TABLE citations ADD COLUMN page int;
