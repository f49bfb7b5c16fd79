-- Forgetting people. $1 is always their workspace, $2 how they were reached (`names`: or what they were called) and $3, at
-- the same places, up to when: what is younger is about somebody new.

-- name: erase_sandbox_messages
UPDATE sandbox_messages AS message
SET address = '', subject = NULL, text = NULL, html = NULL, headers = NULL
FROM unnest($2::text[], $3::timestamptz[]) AS gone (address, until), sandbox_calls AS call
WHERE message.address = gone.address AND call.id = message.call_id AND call.workspace_id = $1 AND call.at < gone.until

-- name: erase_allowances
UPDATE allowances
SET recipient = ''
FROM unnest($2::text[], $3::timestamptz[]) AS gone (address, until)
WHERE workspace_id = $1 AND recipient = gone.address AND at < gone.until

-- name: erase_conversations
-- A conversation says nothing of its workspace; the wave that began it does.
DELETE FROM conversations c
USING unnest($2::text[], $3::timestamptz[]) AS gone (address, until)
WHERE c.address = gone.address AND c.at < gone.until
  AND EXISTS (SELECT FROM waves w WHERE w.execution_id = c.execution_id AND w.workspace_id = $1)

-- name: waves_behind
-- Up to $5 waves behind ($1, $2, $3, $4) in the order of their keys, and whether any of the texts $7 stands in the facts of
-- each that is of workspace $6 and was claimed before the moment at the same place in $8.
SELECT execution_id, page, round, wave,
       workspace_id = $6 AND EXISTS (
           SELECT FROM unnest($7::bytea[], $8::timestamptz[]) AS gone (name, until)
           WHERE claimed_at < gone.until AND position(gone.name IN facts) > 0
       ) AS names_one
FROM waves
WHERE (execution_id, page, round, wave) > ($1, $2, $3, $4)
ORDER BY execution_id, page, round, wave
LIMIT $5

-- name: lock_wave
SELECT claimed_at, recorded_at IS NOT NULL AS is_recorded, facts, reports
FROM waves
WHERE execution_id = $1 AND page = $2 AND round = $3 AND wave = $4
FOR UPDATE

-- name: erase_in_wave
UPDATE waves
SET facts = $5, reports = $6
WHERE execution_id = $1 AND page = $2 AND round = $3 AND wave = $4
