-- Triggers as they were said in Pocketflows' words. `business` is the tenant whose trigger it is, null for the
-- workspace itself; `workflow_id` the workflow of ours that the steps became, null until the trigger is first active.
CREATE TABLE pocketflows_triggers (
    id           uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces,
    business     text,
    status       text NOT NULL CHECK (status IN ('draft', 'active', 'inactive')),
    workflow_id  uuid REFERENCES workflows,
    document     jsonb NOT NULL,
    revision     integer NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL
);
CREATE INDEX pocketflows_triggers_of_workspace ON pocketflows_triggers (workspace_id, id);
