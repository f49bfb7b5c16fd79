-- Times are parameters. Locks are taken in one order everywhere: names of events, triggers, commands, stages, waits,
-- releases, executions.

-- name: add_wait_stage
INSERT INTO wait_stages (trigger_id, step_order, workspace_id, walks, scheduled_for, due_at)
VALUES ($1, $2, $3, $4, $5, coalesce($6::timestamptz, 'infinity')) ON CONFLICT DO NOTHING

-- name: first_wait_stage
SELECT trigger_id FROM wait_stages WHERE due_at <= $1 ORDER BY due_at LIMIT 1

-- name: hold_wait_stage
SELECT trigger_id, step_order, workspace_id, walks, next_page, cursor
FROM wait_stages WHERE trigger_id = $1 AND due_at <= $2 FOR UPDATE SKIP LOCKED

-- name: advance_wait_stage
UPDATE wait_stages SET next_page = $3, cursor = $4, due_at = greatest(due_at, $5)
WHERE trigger_id = $1 AND step_order = $2

-- name: close_wait_stage
DELETE FROM wait_stages WHERE trigger_id = $1 AND step_order = $2

-- name: count_walked_cohort
UPDATE triggers SET cohort_total = $2 WHERE trigger_id = $1 AND cohort_total IS NULL

-- name: hold_name
-- Whoever opens waits for an event and whoever brings such an event do it one after the other: neither misses the other.
SELECT pg_advisory_xact_lock(hashtextextended($1::uuid::text || ':' || $2::text, 0))

-- name: open_waits
INSERT INTO waits (trigger_id, step_order, seq, workspace_id, event, correlation, key, until, due_at, since, cause)
SELECT $1, $2, seq, $3, $4, $5, key, $6, $6, $9, $10
FROM unnest($7::integer[], $8::text[]) AS given (seq, key)
ORDER BY seq
ON CONFLICT DO NOTHING

-- name: meet_earlier_events
-- The first event since the trigger was accepted that each wait would have ended, but for the one that made the trigger.
UPDATE waits SET outcome = 'received', event_id = met.event_id, data = met.data
FROM (
    SELECT w.seq, found.event_id, found.data
    FROM waits w
    CROSS JOIN LATERAL (
        SELECT e.event_id, e.data FROM awaited_events e
        WHERE e.workspace_id = w.workspace_id AND e.event = w.event AND e.correlation = w.correlation AND e.key = w.key
          AND e.accepted_at >= w.since AND e.event_id IS DISTINCT FROM w.cause
        ORDER BY e.accepted_at, e.event_id LIMIT 1
    ) AS found
    WHERE w.trigger_id = $1 AND w.step_order = $2 AND w.seq = ANY ($3::integer[]) AND w.outcome IS NULL
) AS met
WHERE waits.trigger_id = $1 AND waits.step_order = $2 AND waits.seq = met.seq
RETURNING waits.seq

-- name: keep_event
INSERT INTO awaited_events (workspace_id, event, correlation, key, event_id, accepted_at, data)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING

-- name: waiting_for
SELECT DISTINCT trigger_id FROM waits
WHERE workspace_id = $1 AND event = $2 AND correlation = $3 AND key = $4 AND outcome IS NULL

-- name: end_waits
UPDATE waits SET outcome = 'received', event_id = $6, data = $7
FROM (
    SELECT trigger_id, step_order, seq FROM waits
    WHERE workspace_id = $1 AND event = $2 AND correlation = $3 AND key = $4 AND outcome IS NULL
      AND trigger_id = ANY ($5::uuid[]) AND since <= $8 AND until > $8 AND cause IS DISTINCT FROM $6
    ORDER BY trigger_id, step_order, seq FOR UPDATE
) AS ended
WHERE waits.trigger_id = ended.trigger_id AND waits.step_order = ended.step_order AND waits.seq = ended.seq
RETURNING waits.trigger_id, waits.step_order, waits.seq

-- name: overdue_triggers
SELECT DISTINCT trigger_id
FROM (SELECT trigger_id FROM waits WHERE outcome IS NULL AND due_at <= $1 ORDER BY due_at LIMIT $2) AS overdue

-- name: time_out
UPDATE waits SET outcome = 'timed_out'
FROM (
    SELECT trigger_id, step_order, seq FROM waits
    WHERE outcome IS NULL AND due_at <= $1 AND trigger_id = ANY ($2::uuid[])
    ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED
) AS over
WHERE waits.trigger_id = over.trigger_id AND waits.step_order = over.step_order AND waits.seq = over.seq
RETURNING waits.trigger_id, waits.step_order, waits.seq, waits.until

-- name: add_release
INSERT INTO releases (release_id, trigger_id, step_order, page, seqs, scheduled_for, due_at)
VALUES ($1, $2, $3, $4, $5, $6, coalesce($7::timestamptz, 'infinity'))

-- name: due_releases
SELECT DISTINCT trigger_id
FROM (SELECT trigger_id FROM releases WHERE due_at <= $1 ORDER BY due_at LIMIT $2) AS due

-- name: take_releases
DELETE FROM releases WHERE release_id IN (
    SELECT release_id FROM releases
    WHERE due_at <= $1 AND trigger_id = ANY ($2::uuid[])
    ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED
)
RETURNING trigger_id, step_order, page, seqs

-- name: release_jobs
-- Count jobs as commanded; those were the last where the whole cohort is through.
UPDATE executions SET
    commanded = commanded + $2,
    finished_at = CASE WHEN finished_at IS NULL AND commanded + $2 >= triggers.cohort_total THEN $3 ELSE finished_at END
FROM triggers
WHERE executions.execution_id = $1 AND triggers.trigger_id = executions.trigger_id
RETURNING executions.commanded, executions.finished_at

-- name: wait_outcomes
SELECT trigger_id, step_order, seq, outcome, data
FROM waits JOIN unnest($1::uuid[], $2::integer[], $3::integer[]) AS wanted (trigger_id, first, behind) USING (trigger_id)
WHERE seq >= first AND seq < behind AND outcome IS NOT NULL

-- name: waits_rest
UPDATE waits SET due_at = 'infinity' WHERE trigger_id = $1 AND outcome IS NULL

-- name: wait_stages_rest
UPDATE wait_stages SET due_at = 'infinity' WHERE trigger_id = $1

-- name: releases_rest
UPDATE releases SET due_at = 'infinity' WHERE trigger_id = $1

-- name: waits_go_on
UPDATE waits SET due_at = until WHERE trigger_id = $1 AND outcome IS NULL

-- name: wait_stages_go_on
UPDATE wait_stages SET due_at = scheduled_for WHERE trigger_id = $1

-- name: releases_go_on
UPDATE releases SET due_at = scheduled_for WHERE trigger_id = $1

-- name: drop_waits
DELETE FROM waits WHERE trigger_id = $1 AND outcome IS NULL

-- name: drop_wait_stages
DELETE FROM wait_stages WHERE trigger_id = $1

-- name: drop_releases
DELETE FROM releases WHERE trigger_id = $1

-- name: stop_released_executions
-- Whatever has no stage and is not finished is fed by releases, and there will be none any more.
UPDATE executions SET finished_at = $2,
       never_commanded = greatest(0, coalesce(triggers.cohort_total, executions.expected) - executions.commanded)
FROM triggers
WHERE executions.trigger_id = $1 AND executions.finished_at IS NULL AND triggers.trigger_id = executions.trigger_id

-- name: forget_awaited_events
DELETE FROM awaited_events
WHERE (workspace_id, event, correlation, key, event_id) IN (
    SELECT workspace_id, event, correlation, key, event_id FROM awaited_events WHERE accepted_at < $1
    ORDER BY accepted_at LIMIT $2
)

-- name: forget_waits
DELETE FROM waits WHERE (trigger_id, step_order, seq) IN (
    SELECT w.trigger_id, w.step_order, w.seq FROM waits w
    WHERE NOT EXISTS (SELECT FROM triggers WHERE triggers.trigger_id = w.trigger_id) LIMIT $1
)
