-- name: has_all_channels
-- Whether the other channels keep their accounts in this database too.
SELECT to_regclass('channel_sms.allowances') IS NOT NULL
    AND to_regclass('channel_email.allowances') IS NOT NULL
    AND to_regclass('channel_whatsapp.allowances') IS NOT NULL

-- name: lock_recipients
-- One at a time decides about a recipient: two campaigns at once must not both find room for the last message.
SELECT pg_advisory_xact_lock(hashtextextended($1::uuid::text || recipient, 7301))
FROM (SELECT DISTINCT recipient FROM unnest($2::text[]) AS recipient ORDER BY recipient) AS ordered

-- name: lock_budget
SELECT pg_advisory_xact_lock(hashtextextended($1::uuid::text, 7302))

-- name: counted_here
-- Messages to each recipient after $3, on this channel, without those of execution $4 at $5.
SELECT recipient, count(*) AS messages
FROM allowances
WHERE workspace_id = $1 AND recipient = ANY ($2::text[]) AND at > $3
    AND NOT (execution_id = $4 AND seq = ANY ($5::integer[]))
GROUP BY recipient

-- name: counted_everywhere
-- The same over all channels.
SELECT recipient, count(*) AS messages
FROM (
    SELECT recipient, execution_id, seq FROM channel_sms.allowances
    WHERE workspace_id = $1 AND recipient = ANY ($2::text[]) AND at > $3
    UNION ALL
    SELECT recipient, execution_id, seq FROM channel_email.allowances
    WHERE workspace_id = $1 AND recipient = ANY ($2::text[]) AND at > $3
    UNION ALL
    SELECT recipient, execution_id, seq FROM channel_whatsapp.allowances
    WHERE workspace_id = $1 AND recipient = ANY ($2::text[]) AND at > $3
) AS everywhere
WHERE NOT (execution_id = $4 AND seq = ANY ($5::integer[]))
GROUP BY recipient

-- name: spent_here
SELECT coalesce(sum(cost_micros), 0)::bigint FROM spending WHERE workspace_id = $1 AND day BETWEEN $2 AND $3

-- name: spent_everywhere
SELECT coalesce(sum(cost_micros), 0)::bigint
FROM (
    SELECT cost_micros FROM channel_sms.spending WHERE workspace_id = $1 AND day BETWEEN $2 AND $3
    UNION ALL
    SELECT cost_micros FROM channel_email.spending WHERE workspace_id = $1 AND day BETWEEN $2 AND $3
    UNION ALL
    SELECT cost_micros FROM channel_whatsapp.spending WHERE workspace_id = $1 AND day BETWEEN $2 AND $3
) AS everywhere

-- name: already_counted
SELECT seq FROM allowances WHERE execution_id = $1 AND seq = ANY ($2::integer[])

-- name: count_messages
-- Count messages once, whatever is repeated, and add up what they cost on day $6.
WITH counted AS (
    INSERT INTO allowances (execution_id, seq, workspace_id, recipient, at, cost_micros)
    SELECT $2, job.seq, $1, job.recipient, $7, job.cost_micros
    FROM unnest($3::integer[], $4::text[], $5::bigint[]) AS job (seq, recipient, cost_micros)
    ORDER BY job.seq
    ON CONFLICT DO NOTHING
    RETURNING cost_micros
)
INSERT INTO spending (workspace_id, day, cost_micros)
SELECT $1, $6, sum(cost_micros) FROM counted HAVING count(*) > 0
ON CONFLICT (workspace_id, day) DO UPDATE SET cost_micros = spending.cost_micros + excluded.cost_micros

-- name: purge_allowances
DELETE FROM allowances
WHERE ctid = ANY (ARRAY(SELECT ctid FROM allowances WHERE at < $1 ORDER BY at LIMIT $2))
