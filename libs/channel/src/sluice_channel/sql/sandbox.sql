-- name: keep
-- Keep what one call handed over: a row for the call and one a message. A column of nothing but what is usual comes as
-- NULL; the others as JSON, because arrays cost the driver half as much again.
WITH call AS (
    INSERT INTO sandbox_calls (token, workspace_id, account_id, at, trigger_id) VALUES ($1, $2, $3, $4, $5) RETURNING id
)
INSERT INTO sandbox_messages (
    call_id, place, job_id, reference, address, attempt, accepted, behaviour, sender, subject, text, html, headers
)
SELECT
    call.id, message.place - 1, message.job_id, message.reference, message.address,
    coalesce(message.attempt::integer, 1), coalesce(message.accepted::boolean, true), message.behaviour,
    message.sender, message.subject, message.text, message.html, message.headers::jsonb
FROM call, ROWS FROM (
    json_array_elements_text($6::json), json_array_elements_text($7::json), json_array_elements_text($8::json),
    json_array_elements_text($9::json), json_array_elements_text($10::json), json_array_elements_text($11::json),
    json_array_elements_text($12::json), json_array_elements_text($13::json), json_array_elements_text($14::json),
    json_array_elements_text($15::json), json_array_elements_text($16::json)
) WITH ORDINALITY AS message (
    job_id, reference, address, attempt, accepted, behaviour, sender, subject, text, html, headers, place
)

-- name: is_kept
-- Whether the call $3 is in the table although its connection broke.
SELECT EXISTS (
    SELECT FROM sandbox_calls WHERE workspace_id = $1 AND trigger_id = $2 AND token = $3
)

-- name: refuse
-- Count a deliberate refusal of each job; return how many there were, this one included.
INSERT INTO sandbox_refusals AS refused (job_id, refusals, at)
SELECT job_id, 1, $2 FROM unnest($1::text[]) AS job_id ORDER BY job_id
ON CONFLICT (job_id) DO UPDATE SET refusals = refused.refusals + 1
RETURNING job_id, refusals

-- name: kept_by_reference
SELECT message.reference, bool_or(message.accepted) AS accepted
FROM sandbox_messages AS message
JOIN sandbox_calls AS call ON call.id = message.call_id
WHERE call.account_id = $1 AND message.reference = ANY ($2::text[])
GROUP BY message.reference

-- name: play
-- Become, or stay, the one copy that plays back: $1 who, $2 seconds.
UPDATE sandbox_playback
SET owner = $1, lease = clock_timestamp() + make_interval(secs => $2)
WHERE owner = $1 OR lease < clock_timestamp()
RETURNING transaction_id::text AS transaction_id, call_id

-- name: to_play
-- The messages of the next calls, without those of transactions that may still be running: one could come in before
-- them later. What was handed over together and is played back alike comes as one row.
-- Call by call: a join would read the whole table wherever its statistics are old.
SELECT
    call.transaction_id::text AS transaction_id, call.id AS call_id, call.at, call.account_id, kept.accepted,
    kept.behaviour, kept.references, kept.places, kept.addresses
FROM (
    SELECT id, transaction_id, at, account_id
    FROM sandbox_calls
    WHERE (transaction_id, id) > ($1::text::xid8, $2::bigint)
        AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY transaction_id, id
    LIMIT $3
) AS call
CROSS JOIN LATERAL (
    SELECT
        accepted, behaviour, array_agg(reference ORDER BY place) AS references,
        array_agg(place ORDER BY place) FILTER (WHERE behaviour IS NOT NULL) AS places,
        array_agg(address ORDER BY place) FILTER (WHERE behaviour IS NOT NULL) AS addresses
    FROM sandbox_messages
    WHERE call_id = call.id
    GROUP BY accepted, behaviour
) AS kept
-- By the columns, not by what is shown: as text 1000 comes before 999.
ORDER BY call.transaction_id, call.id

-- name: contents
-- What was in the messages $1 (calls) and $2 (places).
SELECT message.call_id, message.place, message.text, message.html, message.headers
FROM unnest($1::bigint[], $2::smallint[]) AS wanted (call_id, place)
JOIN sandbox_messages AS message USING (call_id, place)

-- name: played
UPDATE sandbox_playback SET transaction_id = $2::text::xid8, call_id = $3 WHERE owner = $1

-- name: purge_messages
-- The messages of the oldest calls, as many calls as hold about $2 of them.
WITH old AS (
    DELETE FROM sandbox_calls
    WHERE id IN (SELECT id FROM (SELECT id, at FROM sandbox_calls ORDER BY id LIMIT $2 / 50 + 1) AS oldest WHERE at < $1)
    RETURNING id
)
DELETE FROM sandbox_messages USING old WHERE call_id = old.id

-- name: purge_refusals
DELETE FROM sandbox_refusals WHERE at < $1
