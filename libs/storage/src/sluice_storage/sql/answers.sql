-- name: claim_key
SELECT fingerprint, status, headers, body, answered_at FROM claim_key($1, $2, $3, $4, $5, $6)

-- name: keep_answers
-- The first answer stays, unless its day is over. A key that has its answer is claimed by nobody.
WITH given AS (
    SELECT workspace_id, key, fingerprint, status, headers::jsonb, body, answered_at
    FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::smallint[], $5::text[], $6::text[], $7::timestamptz[])
        AS answer (workspace_id, key, fingerprint, status, headers, body, answered_at)
), lifted AS (
    DELETE FROM claims USING given WHERE claims.workspace_id = given.workspace_id AND claims.key = given.key
)
INSERT INTO answers AS kept (workspace_id, key, fingerprint, status, headers, body, answered_at)
SELECT workspace_id, key, fingerprint, status, headers, body, answered_at FROM given
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

-- name: lift_claims
-- The keys $2 of the owners $1 got no answer that is kept.
DELETE FROM claims
USING unnest($1::uuid[], $2::text[]) AS given (workspace_id, key)
WHERE claims.workspace_id = given.workspace_id AND claims.key = given.key

-- name: forget_claims
-- Whoever held these did not live to lift them.
DELETE FROM claims WHERE until <= $1
