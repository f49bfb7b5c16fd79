-- name: trigger
-- What is shown may be behind what was done: whichever of the two knows it is believed.
SELECT coalesce(t.workspace_id, o.workspace_id) AS workspace_id, t.failure_detail, o.mode,
       t.cancelled_at IS NOT NULL OR o.mode IS NOT DISTINCT FROM 'cancelled' AS is_cancelled,
       t.failed_at IS NOT NULL OR o.mode IS NOT DISTINCT FROM 'failed' AS is_failed
FROM (SELECT * FROM status.triggers WHERE trigger_id = $1 AND accepted_at IS NOT NULL) AS t
FULL JOIN (SELECT * FROM orchestrator.triggers WHERE trigger_id = $1 AND accepted IS NOT NULL) AS o USING (trigger_id)

-- name: executions
-- `open` jobs are commanded or will be, and nothing final was reported about them.
SELECT execution_id, channel, step_order, started_at, failed,
       greatest(0, coalesce(commanded_total, expected, 0) - coalesce(never_commanded, 0)
                   - sent - failed - filtered - cancelled) AS open
FROM status.executions
WHERE trigger_id = $1 AND channel IS NOT NULL
ORDER BY step_order, channel

-- name: open_commands
SELECT command.execution_id, command.page, command.round, command.step_order, shown.channel, command.sends,
       command.opened_at, command.due_at, cardinality(command.seqs) AS jobs
FROM orchestrator.executions AS started
JOIN orchestrator.commands AS command USING (execution_id)
LEFT JOIN status.executions AS shown USING (execution_id)
WHERE started.trigger_id = $1
ORDER BY command.step_order, shown.channel

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
