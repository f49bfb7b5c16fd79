-- name: trigger
SELECT t.workspace_id, t.cancelled_at, t.failed_at, t.failure_detail, o.mode
FROM status.triggers AS t
LEFT JOIN orchestrator.triggers AS o ON o.trigger_id = t.trigger_id AND o.accepted IS NOT NULL
WHERE t.trigger_id = $1 AND t.accepted_at IS NOT NULL

-- name: executions
-- `open` jobs are commanded or will be, and nothing final was reported about them.
SELECT execution_id, channel, step_order, started_at, failed,
       greatest(0, coalesce(commanded_total, expected, 0) - coalesce(never_commanded, 0)
                   - sent - failed - filtered - cancelled) AS open
FROM status.executions
WHERE trigger_id = $1 AND channel IS NOT NULL
ORDER BY step_order, channel

-- name: open_commands
SELECT execution_id, page, round, sends, opened_at, due_at, cardinality(seqs) AS jobs
FROM orchestrator.commands
WHERE execution_id = ANY($1::uuid[])

-- name: resting_stages
SELECT count(*) FROM orchestrator.stages WHERE trigger_id = $1

-- name: reported_jobs
-- The state, as its rank, in which each job of positions $2 up to $3 is shown.
SELECT seq, status.state_in(progress) AS rank FROM status.jobs WHERE execution_id = $1 AND seq >= $2 AND seq < $3

-- name: recorded_waves
-- In the channel's schema: what the ledger knows to have happened on pages $2 up to $3.
SELECT page, round, workspace_id, trigger_id, epoch, coalesce(proven, '{}') AS proven, facts, reports
FROM waves
WHERE execution_id = $1 AND page >= $2 AND page < $3 AND recorded_at IS NOT NULL
ORDER BY page, round, wave

-- name: last_wave
SELECT max(page) FROM waves WHERE execution_id = $1
