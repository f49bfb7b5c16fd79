-- Jobs that receipts have spoken of and whose answer has not come. There are hardly ever any, and the columns of a job
-- that has an answer never change, so that this index costs next to nothing.
CREATE INDEX jobs_nameless ON jobs (execution_id) WHERE address IS NULL AND external_id IS NULL;
