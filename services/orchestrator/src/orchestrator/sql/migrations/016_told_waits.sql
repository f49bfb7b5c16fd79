-- Who waits, since when, and when that was over, so that it can be told. Waits from before are told by what they have.
ALTER TABLE waits ADD COLUMN external_id text;
ALTER TABLE waits ADD COLUMN opened_at timestamptz;
ALTER TABLE waits ADD COLUMN ended_at timestamptz;

-- A wait that is over is due no more. The index then serves the question what is due and none about a wait that is
-- known: of an empty table the planner finds the smallest index best, and keeps to it while the table grows.
ALTER TABLE waits ALTER COLUMN due_at DROP NOT NULL;
UPDATE waits SET due_at = NULL WHERE outcome IS NOT NULL;
DROP INDEX waits_due;
CREATE INDEX waits_due ON waits (due_at) WHERE due_at IS NOT NULL;
