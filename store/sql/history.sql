-- History of a session, a page at a time.

-- name: HISTORY (tenant)
-- A page walks, it does not sort. here: what follows the last message seen in its own conversation. Older
-- conversations are read only for what a page then still lacks, so that every page by cursor costs the
-- same. They are walked newest first, each one's messages oldest first, until the page is full: ordering
-- the join as a whole would, in a plan made without the limit, read the beginning of all of them. The limit
-- that nobody reaches is there because it is unknown to the planner, which then walks the index instead of
-- sorting them. A message comes once for each citation, its content with the first.
--   $1 tenant, $2 session, $3 one conversation or NULL, $4 $5 time and id of the conversation, $6 $7 time
--   and id of the message last seen, $8 rows, $9 rows to skip
WITH here AS MATERIALIZED (
    SELECT c.created_at AS cc, l.* FROM conversations c
    CROSS JOIN LATERAL (
        SELECT * FROM messages m
        WHERE m.conversation_id = c.id
          AND m.tenant = $1::text
          AND m.expires_at > now()
          AND (m.timestamp, m.id) > ($6::timestamptz, $7::uuid)
        ORDER BY m.timestamp, m.id LIMIT $8::int8
    ) l
    WHERE c.id = $5::uuid
      AND c.tenant = $1::text
      AND c.user_session_id = $2::uuid
      AND ($3::uuid IS NULL OR c.id = $3::uuid)
),
page AS MATERIALIZED (
    SELECT * FROM here
    UNION ALL (
        SELECT c.cc, l.*
        FROM (
            SELECT id, created_at AS cc FROM conversations
            WHERE user_session_id = $2::uuid
              AND tenant = $1::text
              AND ($3::uuid IS NULL OR id = $3::uuid)
              AND (created_at, id) < ($4::timestamptz, $5::uuid)
            ORDER BY created_at DESC, id DESC LIMIT (SELECT 1000000)
        ) c
        CROSS JOIN LATERAL (
            SELECT * FROM messages m
            WHERE m.conversation_id = c.id AND m.tenant = $1::text AND m.expires_at > now()
            ORDER BY m.timestamp, m.id LIMIT $8::int8 + $9::int8
        ) l
        OFFSET $9::int8 LIMIT $8::int8 - (SELECT count(*) FROM here)
    )
)
SELECT p.id, p.conversation_id, p.role,
    CASE WHEN row_number() OVER (PARTITION BY p.id ORDER BY t.n) = 1 THEN p.content END, p.status, p.model,
    p.confidence, p.grounded, p.from_cache, p.timestamp, p.cc, t.id, t.n::int8, t.document_id, t.chunk_id,
    t.external_id, t.title, t.chapter, t.section, t.url, t.excerpt, t.start_byte, t.end_byte, t.score,
    p.rating, p.rating_comment, p.selection, p.finish, t.page
FROM page p
LEFT JOIN citations t ON t.message_id = p.id AND t.tenant = $1::text
ORDER BY p.cc DESC, p.conversation_id DESC, p.timestamp, p.id, t.n;
