-- name: keep_profiles
-- One row a contact, in the order of their keys, so that two writers never wait for each other crosswise. What was
-- changed by hand after a profile was accepted makes the profile void; a newer profile leaves it only the gaps. A
-- profile that says nothing new changes nothing.
WITH given AS (
    SELECT workspace_id, id, external_id, accepted_at, email, phone_number, country, locale, timezone, name, first_name,
           last_name, ARRAY(SELECT jsonb_array_elements_text(tags::jsonb)) AS tags, attributes::jsonb AS attributes
    FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::text[],
                $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[])
        AS given (workspace_id, id, external_id, accepted_at, email, phone_number, country, locale, timezone, name,
                  first_name, last_name, tags, attributes)
), kept AS (
    INSERT INTO catalog.contacts AS contact
        (workspace_id, id, external_id, email, phone_number, country, locale, timezone, name, first_name, last_name,
         tags, attributes, created_at, updated_at, profiled_at)
    SELECT workspace_id, id, external_id, email, phone_number, country, locale, timezone, name, first_name, last_name,
           tags, attributes, $15, $15, accepted_at
    FROM given
    ORDER BY workspace_id, external_id
    ON CONFLICT (workspace_id, external_id) DO UPDATE
    SET email = CASE WHEN contact.profiled_at > excluded.profiled_at THEN coalesce(contact.email, excluded.email)
                     ELSE coalesce(excluded.email, contact.email) END,
        phone_number = CASE WHEN contact.profiled_at > excluded.profiled_at
                            THEN coalesce(contact.phone_number, excluded.phone_number)
                            ELSE coalesce(excluded.phone_number, contact.phone_number) END,
        country = CASE WHEN excluded.phone_number IS NULL
                         OR contact.profiled_at > excluded.profiled_at AND contact.phone_number IS NOT NULL
                       THEN contact.country ELSE excluded.country END,
        locale = CASE WHEN contact.profiled_at > excluded.profiled_at THEN coalesce(contact.locale, excluded.locale)
                      ELSE coalesce(excluded.locale, contact.locale) END,
        timezone = CASE WHEN contact.profiled_at > excluded.profiled_at
                        THEN coalesce(contact.timezone, excluded.timezone)
                        ELSE coalesce(excluded.timezone, contact.timezone) END,
        name = CASE WHEN contact.profiled_at > excluded.profiled_at THEN coalesce(contact.name, excluded.name)
                    ELSE coalesce(excluded.name, contact.name) END,
        first_name = CASE WHEN contact.profiled_at > excluded.profiled_at
                          THEN coalesce(contact.first_name, excluded.first_name)
                          ELSE coalesce(excluded.first_name, contact.first_name) END,
        last_name = CASE WHEN contact.profiled_at > excluded.profiled_at
                         THEN coalesce(contact.last_name, excluded.last_name)
                         ELSE coalesce(excluded.last_name, contact.last_name) END,
        tags = CASE WHEN contact.tags @> excluded.tags OR cardinality(contact.tags || excluded.tags) > $16
                    THEN contact.tags
                    ELSE contact.tags || ARRAY(SELECT tag FROM unnest(excluded.tags) AS tag
                                               WHERE tag <> ALL (contact.tags)) END,
        attributes = CASE WHEN octet_length((contact.attributes || excluded.attributes)::text) > $17
                          THEN contact.attributes
                          WHEN contact.profiled_at > excluded.profiled_at
                          THEN excluded.attributes || contact.attributes
                          ELSE contact.attributes || excluded.attributes END,
        revision = contact.revision + 1,
        updated_at = greatest(contact.updated_at, excluded.updated_at),
        profiled_at = greatest(contact.profiled_at, excluded.profiled_at)
    WHERE (contact.edited_at IS NULL OR contact.edited_at <= excluded.profiled_at)
      AND NOT (coalesce(excluded.email, contact.email, '') = coalesce(contact.email, '')
               AND coalesce(excluded.phone_number, contact.phone_number, '') = coalesce(contact.phone_number, '')
               AND coalesce(excluded.locale, contact.locale, '') = coalesce(contact.locale, '')
               AND coalesce(excluded.timezone, contact.timezone, '') = coalesce(contact.timezone, '')
               AND coalesce(excluded.name, contact.name, '') = coalesce(contact.name, '')
               AND coalesce(excluded.first_name, contact.first_name, '') = coalesce(contact.first_name, '')
               AND coalesce(excluded.last_name, contact.last_name, '') = coalesce(contact.last_name, '')
               AND contact.tags @> excluded.tags
               AND contact.attributes || excluded.attributes = contact.attributes)
    RETURNING new.workspace_id, new.id, old.tags AS former_tags, new.tags
), tagged AS (
    INSERT INTO catalog.contact_tags (workspace_id, tag, contact_id)
    SELECT workspace_id, tag, id
    FROM kept CROSS JOIN LATERAL unnest(kept.tags) AS tag
    WHERE former_tags IS NULL OR tag <> ALL (former_tags)
    ORDER BY workspace_id, tag, id
    ON CONFLICT DO NOTHING
)
SELECT count(*) FROM kept

-- name: owners_of_addresses
-- Who has the phone number (without one, the email) of those whose external id nobody has: the oldest where several do.
SELECT given.workspace_id, given.external_id, owner.external_id AS owner
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS given (workspace_id, external_id, phone_number, email)
CROSS JOIN LATERAL (
    (SELECT external_id FROM catalog.contacts c
     WHERE c.workspace_id = given.workspace_id AND c.phone_number = given.phone_number
     ORDER BY id
     LIMIT 1)
    UNION ALL
    (SELECT external_id FROM catalog.contacts c
     WHERE given.phone_number IS NULL AND c.workspace_id = given.workspace_id AND c.email = given.email
     ORDER BY id
     LIMIT 1)
    LIMIT 1
) AS owner
WHERE NOT EXISTS (
    SELECT FROM catalog.contacts c WHERE c.workspace_id = given.workspace_id AND c.external_id = given.external_id
)
