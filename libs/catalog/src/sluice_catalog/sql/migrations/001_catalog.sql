-- What users define. Every table carries its workspace, and every key begins with it where a caller's name is part of
-- the key. `revision` counts the changes of a row and is its ETag.

CREATE TABLE workspaces (
    id              uuid PRIMARY KEY,
    name            text NOT NULL UNIQUE,
    timezone        text NOT NULL DEFAULT 'UTC',
    default_country text,
    send_window     jsonb,
    frequency_caps  jsonb NOT NULL DEFAULT '[]',
    budget          jsonb,
    revision        integer NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL
);

CREATE TABLE api_keys (
    id            uuid PRIMARY KEY,
    workspace_id  uuid NOT NULL REFERENCES workspaces,
    name          text NOT NULL,
    hint          text NOT NULL,
    secret_sha256 bytea NOT NULL UNIQUE,
    scopes        text[] NOT NULL,
    allowed_ips   text[] NOT NULL DEFAULT '{}',
    created_at    timestamptz NOT NULL,
    revoked_at    timestamptz
);
CREATE INDEX api_keys_of_workspace ON api_keys (workspace_id, id);

CREATE TABLE contacts (
    workspace_id uuid NOT NULL REFERENCES workspaces,
    id           uuid NOT NULL,
    external_id  text NOT NULL,
    status       text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'inactive')),
    email        text,
    phone_number text,
    country      text,
    locale       text,
    timezone     text,
    name         text,
    first_name   text,
    last_name    text,
    tags         text[] NOT NULL DEFAULT '{}',
    attributes   jsonb NOT NULL DEFAULT '{}',
    opt_outs     jsonb NOT NULL DEFAULT '{}',
    revision     integer NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    UNIQUE (workspace_id, external_id)
);
CREATE INDEX contacts_by_phone_number ON contacts (workspace_id, phone_number) WHERE phone_number IS NOT NULL;
CREATE INDEX contacts_by_email ON contacts (workspace_id, email) WHERE email IS NOT NULL;

-- A contact's tags once more, one row each, written in the same transaction: a page of a tag's audience is then a walk
-- along this key in the order of contact ids, however rare the tag is.
CREATE TABLE contact_tags (
    workspace_id uuid NOT NULL,
    tag          text NOT NULL,
    contact_id   uuid NOT NULL,
    PRIMARY KEY (workspace_id, tag, contact_id)
);

-- Contacts that were erased on request. Other services hold job rows that name the contact's id: they keep their counts
-- and drop what is personal.
CREATE TABLE erasures (
    workspace_id uuid NOT NULL,
    contact_id   uuid NOT NULL,
    erased_at    timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, contact_id)
);
CREATE INDEX erasures_in_order ON erasures (erased_at, contact_id);

CREATE TABLE segments (
    id           uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces,
    key          text NOT NULL,
    name         text NOT NULL,
    filter       text NOT NULL,
    revision     integer NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    UNIQUE (workspace_id, key)
);

CREATE TABLE lists (
    id           uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces,
    key          text NOT NULL,
    name         text NOT NULL,
    revision     integer NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    UNIQUE (workspace_id, key)
);

CREATE TABLE list_members (
    list_id    uuid NOT NULL REFERENCES lists ON DELETE CASCADE,
    contact_id uuid NOT NULL,
    PRIMARY KEY (list_id, contact_id)
);
CREATE INDEX lists_of_contact ON list_members (contact_id);

CREATE TABLE templates (
    id           uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces,
    key          text NOT NULL,
    channel      text NOT NULL,
    version      integer NOT NULL,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    deleted_at   timestamptz
);
CREATE UNIQUE INDEX templates_by_key ON templates (workspace_id, key) WHERE deleted_at IS NULL;

-- Never changed once written: what was sent yesterday can be read as it was.
CREATE TABLE template_versions (
    template_id uuid NOT NULL REFERENCES templates,
    version     integer NOT NULL,
    name        text NOT NULL,
    category    text NOT NULL,
    variants    jsonb NOT NULL,
    variables   text[] NOT NULL,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (template_id, version)
);

CREATE TABLE template_groups (
    id           uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces,
    key          text NOT NULL,
    name         text NOT NULL,
    templates    jsonb NOT NULL,
    revision     integer NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    UNIQUE (workspace_id, key)
);

-- `definition` is what is being edited; `version` the newest published one, null while there is none.
CREATE TABLE workflows (
    id           uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces,
    key          text NOT NULL,
    name         text NOT NULL,
    type         text NOT NULL,
    status       text NOT NULL CHECK (status IN ('draft', 'active', 'inactive')),
    category     text NOT NULL,
    definition   jsonb NOT NULL,
    version      integer,
    revision     integer NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    deleted_at   timestamptz
);
CREATE UNIQUE INDEX workflows_by_key ON workflows (workspace_id, key) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX workflows_by_name ON workflows (workspace_id, name) WHERE deleted_at IS NULL;

CREATE TABLE workflow_versions (
    workflow_id uuid NOT NULL REFERENCES workflows,
    version     integer NOT NULL,
    name        text NOT NULL,
    type        text NOT NULL,
    category    text NOT NULL,
    definition  jsonb NOT NULL,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (workflow_id, version)
);

-- `secrets` holds encrypted texts only.
CREATE TABLE provider_accounts (
    id              uuid PRIMARY KEY,
    workspace_id    uuid NOT NULL REFERENCES workspaces,
    channel         text NOT NULL,
    provider        text NOT NULL,
    name            text NOT NULL,
    config          jsonb NOT NULL DEFAULT '{}',
    secrets         jsonb NOT NULL DEFAULT '{}',
    rate_per_second double precision,
    is_default      boolean NOT NULL DEFAULT false,
    revision        integer NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    UNIQUE (workspace_id, channel, name)
);
CREATE UNIQUE INDEX default_provider_account ON provider_accounts (workspace_id, channel) WHERE is_default;

CREATE TABLE suppressions (
    workspace_id uuid NOT NULL REFERENCES workspaces,
    channel      text NOT NULL,
    address      text NOT NULL,
    reason       text NOT NULL,
    detail       text,
    id           uuid NOT NULL,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, channel, address, reason)
);
CREATE UNIQUE INDEX suppressions_in_order ON suppressions (workspace_id, id);
