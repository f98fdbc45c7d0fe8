-- The text that a reader had selected when he asked. It goes with its question.
ALTER TABLE messages ADD COLUMN selection text;
