-- Which stream a trigger came in through. What all of a stream's triggers came to is summed up over them, and a stream
-- is sending while one of them has not been planned yet or has an execution that is not at its end.
ALTER TABLE triggers ADD COLUMN stream_id uuid;

CREATE INDEX triggers_of_stream ON triggers (stream_id, accepted_at) WHERE stream_id IS NOT NULL;

CREATE INDEX unplanned_of_streams ON triggers (workspace_id, stream_id)
    WHERE stream_id IS NOT NULL AND planned_at IS NULL AND failed_at IS NULL;
