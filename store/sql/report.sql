-- Gaps of the documents: questions of the last days that they did not answer, or whose answer was rated badly.

-- name: REPORT (tenant)
-- One row a collection and wording, those that came most often first; an example of each: its latest message,
-- and what the reader wrote with a bad rating. A copied answer's collection is that of the copied one.
--   $1 tenant, $2 days, $3 collection or NULL for all, $4 rows
SELECT x.collection, (array_agg(x.question ORDER BY x.at DESC))[1], count(*) FILTER (WHERE x.unanswered),
    count(*) FILTER (WHERE x.bad), max(x.at), (array_agg(x.id ORDER BY x.at DESC))[1],
    (array_agg(x.comment ORDER BY x.at DESC) FILTER (WHERE x.comment <> ''))[1]
FROM (
    SELECT a.id, a.timestamp AS at, left(q.content, 300) AS question, a.rating = 'down' AS bad,
        a.status = 'refused' OR NOT a.grounded AS unanswered,
        CASE WHEN a.rating = 'down' THEN left(a.rating_comment, 500) END AS comment,
        COALESCE(told_json(a.told), a.trace, told_json(o.told), o.trace) -> 'retrieval' ->> 'collection' AS collection
    FROM messages a
    JOIN messages q ON q.id = a.question_id AND q.tenant = $1::text
    LEFT JOIN messages o ON o.id = a.origin_id AND o.tenant = $1::text
    WHERE a.tenant = $1::text
      AND a.role = 'assistant'
      AND a.timestamp >= now() - $2::int8 * interval '24 hours'
      AND a.status IN ('complete', 'refused')
      AND (a.rating = 'down' OR a.status = 'refused' OR NOT a.grounded)
) x
WHERE $3::text IS NULL OR x.collection = $3::text
GROUP BY x.collection, lower(x.question)
ORDER BY count(*) DESC, max(x.at) DESC LIMIT $4::int8;
