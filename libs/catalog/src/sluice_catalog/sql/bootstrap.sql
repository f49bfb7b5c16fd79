-- name: add_workspace
INSERT INTO catalog.workspaces (id, name, created_at, updated_at)
VALUES ($1, $2, $3, $3)
ON CONFLICT (name) DO NOTHING
RETURNING id

-- name: workspace_by_name
SELECT id FROM catalog.workspaces WHERE name = $1

-- name: add_api_key
INSERT INTO catalog.api_keys (id, workspace_id, name, hint, secret_sha256, scopes, allowed_ips, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)

-- name: add_sandbox_account
INSERT INTO catalog.provider_accounts
    (id, workspace_id, channel, provider, name, config, is_default, created_at, updated_at)
VALUES ($1, $2, $3, 'sandbox', 'Sandbox', '{}', true, $4, $4)

-- name: notify
SELECT pg_notify('catalog_changed', $1)
