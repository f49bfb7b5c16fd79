-- Events: the rules that answer them, who waits for them, and the changes of contacts that are events themselves.

-- When somebody last changed the contact by hand, and when the newest profile that came along with a request was
-- accepted: a profile says nothing about what was changed after it.
ALTER TABLE contacts ADD COLUMN edited_at timestamptz;
ALTER TABLE contacts ADD COLUMN profiled_at timestamptz;
UPDATE contacts SET edited_at = updated_at;

-- `workflow` is how the author named it, `workflow_id` what that meant when the rule was written.
CREATE TABLE trigger_rules (
    id           uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces,
    key          text NOT NULL,
    name         text NOT NULL,
    status       text NOT NULL CHECK (status IN ('draft', 'active', 'inactive')),
    event        text NOT NULL,
    workflow     text NOT NULL,
    workflow_id  uuid,
    definition   jsonb NOT NULL,
    revision     integer NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    UNIQUE (workspace_id, key)
);
CREATE INDEX trigger_rules_by_event ON trigger_rules (workspace_id, event) WHERE status = 'active';

-- The events that steps of published workflows wait for. They stay: runs of old versions wait on.
CREATE TABLE workflow_waits (
    workspace_id uuid NOT NULL REFERENCES workspaces,
    event        text NOT NULL,
    workflow_id  uuid NOT NULL REFERENCES workflows,
    PRIMARY KEY (workspace_id, event, workflow_id)
);

CREATE VIEW event_listeners AS
SELECT workspace_id, event FROM trigger_rules WHERE status = 'active'
UNION ALL
SELECT workspace_id, event FROM workflow_waits;

-- Changes of contacts that somebody listens for, until they have become events. Written with the change itself, by
-- whichever statement makes it; `former` is null for a new contact.
CREATE TABLE contact_changes (
    sequence     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workspace_id uuid NOT NULL,
    contact_id   uuid NOT NULL,
    former       jsonb,
    present      jsonb NOT NULL,
    changed_at   timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02);

CREATE FUNCTION note_new_contacts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO catalog.contact_changes (workspace_id, contact_id, former, present, changed_at)
    SELECT present.workspace_id, present.id, NULL, to_jsonb(present), present.updated_at
    FROM present_rows AS present
    WHERE EXISTS (SELECT FROM catalog.event_listeners AS listener
                  WHERE listener.workspace_id = present.workspace_id
                    AND listener.event IN ('contact.created', 'contact.tag_added', 'segment.entered'))
    ORDER BY present.id;
    RETURN NULL;
END $$;

CREATE FUNCTION note_changed_contacts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO catalog.contact_changes (workspace_id, contact_id, former, present, changed_at)
    SELECT present.workspace_id, present.id, to_jsonb(former), to_jsonb(present), present.updated_at
    FROM former_rows AS former
    JOIN present_rows AS present USING (workspace_id, id)
    WHERE EXISTS (SELECT FROM catalog.event_listeners AS listener
                  WHERE listener.workspace_id = present.workspace_id
                    AND listener.event IN ('contact.tag_added', 'segment.entered'))
    ORDER BY present.id;
    RETURN NULL;
END $$;

CREATE TRIGGER new_contacts AFTER INSERT ON contacts REFERENCING NEW TABLE AS present_rows
    FOR EACH STATEMENT EXECUTE FUNCTION note_new_contacts();
CREATE TRIGGER changed_contacts AFTER UPDATE ON contacts REFERENCING OLD TABLE AS former_rows NEW TABLE AS present_rows
    FOR EACH STATEMENT EXECUTE FUNCTION note_changed_contacts();
