-- How an event finds those who wait for it: by "contact", by "key", or by a JSONPath in its data.
ALTER TABLE workflow_waits ADD COLUMN correlation text NOT NULL DEFAULT 'contact';
ALTER TABLE workflow_waits DROP CONSTRAINT workflow_waits_pkey;
ALTER TABLE workflow_waits ADD PRIMARY KEY (workspace_id, event, workflow_id, correlation);
