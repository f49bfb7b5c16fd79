-- Each kind has the same five statements. `find`: workspace, id or null, key. `insert`: id, workspace, now, then the
-- kind's own. `update`: id, the revision that it must still have, now, then the kind's own.

-- name: find_segment
SELECT id, workspace_id, key, name, filter, revision, created_at, updated_at
FROM catalog.segments
WHERE workspace_id = $1 AND (id = $2 OR key = $3)
ORDER BY id = $2 DESC
LIMIT 1

-- name: page_segment
SELECT id, workspace_id, key, name, filter, revision, created_at, updated_at
FROM catalog.segments
WHERE workspace_id = $1 AND id > $2
ORDER BY id
LIMIT $3

-- name: insert_segment
INSERT INTO catalog.segments (id, workspace_id, created_at, updated_at, key, name, filter)
VALUES ($1, $2, $3, $3, $4, $5, $6)
RETURNING id, workspace_id, key, name, filter, revision, created_at, updated_at

-- name: update_segment
UPDATE catalog.segments
SET revision = revision + 1, updated_at = $3, key = $4, name = $5, filter = $6
WHERE id = $1 AND revision = $2
RETURNING id, workspace_id, key, name, filter, revision, created_at, updated_at

-- name: delete_segment
DELETE FROM catalog.segments WHERE id = $1

-- name: find_list
SELECT id, workspace_id, key, name, revision, created_at, updated_at
FROM catalog.lists
WHERE workspace_id = $1 AND (id = $2 OR key = $3)
ORDER BY id = $2 DESC
LIMIT 1

-- name: page_list
SELECT id, workspace_id, key, name, revision, created_at, updated_at
FROM catalog.lists
WHERE workspace_id = $1 AND id > $2
ORDER BY id
LIMIT $3

-- name: insert_list
INSERT INTO catalog.lists (id, workspace_id, created_at, updated_at, key, name)
VALUES ($1, $2, $3, $3, $4, $5)
RETURNING id, workspace_id, key, name, revision, created_at, updated_at

-- name: update_list
UPDATE catalog.lists
SET revision = revision + 1, updated_at = $3, key = $4, name = $5
WHERE id = $1 AND revision = $2
RETURNING id, workspace_id, key, name, revision, created_at, updated_at

-- name: delete_list
DELETE FROM catalog.lists WHERE id = $1

-- name: members_of_list
SELECT c.id, c.external_id
FROM catalog.list_members m
JOIN catalog.contacts c ON c.workspace_id = $1 AND c.id = m.contact_id
WHERE m.list_id = $2 AND m.contact_id > $3
ORDER BY m.contact_id
LIMIT $4

-- name: add_members
INSERT INTO catalog.list_members (list_id, contact_id, added_at)
SELECT $2, c.id, $4
FROM catalog.contacts c
WHERE c.workspace_id = $1 AND c.external_id = ANY ($3::text[])
ORDER BY c.id
FOR KEY SHARE
ON CONFLICT (list_id, contact_id) DO NOTHING
RETURNING contact_id

-- name: remove_members
DELETE FROM catalog.list_members
WHERE list_id = $2
  AND contact_id IN (
      SELECT id FROM catalog.contacts WHERE workspace_id = $1 AND external_id = ANY ($3::text[])
  )
RETURNING contact_id

-- name: known_external_ids
SELECT external_id FROM catalog.contacts WHERE workspace_id = $1 AND external_id = ANY ($2::text[])

-- name: find_template_group
SELECT id, workspace_id, key, name, templates, revision, created_at, updated_at
FROM catalog.template_groups
WHERE workspace_id = $1 AND (id = $2 OR key = $3)
ORDER BY id = $2 DESC
LIMIT 1

-- name: page_template_group
SELECT id, workspace_id, key, name, templates, revision, created_at, updated_at
FROM catalog.template_groups
WHERE workspace_id = $1 AND id > $2
ORDER BY id
LIMIT $3

-- name: insert_template_group
INSERT INTO catalog.template_groups (id, workspace_id, created_at, updated_at, key, name, templates)
VALUES ($1, $2, $3, $3, $4, $5, $6)
RETURNING id, workspace_id, key, name, templates, revision, created_at, updated_at

-- name: update_template_group
UPDATE catalog.template_groups
SET revision = revision + 1, updated_at = $3, key = $4, name = $5, templates = $6
WHERE id = $1 AND revision = $2
RETURNING id, workspace_id, key, name, templates, revision, created_at, updated_at

-- name: delete_template_group
DELETE FROM catalog.template_groups WHERE id = $1

-- name: find_template
SELECT t.id, t.workspace_id, t.key, t.channel, v.name, v.category, v.variants, v.variables, t.version AS revision,
       t.created_at, t.updated_at
FROM catalog.templates t
JOIN catalog.template_versions v ON v.template_id = t.id AND v.version = t.version
WHERE t.workspace_id = $1 AND (t.id = $2 OR t.key = $3) AND t.deleted_at IS NULL
ORDER BY t.id = $2 DESC
LIMIT 1

-- name: page_template
SELECT t.id, t.workspace_id, t.key, t.channel, v.name, v.category, v.variants, v.variables, t.version AS revision,
       t.created_at, t.updated_at
FROM catalog.templates t
JOIN catalog.template_versions v ON v.template_id = t.id AND v.version = t.version
WHERE t.workspace_id = $1 AND t.id > $2 AND t.deleted_at IS NULL
ORDER BY t.id
LIMIT $3

-- name: insert_template
WITH template AS (
    INSERT INTO catalog.templates (id, workspace_id, created_at, updated_at, key, channel, version)
    VALUES ($1, $2, $3, $3, $4, $5, 1)
    RETURNING id, workspace_id, key, channel, version, created_at, updated_at
), first_version AS (
    INSERT INTO catalog.template_versions (template_id, version, name, category, variants, variables, created_at)
    SELECT id, version, $6, $7, $8, $9, $3 FROM template
    RETURNING name, category, variants, variables
)
SELECT t.id, t.workspace_id, t.key, t.channel, v.name, v.category, v.variants, v.variables, t.version AS revision,
       t.created_at, t.updated_at
FROM template t, first_version v

-- name: update_template
WITH template AS (
    UPDATE catalog.templates
    SET version = version + 1, updated_at = $3, key = $4, channel = $5
    WHERE id = $1 AND version = $2 AND deleted_at IS NULL
    RETURNING id, workspace_id, key, channel, version, created_at, updated_at
), next_version AS (
    INSERT INTO catalog.template_versions (template_id, version, name, category, variants, variables, created_at)
    SELECT id, version, $6, $7, $8, $9, $3 FROM template
    RETURNING name, category, variants, variables
)
SELECT t.id, t.workspace_id, t.key, t.channel, v.name, v.category, v.variants, v.variables, t.version AS revision,
       t.created_at, t.updated_at
FROM template t, next_version v

-- name: delete_template
UPDATE catalog.templates SET deleted_at = $2 WHERE id = $1

-- name: channels_of_templates
SELECT t.key, t.channel, v.category
FROM catalog.templates t
JOIN catalog.template_versions v ON v.template_id = t.id AND v.version = t.version
WHERE t.workspace_id = $1 AND t.key = ANY ($2::text[]) AND t.deleted_at IS NULL

-- name: sends_whatsapp_by_sandbox
SELECT EXISTS (
    SELECT FROM catalog.provider_accounts
    WHERE workspace_id = $1 AND channel = 'whatsapp' AND is_default AND provider = 'sandbox'
)

-- name: find_workflow
SELECT id, workspace_id, key, name, type, status, category, definition, version, revision, created_at, updated_at
FROM catalog.workflows
WHERE workspace_id = $1 AND (id = $2 OR key = $3 OR name = $3) AND deleted_at IS NULL
ORDER BY id = $2 DESC, key = $3 DESC
LIMIT 1

-- name: page_workflow
SELECT id, workspace_id, key, name, type, status, category, definition, version, revision, created_at, updated_at
FROM catalog.workflows
WHERE workspace_id = $1 AND id > $2 AND deleted_at IS NULL
ORDER BY id
LIMIT $3

-- name: insert_workflow
INSERT INTO catalog.workflows
    (id, workspace_id, created_at, updated_at, key, name, type, status, category, definition)
VALUES ($1, $2, $3, $3, $4, $5, $6, $7, $8, $9)
RETURNING id, workspace_id, key, name, type, status, category, definition, version, revision, created_at, updated_at

-- name: update_workflow
UPDATE catalog.workflows
SET revision = revision + 1, updated_at = $3, key = $4, name = $5, type = $6, status = $7, category = $8,
    definition = $9
WHERE id = $1 AND revision = $2 AND deleted_at IS NULL
RETURNING id, workspace_id, key, name, type, status, category, definition, version, revision, created_at, updated_at

-- name: delete_workflow
UPDATE catalog.workflows SET deleted_at = $2 WHERE id = $1

-- name: publish_workflow
WITH workflow AS (
    UPDATE catalog.workflows
    SET version = coalesce(version, 0) + 1
    WHERE id = $1
    RETURNING id, version, name, type, category
)
INSERT INTO catalog.workflow_versions (workflow_id, version, name, type, category, definition, created_at)
SELECT id, version, name, type, $4, $2, $3 FROM workflow
RETURNING version

-- name: note_wait
INSERT INTO catalog.workflow_waits (workspace_id, event, workflow_id, correlation) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING

-- name: workflows_of_group
SELECT id, workspace_id, key, name, type, status, category, definition, version, revision, created_at, updated_at
FROM catalog.workflows
WHERE workspace_id = $1 AND type = 'template_group' AND status = 'active' AND deleted_at IS NULL
  AND definition ->> 'template_group_id' = $2::text
ORDER BY id
FOR UPDATE

-- name: find_provider_account
SELECT id, workspace_id, channel, provider, name, config, secrets, rate_per_second, is_default, revision, created_at,
       updated_at
FROM catalog.provider_accounts
WHERE workspace_id = $1 AND (id = $2 OR name = $3)
ORDER BY id = $2 DESC, id
LIMIT 1

-- name: page_provider_account
SELECT id, workspace_id, channel, provider, name, config, secrets, rate_per_second, is_default, revision, created_at,
       updated_at
FROM catalog.provider_accounts
WHERE workspace_id = $1 AND id > $2
ORDER BY id
LIMIT $3

-- name: insert_provider_account
INSERT INTO catalog.provider_accounts
    (id, workspace_id, created_at, updated_at, channel, provider, name, config, secrets, rate_per_second, is_default)
VALUES ($1, $2, $3, $3, $4, $5, $6, $7, $8, $9, $10)
RETURNING id, workspace_id, channel, provider, name, config, secrets, rate_per_second, is_default, revision, created_at,
          updated_at

-- name: update_provider_account
UPDATE catalog.provider_accounts
SET revision = revision + 1, updated_at = $3, channel = $4, provider = $5, name = $6, config = $7, secrets = $8,
    rate_per_second = $9, is_default = $10
WHERE id = $1 AND revision = $2
RETURNING id, workspace_id, channel, provider, name, config, secrets, rate_per_second, is_default, revision, created_at,
          updated_at

-- name: delete_provider_account
DELETE FROM catalog.provider_accounts WHERE id = $1

-- name: drop_default
UPDATE catalog.provider_accounts
SET is_default = false, revision = revision + 1, updated_at = $4
WHERE workspace_id = $1 AND channel = $2 AND is_default AND id IS DISTINCT FROM $3

-- name: find_tenant
SELECT id, workspace_id, key, name, data, revision, created_at, updated_at
FROM catalog.tenants
WHERE workspace_id = $1 AND (id = $2 OR key = $3)
ORDER BY key = $3 DESC
LIMIT 1

-- name: page_tenant
SELECT id, workspace_id, key, name, data, revision, created_at, updated_at
FROM catalog.tenants
WHERE workspace_id = $1 AND id > $2
ORDER BY id
LIMIT $3

-- name: insert_tenant
INSERT INTO catalog.tenants (id, workspace_id, created_at, updated_at, key, name, data)
VALUES ($1, $2, $3, $3, $4, $5, $6)
RETURNING id, workspace_id, key, name, data, revision, created_at, updated_at

-- name: update_tenant
UPDATE catalog.tenants
SET revision = revision + 1, updated_at = $3, key = $4, name = $5, data = $6
WHERE id = $1 AND revision = $2
RETURNING id, workspace_id, key, name, data, revision, created_at, updated_at

-- name: delete_tenant
DELETE FROM catalog.tenants WHERE id = $1

-- name: find_novu_workflow
SELECT id, workspace_id, key, workflow_id, document, revision, created_at, updated_at
FROM catalog.novu_workflows
WHERE workspace_id = $1 AND (id = $2 OR key = $3)
ORDER BY key = $3 DESC
LIMIT 1

-- name: page_novu_workflow
SELECT id, workspace_id, key, workflow_id, document, revision, created_at, updated_at
FROM catalog.novu_workflows
WHERE workspace_id = $1 AND id > $2
ORDER BY id
LIMIT $3

-- name: insert_novu_workflow
INSERT INTO catalog.novu_workflows (id, workspace_id, created_at, updated_at, key, workflow_id, document)
VALUES ($1, $2, $3, $3, $4, $5, $6)
RETURNING id, workspace_id, key, workflow_id, document, revision, created_at, updated_at

-- name: update_novu_workflow
UPDATE catalog.novu_workflows
SET revision = revision + 1, updated_at = $3, key = $4, workflow_id = $5, document = $6
WHERE id = $1 AND revision = $2
RETURNING id, workspace_id, key, workflow_id, document, revision, created_at, updated_at

-- name: delete_novu_workflow
DELETE FROM catalog.novu_workflows WHERE id = $1

-- name: find_novu_workflow_group
SELECT id, workspace_id, key, revision, created_at, updated_at
FROM catalog.novu_workflow_groups
WHERE workspace_id = $1 AND (id = $2 OR key = $3)
ORDER BY key = $3 DESC
LIMIT 1

-- name: page_novu_workflow_group
SELECT id, workspace_id, key, revision, created_at, updated_at
FROM catalog.novu_workflow_groups
WHERE workspace_id = $1 AND id > $2
ORDER BY id
LIMIT $3

-- name: insert_novu_workflow_group
INSERT INTO catalog.novu_workflow_groups (id, workspace_id, created_at, updated_at, key)
VALUES ($1, $2, $3, $3, $4)
RETURNING id, workspace_id, key, revision, created_at, updated_at

-- name: update_novu_workflow_group
UPDATE catalog.novu_workflow_groups
SET revision = revision + 1, updated_at = $3, key = $4
WHERE id = $1 AND revision = $2
RETURNING id, workspace_id, key, revision, created_at, updated_at

-- name: delete_novu_workflow_group
DELETE FROM catalog.novu_workflow_groups WHERE id = $1

-- name: find_trigger_rule
SELECT id, workspace_id, key, name, status, event, workflow, workflow_id, definition, revision, created_at, updated_at
FROM catalog.trigger_rules
WHERE workspace_id = $1 AND (id = $2 OR key = $3)
ORDER BY id = $2 DESC
LIMIT 1

-- name: page_trigger_rule
SELECT id, workspace_id, key, name, status, event, workflow, workflow_id, definition, revision, created_at, updated_at
FROM catalog.trigger_rules
WHERE workspace_id = $1 AND id > $2
ORDER BY id
LIMIT $3

-- name: insert_trigger_rule
INSERT INTO catalog.trigger_rules
    (id, workspace_id, created_at, updated_at, key, name, status, event, workflow, workflow_id, definition)
VALUES ($1, $2, $3, $3, $4, $5, $6, $7, $8, $9, $10)
RETURNING id, workspace_id, key, name, status, event, workflow, workflow_id, definition, revision, created_at, updated_at

-- name: update_trigger_rule
UPDATE catalog.trigger_rules
SET revision = revision + 1, updated_at = $3, key = $4, name = $5, status = $6, event = $7, workflow = $8,
    workflow_id = $9, definition = $10
WHERE id = $1 AND revision = $2
RETURNING id, workspace_id, key, name, status, event, workflow, workflow_id, definition, revision, created_at, updated_at

-- name: delete_trigger_rule
DELETE FROM catalog.trigger_rules WHERE id = $1
