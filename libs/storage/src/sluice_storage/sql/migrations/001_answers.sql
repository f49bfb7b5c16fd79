-- Answers to requests with an Idempotency-Key, kept for a day. `body` is encrypted: an answer may show a new secret.
CREATE TABLE answers (
    workspace_id uuid NOT NULL,
    key          text NOT NULL,
    fingerprint  bytea NOT NULL,
    status       smallint NOT NULL,
    headers      jsonb NOT NULL,
    body         text NOT NULL,
    answered_at  timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, key)
);
CREATE INDEX answers_by_age ON answers (answered_at);
