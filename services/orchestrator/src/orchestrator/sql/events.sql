-- Times are parameters: tests and whole stacks may move the clock.

-- name: enter_rules
-- `after`: the last entry must have been at or before it; null: there must have been none.
INSERT INTO rule_entries AS known (rule_id, external_id, event_id, entered_at)
SELECT rule_id, external_id, event_id, entered_at
FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::timestamptz[], $5::timestamptz[])
    AS wanted (rule_id, external_id, event_id, entered_at, after)
ORDER BY rule_id, external_id
ON CONFLICT (rule_id, external_id) DO UPDATE
SET event_id = excluded.event_id, entered_at = excluded.entered_at
WHERE known.event_id = excluded.event_id
   OR known.entered_at <= (SELECT wanted.after
                           FROM unnest($1::uuid[], $2::text[], $5::timestamptz[]) AS wanted (rule_id, external_id, after)
                           WHERE wanted.rule_id = excluded.rule_id AND wanted.external_id = excluded.external_id)
RETURNING rule_id, external_id
