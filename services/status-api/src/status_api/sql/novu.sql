-- What Novu's door reads beside the rest. Every statement is bound to the caller's workspace, or to executions that are.

-- name: metadata
SELECT trigger_id, metadata FROM triggers WHERE trigger_id = ANY($1::uuid[]) AND workspace_id = $2

-- name: execution_between
SELECT e.execution_id, e.trigger_id
FROM executions e
JOIN triggers t USING (trigger_id)
WHERE e.execution_id BETWEEN $1 AND $2 AND e.workspace_id = $3 AND t.accepted_at IS NOT NULL
ORDER BY e.execution_id
LIMIT 1

-- name: messages
-- Jobs of the executions $1, in their order and the newest first, that a provider was asked to deliver. No more is read of
-- an execution than the page could need.
SELECT j.execution_id, j.seq, j.progress, j.message, j.engagements, j.segments, j.sent_at, j.until, j.cost_micros,
       j.external_id, j.address, j.timeline
FROM unnest($1::uuid[]) WITH ORDINALITY AS x (execution_id, place)
CROSS JOIN LATERAL (
    SELECT * FROM jobs
    WHERE jobs.execution_id = x.execution_id AND state_in(jobs.progress) IN (6, 7)
      AND NOT EXISTS (SELECT FROM hidden_messages h WHERE h.execution_id = jobs.execution_id AND h.seq IN (jobs.seq, -1))
    ORDER BY jobs.seq DESC
    LIMIT $2::integer + $3::integer
) AS j
ORDER BY x.place, j.seq DESC
OFFSET $2::integer LIMIT $3::integer

-- name: messages_of_person
-- The same of one person ($4) alone.
SELECT j.execution_id, j.seq, j.progress, j.message, j.engagements, j.segments, j.sent_at, j.until, j.cost_micros,
       j.external_id, j.address, j.timeline
FROM unnest($1::uuid[]) WITH ORDINALITY AS x (execution_id, place)
JOIN jobs j ON j.execution_id = x.execution_id AND coalesce(j.external_id, j.address) = $4
WHERE state_in(j.progress) IN (6, 7)
  AND NOT EXISTS (SELECT FROM hidden_messages h WHERE h.execution_id = j.execution_id AND h.seq IN (j.seq, -1))
ORDER BY x.place, j.seq DESC
OFFSET $2::integer LIMIT $3::integer

-- name: count_hidden
SELECT execution_id, count(*) FILTER (WHERE seq >= 0) AS some, bool_or(seq = -1) AS whole
FROM hidden_messages
WHERE execution_id = ANY($1::uuid[])
GROUP BY execution_id

-- name: message_at
SELECT execution_id, seq, progress, message, engagements, segments, sent_at, until, cost_micros, external_id, address,
       timeline
FROM jobs j
WHERE execution_id = $1 AND seq = $2 AND state_in(progress) IN (6, 7)
  AND NOT EXISTS (SELECT FROM hidden_messages h WHERE h.execution_id = j.execution_id AND h.seq IN (j.seq, -1))

-- name: hide
INSERT INTO hidden_messages (execution_id, seq)
SELECT execution_id, $2 FROM unnest($1::uuid[]) AS hidden (execution_id)
ON CONFLICT DO NOTHING

-- name: positions
-- No more is read of an execution than the page could need.
SELECT DISTINCT j.seq
FROM unnest($1::uuid[]) AS x (execution_id)
CROSS JOIN LATERAL (
    SELECT seq FROM jobs WHERE jobs.execution_id = x.execution_id ORDER BY seq LIMIT $2::integer + $3::integer
) AS j
ORDER BY j.seq
OFFSET $2::integer LIMIT $3::integer

-- name: positions_of_people
SELECT DISTINCT seq
FROM jobs
WHERE execution_id = ANY($1::uuid[]) AND coalesce(external_id, address) = ANY ($4::text[])
ORDER BY seq
OFFSET $2::integer LIMIT $3::integer

-- name: jobs_at
SELECT execution_id, seq, progress, message, engagements, segments, sent_at, until, cost_micros, external_id, address,
       timeline
FROM jobs
WHERE execution_id = ANY($1::uuid[]) AND seq = ANY($2::integer[])

-- name: sent_by_day
SELECT (t.accepted_at AT TIME ZONE 'UTC')::date AS day, sum(e.sent)::bigint AS sent,
       array_agg(DISTINCT e.channel) AS channels
FROM triggers t
JOIN executions e USING (trigger_id)
WHERE t.workspace_id = $1 AND t.accepted_at >= $2 AND e.channel IS NOT NULL
GROUP BY 1
HAVING sum(e.sent) > 0
ORDER BY 1
