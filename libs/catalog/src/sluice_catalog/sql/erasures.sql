-- Contacts that were erased on request.

-- name: note
INSERT INTO catalog.erasures (workspace_id, contact_id, erased_at, person) VALUES ($1, $2, $3, $4)

-- name: under_way
-- The oldest first: every service goes through all of them again and again.
SELECT contact_id FROM catalog.erasures WHERE person IS NOT NULL ORDER BY erased_at, contact_id

-- name: named
SELECT workspace_id, contact_id, erased_at, person
FROM catalog.erasures
WHERE contact_id = ANY($1::uuid[]) AND person IS NOT NULL

-- name: forget
UPDATE catalog.erasures SET person = NULL WHERE person IS NOT NULL AND erased_at < $1
