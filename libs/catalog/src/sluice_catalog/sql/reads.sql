-- name: template_version
SELECT t.id AS template_id, t.workspace_id, v.version, t.key, v.name, t.channel, v.category, v.variants, v.variables
FROM catalog.template_versions v
JOIN catalog.templates t ON t.id = v.template_id
WHERE v.template_id = $1 AND v.version = $2

-- name: template_by_key
SELECT t.id AS template_id, t.version, t.key, t.channel, v.category
FROM catalog.templates t
JOIN catalog.template_versions v ON v.template_id = t.id AND v.version = t.version
WHERE t.workspace_id = $1 AND t.key = $2 AND t.deleted_at IS NULL

-- name: workflow_version
SELECT w.id AS workflow_id, w.workspace_id, v.version, v.name, v.type, v.category, v.definition
FROM catalog.workflow_versions v
JOIN catalog.workflows w ON w.id = v.workflow_id
WHERE v.workflow_id = $1 AND v.version = $2

-- name: workspace_settings
SELECT id, name, timezone, default_country, send_window, frequency_caps, budget
FROM catalog.workspaces
WHERE id = $1

-- name: contacts_by_external_id
SELECT id, workspace_id, external_id, status, email, phone_number, country, locale, timezone, name, first_name,
       last_name, tags, attributes, opt_outs
FROM catalog.contacts
WHERE workspace_id = $1 AND external_id = ANY ($2::text[])

-- name: contacts_by_id
SELECT id, workspace_id, external_id, status, email, phone_number, country, locale, timezone, name, first_name,
       last_name, tags, attributes, opt_outs
FROM catalog.contacts
WHERE workspace_id = $1 AND id = ANY ($2::uuid[])

-- name: page_of_all
SELECT id, workspace_id, external_id, status, email, phone_number, country, locale, timezone, name, first_name,
       last_name, tags, attributes, opt_outs
FROM catalog.contacts
WHERE workspace_id = $1 AND id > $2 AND status = 'active'
ORDER BY id
LIMIT $3

-- name: page_of_tags
-- Both sides are bounded from below, so that neither way of joining starts at the first contact.
SELECT c.id, c.workspace_id, c.external_id, c.status, c.email, c.phone_number, c.country, c.locale, c.timezone, c.name,
       c.first_name, c.last_name, c.tags, c.attributes, c.opt_outs
FROM catalog.contact_tags t
JOIN catalog.contacts c ON c.workspace_id = t.workspace_id AND c.id = t.contact_id
WHERE t.workspace_id = $1 AND t.contact_id > $2 AND c.id > $2 AND t.tag = $4 AND c.tags @> $5::text[]
  AND c.status = 'active'
ORDER BY t.contact_id
LIMIT $3

-- name: page_of_list
SELECT c.id, c.workspace_id, c.external_id, c.status, c.email, c.phone_number, c.country, c.locale, c.timezone, c.name,
       c.first_name, c.last_name, c.tags, c.attributes, c.opt_outs
FROM catalog.list_members m
JOIN catalog.contacts c ON c.workspace_id = $1 AND c.id = m.contact_id
WHERE m.list_id = $4 AND m.contact_id > $2 AND c.id > $2 AND c.status = 'active'
ORDER BY m.contact_id
LIMIT $3

-- name: page_of_union
-- Each source yields a page of its own in the order of ids; the page is the first of all of them, everybody once.
WITH members AS (
    (SELECT c.id
     FROM catalog.contacts c
     WHERE c.workspace_id = $1 AND c.external_id = ANY ($4::text[]) AND c.id > $2 AND c.status = 'active'
     ORDER BY c.id
     LIMIT $3)
    UNION
    SELECT member.id
    FROM unnest($5::uuid[]) AS wanted (list_id)
    CROSS JOIN LATERAL (
        SELECT m.contact_id AS id
        FROM catalog.list_members m
        JOIN catalog.contacts c ON c.workspace_id = $1 AND c.id = m.contact_id
        WHERE m.list_id = wanted.list_id AND m.contact_id > $2 AND c.id > $2 AND c.status = 'active'
        ORDER BY m.contact_id
        LIMIT $3
    ) AS member
), page AS (
    SELECT id FROM members ORDER BY id LIMIT $3
)
SELECT c.*
FROM page
CROSS JOIN LATERAL (
    SELECT id, workspace_id, external_id, status, email, phone_number, country, locale, timezone, name, first_name,
           last_name, tags, attributes, opt_outs
    FROM catalog.contacts
    WHERE workspace_id = $1 AND contacts.id = page.id
    LIMIT 1
) AS c
ORDER BY c.id

-- name: count_of_all
SELECT count(*) FROM catalog.contacts WHERE workspace_id = $1 AND status = 'active'

-- name: count_of_tag
-- All who have the tag, without a look at their contacts, less those of the inactive who have it.
SELECT (SELECT count(*) FROM catalog.contact_tags WHERE workspace_id = $1 AND tag = $2)
    - (
        SELECT count(*)
        FROM catalog.contacts c
        JOIN catalog.contact_tags t ON t.workspace_id = c.workspace_id AND t.tag = $2 AND t.contact_id = c.id
        WHERE c.workspace_id = $1 AND c.status = 'inactive'
    )

-- name: count_of_tags
SELECT count(*)
FROM catalog.contact_tags t
JOIN catalog.contacts c ON c.workspace_id = t.workspace_id AND c.id = t.contact_id
WHERE t.workspace_id = $1 AND t.tag = $2 AND c.tags @> $3::text[] AND c.status = 'active'

-- name: count_of_list
SELECT count(*)
FROM catalog.list_members m
JOIN catalog.contacts c ON c.workspace_id = $1 AND c.id = m.contact_id
WHERE m.list_id = $2 AND c.status = 'active'

-- name: count_of_union
SELECT count(*)
FROM (
    SELECT id FROM catalog.contacts
    WHERE workspace_id = $1 AND external_id = ANY ($2::text[]) AND status = 'active'
    UNION
    SELECT m.contact_id
    FROM catalog.list_members m
    JOIN catalog.contacts c ON c.workspace_id = $1 AND c.id = m.contact_id
    WHERE m.list_id = ANY ($3::uuid[]) AND c.status = 'active'
) AS members

-- name: rarest_tag
SELECT wanted.tag
FROM unnest($2::text[]) AS wanted (tag)
ORDER BY (
    SELECT count(*)
    FROM (SELECT FROM catalog.contact_tags t WHERE t.workspace_id = $1 AND t.tag = wanted.tag LIMIT 10000) AS counted
), wanted.tag
LIMIT 1

-- name: segment_filter
SELECT filter FROM catalog.segments WHERE workspace_id = $1 AND id = $2

-- name: provider_account
SELECT id, workspace_id, channel, provider, name, config, secrets, rate_per_second, is_default, updated_at
FROM catalog.provider_accounts
WHERE id = $1

-- name: default_account
SELECT id, workspace_id, channel, provider, name, config, secrets, rate_per_second, is_default, updated_at
FROM catalog.provider_accounts
WHERE workspace_id = $1 AND channel = $2 AND is_default

-- name: sandbox_account
SELECT id, workspace_id, channel, provider, name, config, secrets, rate_per_second, is_default, updated_at
FROM catalog.provider_accounts
WHERE workspace_id = $1 AND channel = $2 AND provider = 'sandbox'
ORDER BY is_default DESC, id
LIMIT 1

-- name: suppressions_among
-- The addresses come as JSON: an array of two hundred texts costs the driver twice as much.
SELECT address, reason
FROM catalog.suppressions
WHERE workspace_id = $1 AND channel = $2 AND address = ANY (ARRAY(SELECT json_array_elements_text($3::json)))

-- name: suppress
INSERT INTO catalog.suppressions (workspace_id, channel, address, reason, detail, id, created_at)
SELECT workspace_id, channel, address, reason, detail, id, $7
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::uuid[])
    AS entry (workspace_id, channel, address, reason, detail, id)
ON CONFLICT (workspace_id, channel, address, reason) DO NOTHING

-- name: lift
DELETE FROM catalog.suppressions
WHERE workspace_id = $1 AND channel = $2 AND address = $3 AND reason = $4

-- name: opt_out
WITH changed AS (
    UPDATE catalog.contacts
    SET opt_outs = jsonb_set(opt_outs, ARRAY[$3::text], coalesce(opt_outs -> $3::text, '[]') || to_jsonb($4::text)),
        revision = revision + 1,
        updated_at = $5
    WHERE workspace_id = $1 AND external_id = $2 AND NOT coalesce(opt_outs -> $3::text, '[]') @> to_jsonb($4::text)
)
SELECT EXISTS (SELECT FROM catalog.contacts WHERE workspace_id = $1 AND external_id = $2)

-- name: external_ids_with_email
SELECT external_id FROM catalog.contacts WHERE workspace_id = $1 AND email = $2 ORDER BY id LIMIT 100
