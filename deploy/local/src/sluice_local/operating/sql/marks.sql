-- name: marks_of
SELECT partition, record_offset, written_at, edited_value, edited_at, redriven_at, redrives
FROM dead_letters WHERE topic = $1

-- name: edit
INSERT INTO dead_letters AS known (topic, partition, record_offset, written_at, edited_value, edited_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (topic, partition, record_offset) DO UPDATE SET
    edited_value = excluded.edited_value,
    edited_at = excluded.edited_at,
    redriven_at = CASE WHEN known.written_at = excluded.written_at THEN known.redriven_at END,
    redrives = CASE WHEN known.written_at = excluded.written_at THEN known.redrives ELSE 0 END,
    written_at = excluded.written_at

-- name: discard_edit
UPDATE dead_letters SET edited_value = NULL, edited_at = NULL
WHERE topic = $1 AND partition = $2 AND record_offset = $3 AND edited_value IS NOT NULL

-- name: redriven
INSERT INTO dead_letters AS known (topic, partition, record_offset, written_at, redriven_at, redrives)
SELECT $1, partition, record_offset, written_at, $5, 1
FROM unnest($2::integer[], $3::bigint[], $4::timestamptz[]) AS letter (partition, record_offset, written_at)
ON CONFLICT (topic, partition, record_offset) DO UPDATE SET
    edited_value = CASE WHEN known.written_at = excluded.written_at THEN known.edited_value END,
    edited_at = CASE WHEN known.written_at = excluded.written_at THEN known.edited_at END,
    redriven_at = excluded.redriven_at,
    redrives = CASE WHEN known.written_at = excluded.written_at THEN known.redrives + 1 ELSE 1 END,
    written_at = excluded.written_at

-- name: forget
-- Letters that their topic has dropped by its retention.
DELETE FROM dead_letters WHERE topic = $1 AND partition = $2 AND record_offset < $3

-- name: take_turn
-- One redrive at a time, so that two operators cannot send the same letters. The lock goes with the connection.
SELECT pg_try_advisory_lock(hashtext('operations.redrive'))
