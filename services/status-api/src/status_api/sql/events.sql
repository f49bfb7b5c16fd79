-- name: add_events
-- The first evaluation counts: a repeat may find rules that were made since.
INSERT INTO events (event_id, workspace_id, name, external_id, source, occurred_at, accepted_at, evaluated_at, outcome,
                    waits, rules)
SELECT event_id, workspace_id, name, external_id, source, occurred_at, accepted_at, evaluated_at, outcome, waits,
       rules::jsonb
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[],
            $8::timestamptz[], $9::text[], $10::integer[], $11::text[])
    AS given (event_id, workspace_id, name, external_id, source, occurred_at, accepted_at, evaluated_at, outcome, waits,
              rules)
ORDER BY event_id
ON CONFLICT (event_id) DO NOTHING

-- name: event
SELECT event_id, name, external_id, source, occurred_at, accepted_at, evaluated_at, outcome, waits, rules
FROM events
WHERE workspace_id = $1 AND event_id = $2

-- name: events
-- The newest first, behind ($2, $3).
SELECT event_id, name, external_id, source, occurred_at, accepted_at, evaluated_at, outcome, waits, rules
FROM events
WHERE workspace_id = $1 AND (accepted_at, event_id) < ($2, $3)
  AND ($4::text IS NULL OR name = $4) AND ($5::text IS NULL OR outcome = $5)
  AND ($6::text IS NULL OR external_id = $6) AND ($7::timestamptz IS NULL OR accepted_at >= $7)
  AND ($8::timestamptz IS NULL OR accepted_at < $8)
ORDER BY accepted_at DESC, event_id DESC
LIMIT $9

-- name: started
-- Those of the triggers $2 of workspace $1 that were accepted from $3 up to $4.
SELECT trigger_id, accepted_at
FROM triggers
WHERE workspace_id = $1 AND trigger_id = ANY($2::uuid[]) AND accepted_at >= $3 AND accepted_at < $4

-- name: drop_events
DELETE FROM events
WHERE event_id IN (SELECT event_id FROM events WHERE accepted_at < $1 ORDER BY accepted_at LIMIT $2)
