-- Where somebody listens for tags and nobody for segments, only changes that add a tag are of interest.
CREATE OR REPLACE FUNCTION note_changed_contacts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO catalog.contact_changes (workspace_id, contact_id, former, present, changed_at)
    SELECT present.workspace_id, present.id, to_jsonb(former), to_jsonb(present), present.updated_at
    FROM former_rows AS former
    JOIN present_rows AS present USING (workspace_id, id)
    WHERE EXISTS (SELECT FROM catalog.event_listeners AS listener
                  WHERE listener.workspace_id = present.workspace_id
                    AND (listener.event = 'segment.entered'
                         OR listener.event = 'contact.tag_added' AND NOT present.tags <@ former.tags))
    ORDER BY present.id;
    RETURN NULL;
END $$;
