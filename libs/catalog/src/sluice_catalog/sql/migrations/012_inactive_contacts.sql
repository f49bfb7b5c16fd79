-- The few who are not written to, so that an audience is counted without a look at all the others.
CREATE INDEX contacts_inactive ON contacts (workspace_id, id) WHERE status = 'inactive';
