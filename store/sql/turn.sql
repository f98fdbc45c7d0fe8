-- A turn: its session, its conversation, the question, the answer and the citations. refuse(15): there is
-- no such row; refuse(0): the session was erased after the question was asked. An expiry moves by days from
-- now, and only when it moves by more than the slack.

-- piece: answer_place
-- Where an answer goes: to its question, to the conversation that is named, to the open one.
--   $2 tenant, $3 session, $4 conversation or NULL, $5 question
c.tenant = $2::text
  AND c.user_session_id = $3::uuid
  AND c.id = COALESCE((SELECT conversation_id FROM messages WHERE id = $5::uuid AND tenant = $2::text),
      $4::uuid,
      (SELECT id FROM conversations WHERE tenant = $2::text AND user_session_id = $3::uuid AND is_open));

-- piece: answer_whole
-- An answer that was cut short is made whole when its request runs again.
ON CONFLICT (id)
DO UPDATE SET content = excluded.content, status = excluded.status, model = excluded.model,
    confidence = excluded.confidence, grounded = excluded.grounded, from_cache = excluded.from_cache,
    prompt_tokens = excluded.prompt_tokens, completion_tokens = excluded.completion_tokens,
    timestamp = excluded.timestamp, trace = excluded.trace, origin_id = excluded.origin_id,
    origin_at = excluded.origin_at, finish = excluded.finish
WHERE m.tenant = excluded.tenant AND m.status = 'incomplete' AND m.question_id = excluded.question_id;

-- piece: answer_cols
-- An answer's columns.
id, tenant, conversation_id, question_id, role, content, status, model, confidence, grounded, from_cache,
    prompt_tokens, completion_tokens, timestamp, expires_at, trace, origin_id, origin_at, finish;

-- piece: slack
-- An expiry moves when it would by more than this: each move is a new row in every index of its table.
interval '1 hour';

-- name: SESSION_TOUCH (tenant)
-- A session is made, or its expiry moves.
--   $1 id, $2 tenant, $3 hash of its secret, $4 user or NULL, $5 days
INSERT INTO user_sessions AS s (id, tenant, session_id, user_id, expires_at)
VALUES ($1::uuid, $2::text, $3::bytea, $4::text, now() + $5::int8 * interval '1 day')
ON CONFLICT (id)
DO UPDATE SET expires_at = GREATEST(s.expires_at, excluded.expires_at),
    user_id = COALESCE(excluded.user_id, s.user_id)
WHERE s.tenant = excluded.tenant
  AND (excluded.expires_at > s.expires_at + :slack OR excluded.user_id <> COALESCE(s.user_id, ''));

-- name: CONVERSATION_OPEN (tenant)
-- The session's open conversation, made if there is none.
--   $1 id of a new one, $2 tenant, $3 session, $4 days
WITH o AS (
    SELECT id FROM conversations
    WHERE tenant = $2::text
      AND user_session_id = $3::uuid
      AND is_open
      AND expires_at > now() + $4::int8 * interval '1 day' - :slack
),
u AS (
    INSERT INTO conversations AS c (id, tenant, user_session_id, is_open, expires_at)
    SELECT $1::uuid, $2::text, $3::uuid, true, now() + $4::int8 * interval '1 day'
    WHERE NOT EXISTS (SELECT 1 FROM o)
    ON CONFLICT (user_session_id) WHERE is_open
    DO UPDATE SET expires_at = GREATEST(c.expires_at, excluded.expires_at)
    WHERE c.tenant = excluded.tenant
    RETURNING id
)
SELECT id FROM o
UNION ALL SELECT id FROM u;

-- name: CONVERSATION_TOUCH (tenant)
-- A conversation that was named: its expiry moves.
--   $1 conversation, $2 tenant, $3 session, $4 days
WITH u AS (
    UPDATE conversations SET expires_at = now() + $4::int8 * interval '1 day'
    WHERE id = $1::uuid
      AND tenant = $2::text
      AND user_session_id = $3::uuid
      AND expires_at < now() + $4::int8 * interval '1 day' - :slack
)
SELECT $1::uuid,
    CASE
        WHEN EXISTS (
            SELECT 1 FROM conversations
            WHERE id = $1::uuid AND tenant = $2::text AND user_session_id = $3::uuid
        ) THEN true
        ELSE refuse(15) END;

-- name: CONVERSATION_CLOSE (tenant)
-- A conversation of its own begins: the open one takes no more questions, unless it has this one already
-- (a repeated call).
--   $1 tenant, $2 session, $3 the question
UPDATE conversations SET is_open = false
WHERE tenant = $1::text
  AND user_session_id = $2::uuid
  AND is_open
  AND NOT EXISTS (SELECT 1 FROM messages WHERE id = $3::uuid AND tenant = $1::text);

-- name: QUESTION_ADD (tenant)
-- The question is stored before anything is paid for.
--   $1 id, $2 tenant, $3 session, $4 conversation or NULL for the open one, $5 content, $6 page, $7 when it
--   was asked, $8 days, $9 the selected text that it is about
INSERT INTO messages (id, tenant, conversation_id, role, content, page_context, status, timestamp, expires_at,
    selection)
SELECT $1::uuid, $2::text, c.id, 'user', $5::text, $6::text, 'complete', COALESCE($7::timestamptz, now()),
    now() + $8::int8 * interval '1 day', $9::text
FROM conversations c
WHERE c.tenant = $2::text
  AND c.user_session_id = $3::uuid
  AND (c.id = $4::uuid OR ($4::uuid IS NULL AND c.is_open))
ON CONFLICT (id) DO NOTHING;

-- name: TURN_HISTORY (tenant)
-- What was said before, the newest first, for the prompt.
--   $1 tenant, $2 session, $3 conversation, $4 the question itself, $5 messages
SELECT m.role, m.content, m.selection FROM messages m
JOIN conversations c ON c.id = m.conversation_id
WHERE c.tenant = $1::text
  AND m.tenant = $1::text
  AND c.user_session_id = $2::uuid
  AND c.id = $3::uuid
  AND m.id <> $4::uuid
  AND m.expires_at > now()
ORDER BY m.timestamp DESC, m.id DESC LIMIT $5::int8;

-- name: ANSWER_ADD (tenant)
-- An answer whose question is there.
--   $1 id, $6 content, $7 status, $8 model, $9 confidence, $10 grounded, $11 from the query cache,
--   $12 tokens of the prompt, $13 tokens of the answer, $14 when, $15 days, $16 trace, $17 $18 id and time
--   of the message that it was copied from, $19 why it was cut
INSERT INTO messages AS m (:answer_cols)
SELECT $1::uuid, $2::text, c.id, $5::uuid, 'assistant', $6::text, $7::text, $8::text, $9::float8, $10::bool,
    $11::bool, $12::int8, $13::int8, COALESCE($14::timestamptz, now()), now() + $15::int8 * interval '1 day',
    $16::text::jsonb, $17::uuid, $18::timestamptz, $19::text
FROM conversations c
WHERE :answer_place :answer_whole;

-- name: TURN_ADD (tenant)
-- An answer with its question, checked as by ANSWER_CHECK. It comes after the touch of the session, which
-- waits for an erasure that is under way. A question that is there was begun after the erasure.
--   $1 to $18 as ANSWER_ADD's: $1 id, $6 content, $7 status, $8 model, $9 confidence, $10 grounded,
--   $11 from the query cache, $12 tokens of the prompt, $13 tokens of the answer, $14 when, $15 days,
--   $16 trace, $17 $18 id and time of the message that it was copied from; $19 the question's content,
--   $20 when it was asked, $21 hash of the session's secret, $22 when its request began (an erasure after
--   that wins), $23 the selected text that it is about, $24 why the answer was cut
WITH added AS (
    INSERT INTO messages AS m (:answer_cols, selection)
    SELECT v.id, $2::text, c.id, v.question_id, v.role, v.content, v.status, v.model, v.confidence,
        v.grounded, v.from_cache, v.prompt, v.completion, v.at, now() + $15::int8 * interval '1 day', v.trace,
        v.origin_id, v.origin_at, v.finish, v.selection
    FROM conversations c
    CROSS JOIN (
        VALUES ($5::uuid, NULL::uuid, 'user', $19::text, 'complete', NULL::text, NULL::float8, false, false,
            0::int8, 0::int8, $20::timestamptz, NULL::jsonb, NULL::uuid, NULL::timestamptz, NULL::text,
            $23::text),
            ($1::uuid, $5::uuid, 'assistant', $6::text, $7::text, $8::text, $9::float8, $10::bool, $11::bool,
                $12::int8, $13::int8, $14::timestamptz, $16::text::jsonb, $17::uuid, $18::timestamptz,
                $24::text, NULL::text)
    ) AS v (id, question_id, role, content, status, model, confidence, grounded, from_cache, prompt, completion,
        at, trace, origin_id, origin_at, finish, selection)
    WHERE :answer_place :answer_whole
    RETURNING 1
)
SELECT CASE
    WHEN EXISTS (
        SELECT 1 FROM erased_sessions
        WHERE tenant = $2::text AND session_id = $21::bytea AND erased_at >= $22::timestamptz
    ) AND NOT EXISTS (SELECT 1 FROM messages WHERE id = $5::uuid AND tenant = $2::text) THEN refuse(0)
    WHEN EXISTS (SELECT 1 FROM added) OR EXISTS (
        SELECT 1 FROM messages WHERE id = $1::uuid AND tenant = $2::text
    ) THEN true
    ELSE refuse(15) END;

-- name: ANSWER_CHECK (tenant)
-- Is the row of the statement before there?
--   $1 message, $2 tenant
SELECT CASE WHEN EXISTS (SELECT 1 FROM messages WHERE id = $1::uuid AND tenant = $2::text) THEN true
            ELSE refuse(15) END;

-- name: CITATIONS_ADD (tenant)
-- An answer's citations. unnest stands side by side in the list, not in FROM: there each of them fills a
-- tuplestore of its own first, which costs more than the rows do.
--   $1 tenant, $2 message, then arrays: $3 ids, $4 numbers, $5 documents, $6 chunks, $7 external ids,
--   $8 titles, $9 chapters, $10 sections, $11 URLs, $12 excerpts, $13 first bytes, $14 bytes behind the
--   last, $15 scores
INSERT INTO citations (tenant, message_id, id, n, document_id, chunk_id, external_id, title, chapter, section,
    url, excerpt, start_byte, end_byte, score)
SELECT $1::text, $2::uuid, u.*
FROM (
    SELECT unnest($3::uuid[]) AS id, unnest($4::int8[]) AS n, unnest($5::uuid[]), unnest($6::uuid[]),
        unnest($7::text[]), unnest($8::text[]), unnest($9::text[]), unnest($10::text[]), unnest($11::text[]),
        unnest($12::text[]), unnest($13::int8[]), unnest($14::int8[]), unnest($15::float8[])
) AS u
WHERE NOT EXISTS (
    SELECT 1 FROM citations c WHERE c.tenant = $1::text AND c.message_id = $2::uuid AND c.n = u.n
);
