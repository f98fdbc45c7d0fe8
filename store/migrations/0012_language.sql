-- The language that a collection's documents and questions are read in; NULL: each document's own is found out.
ALTER TABLE collections ADD COLUMN language text;
ALTER TABLE collections ADD COLUMN language_seq bigint NOT NULL DEFAULT 0; -- seq of the change that last set it otherwise
