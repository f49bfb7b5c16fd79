-- Streams with their tokens, event templates and counts. The first five of each kind are those of every definition.

-- name: find_stream
SELECT s.id, s.workspace_id, s.key, s.name, s.type, s.status, s.tags, s.workflow_id, s.template_key, s.allowed_ips,
       s.settings, s.revision, s.created_at, s.updated_at, seen.last_activity
FROM catalog.streams s
LEFT JOIN LATERAL (SELECT max(last_at) AS last_activity FROM catalog.stream_days WHERE stream_id = s.id) AS seen ON true
WHERE s.workspace_id = $1 AND (s.id = $2 OR s.key = $3)
ORDER BY s.id = $2 DESC
LIMIT 1

-- name: page_stream
-- Streams behind $2 whose name holds $4, that carry the tag $5, and stand at the status $6. Those in $7 are sending:
-- of them only ($8 true), of the others only (false), or of all (null).
SELECT s.id, s.workspace_id, s.key, s.name, s.type, s.status, s.tags, s.workflow_id, s.template_key, s.allowed_ips,
       s.settings, s.revision, s.created_at, s.updated_at, seen.last_activity
FROM catalog.streams s
LEFT JOIN LATERAL (SELECT max(last_at) AS last_activity FROM catalog.stream_days WHERE stream_id = s.id) AS seen ON true
WHERE s.workspace_id = $1 AND s.id > $2
  AND ($4::text IS NULL OR strpos(lower(s.name), lower($4)) > 0)
  AND ($5::text IS NULL OR $5 = ANY (s.tags))
  AND ($6::text IS NULL OR s.status = $6)
  AND ($8::boolean IS NULL OR (s.id = ANY ($7::uuid[])) = $8)
ORDER BY s.id
LIMIT $3

-- name: insert_stream
INSERT INTO catalog.streams (id, workspace_id, created_at, updated_at, key, name, type, status, tags, workflow_id,
                             template_key, allowed_ips, settings)
VALUES ($1, $2, $3, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
RETURNING id, workspace_id, key, name, type, status, tags, workflow_id, template_key, allowed_ips, settings, revision,
          created_at, updated_at, NULL::timestamptz AS last_activity

-- name: update_stream
UPDATE catalog.streams s
SET revision = revision + 1, updated_at = $3, key = $4, name = $5, type = $6, status = $7, tags = $8, workflow_id = $9,
    template_key = $10, allowed_ips = $11, settings = $12
WHERE id = $1 AND revision = $2
RETURNING id, workspace_id, key, name, type, status, tags, workflow_id, template_key, allowed_ips, settings, revision,
          created_at, updated_at,
          (SELECT max(last_at) FROM catalog.stream_days d WHERE d.stream_id = s.id) AS last_activity

-- name: delete_stream
DELETE FROM catalog.streams WHERE id = $1

-- name: workflow_of_stream
SELECT id FROM catalog.workflows
WHERE workspace_id = $1 AND (id = $2 OR key = $3 OR name = $3) AND deleted_at IS NULL
ORDER BY id = $2 DESC, key = $3 DESC
LIMIT 1

-- name: template_of_stream
SELECT channel FROM catalog.templates WHERE workspace_id = $1 AND key = $2 AND deleted_at IS NULL

-- name: account_of_stream
SELECT channel FROM catalog.provider_accounts WHERE workspace_id = $1 AND id = $2

-- name: tokens_of_streams
SELECT id, stream_id, hint, created_at, expires_at
FROM catalog.stream_tokens
WHERE stream_id = ANY ($1::uuid[]) AND (expires_at IS NULL OR expires_at > $2)
ORDER BY id DESC

-- name: add_token
INSERT INTO catalog.stream_tokens (id, stream_id, workspace_id, hint, secret_sha256, created_at)
VALUES ($1, $2, $3, $4, $5, $6)

-- name: end_tokens
-- The tokens of stream $1 work until $2 at the latest.
UPDATE catalog.stream_tokens SET expires_at = least(expires_at, $2) WHERE stream_id = $1

-- name: forget_tokens
DELETE FROM catalog.stream_tokens WHERE stream_id = $1 AND expires_at <= $2

-- name: find_stream_event
SELECT id, stream_id AS workspace_id, key, name, text, template_key, revision, created_at, updated_at
FROM catalog.stream_events
WHERE stream_id = $1 AND (id = $2 OR key = $3)
ORDER BY id = $2 DESC
LIMIT 1

-- name: page_stream_event
SELECT id, stream_id AS workspace_id, key, name, text, template_key, revision, created_at, updated_at
FROM catalog.stream_events
WHERE stream_id = $1 AND id > $2
ORDER BY id
LIMIT $3

-- name: insert_stream_event
INSERT INTO catalog.stream_events (id, stream_id, created_at, updated_at, key, name, text, template_key)
VALUES ($1, $2, $3, $3, $4, $5, $6, $7)
RETURNING id, stream_id AS workspace_id, key, name, text, template_key, revision, created_at, updated_at

-- name: update_stream_event
UPDATE catalog.stream_events
SET revision = revision + 1, updated_at = $3, key = $4, name = $5, text = $6, template_key = $7
WHERE id = $1 AND revision = $2
RETURNING id, stream_id AS workspace_id, key, name, text, template_key, revision, created_at, updated_at

-- name: delete_stream_event
DELETE FROM catalog.stream_events WHERE id = $1

-- name: template_of_stream_event
SELECT 1
FROM catalog.streams s
JOIN catalog.templates t ON t.workspace_id = s.workspace_id AND t.key = $2 AND t.deleted_at IS NULL
WHERE s.id = $1

-- name: variables_of_templates
SELECT DISTINCT unnest(v.variables) AS path
FROM catalog.templates t
JOIN catalog.template_versions v ON v.template_id = t.id AND v.version = t.version
WHERE t.workspace_id = $1 AND t.key = ANY ($2::text[]) AND t.deleted_at IS NULL
ORDER BY path

-- name: definition_of_workflow
SELECT definition FROM catalog.workflows WHERE workspace_id = $1 AND id = $2 AND deleted_at IS NULL

-- name: count_accepted
-- Adds to the days of streams; a stream that is gone meanwhile is passed over. Returns what the days have now.
INSERT INTO catalog.stream_days AS d (stream_id, day, accepted, last_at)
SELECT c.stream_id, c.day, c.accepted, c.last_at
FROM unnest($1::uuid[], $2::date[], $3::bigint[], $4::timestamptz[]) AS c (stream_id, day, accepted, last_at)
JOIN (SELECT id FROM catalog.streams WHERE id = ANY ($1::uuid[]) ORDER BY id FOR KEY SHARE) AS s ON s.id = c.stream_id
ORDER BY c.stream_id, c.day
ON CONFLICT (stream_id, day) DO UPDATE SET
    accepted = d.accepted + excluded.accepted, last_at = greatest(d.last_at, excluded.last_at)
RETURNING stream_id, day, accepted

-- name: count_refused
INSERT INTO catalog.stream_refusals AS r (stream_id, day, reason, address, refused, last_at)
SELECT c.stream_id, c.day, c.reason, c.address, c.refused, c.last_at
FROM unnest($1::uuid[], $2::date[], $3::text[], $4::text[], $5::bigint[], $6::timestamptz[])
     AS c (stream_id, day, reason, address, refused, last_at)
JOIN (SELECT id FROM catalog.streams WHERE id = ANY ($1::uuid[]) ORDER BY id FOR KEY SHARE) AS s ON s.id = c.stream_id
ORDER BY c.stream_id, c.day, c.reason, c.address
ON CONFLICT (stream_id, day, reason, address) DO UPDATE SET
    refused = r.refused + excluded.refused, last_at = greatest(r.last_at, excluded.last_at)

-- name: accepted_of_day
SELECT stream_id, accepted FROM catalog.stream_days WHERE stream_id = ANY ($1::uuid[]) AND day = $2

-- name: days_of_stream
SELECT day, accepted, last_at FROM catalog.stream_days WHERE stream_id = $1 AND day >= $2 AND day <= $3 ORDER BY day

-- name: refusals_of_stream
SELECT reason, address, sum(refused)::bigint AS refused, max(last_at) AS last_at
FROM catalog.stream_refusals
WHERE stream_id = $1 AND day >= $2 AND day <= $3
GROUP BY reason, address
ORDER BY refused DESC, reason, address
