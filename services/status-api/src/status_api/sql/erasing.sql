-- Forgetting people. $1 is always their workspace, $2 what they were called and $3, at the same places, up to when: what
-- was accepted later is about somebody new of that name.

-- name: triggers_before
-- Up to $4 triggers behind ($2, $3), the newest first.
SELECT trigger_id, accepted_at
FROM triggers
WHERE workspace_id = $1 AND accepted_at IS NOT NULL AND (accepted_at, trigger_id) < ($2::timestamptz, $3::uuid)
ORDER BY accepted_at DESC, trigger_id DESC
LIMIT $4

-- name: jobs_of_people
-- The jobs of the triggers $4 that are about one of them.
SELECT e.trigger_id, j.execution_id, j.seq
FROM triggers t
JOIN executions e USING (trigger_id)
CROSS JOIN unnest($2::text[], $3::timestamptz[]) AS gone (name, until)
JOIN jobs j ON j.execution_id = e.execution_id AND coalesce(j.external_id, j.address) = gone.name
WHERE t.trigger_id = ANY($4::uuid[]) AND t.workspace_id = $1 AND t.accepted_at < gone.until

-- name: erase_jobs
-- Of the jobs at the positions ($1, $2) nobody can say any more whose they were ($3 stands where a name stood), nor in a
-- provider's words what became of them. Our own reasons for sending nothing name nobody and are counted: they stay.
UPDATE jobs j
SET external_id = $3,
    address = $3,
    timeline = coalesce((
        SELECT jsonb_object_agg(said.key, CASE
            WHEN said.value ->> 2 IS NULL THEN said.value
            WHEN CASE WHEN said.key ~ '^\d+$' THEN state_in(said.key::integer) IN (4, 5) END THEN said.value
            ELSE jsonb_set(said.value, '{2}', 'null')
        END)
        FROM jsonb_each(j.timeline) AS said
    ), '{}')
FROM (
    SELECT execution_id, seq FROM jobs
    WHERE (execution_id, seq) IN (SELECT * FROM unnest($1::uuid[], $2::integer[]))
    ORDER BY execution_id, seq
    FOR UPDATE
) AS found
WHERE j.execution_id = found.execution_id AND j.seq = found.seq

-- name: erase_waits
-- Of the waits in the triggers $4 those of one of them.
UPDATE waits w
SET external_id = NULL
FROM triggers t, unnest($2::text[], $3::timestamptz[]) AS gone (name, until)
WHERE t.trigger_id = ANY($4::uuid[]) AND t.workspace_id = $1 AND t.accepted_at < gone.until
  AND w.trigger_id = t.trigger_id AND w.external_id = gone.name

-- name: events_behind
-- Up to $4 events behind ($2, $3), the oldest first.
SELECT event_id, accepted_at
FROM events
WHERE workspace_id = $1 AND (accepted_at, event_id) > ($2::timestamptz, $3::uuid)
ORDER BY accepted_at, event_id
LIMIT $4

-- name: erase_events
-- Of the events $4 those about one of them.
UPDATE events
SET external_id = NULL
FROM unnest($2::text[], $3::timestamptz[]) AS gone (name, until)
WHERE event_id = ANY($4::uuid[]) AND workspace_id = $1 AND external_id = gone.name AND accepted_at < gone.until
