-- Streams: named ways in, each with tokens, templates by event key, and counts of what came and what was refused.

CREATE TABLE streams (
    id           uuid PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES workspaces,
    key          text NOT NULL,
    name         text NOT NULL,
    type         text NOT NULL,
    status       text NOT NULL CHECK (status IN ('draft', 'ready', 'disabled')),
    tags         text[] NOT NULL DEFAULT '{}',
    workflow_id  uuid,
    template_key text,
    allowed_ips  text[] NOT NULL DEFAULT '{}',
    settings     jsonb NOT NULL DEFAULT '{}',
    revision     integer NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    UNIQUE (workspace_id, key)
);
CREATE INDEX streams_in_order ON streams (workspace_id, id);

-- A token that another has taken the place of works until `expires_at`.
CREATE TABLE stream_tokens (
    id            uuid PRIMARY KEY,
    stream_id     uuid NOT NULL REFERENCES streams ON DELETE CASCADE,
    workspace_id  uuid NOT NULL,
    hint          text NOT NULL,
    secret_sha256 bytea NOT NULL UNIQUE,
    created_at    timestamptz NOT NULL,
    expires_at    timestamptz
);
CREATE INDEX tokens_of_stream ON stream_tokens (stream_id, id);

-- What a stream says when a request names an event key.
CREATE TABLE stream_events (
    id           uuid PRIMARY KEY,
    stream_id    uuid NOT NULL REFERENCES streams ON DELETE CASCADE,
    key          text NOT NULL,
    name         text NOT NULL,
    text         text,
    template_key text,
    revision     integer NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    UNIQUE (stream_id, key)
);
CREATE INDEX stream_events_in_order ON stream_events (stream_id, id);

-- Kept in batches, some moments after the fact. A day is a calendar day in UTC.
CREATE TABLE stream_days (
    stream_id uuid NOT NULL REFERENCES streams ON DELETE CASCADE,
    day       date NOT NULL,
    accepted  bigint NOT NULL,
    last_at   timestamptz NOT NULL,
    PRIMARY KEY (stream_id, day)
);

-- `address` is empty where too many different ones were refused on a day to keep them all.
CREATE TABLE stream_refusals (
    stream_id uuid NOT NULL REFERENCES streams ON DELETE CASCADE,
    day       date NOT NULL,
    reason    text NOT NULL,
    address   text NOT NULL,
    refused   bigint NOT NULL,
    last_at   timestamptz NOT NULL,
    PRIMARY KEY (stream_id, day, reason, address)
);
