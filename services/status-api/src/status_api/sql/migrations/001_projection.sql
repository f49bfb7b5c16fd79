-- What dashboards read. Every row is made by whichever message comes first, and every column is joined by an operation
-- that is commutative, associative and idempotent: replaying or shuffling a topic changes nothing.

-- One row a trigger. It is shown once `accepted_at` is known. `metadata` is canonical JSON; texts compare by code point
-- so that the greatest of two is the same here and in Python.
CREATE TABLE triggers (
    trigger_id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    accepted_at timestamptz,
    lane text COLLATE "C",
    category text COLLATE "C",
    flow_type text COLLATE "C",
    channel text COLLATE "C",
    trigger_source text COLLATE "C",
    campaign_name text COLLATE "C",
    metadata text COLLATE "C",
    scheduled_at timestamptz,
    dry_run boolean,
    requested_contacts integer,
    planned_at timestamptz,
    starts_at timestamptz,
    workflow_type text COLLATE "C",
    workflow_id uuid,
    workflow_name text COLLATE "C",
    workflow_execution_id uuid,
    template_group_id uuid,
    estimated_contacts bigint,
    counted_contacts bigint,
    cancelled_at timestamptz,
    paused_at timestamptz,
    resumed_at timestamptz,
    failed_at timestamptz,
    failure_code text COLLATE "C",
    failure_detail text COLLATE "C"
) WITH (fillfactor = 70);

CREATE INDEX triggers_by_time ON triggers (workspace_id, accepted_at DESC, trigger_id DESC) WHERE accepted_at IS NOT NULL;

-- Grows whenever anything that a reader of the trigger could see has changed. It begins at the time of its creation, in
-- microseconds, so that a projection that is built anew never shows an old version for other content.
CREATE TABLE versions (
    trigger_id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    version bigint NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
) WITH (fillfactor = 50);

-- One row an execution: what was planned, and counters that change by exactly the moves of its jobs.
-- `never_commanded` jobs were cancelled before they were commanded and have no rows.
CREATE TABLE executions (
    execution_id uuid PRIMARY KEY,
    trigger_id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    channel text COLLATE "C",
    step_id text COLLATE "C",
    step_order integer,
    step_name text COLLATE "C",
    delay_minutes integer,
    scheduled_for timestamptz,
    started_at timestamptz,
    expected bigint,
    commanded_at timestamptz,
    commanded_total bigint,
    never_commanded bigint,
    last_ended_at timestamptz,
    epoch integer NOT NULL DEFAULT 0,
    held bigint NOT NULL DEFAULT 0,
    cancelled bigint NOT NULL DEFAULT 0,
    filtered bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    sent bigint NOT NULL DEFAULT 0,
    message_accepted bigint NOT NULL DEFAULT 0,
    message_sent bigint NOT NULL DEFAULT 0,
    message_unknown bigint NOT NULL DEFAULT 0,
    message_expired bigint NOT NULL DEFAULT 0,
    message_rejected bigint NOT NULL DEFAULT 0,
    message_undelivered bigint NOT NULL DEFAULT 0,
    message_bounced bigint NOT NULL DEFAULT 0,
    message_delivered bigint NOT NULL DEFAULT 0,
    message_read bigint NOT NULL DEFAULT 0,
    opened bigint NOT NULL DEFAULT 0,
    clicked bigint NOT NULL DEFAULT 0,
    replied bigint NOT NULL DEFAULT 0,
    complained bigint NOT NULL DEFAULT 0,
    unsubscribed bigint NOT NULL DEFAULT 0,
    segments bigint NOT NULL DEFAULT 0,
    cost_micros bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE INDEX executions_by_trigger ON executions (trigger_id);

-- Started and not at their end. Their counters are in the predicate, so an update of those costs this index a
-- version; there is one such update a batch, not one a job.
CREATE INDEX executions_unfinished ON executions (started_at)
    WHERE started_at IS NOT NULL
      AND (commanded_total IS NULL
           OR commanded_total > sent + failed + filtered + cancelled + coalesce(never_commanded, 0));

-- One row a job that something was reported about. No state stands in any index, so that updates stay in their page.
-- `progress` is explained in domain/progress.py, `timeline` in domain/fold.py; times are Unix milliseconds.
CREATE TABLE jobs (
    execution_id uuid NOT NULL,
    seq integer NOT NULL,
    progress integer NOT NULL,
    message smallint NOT NULL,
    engagements smallint NOT NULL,
    segments integer,
    sent_at bigint,
    until bigint,
    cost_micros bigint,
    external_id text COLLATE "C",
    address text COLLATE "C",
    timeline jsonb NOT NULL,
    PRIMARY KEY (execution_id, seq)
) WITH (fillfactor = 48);

-- A contact by its external id, somebody without one by the bare address.
CREATE INDEX jobs_by_person ON jobs (execution_id, coalesce(external_id, address));

-- Jobs that ended without being sent (4 cancelled, 5 filtered, 6 failed), by reason, so that the few among many are
-- found at once. A job that came out of such a state again leaves its row, no longer `present`.
CREATE TABLE unsent (
    execution_id uuid NOT NULL,
    state smallint NOT NULL,
    reason bigint NOT NULL,
    seq integer NOT NULL,
    present boolean NOT NULL,
    PRIMARY KEY (execution_id, state, seq, reason)
) WITH (fillfactor = 90);

CREATE INDEX unsent_by_reason ON unsent (execution_id, state, reason, seq);

-- How many jobs ended unsent for each reason. `reason` is a hash of code and sentence; failures are counted by code
-- alone, for a provider's sentences can be as many as its messages.
CREATE TABLE reasons (
    execution_id uuid NOT NULL,
    state smallint NOT NULL,
    reason bigint NOT NULL,
    code text NOT NULL,
    sentence text NOT NULL,
    n bigint NOT NULL,
    PRIMARY KEY (execution_id, state, reason)
) WITH (fillfactor = 70);

-- When the messages of a page that nobody has answered for become `unknown`.
CREATE TABLE receipt_deadlines (
    execution_id uuid NOT NULL,
    page integer NOT NULL,
    due_at bigint NOT NULL,
    PRIMARY KEY (execution_id, page)
) WITH (fillfactor = 80);

CREATE INDEX receipt_deadlines_due ON receipt_deadlines (due_at);

-- The job state, as its rank, in a job's progress.
CREATE FUNCTION state_in(progress integer) RETURNS integer
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (progress >> 12) & 7;

-- Of two timelines that differ under one key, what was said first; of two entries at one moment, the lower text.
CREATE FUNCTION earliest_entries(one jsonb, other jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (
        SELECT jsonb_object_agg(chosen.key, chosen.value)
        FROM (
            SELECT DISTINCT ON (entries.key) entries.key, entries.value
            FROM (SELECT * FROM jsonb_each(one) UNION ALL SELECT * FROM jsonb_each(other)) AS entries
            ORDER BY entries.key,
                     (entries.value ->> 0)::bigint,
                     coalesce(entries.value ->> 1, '') COLLATE "C",
                     coalesce(entries.value ->> 2, '') COLLATE "C",
                     coalesce(entries.value ->> 3, '') COLLATE "C",
                     coalesce(entries.value ->> 4, '') COLLATE "C"
        ) AS chosen
    );
