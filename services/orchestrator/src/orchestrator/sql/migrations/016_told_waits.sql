-- Who waits, since when, and when that was over, so that it can be told. Waits from before are told by what they have.
ALTER TABLE waits ADD COLUMN external_id text;
ALTER TABLE waits ADD COLUMN opened_at timestamptz;
ALTER TABLE waits ADD COLUMN ended_at timestamptz;
