-- A turn: its session, its conversation, the question, the answer and the citations. refuse(15): there is
-- no such row; refuse(0): the session was erased after the question was asked. An expiry moves by days from
-- now, and only when it moves by more than the slack.
--
-- A statement does what two could do, since each costs the server some 30 µs of its own. All of its parts see
-- the database as it was when the statement began. Locks make them meet what came since: a session or a
-- conversation whose erasure is under way is waited for, and when it is gone it is made, or missing.
--
-- A message is found by its id. Its tenant is compared by (tenant = …) IS TRUE, which no index answers: to a
-- planner without statistics, as of a new database, the index by tenant and time is as good as the key, and a
-- plan of then reads all messages of the tenant for as long as its connection lives.

-- piece: answer_place
-- The place of an answer: its question, the conversation that is named, the open one.
--   $2 tenant, $3 session, $4 conversation or NULL, $5 question
c.tenant = $2::text
  AND c.user_session_id = $3::uuid
  AND c.id = COALESCE((SELECT conversation_id FROM messages WHERE id = $5::uuid AND (tenant = $2::text) IS TRUE),
      $4::uuid,
      (SELECT id FROM conversations WHERE tenant = $2::text AND user_session_id = $3::uuid AND is_open));

-- piece: answer_whole
-- An answer that was cut short is made whole when its request runs again.
ON CONFLICT (id)
DO UPDATE SET content = excluded.content, status = excluded.status, model = excluded.model,
    confidence = excluded.confidence, grounded = excluded.grounded, from_cache = excluded.from_cache,
    prompt_tokens = excluded.prompt_tokens, completion_tokens = excluded.completion_tokens,
    timestamp = excluded.timestamp, trace = NULL, told = excluded.told, origin_id = excluded.origin_id,
    origin_at = excluded.origin_at, finish = excluded.finish
WHERE m.tenant = excluded.tenant AND m.status = 'incomplete' AND m.question_id = excluded.question_id;

-- piece: answer_cols
-- An answer's columns.
id, tenant, conversation_id, question_id, role, content, status, model, confidence, grounded, from_cache,
    prompt_tokens, completion_tokens, timestamp, expires_at, told, origin_id, origin_at, finish;

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

-- piece: session_there
-- The session: known, or made, or its expiry moves. One that need not change is only held, as a foreign key
-- holds it, until the commit.
--   $1 id of a new conversation, or the named one; $2 tenant, $3 session, $4 hash of its secret, $5 user or
--   NULL, $6 days
known AS MATERIALIZED (
    SELECT id FROM user_sessions
    WHERE id = $3::uuid
      AND tenant = $2::text
      AND expires_at >= now() + $6::int8 * interval '1 day' - :slack
      AND ($5::text IS NULL OR user_id = $5::text)
    FOR KEY SHARE
),
made AS (
    INSERT INTO user_sessions AS s (id, tenant, session_id, user_id, expires_at)
    SELECT $3::uuid, $2::text, $4::bytea, $5::text, now() + $6::int8 * interval '1 day'
    WHERE NOT EXISTS (SELECT 1 FROM known)
    ON CONFLICT (id)
    DO UPDATE SET expires_at = GREATEST(s.expires_at, excluded.expires_at),
        user_id = COALESCE(excluded.user_id, s.user_id)
    WHERE s.tenant = excluded.tenant
    RETURNING id
),
owner AS MATERIALIZED (SELECT id FROM known UNION ALL SELECT id FROM made);

-- piece: open_there
-- The session's open conversation, made if there is none: after the session, which an erasure takes first.
opened AS MATERIALIZED (
    SELECT id FROM conversations
    WHERE tenant = $2::text
      AND user_session_id = (SELECT id FROM owner)
      AND is_open
      AND expires_at > now() + $6::int8 * interval '1 day' - :slack
    FOR KEY SHARE
),
begun AS (
    INSERT INTO conversations AS c (id, tenant, user_session_id, is_open, expires_at)
    SELECT $1::uuid, $2::text, id, true, now() + $6::int8 * interval '1 day'
    FROM owner
    WHERE NOT EXISTS (SELECT 1 FROM opened)
    ON CONFLICT (user_session_id) WHERE is_open
    DO UPDATE SET expires_at = GREATEST(c.expires_at, excluded.expires_at)
    WHERE c.tenant = excluded.tenant
    RETURNING id
),
place AS MATERIALIZED (SELECT id FROM opened UNION ALL SELECT id FROM begun);

-- piece: named_there
-- The conversation that was named, which must be the session's: its expiry moves.
place AS MATERIALIZED (
    SELECT id FROM conversations
    WHERE id = $1::uuid AND tenant = $2::text AND user_session_id = (SELECT id FROM owner)
    FOR KEY SHARE
),
moved AS (
    UPDATE conversations SET expires_at = now() + $6::int8 * interval '1 day'
    WHERE id = (SELECT id FROM place)
      AND tenant = $2::text
      AND user_session_id = $3::uuid
      AND expires_at < now() + $6::int8 * interval '1 day' - :slack
);

-- piece: asked_there
-- The question in its place, stored before anything is paid for.
--   $7 question, $8 content, $9 page, $10 the selected text that it is about
asked AS (
    INSERT INTO messages (id, tenant, conversation_id, role, content, page_context, status, timestamp,
        expires_at, selection)
    SELECT $7::uuid, $2::text, id, 'user', $8::text, $9::text, 'complete', now(),
        now() + $6::int8 * interval '1 day', $10::text
    FROM place
    ON CONFLICT (id) DO NOTHING
);

-- piece: place_or_refused
-- The conversation, which must be there.
SELECT $1::uuid, CASE WHEN EXISTS (SELECT 1 FROM place) THEN true ELSE refuse(15) END;

-- name: CONVERSATION_OPEN (tenant)
-- A session and its open conversation.
WITH :session_there, :open_there SELECT id FROM place;

-- name: CONVERSATION_TOUCH (tenant)
-- A session and the conversation of it that was named.
WITH :session_there, :named_there :place_or_refused;

-- name: TURN_OPEN (tenant)
-- A question in its session's open conversation.
WITH :session_there, :open_there, :asked_there SELECT id FROM place;

-- name: TURN_JOIN (tenant)
-- A question in the conversation that was named.
WITH :session_there, :named_there, :asked_there :place_or_refused;

-- name: CONVERSATION_CLOSE (tenant)
-- A conversation of its own begins: the open one takes no more questions, unless it has this one already
-- (a repeated call).
--   $1 tenant, $2 session, $3 the question
UPDATE conversations SET is_open = false
WHERE tenant = $1::text
  AND user_session_id = $2::uuid
  AND is_open
  AND NOT EXISTS (SELECT 1 FROM messages WHERE id = $3::uuid AND (tenant = $1::text) IS TRUE);

-- name: ORIGIN_STANDS (tenant)
-- Is an answer still there that another session wants to copy? One that was erased with its session, its
-- conversation or its user is not.
--   $1 tenant, $2 message
SELECT EXISTS (
    SELECT 1 FROM messages
    WHERE id = $2::uuid AND (tenant = $1::text) IS TRUE AND role = 'assistant' AND expires_at > now()
);

-- name: TURN_HISTORY (tenant)
-- Earlier messages, the newest first, for the prompt.
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

-- piece: cited_there
-- The citations of an answer that has none yet: they come together. unnest stands side by side in the list,
-- not in FROM: there each of them fills a tuplestore of its own first, which costs more than the rows do.
--   arrays, or NULL: $20 ids, $21 numbers, $22 documents, $23 chunks, $24 external ids, $25 titles,
--   $26 chapters, $27 sections, $28 URLs, $29 excerpts, $30 first bytes, $31 bytes behind the last,
--   $32 scores, $33 pages
cited AS (
    INSERT INTO citations (tenant, message_id, id, n, document_id, chunk_id, external_id, title, chapter, section,
        url, excerpt, start_byte, end_byte, score, page)
    SELECT $2::text, $1::uuid, u.*
    FROM (
        SELECT unnest($20::uuid[]) AS id, unnest($21::int8[]) AS n, unnest($22::uuid[]), unnest($23::uuid[]),
            unnest($24::text[]), unnest($25::text[]), unnest($26::text[]), unnest($27::text[]),
            unnest($28::text[]), unnest($29::text[]), unnest($30::int8[]), unnest($31::int8[]),
            unnest($32::float8[]), unnest($33::int8[])
    ) AS u
    WHERE (SELECT true FROM citations WHERE tenant = $2::text AND message_id = $1::uuid LIMIT 1) IS NULL
);

-- name: ANSWER_ADD (tenant)
-- An answer whose question is there, with its citations. Gateways and stores have clocks of their own, and an
-- answer may take less than a millisecond: it stands behind its question in any case.
--   $1 id, $6 content, $7 status, $8 model, $9 confidence, $10 grounded, $11 from the query cache,
--   $12 tokens of the prompt, $13 tokens of the answer, $14 when, $15 days, $16 trace, $17 $18 id and time
--   of the message that it was copied from, $19 why it was cut
WITH added AS (
    INSERT INTO messages AS m (:answer_cols)
    SELECT $1::uuid, $2::text, c.id, $5::uuid, 'assistant', $6::text, $7::text, $8::text, $9::float8, $10::bool,
        $11::bool, $12::int8, $13::int8,
        GREATEST(COALESCE($14::timestamptz, now()),
            (
                SELECT q.timestamp + interval '1 microsecond' FROM messages q
                WHERE q.id = $5::uuid AND (q.tenant = $2::text) IS TRUE
            )),
        now() + $15::int8 * interval '1 day', $16::text, $17::uuid, $18::timestamptz, $19::text
    FROM conversations c
    WHERE :answer_place :answer_whole
    RETURNING 1
),
:cited_there
SELECT CASE WHEN EXISTS (SELECT 1 FROM added) THEN true ELSE message_there($1::uuid, $2::text) END;

-- name: TURN_ADD (tenant)
-- An answer with its question and its citations. It comes after the touch of the session, which waits for an
-- erasure that is under way. A question that is there was begun after the erasure.
--   $1 to $19 as ANSWER_ADD's: $1 id, $6 content, $7 status, $8 model, $9 confidence, $10 grounded,
--   $11 from the query cache, $12 tokens of the prompt, $13 tokens of the answer, $14 when, $15 days,
--   $16 trace, $17 $18 id and time of the message that it was copied from, $19 why the answer was cut;
--   $34 the question's content, $35 when it was asked, $36 hash of the session's secret, $37 when its request
--   began (an erasure after that wins), $38 the selected text that it is about
WITH added AS (
    INSERT INTO messages AS m (:answer_cols, selection)
    SELECT v.id, $2::text, c.id, v.question_id, v.role, v.content, v.status, v.model, v.confidence,
        v.grounded, v.from_cache, v.prompt, v.completion, v.at, now() + $15::int8 * interval '1 day', v.told,
        v.origin_id, v.origin_at, v.finish, v.selection
    FROM conversations c
    CROSS JOIN (
        VALUES ($5::uuid, NULL::uuid, 'user', $34::text, 'complete', NULL::text, NULL::float8, false, false,
            0::int8, 0::int8, $35::timestamptz, NULL::text, NULL::uuid, NULL::timestamptz, NULL::text,
            $38::text),
            ($1::uuid, $5::uuid, 'assistant', $6::text, $7::text, $8::text, $9::float8, $10::bool, $11::bool,
                $12::int8, $13::int8, $14::timestamptz, $16::text, $17::uuid, $18::timestamptz, $19::text,
                NULL::text)
    ) AS v (id, question_id, role, content, status, model, confidence, grounded, from_cache, prompt, completion,
        at, told, origin_id, origin_at, finish, selection)
    WHERE :answer_place :answer_whole
    RETURNING 1
),
:cited_there
SELECT CASE
    WHEN EXISTS (
        SELECT 1 FROM erased_sessions
        WHERE tenant = $2::text AND session_id = $36::bytea AND erased_at >= $37::timestamptz
    ) AND NOT EXISTS (SELECT 1 FROM messages WHERE id = $5::uuid AND (tenant = $2::text) IS TRUE) THEN refuse(0)
    WHEN EXISTS (SELECT 1 FROM added) THEN true
    ELSE message_there($1::uuid, $2::text) END;
