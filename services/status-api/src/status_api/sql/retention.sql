-- Removing what has been shown for long enough.

-- name: workspaces
-- Whoever has triggers: one step along an index for each workspace, however many triggers there are.
WITH RECURSIVE found AS (
    (SELECT workspace_id FROM triggers WHERE accepted_at IS NOT NULL ORDER BY workspace_id LIMIT 1)
    UNION ALL
    SELECT (
        SELECT t.workspace_id FROM triggers t
        WHERE t.workspace_id > found.workspace_id AND t.accepted_at IS NOT NULL
        ORDER BY t.workspace_id LIMIT 1
    )
    FROM found WHERE found.workspace_id IS NOT NULL
)
SELECT workspace_id FROM found WHERE workspace_id IS NOT NULL

-- name: expire
-- The triggers $1 vanish at once with their executions and counters; what else there is of these goes later.
WITH executions_gone AS (
    DELETE FROM executions WHERE trigger_id = ANY($1::uuid[]) RETURNING execution_id
),
triggers_gone AS (
    DELETE FROM triggers WHERE trigger_id = ANY($1::uuid[])
),
versions_gone AS (
    DELETE FROM versions WHERE trigger_id = ANY($1::uuid[])
),
waits_gone AS (
    DELETE FROM waits WHERE trigger_id = ANY($1::uuid[])
),
wait_steps_gone AS (
    DELETE FROM wait_steps WHERE trigger_id = ANY($1::uuid[])
)
INSERT INTO expired_executions (execution_id)
SELECT execution_id FROM executions_gone
ON CONFLICT DO NOTHING

-- name: take_expired
-- Up to $1 executions that no other copy is busy with.
SELECT execution_id FROM expired_executions ORDER BY execution_id LIMIT $1 FOR UPDATE SKIP LOCKED

-- name: remove_jobs
-- Up to $2 jobs of the executions $1; the others likewise.
DELETE FROM jobs
WHERE ctid = ANY(ARRAY(SELECT ctid FROM jobs WHERE execution_id = ANY($1::uuid[]) LIMIT $2))

-- name: remove_unsent
DELETE FROM unsent
WHERE ctid = ANY(ARRAY(SELECT ctid FROM unsent WHERE execution_id = ANY($1::uuid[]) LIMIT $2))

-- name: remove_reasons
DELETE FROM reasons
WHERE ctid = ANY(ARRAY(SELECT ctid FROM reasons WHERE execution_id = ANY($1::uuid[]) LIMIT $2))

-- name: remove_deadlines
DELETE FROM receipt_deadlines
WHERE ctid = ANY(ARRAY(SELECT ctid FROM receipt_deadlines WHERE execution_id = ANY($1::uuid[]) LIMIT $2))

-- name: remove_hidden
DELETE FROM hidden_messages
WHERE ctid = ANY(ARRAY(SELECT ctid FROM hidden_messages WHERE execution_id = ANY($1::uuid[]) LIMIT $2))

-- name: removed
DELETE FROM expired_executions WHERE execution_id = ANY($1::uuid[])
