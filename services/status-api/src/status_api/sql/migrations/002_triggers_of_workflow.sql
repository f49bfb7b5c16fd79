-- What all triggers of one workflow came to is summed up over its triggers.
CREATE INDEX triggers_of_workflow ON triggers (workflow_id) WHERE workflow_id IS NOT NULL;
