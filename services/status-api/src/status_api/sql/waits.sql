-- Steps in which people wait for events. Locks are taken in one order: waits, wait_steps; and within a table by key.

-- name: fold_wait_steps
-- Steps as planned, each once. Returns those that were not known.
INSERT INTO wait_steps AS s (trigger_id, step_order, workspace_id, step_id, step_name, event, timeout_minutes,
                             delay_minutes, scheduled_for)
SELECT trigger_id, step_order, workspace_id, step_id, step_name, event, timeout_minutes, delay_minutes, scheduled_for
FROM unnest($1::uuid[], $2::integer[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::integer[], $8::integer[],
            $9::timestamptz[])
    AS given (trigger_id, step_order, workspace_id, step_id, step_name, event, timeout_minutes, delay_minutes,
              scheduled_for)
ORDER BY trigger_id, step_order
ON CONFLICT (trigger_id, step_order) DO UPDATE SET
    step_id = excluded.step_id,
    step_name = excluded.step_name,
    event = excluded.event,
    timeout_minutes = excluded.timeout_minutes,
    delay_minutes = excluded.delay_minutes,
    scheduled_for = excluded.scheduled_for
WHERE s.step_id IS NULL
RETURNING trigger_id, workspace_id

-- name: fold_waits
-- Waits, each once. An end stays, and of two ends the later; the counters of the steps move by exactly what moved.
WITH moved AS (
    INSERT INTO waits AS w (trigger_id, step_order, seq, external_id, since, until, outcome, ended_at, event_id)
    SELECT trigger_id, step_order, seq, external_id, since, until, outcome, ended_at, event_id
    FROM unnest($1::uuid[], $2::integer[], $3::integer[], $4::text[], $5::bigint[], $6::bigint[], $7::text[],
                $8::bigint[], $9::uuid[])
        AS given (trigger_id, step_order, seq, external_id, since, until, outcome, ended_at, event_id)
    ORDER BY trigger_id, step_order, seq
    ON CONFLICT (trigger_id, step_order, seq) DO UPDATE SET
        outcome = excluded.outcome,
        ended_at = excluded.ended_at,
        event_id = excluded.event_id
    WHERE excluded.ended_at > coalesce(w.ended_at, 0)
    RETURNING new.trigger_id, new.step_order, old.seq IS NOT NULL AS known, coalesce(old.outcome, 'waiting') AS was,
              coalesce(new.outcome, 'waiting') AS is_now
),
deltas AS (
    SELECT trigger_id, step_order,
           sum((is_now = 'waiting')::integer - (known AND was = 'waiting')::integer) AS waiting,
           sum((is_now = 'received')::integer - (known AND was = 'received')::integer) AS received,
           sum((is_now = 'timed_out')::integer - (known AND was = 'timed_out')::integer) AS timed_out
    FROM moved
    GROUP BY trigger_id, step_order
)
INSERT INTO wait_steps AS s (trigger_id, step_order, workspace_id, waiting, received, timed_out)
SELECT d.trigger_id, d.step_order, t.workspace_id, d.waiting, d.received, d.timed_out
FROM deltas d JOIN unnest($10::uuid[], $11::uuid[]) AS t (trigger_id, workspace_id) USING (trigger_id)
ORDER BY d.trigger_id, d.step_order
ON CONFLICT (trigger_id, step_order) DO UPDATE SET
    waiting = s.waiting + excluded.waiting,
    received = s.received + excluded.received,
    timed_out = s.timed_out + excluded.timed_out
RETURNING trigger_id, workspace_id

-- name: wait_steps
SELECT step_order, step_id, step_name, event, timeout_minutes, delay_minutes, scheduled_for, waiting, received, timed_out
FROM wait_steps
WHERE trigger_id = $1 AND workspace_id = $2
ORDER BY step_order

-- name: waits_of_person
-- The waits of one contact in a trigger.
SELECT w.step_order, w.since, w.until, w.outcome, w.ended_at, w.event_id
FROM waits w JOIN wait_steps s USING (trigger_id, step_order)
WHERE w.trigger_id = $1 AND s.workspace_id = $2 AND w.external_id = $3
ORDER BY w.step_order, w.seq
LIMIT 200
