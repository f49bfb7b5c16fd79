-- name: marks_of
SELECT topic, partition, record_offset, fingerprint, edited_value, edited_at, redriven_at, redrives
FROM dead_letters WHERE topic = ANY($1::text[])

-- name: edit
INSERT INTO dead_letters (topic, partition, record_offset, fingerprint, edited_value, edited_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (topic, partition, record_offset, fingerprint) DO UPDATE SET
    edited_value = excluded.edited_value, edited_at = excluded.edited_at

-- name: discard_edit
UPDATE dead_letters SET edited_value = NULL, edited_at = NULL
WHERE topic = $1 AND partition = $2 AND record_offset = $3 AND fingerprint = $4 AND edited_value IS NOT NULL

-- name: redriven
INSERT INTO dead_letters AS known (topic, partition, record_offset, fingerprint, redriven_at, redrives)
SELECT topic, partition, record_offset, fingerprint, $5, 1
FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::bytea[]) AS letter (topic, partition, record_offset, fingerprint)
ON CONFLICT (topic, partition, record_offset, fingerprint) DO UPDATE SET
    redriven_at = excluded.redriven_at, redrives = known.redrives + 1

-- name: forget
DELETE FROM dead_letters WHERE greatest(edited_at, redriven_at) < $1

-- name: take_turn
-- One redrive at a time, so that two operators cannot send the same letters. The lock goes with the connection.
SELECT pg_try_advisory_lock(hashtext('operations.redrive'))
