-- Conversations of a session, marks for answers, and how an answer came about.

-- name: CONVERSATION_LIST (tenant)
-- A page of conversations, the newest first: the last message's time, how many there are, the first
-- question's beginning.
--   $1 tenant, $2 session, $3 $4 time and id of the last one seen, $5 rows, $6 rows to skip
SELECT c.id, c.created_at, c.expires_at,
    (SELECT max(m.timestamp) FROM messages m WHERE m.conversation_id = c.id AND (m.tenant = $1::text) IS TRUE),
    (SELECT count(*) FROM messages m WHERE m.conversation_id = c.id AND (m.tenant = $1::text) IS TRUE),
    (
        SELECT left(m.content, 200) FROM messages m
        WHERE m.conversation_id = c.id AND (m.tenant = $1::text) IS TRUE AND m.role = 'user'
        ORDER BY m.timestamp, m.id LIMIT 1
    )
FROM conversations c
WHERE c.user_session_id = $2::uuid
  AND c.tenant = $1::text
  AND c.expires_at > now()
  AND (c.created_at, c.id) < ($3::timestamptz, $4::uuid)
ORDER BY c.created_at DESC, c.id DESC OFFSET $6::int8 LIMIT $5::int8;

-- name: CONVERSATION_DELETE (tenant)
-- A conversation's end; its messages go by a cascade.
--   $1 tenant, $2 session, $3 conversation
DELETE FROM conversations WHERE id = $3::uuid AND tenant = $1::text AND user_session_id = $2::uuid;

-- name: FEEDBACK (tenant)
-- A mark for one of the session's own answers.
--   $1 tenant, $2 session, $3 message, $4 rating, $5 comment
UPDATE messages m SET rating = $4::text, rating_comment = $5::text, rated_at = now()
FROM conversations c
WHERE m.id = $3::uuid
  AND (m.tenant = $1::text) IS TRUE
  AND m.role = 'assistant'
  AND c.id = m.conversation_id
  AND c.tenant = $1::text
  AND c.user_session_id = $2::uuid;

-- name: EXPLAIN (tenant)
-- An answer and how it came about. Of a copied answer: how the copied one did, while that is there and the
-- same session's.
--   $1 tenant, $2 session, $3 message
SELECT m.conversation_id, m.timestamp, m.status, m.model, m.confidence, m.grounded, m.from_cache, m.origin_id,
    m.origin_at, COALESCE(told_json(m.told), m.trace, told_json(o.told), o.trace)::text
FROM messages m
JOIN conversations c ON c.id = m.conversation_id
LEFT JOIN (messages o JOIN conversations oc ON oc.id = o.conversation_id) ON o.id = m.origin_id
  AND o.tenant = $1::text
  AND oc.tenant = $1::text
  AND oc.user_session_id = $2::uuid
  AND o.expires_at > now()
WHERE m.id = $3::uuid
  AND (m.tenant = $1::text) IS TRUE
  AND m.role = 'assistant'
  AND m.expires_at > now()
  AND c.tenant = $1::text
  AND c.user_session_id = $2::uuid;

-- piece: citation_cols
-- A citation t, its document's facts, and where its bytes stand now.
t.id, t.n, t.document_id, t.chunk_id, t.external_id, t.title, t.chapter, t.section, t.url, t.excerpt,
    t.start_byte, t.end_byte, t.score, t.page, d.collection, d.text_bytes, p.at;

-- piece: cited_now
-- Where the cited bytes of t stand in the document d as it is now: where they stood, else at the first place
-- behind, else at the first one. NULL: nowhere, or they are too few to be known again.
SELECT CASE
    WHEN d.text IS NULL OR t.end_byte <= t.start_byte THEN NULL
    WHEN t.end_byte <= d.text_bytes
      AND substring(d.text FROM t.start_byte::int4 + 1 FOR (t.end_byte - t.start_byte)::int4)
        = convert_to(t.excerpt, 'UTF8') THEN t.start_byte
    WHEN octet_length(t.excerpt) < 12 THEN NULL
    ELSE COALESCE(
        LEAST(t.start_byte, d.text_bytes) - 1 + NULLIF(
            position(
                convert_to(t.excerpt, 'UTF8')
                IN substring(d.text FROM LEAST(t.start_byte, d.text_bytes)::int4 + 1)
            ),
            0
        ), NULLIF(position(convert_to(t.excerpt, 'UTF8') IN d.text), 0)::int8 - 1
    ) END AS at;

-- name: CITATION (tenant)
-- A citation of a session's own answer, with the bytes around where it stands now, and where those begin.
--   $1 tenant, $2 session, $3 citation, $4 bytes before and behind
SELECT :citation_cols, GREATEST(p.at - $4::int8, 0),
    substring(
        d.text
        FROM GREATEST(p.at - $4::int8, 0)::int4 + 1 FOR (p.at + octet_length(t.excerpt) + $4::int8 - GREATEST(p.at - $4::int8, 0))::int4
    )
FROM citations t
JOIN messages m ON m.id = t.message_id
JOIN conversations c ON c.id = m.conversation_id
LEFT JOIN documents d ON d.id = t.document_id AND d.tenant = $1::text AND d.text IS NOT NULL
CROSS JOIN LATERAL (:cited_now) p
WHERE t.id = $3::uuid
  AND t.tenant = $1::text
  AND m.tenant = $1::text
  AND m.expires_at > now()
  AND c.tenant = $1::text
  AND c.user_session_id = $2::uuid;

-- name: PASSAGE (shared)
-- The same for whoever shows its link, in which the gateway finds a proof made of the session: the tenant is
-- that of the citation. With a part of the document: the one that is asked for, else the one around it.
--   $1 citation, $2 $3 first byte and byte behind the last, or 0 for those around it, $4 bytes before it,
--   $5 bytes behind it
SELECT :citation_cols, w.at,
    CASE WHEN p.at IS NOT NULL THEN substring(d.text FROM w.at::int4 + 1 FOR (w.till - w.at)::int4) END,
    s.session_id
FROM citations t
JOIN messages m ON m.id = t.message_id AND (m.tenant = t.tenant) IS TRUE
JOIN conversations c ON c.id = m.conversation_id AND (c.tenant = t.tenant) IS TRUE
JOIN user_sessions s ON s.id = c.user_session_id AND (s.tenant = t.tenant) IS TRUE
LEFT JOIN documents d ON d.id = t.document_id AND (d.tenant = t.tenant) IS TRUE AND d.text IS NOT NULL
CROSS JOIN LATERAL (:cited_now) p
CROSS JOIN LATERAL (
    SELECT GREATEST(LEAST(CASE WHEN $3::int8 > 0 THEN $2::int8 ELSE p.at - $4::int8 END, d.text_bytes), 0) AS at,
        LEAST(CASE WHEN $3::int8 > 0 THEN $3::int8 ELSE p.at + octet_length(t.excerpt) + $5::int8 END,
            d.text_bytes) AS till
) w
WHERE t.id = $1::uuid AND m.expires_at > now() AND s.expires_at > now();
