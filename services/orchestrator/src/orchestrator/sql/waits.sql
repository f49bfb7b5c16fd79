-- Times are parameters. Locks are taken in one order everywhere: names of events, triggers, commands, stages, waits,
-- releases, executions. `OFFSET 0` keeps a lookup a lookup: of a table that has never been analysed the planner thinks
-- that a partial index read from end to end, once, is cheaper than to look into it for each row.

-- name: add_wait_stage
INSERT INTO wait_stages (trigger_id, step_order, workspace_id, walks, scheduled_for, due_at)
VALUES ($1, $2, $3, $4, $5, coalesce($6::timestamptz, 'infinity')) ON CONFLICT DO NOTHING

-- name: due_wait_stages
SELECT trigger_id FROM wait_stages WHERE due_at <= $1 ORDER BY due_at LIMIT $2

-- name: hold_wait_stages
SELECT trigger_id, step_order, workspace_id, walks, next_page, cursor
FROM wait_stages WHERE trigger_id = ANY ($1::uuid[]) AND due_at <= $2
ORDER BY trigger_id, step_order FOR UPDATE SKIP LOCKED

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
INSERT INTO waits (trigger_id, step_order, seq, workspace_id, event, correlation, key, until, due_at, since, cause,
                   external_id, opened_at)
SELECT trigger_id, step_order, seq, workspace_id, event, correlation, key, until, until, since, cause, external_id, $12
FROM unnest($1::uuid[], $2::integer[], $3::integer[], $4::uuid[], $5::text[], $6::text[], $7::text[],
            $8::timestamptz[], $9::timestamptz[], $10::uuid[], $11::text[])
    AS given (trigger_id, step_order, seq, workspace_id, event, correlation, key, until, since, cause, external_id)
ORDER BY trigger_id, step_order, seq
ON CONFLICT DO NOTHING

-- name: meet_earlier_events
-- The first event since the trigger was accepted that each wait would have ended, but for the one that made the trigger.
WITH met AS (
    SELECT DISTINCT ON (w.trigger_id, w.step_order, w.seq) w.trigger_id, w.step_order, w.seq, e.event_id, e.data
    FROM unnest($1::uuid[], $2::integer[], $3::integer[]) AS asked (trigger_id, step_order, seq)
    CROSS JOIN LATERAL (
        SELECT * FROM waits
        WHERE waits.trigger_id = asked.trigger_id AND waits.step_order = asked.step_order AND waits.seq = asked.seq
          AND waits.outcome IS NULL
        OFFSET 0
    ) AS w
    JOIN awaited_events e USING (workspace_id, event, correlation, key)
    WHERE e.accepted_at >= w.since AND e.event_id IS DISTINCT FROM w.cause
    ORDER BY w.trigger_id, w.step_order, w.seq, e.accepted_at, e.event_id
)
UPDATE waits SET outcome = 'received', event_id = met.event_id, data = met.data, ended_at = $4, due_at = NULL
FROM met
WHERE waits.trigger_id = met.trigger_id AND waits.step_order = met.step_order AND waits.seq = met.seq
RETURNING waits.trigger_id, waits.step_order, waits.seq, waits.external_id,
          coalesce(waits.opened_at, waits.since) AS opened_at, waits.until, waits.outcome, waits.ended_at, waits.event_id

-- name: keep_events
INSERT INTO awaited_events (workspace_id, event, correlation, key, event_id, accepted_at, data)
SELECT workspace_id, event, correlation, key, event_id, accepted_at, data::jsonb
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::timestamptz[], $7::text[])
    AS given (workspace_id, event, correlation, key, event_id, accepted_at, data)
ORDER BY workspace_id, event, correlation, key, event_id
ON CONFLICT DO NOTHING

-- name: waiting_for
SELECT DISTINCT found.trigger_id
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS asked (workspace_id, event, correlation, key)
CROSS JOIN LATERAL (
    SELECT w.trigger_id FROM waits w
    WHERE w.workspace_id = asked.workspace_id AND w.event = asked.event AND w.correlation = asked.correlation
      AND w.key = asked.key AND w.outcome IS NULL
    OFFSET 0
) AS found

-- name: end_waits
-- Each by the first of these events that it is for; their data lie in `awaited_events`.
WITH met AS (
    SELECT DISTINCT ON (found.trigger_id, found.step_order, found.seq)
           found.trigger_id, found.step_order, found.seq, given.event_id, e.data
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::timestamptz[]) WITH ORDINALITY
        AS given (workspace_id, event, correlation, key, event_id, accepted_at, place)
    CROSS JOIN LATERAL (
        SELECT w.trigger_id, w.step_order, w.seq FROM waits w
        WHERE w.workspace_id = given.workspace_id AND w.event = given.event AND w.correlation = given.correlation
          AND w.key = given.key AND w.outcome IS NULL
          AND w.since <= given.accepted_at AND w.until > given.accepted_at AND w.cause IS DISTINCT FROM given.event_id
        OFFSET 0
    ) AS found
    JOIN awaited_events e USING (workspace_id, event, correlation, key, event_id)
    WHERE found.trigger_id = ANY ($7::uuid[])
    ORDER BY found.trigger_id, found.step_order, found.seq, given.accepted_at, given.place
), held AS (
    SELECT met.* FROM met JOIN waits w USING (trigger_id, step_order, seq)
    WHERE w.outcome IS NULL
    ORDER BY trigger_id, step_order, seq FOR UPDATE OF w
)
UPDATE waits SET outcome = 'received', event_id = held.event_id, data = held.data, ended_at = $8, due_at = NULL
FROM held
WHERE waits.trigger_id = held.trigger_id AND waits.step_order = held.step_order AND waits.seq = held.seq
RETURNING waits.trigger_id, waits.step_order, waits.seq, waits.external_id,
          coalesce(waits.opened_at, waits.since) AS opened_at, waits.until, waits.outcome, waits.ended_at, waits.event_id

-- name: overdue_triggers
SELECT DISTINCT trigger_id
FROM (SELECT trigger_id FROM waits WHERE outcome IS NULL AND due_at <= $1 ORDER BY due_at LIMIT $2) AS overdue

-- name: time_out
UPDATE waits SET outcome = 'timed_out', ended_at = $1, due_at = NULL
FROM (
    SELECT trigger_id, step_order, seq FROM waits
    WHERE outcome IS NULL AND due_at <= $1 AND trigger_id = ANY ($2::uuid[])
    ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED
) AS over
WHERE waits.trigger_id = over.trigger_id AND waits.step_order = over.step_order AND waits.seq = over.seq
RETURNING waits.trigger_id, waits.step_order, waits.seq, waits.external_id,
          coalesce(waits.opened_at, waits.since) AS opened_at, waits.until, waits.outcome, waits.ended_at, waits.event_id

-- name: waits_of
-- The next $4 waits of a trigger behind ($2, $3).
SELECT trigger_id, step_order, seq, external_id, coalesce(opened_at, since) AS opened_at, until, outcome, ended_at,
       event_id
FROM waits WHERE trigger_id = $1 AND (step_order, seq) > ($2, $3)
ORDER BY step_order, seq LIMIT $4

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
WITH given AS (
    SELECT execution_id, jobs
    FROM executions JOIN unnest($1::uuid[], $2::integer[]) AS given (execution_id, jobs) USING (execution_id)
    ORDER BY execution_id FOR UPDATE OF executions
)
UPDATE executions SET
    commanded = commanded + given.jobs,
    finished_at = CASE WHEN finished_at IS NULL AND commanded + given.jobs >= triggers.cohort_total THEN $3
                  ELSE finished_at END
FROM given, triggers
WHERE executions.execution_id = given.execution_id AND triggers.trigger_id = executions.trigger_id
RETURNING executions.execution_id, executions.commanded, executions.finished_at

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
