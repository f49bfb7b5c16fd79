-- Pages of people and lists as doors of other products show them. $2 is the id behind which a page begins. A text to
-- look for is a pattern for ILIKE, null for any.

-- name: contacts_up
SELECT id, workspace_id, external_id, status, email, phone_number, country, locale, timezone, name, first_name,
       last_name, tags, attributes, opt_outs, revision, created_at, updated_at
FROM catalog.contacts
WHERE workspace_id = $1 AND id > $2
  AND ($4::text IS NULL OR external_id = $4) AND ($5::text IS NULL OR email ILIKE $5)
  AND ($6::text IS NULL OR phone_number ILIKE $6)
  AND ($7::text IS NULL OR concat_ws(' ', first_name, last_name, name) ILIKE $7)
ORDER BY id
LIMIT $3

-- name: contacts_down
SELECT id, workspace_id, external_id, status, email, phone_number, country, locale, timezone, name, first_name,
       last_name, tags, attributes, opt_outs, revision, created_at, updated_at
FROM catalog.contacts
WHERE workspace_id = $1 AND id < $2
  AND ($4::text IS NULL OR external_id = $4) AND ($5::text IS NULL OR email ILIKE $5)
  AND ($6::text IS NULL OR phone_number ILIKE $6)
  AND ($7::text IS NULL OR concat_ws(' ', first_name, last_name, name) ILIKE $7)
ORDER BY id DESC
LIMIT $3

-- name: count_contacts
SELECT count(*) FROM (
    SELECT FROM catalog.contacts
    WHERE workspace_id = $1
      AND ($3::text IS NULL OR external_id = $3) AND ($4::text IS NULL OR email ILIKE $4)
      AND ($5::text IS NULL OR phone_number ILIKE $5)
      AND ($6::text IS NULL OR concat_ws(' ', first_name, last_name, name) ILIKE $6)
    LIMIT $2
) AS counted

-- name: contacts_from
SELECT id, workspace_id, external_id, status, email, phone_number, country, locale, timezone, name, first_name,
       last_name, tags, attributes, opt_outs, revision, created_at, updated_at
FROM catalog.contacts
WHERE workspace_id = $1
ORDER BY id DESC
OFFSET $2 LIMIT $3

-- name: lists_up
SELECT id, workspace_id, key, name, revision, created_at, updated_at
FROM catalog.lists
WHERE workspace_id = $1 AND id > $2
  AND ($4::text IS NULL OR key ILIKE $4) AND ($5::text IS NULL OR name ILIKE $5)
ORDER BY id
LIMIT $3

-- name: lists_down
SELECT id, workspace_id, key, name, revision, created_at, updated_at
FROM catalog.lists
WHERE workspace_id = $1 AND id < $2
  AND ($4::text IS NULL OR key ILIKE $4) AND ($5::text IS NULL OR name ILIKE $5)
ORDER BY id DESC
LIMIT $3

-- name: lists_from
SELECT id, workspace_id, key, name, revision, created_at, updated_at
FROM catalog.lists
WHERE workspace_id = $1 AND ($4::text IS NULL OR key = $4)
ORDER BY id DESC
OFFSET $2 LIMIT $3

-- name: count_lists
SELECT count(*) FROM (
    SELECT FROM catalog.lists
    WHERE workspace_id = $1 AND ($3::text IS NULL OR key ILIKE $3) AND ($4::text IS NULL OR name ILIKE $4)
    LIMIT $2
) AS counted

-- name: memberships_of_list
SELECT l.id AS list_id, l.key, l.name AS list_name, l.created_at AS list_created_at, l.updated_at AS list_updated_at,
       c.id AS contact_id, c.external_id, c.first_name, c.last_name, c.email, c.attributes ->> 'avatar' AS avatar,
       coalesce(m.added_at, greatest(l.created_at, c.created_at)) AS added_at
FROM catalog.list_members m
JOIN catalog.lists l ON l.id = m.list_id
JOIN catalog.contacts c ON c.workspace_id = $1 AND c.id = m.contact_id
WHERE l.workspace_id = $1 AND m.list_id = $4 AND m.contact_id > $2
  AND ($5::text[] IS NULL OR c.external_id = ANY ($5))
ORDER BY m.contact_id
LIMIT $3

-- name: count_memberships_of_list
SELECT count(*) FROM (SELECT FROM catalog.list_members WHERE list_id = $1 LIMIT $2) AS counted

-- name: memberships_of_contact
SELECT l.id AS list_id, l.key, l.name AS list_name, l.created_at AS list_created_at, l.updated_at AS list_updated_at,
       c.id AS contact_id, c.external_id, c.first_name, c.last_name, c.email, c.attributes ->> 'avatar' AS avatar,
       coalesce(m.added_at, greatest(l.created_at, c.created_at)) AS added_at
FROM catalog.list_members m
JOIN catalog.lists l ON l.id = m.list_id
JOIN catalog.contacts c ON c.workspace_id = $1 AND c.id = m.contact_id
WHERE l.workspace_id = $1 AND m.contact_id = $4 AND m.list_id > $2 AND ($5::text IS NULL OR l.key = $5)
ORDER BY m.list_id
LIMIT $3

-- name: tenants_from
SELECT id, key, name, data, created_at, updated_at
FROM catalog.tenants
WHERE workspace_id = $1
ORDER BY id DESC
OFFSET $2 LIMIT $3
