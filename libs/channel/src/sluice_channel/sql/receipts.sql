-- name: remember_conversations
-- Note the newest message to each address: one entry an address.
INSERT INTO conversations (account_id, address, execution_id, seq, round, at)
SELECT $1, sent.address, $2, sent.seq, $3, $6
FROM unnest($4::text[], $5::integer[]) AS sent (address, seq)
ORDER BY sent.address
ON CONFLICT (account_id, address) DO UPDATE
SET execution_id = excluded.execution_id, seq = excluded.seq, round = excluded.round, at = excluded.at
WHERE conversations.at <= excluded.at

-- name: conversations_with
SELECT address, execution_id, seq, round FROM conversations WHERE account_id = $1 AND address = ANY ($2::text[])

-- name: park
INSERT INTO parked_receipts (receipt, parked_at, due_at)
SELECT parked.receipt, $2, $3 FROM unnest($1::bytea[]) AS parked (receipt)

-- name: due_receipts
-- Take up to $3 receipts that are due, and hide them from the other copies until $2.
UPDATE parked_receipts
SET due_at = $2, tries = tries + 1
WHERE id = ANY (ARRAY(
    SELECT id FROM parked_receipts WHERE due_at <= $1 ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED
))
RETURNING id, receipt, parked_at, tries

-- name: postpone
UPDATE parked_receipts SET due_at = $2 WHERE id = $1

-- name: unpark
DELETE FROM parked_receipts WHERE id = ANY ($1::bigint[])

-- name: count_parked
SELECT count(*) FROM parked_receipts
