-- name: api_keys
SELECT id, workspace_id, name, secret_sha256, scopes, allowed_ips
FROM catalog.api_keys
WHERE revoked_at IS NULL

-- name: workspaces
SELECT id, name, timezone, default_country, send_window, frequency_caps, budget
FROM catalog.workspaces

-- name: templates
SELECT t.workspace_id, t.id AS template_id, t.version, t.key, t.channel, v.category
FROM catalog.templates t
JOIN catalog.template_versions v ON v.template_id = t.id AND v.version = t.version
WHERE t.deleted_at IS NULL

-- name: workflows
SELECT workspace_id, id, key, name, status, version, category
FROM catalog.workflows
WHERE deleted_at IS NULL

-- name: segments
SELECT workspace_id, id, key FROM catalog.segments

-- name: lists
SELECT workspace_id, id, key FROM catalog.lists

-- name: provider_accounts
SELECT id, workspace_id, channel, provider, name, config, secrets, rate_per_second, is_default, updated_at
FROM catalog.provider_accounts

-- name: streams
SELECT id, workspace_id, key, name, type, status, workflow_id, template_key, allowed_ips, settings
FROM catalog.streams

-- name: stream_tokens
SELECT id, stream_id, workspace_id, secret_sha256, expires_at
FROM catalog.stream_tokens

-- name: stream_events
SELECT stream_id, key, text, template_key
FROM catalog.stream_events

-- name: tenants
SELECT workspace_id, key, name, data FROM catalog.tenants

-- name: novu_workflows
-- Of the document only what decides about a trigger.
SELECT n.workspace_id, n.id, n.key, w.id AS workflow_id,
       (n.document ->> 'active')::boolean AS active, jsonb_array_length(n.document -> 'steps') AS steps,
       (n.document ->> 'whole_payload')::boolean AS whole_payload,
       CASE WHEN (n.document ->> 'validatePayload')::boolean THEN n.document -> 'payloadSchema' END AS payload_schema
FROM catalog.novu_workflows n
LEFT JOIN catalog.workflows w ON w.id = n.workflow_id AND w.deleted_at IS NULL
