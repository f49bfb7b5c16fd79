-- What became of events: one row an event, written once, removed when it is old.
CREATE TABLE events (
    event_id     uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    name         text NOT NULL,
    external_id  text,
    source       text NOT NULL,
    occurred_at  timestamptz NOT NULL,
    accepted_at  timestamptz NOT NULL,
    evaluated_at timestamptz NOT NULL,
    outcome      text NOT NULL,
    waits        integer NOT NULL,
    rules        jsonb NOT NULL
);
CREATE INDEX events_of_workspace ON events (workspace_id, accepted_at, event_id);
CREATE INDEX events_by_age ON events (accepted_at);
