-- name: find_answer
SELECT fingerprint, status, headers, body, answered_at
FROM answers
WHERE workspace_id = $1 AND key = $2

-- name: keep_answers
-- The first answer stays, unless its day is over.
INSERT INTO answers AS kept (workspace_id, key, fingerprint, status, headers, body, answered_at)
SELECT workspace_id, key, fingerprint, status, headers::jsonb, body, answered_at
FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::smallint[], $5::text[], $6::text[], $7::timestamptz[])
    AS answer (workspace_id, key, fingerprint, status, headers, body, answered_at)
ON CONFLICT (workspace_id, key) DO UPDATE
SET fingerprint = excluded.fingerprint,
    status = excluded.status,
    headers = excluded.headers,
    body = excluded.body,
    answered_at = excluded.answered_at
WHERE kept.answered_at <= $8

-- name: forget_answers
DELETE FROM answers
WHERE ctid = ANY (ARRAY(SELECT ctid FROM answers WHERE answered_at <= $1 LIMIT 5000))
