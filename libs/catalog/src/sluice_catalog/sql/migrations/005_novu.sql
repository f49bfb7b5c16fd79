-- What callers who speak Novu define beside what there is already.

-- Customers of a workspace on whose behalf it sends.
CREATE TABLE tenants (
    id           uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces,
    key          text NOT NULL,
    name         text,
    data         jsonb NOT NULL DEFAULT '{}',
    revision     integer NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    UNIQUE (workspace_id, key)
);

-- A workflow as it was said in Novu's words. `workflow_id` is the workflow of ours that it became; null while it has no
-- step that can be sent.
CREATE TABLE novu_workflows (
    id           uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces,
    key          text NOT NULL,
    workflow_id  uuid REFERENCES workflows,
    document     jsonb NOT NULL,
    revision     integer NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    UNIQUE (workspace_id, key)
);
CREATE INDEX novu_workflows_of_workflow ON novu_workflows (workflow_id);

-- Names under which Novu's older SDKs put workflows together.
CREATE TABLE novu_workflow_groups (
    id           uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces,
    key          text NOT NULL,
    revision     integer NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    UNIQUE (workspace_id, key)
);

-- Null: before this was noted.
ALTER TABLE list_members ADD COLUMN added_at timestamptz;
