-- Who may finish an idempotent request is no longer told by question_id: that one stays the same when the request has to run
-- again, so that the messages of both runs are the same rows.
ALTER TABLE idempotency ADD COLUMN holder uuid;
UPDATE idempotency SET holder = question_id;
ALTER TABLE idempotency ALTER COLUMN holder SET NOT NULL;
