-- What has sent and of which nobody has said that it started: nothing, unless a log was lost.
CREATE INDEX executions_unheard ON executions (execution_id)
WHERE started_at IS NULL AND commanded_total IS NULL AND sent + failed + filtered + cancelled > 0;
