-- name: rules_for
-- The active rules of each (workspace, event), with the workflow that each starts as it is now.
SELECT r.id, r.workspace_id, r.key, r.name, r.status, r.event, r.definition, w.id AS workflow_id,
       w.name AS workflow_name, w.status AS workflow_status, w.version AS workflow_version,
       w.category AS workflow_category
FROM (SELECT DISTINCT * FROM unnest($1::uuid[], $2::text[]) AS asked (workspace_id, event)) AS wanted
JOIN catalog.trigger_rules r USING (workspace_id, event)
LEFT JOIN catalog.workflows w ON w.id = r.workflow_id AND w.workspace_id = r.workspace_id AND w.deleted_at IS NULL
WHERE r.status = 'active'
ORDER BY r.id

-- name: named_rules
SELECT id, name, event FROM catalog.trigger_rules WHERE workspace_id = $1 ORDER BY id

-- name: listened_for
-- Those (workspace, event) that a rule answers or a workflow waits for.
SELECT DISTINCT workspace_id, event
FROM unnest($1::uuid[], $2::text[]) AS wanted (workspace_id, event)
JOIN catalog.event_listeners USING (workspace_id, event)

-- name: waited_for
SELECT DISTINCT workspace_id, event, correlation
FROM unnest($1::uuid[], $2::text[]) AS wanted (workspace_id, event)
JOIN catalog.workflow_waits USING (workspace_id, event)

-- name: lock_changes
-- One process at a time, so that they stay in order.
SELECT pg_try_advisory_xact_lock(hashtext('catalog.contact_changes'))

-- name: take_changes
SELECT sequence, workspace_id, contact_id, former, present, changed_at
FROM catalog.contact_changes
ORDER BY sequence
LIMIT $1

-- name: drop_changes
DELETE FROM catalog.contact_changes WHERE sequence = ANY ($1::bigint[])

-- name: segments_of
SELECT workspace_id, id, key, name, filter FROM catalog.segments WHERE workspace_id = ANY ($1::uuid[]) ORDER BY id
