-- name: find_trigger
SELECT id, workspace_id, business, status, workflow_id, document, revision, created_at, updated_at
FROM catalog.pocketflows_triggers
WHERE workspace_id = $1 AND id = $2

-- name: page_of_business
-- Triggers of one business behind $3, oldest first.
SELECT id, workspace_id, business, status, workflow_id, document, revision, created_at, updated_at
FROM catalog.pocketflows_triggers
WHERE workspace_id = $1 AND business IS NOT DISTINCT FROM $2 AND id > $3
ORDER BY id
LIMIT $4

-- name: insert_trigger
INSERT INTO catalog.pocketflows_triggers
    (id, workspace_id, created_at, updated_at, business, status, workflow_id, document)
VALUES ($1, $2, $3, $3, $4, $5, $6, $7)
RETURNING id, workspace_id, business, status, workflow_id, document, revision, created_at, updated_at

-- name: update_trigger
UPDATE catalog.pocketflows_triggers
SET revision = revision + 1, updated_at = $3, status = $4, workflow_id = $5, document = $6
WHERE id = $1 AND revision = $2
RETURNING id, workspace_id, business, status, workflow_id, document, revision, created_at, updated_at

