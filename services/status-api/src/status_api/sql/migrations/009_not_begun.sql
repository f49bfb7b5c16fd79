-- What was accepted and is not planned, or was planned and has not started: little at any time.
CREATE INDEX triggers_unplanned ON triggers (accepted_at) WHERE planned_at IS NULL AND failed_at IS NULL;

CREATE INDEX executions_unstarted ON executions (scheduled_for) WHERE started_at IS NULL;
