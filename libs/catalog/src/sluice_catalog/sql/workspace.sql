-- name: find_workspace
SELECT id, name, timezone, default_country, send_window, frequency_caps, budget, revision, created_at, updated_at
FROM catalog.workspaces
WHERE id = $1

-- name: update_workspace
UPDATE catalog.workspaces
SET revision = revision + 1, updated_at = $3, timezone = $4, default_country = $5, send_window = $6,
    frequency_caps = $7, budget = $8
WHERE id = $1 AND revision = $2
RETURNING id, name, timezone, default_country, send_window, frequency_caps, budget, revision, created_at, updated_at

-- name: add_api_key
INSERT INTO catalog.api_keys (id, workspace_id, name, hint, secret_sha256, scopes, allowed_ips, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)

-- name: page_api_keys
SELECT id, name, hint, scopes, allowed_ips, created_at, revoked_at
FROM catalog.api_keys
WHERE workspace_id = $1 AND id > $2
ORDER BY id
LIMIT $3

-- name: revoke_api_key
UPDATE catalog.api_keys
SET revoked_at = coalesce(revoked_at, $3)
WHERE workspace_id = $1 AND id = $2
RETURNING id

-- name: page_suppressions
SELECT id, channel, address, reason, detail, created_at
FROM catalog.suppressions
WHERE workspace_id = $1 AND id > $2
  AND ($4::text IS NULL OR channel = $4) AND ($5::text IS NULL OR reason = $5) AND ($6::text IS NULL OR address = $6)
ORDER BY id
LIMIT $3

-- name: add_suppression
INSERT INTO catalog.suppressions (workspace_id, channel, address, reason, detail, id, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (workspace_id, channel, address, reason) DO UPDATE SET detail = coalesce(excluded.detail, suppressions.detail)
RETURNING old.id IS NULL AS created, new.id, new.channel, new.address, new.reason, new.detail, new.created_at

-- name: delete_suppression
DELETE FROM catalog.suppressions WHERE workspace_id = $1 AND id = $2 RETURNING id
