-- name: keep
-- Keep what one call handed over: a row a message. A column of nothing but what is usual comes as NULL; the others as
-- JSON, because arrays cost the driver half as much again.
INSERT INTO sandbox_messages (
    call_id, workspace_id, account_id, at, trigger_id, job_id, reference, address, attempt, accepted, behaviour, sender,
    subject, text, html, headers
)
SELECT
    $1, $2, $3, $4, $5, message.job_id, message.reference, message.address, coalesce(message.attempt::integer, 1),
    coalesce(message.accepted::boolean, true), message.behaviour, message.sender, message.subject, message.text,
    message.html, message.headers::jsonb
FROM ROWS FROM (
    json_array_elements_text($6::json), json_array_elements_text($7::json), json_array_elements_text($8::json),
    json_array_elements_text($9::json), json_array_elements_text($10::json), json_array_elements_text($11::json),
    json_array_elements_text($12::json), json_array_elements_text($13::json), json_array_elements_text($14::json),
    json_array_elements_text($15::json), json_array_elements_text($16::json)
) AS message (
    job_id, reference, address, attempt, accepted, behaviour, sender, subject, text, html, headers
)

-- name: is_kept
-- Whether the call $3 is in the table although its connection broke.
SELECT EXISTS (
    SELECT FROM sandbox_messages WHERE workspace_id = $1 AND trigger_id = $2 AND call_id = $3
)

-- name: refuse
-- Count a deliberate refusal of each job; return how many there were, this one included.
INSERT INTO sandbox_refusals AS refused (job_id, refusals, at)
SELECT job_id, 1, $2 FROM unnest($1::text[]) AS job_id ORDER BY job_id
ON CONFLICT (job_id) DO UPDATE SET refusals = refused.refusals + 1
RETURNING job_id, refusals

-- name: kept_by_reference
SELECT reference, bool_or(accepted) AS accepted
FROM sandbox_messages
WHERE account_id = $1 AND reference = ANY ($2::text[])
GROUP BY reference

-- name: play
-- Become, or stay, the one copy that plays back: $1 who, $2 seconds.
UPDATE sandbox_playback
SET owner = $1, lease = clock_timestamp() + make_interval(secs => $2)
WHERE owner = $1 OR lease < clock_timestamp()
RETURNING transaction_id::text AS transaction_id, message_id

-- name: to_play
-- The next messages, without those of transactions that may still be running: one could come in before them later.
-- What was handed over together and is played back alike comes as one row.
-- Ordered by the columns, not by what is shown: as text 1000 comes before 999.
SELECT
    next.transaction_id::text AS transaction_id, max(next.id) AS last_id, count(*) AS messages, next.at, next.account_id,
    next.accepted, next.behaviour, array_agg(next.reference ORDER BY next.id) AS references,
    array_agg(next.id ORDER BY next.id) FILTER (WHERE next.behaviour IS NOT NULL) AS ids,
    array_agg(next.address ORDER BY next.id) FILTER (WHERE next.behaviour IS NOT NULL) AS addresses
FROM (
    SELECT id, transaction_id, at, account_id, accepted, behaviour, reference, address
    FROM sandbox_messages
    WHERE (transaction_id, id) > ($1::text::xid8, $2::bigint)
        AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY transaction_id, id
    LIMIT $3
) AS next
GROUP BY next.transaction_id, next.at, next.account_id, next.accepted, next.behaviour
ORDER BY next.transaction_id, last_id

-- name: contents
SELECT id, text, html, headers FROM sandbox_messages WHERE id = ANY ($1::bigint[])

-- name: played
UPDATE sandbox_playback SET transaction_id = $2::text::xid8, message_id = $3 WHERE owner = $1

-- name: purge_messages
DELETE FROM sandbox_messages
WHERE id IN (SELECT id FROM (SELECT id, at FROM sandbox_messages ORDER BY id LIMIT $2) AS oldest WHERE at < $1)

-- name: purge_refusals
DELETE FROM sandbox_refusals WHERE at < $1
