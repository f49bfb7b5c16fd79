-- Triggers whose ids were chosen by callers and count for good: what is left of one once all else of it is forgotten.
CREATE TABLE spent_triggers (
    trigger_id uuid PRIMARY KEY,
    noted_at   timestamptz NOT NULL
);
