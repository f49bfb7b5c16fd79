-- Who has started the workflow of a rule that limits that, and when last. Small: only for such rules.
CREATE TABLE rule_entries (
    rule_id     uuid NOT NULL,
    external_id text NOT NULL,
    event_id    uuid NOT NULL,
    entered_at  timestamptz NOT NULL,
    PRIMARY KEY (rule_id, external_id)
);
