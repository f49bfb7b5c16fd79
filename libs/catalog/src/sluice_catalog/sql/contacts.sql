-- name: find
SELECT id, workspace_id, external_id, status, email, phone_number, country, locale, timezone, name, first_name,
       last_name, tags, attributes, opt_outs, revision, created_at, updated_at
FROM catalog.contacts
WHERE workspace_id = $1 AND (id = $2 OR external_id = $3)
ORDER BY id = $2 DESC
LIMIT 1
FOR UPDATE

-- name: page
SELECT id, workspace_id, external_id, status, email, phone_number, country, locale, timezone, name, first_name,
       last_name, tags, attributes, opt_outs, revision, created_at, updated_at
FROM catalog.contacts
WHERE workspace_id = $1 AND id > $2
ORDER BY id
LIMIT $3

-- name: page_with_tag
SELECT c.id, c.workspace_id, c.external_id, c.status, c.email, c.phone_number, c.country, c.locale, c.timezone, c.name,
       c.first_name, c.last_name, c.tags, c.attributes, c.opt_outs, c.revision, c.created_at, c.updated_at
FROM catalog.contact_tags t
JOIN catalog.contacts c ON c.workspace_id = t.workspace_id AND c.id = t.contact_id
WHERE t.workspace_id = $1 AND t.contact_id > $2 AND c.id > $2 AND t.tag = $4
ORDER BY t.contact_id
LIMIT $3

-- name: page_with_email
SELECT id, workspace_id, external_id, status, email, phone_number, country, locale, timezone, name, first_name,
       last_name, tags, attributes, opt_outs, revision, created_at, updated_at
FROM catalog.contacts
WHERE workspace_id = $1 AND id > $2 AND email = $4
ORDER BY id
LIMIT $3

-- name: page_with_phone_number
SELECT id, workspace_id, external_id, status, email, phone_number, country, locale, timezone, name, first_name,
       last_name, tags, attributes, opt_outs, revision, created_at, updated_at
FROM catalog.contacts
WHERE workspace_id = $1 AND id > $2 AND phone_number = $4
ORDER BY id
LIMIT $3

-- name: by_external_id
SELECT id, workspace_id, external_id, status, email, phone_number, country, locale, timezone, name, first_name,
       last_name, tags, attributes, opt_outs, revision, created_at, updated_at
FROM catalog.contacts
WHERE workspace_id = $1 AND external_id = ANY ($2::text[])

-- name: save
-- One row a contact, in the order of external ids, so that two callers never wait for each other crosswise. A contact
-- whose revision is another than the one that was read (0: none) is left alone and not returned.
INSERT INTO catalog.contacts AS contact
    (workspace_id, id, external_id, status, email, phone_number, country, locale, timezone, name, first_name, last_name,
     tags, attributes, opt_outs, revision, created_at, updated_at, edited_at)
SELECT $1, id, external_id, status, email, phone_number, country, locale, timezone, name, first_name, last_name,
       ARRAY(SELECT jsonb_array_elements_text(tags::jsonb)), attributes::jsonb, opt_outs::jsonb,
       revision + 1, $2, $2, $2
FROM unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
            $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::int[])
    AS given (id, external_id, status, email, phone_number, country, locale, timezone, name, first_name, last_name,
              tags, attributes, opt_outs, revision)
ON CONFLICT (workspace_id, external_id) DO UPDATE
SET status = excluded.status, email = excluded.email, phone_number = excluded.phone_number, country = excluded.country,
    locale = excluded.locale, timezone = excluded.timezone, name = excluded.name, first_name = excluded.first_name,
    last_name = excluded.last_name, tags = excluded.tags, attributes = excluded.attributes,
    opt_outs = excluded.opt_outs, revision = excluded.revision, updated_at = excluded.updated_at,
    edited_at = excluded.edited_at
WHERE contact.revision = excluded.revision - 1
RETURNING old.id IS NULL AS created, old.tags AS former_tags, new.id, new.workspace_id, new.external_id, new.status,
          new.email, new.phone_number, new.country, new.locale, new.timezone, new.name, new.first_name, new.last_name,
          new.tags, new.attributes, new.opt_outs, new.revision, new.created_at, new.updated_at

-- name: add_tags
INSERT INTO catalog.contact_tags (workspace_id, tag, contact_id)
SELECT $1, tag, contact_id
FROM unnest($2::text[], $3::uuid[]) AS added (tag, contact_id)
ORDER BY tag, contact_id
ON CONFLICT (workspace_id, tag, contact_id) DO NOTHING

-- name: drop_tags
DELETE FROM catalog.contact_tags t
USING unnest($2::text[], $3::uuid[]) AS dropped (tag, contact_id)
WHERE t.workspace_id = $1 AND t.tag = dropped.tag AND t.contact_id = dropped.contact_id

-- name: rename
UPDATE catalog.contacts SET external_id = $3 WHERE workspace_id = $1 AND id = $2

-- name: delete
DELETE FROM catalog.contacts WHERE workspace_id = $1 AND id = $2

-- name: leave_lists
DELETE FROM catalog.list_members WHERE contact_id = $1

-- name: default_country
SELECT default_country FROM catalog.workspaces WHERE id = $1
