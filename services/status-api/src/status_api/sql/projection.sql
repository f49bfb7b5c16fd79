-- Statements that write. All of them take locks in one order, so that no two can wait for each other: jobs, executions,
-- triggers, those of waits.sql, versions, unsent, reasons, receipt_deadlines; and within a table by key.

-- name: fold_jobs
-- One entry a job ($1-$5, each job once), one a course ($6-$14) and one an execution ($15-$20); $21 is the receipt
-- deadline in milliseconds. A course is what jobs have in common; $2 says which a job has, counted from 1.
-- Joins what is new into the jobs, and moves the counters by exactly what moved. Returns the triggers that changed.
WITH course AS MATERIALIZED (
    SELECT c.place, c.execution_id, c.progress, c.message, c.engagements, c.segments, c.sent_at, c.until, c.cost_micros,
           c.timeline::jsonb AS timeline
    FROM unnest($6::uuid[], $7::integer[], $8::smallint[], $9::smallint[], $10::integer[], $11::bigint[],
                $12::bigint[], $13::bigint[], $14::text[]) WITH ORDINALITY
         AS c (execution_id, progress, message, engagements, segments, sent_at, until, cost_micros, timeline, place)
),
moved AS (
    INSERT INTO jobs AS j (execution_id, seq, progress, message, engagements, segments, sent_at, until, cost_micros,
                           external_id, address, timeline)
    SELECT c.execution_id, i.seq, c.progress, c.message, c.engagements, c.segments, c.sent_at, c.until, c.cost_micros,
           i.external_id, i.address, coalesce(c.timeline, i.timeline)
    FROM ROWS FROM (
        unnest($1::integer[]), unnest($2::integer[]), json_array_elements_text($3::json),
        json_array_elements_text($4::json), jsonb_array_elements($5::jsonb)
    ) AS i (seq, course, external_id, address, timeline)
    JOIN course AS c ON c.place = i.course
    ORDER BY c.execution_id, i.seq
    ON CONFLICT (execution_id, seq) DO UPDATE SET
        progress = greatest(j.progress, excluded.progress),
        message = greatest(j.message, excluded.message),
        engagements = j.engagements | excluded.engagements,
        segments = greatest(j.segments, excluded.segments),
        sent_at = least(j.sent_at, excluded.sent_at),
        until = greatest(j.until, excluded.until),
        cost_micros = greatest(j.cost_micros, excluded.cost_micros),
        external_id = greatest(j.external_id, excluded.external_id),
        address = greatest(j.address, excluded.address),
        timeline = CASE
            WHEN j.timeline || excluded.timeline = excluded.timeline || j.timeline THEN j.timeline || excluded.timeline
            ELSE earliest_entries(j.timeline, excluded.timeline)
        END
    WHERE excluded.progress > j.progress
       OR excluded.message > j.message
       OR excluded.engagements & ~j.engagements <> 0
       OR j.timeline || excluded.timeline <> j.timeline
          AND (j.timeline || excluded.timeline = excluded.timeline || j.timeline
               OR earliest_entries(j.timeline, excluded.timeline) <> j.timeline)
       OR least(j.sent_at, excluded.sent_at) IS DISTINCT FROM j.sent_at
       OR greatest(j.until, excluded.until) IS DISTINCT FROM j.until
       OR greatest(j.segments, excluded.segments) IS DISTINCT FROM j.segments
       OR greatest(j.cost_micros, excluded.cost_micros) IS DISTINCT FROM j.cost_micros
       OR greatest(j.external_id, excluded.external_id) IS DISTINCT FROM j.external_id
       OR greatest(j.address, excluded.address) IS DISTINCT FROM j.address
    RETURNING
        new.execution_id,
        new.seq,
        new.sent_at,
        coalesce(state_in(old.progress), -1) AS was,
        state_in(new.progress) AS is_now,
        coalesce(old.message, 0) AS was_message,
        new.message,
        coalesce(old.engagements, 0) AS was_engagements,
        new.engagements,
        CASE WHEN state_in(new.progress) = 7 THEN coalesce(new.segments, 0) ELSE 0 END
            - CASE WHEN state_in(old.progress) = 7 THEN coalesce(old.segments, 0) ELSE 0 END AS segments,
        CASE WHEN state_in(new.progress) = 7 THEN coalesce(new.cost_micros, 0) ELSE 0 END
            - CASE WHEN state_in(old.progress) = 7 THEN coalesce(old.cost_micros, 0) ELSE 0 END AS cost_micros,
        CASE WHEN state_in(old.progress) IN (4, 5, 6) THEN old.timeline -> old.progress::text END AS was_entry,
        CASE WHEN state_in(new.progress) IN (4, 5, 6) THEN new.timeline -> new.progress::text END AS entry
),
kinds AS (
    SELECT execution_id, was, is_now, was_message, message, was_engagements, engagements,
           count(*) AS n, sum(segments) AS segments, sum(cost_micros) AS cost_micros
    FROM moved
    GROUP BY execution_id, was, is_now, was_message, message, was_engagements, engagements
),
deltas AS (
    SELECT execution_id,
           sum(n * ((is_now = 1)::integer - (was = 1)::integer)) AS held,
           sum(n * ((is_now = 4)::integer - (was = 4)::integer)) AS cancelled,
           sum(n * ((is_now = 5)::integer - (was = 5)::integer)) AS filtered,
           sum(n * ((is_now = 6)::integer - (was = 6)::integer)) AS failed,
           sum(n * ((is_now = 7)::integer - (was = 7)::integer)) AS sent,
           sum(n * ((message = 1)::integer - (was_message = 1)::integer)) AS message_accepted,
           sum(n * ((message = 2)::integer - (was_message = 2)::integer)) AS message_sent,
           sum(n * ((message = 3)::integer - (was_message = 3)::integer)) AS message_unknown,
           sum(n * ((message = 4)::integer - (was_message = 4)::integer)) AS message_expired,
           sum(n * ((message = 5)::integer - (was_message = 5)::integer)) AS message_rejected,
           sum(n * ((message = 6)::integer - (was_message = 6)::integer)) AS message_undelivered,
           sum(n * ((message = 7)::integer - (was_message = 7)::integer)) AS message_bounced,
           sum(n * ((message = 8)::integer - (was_message = 8)::integer)) AS message_delivered,
           sum(n * ((message = 9)::integer - (was_message = 9)::integer)) AS message_read,
           sum(n * ((engagements & 1) - (was_engagements & 1))) AS opened,
           sum(n * ((engagements >> 1 & 1) - (was_engagements >> 1 & 1))) AS clicked,
           sum(n * ((engagements >> 2 & 1) - (was_engagements >> 2 & 1))) AS replied,
           sum(n * ((engagements >> 3 & 1) - (was_engagements >> 3 & 1))) AS complained,
           sum(n * ((engagements >> 4 & 1) - (was_engagements >> 4 & 1))) AS unsubscribed,
           sum(segments) AS segments,
           sum(cost_micros) AS cost_micros
    FROM kinds
    GROUP BY execution_id
),
counted AS (
    INSERT INTO executions AS e (
        execution_id, trigger_id, workspace_id, channel, epoch, last_ended_at, held, cancelled, filtered, failed, sent,
        message_accepted, message_sent, message_unknown, message_expired, message_rejected, message_undelivered,
        message_bounced, message_delivered, message_read, opened, clicked, replied, complained, unsubscribed, segments,
        cost_micros)
    SELECT t.execution_id, t.trigger_id, t.workspace_id, t.channel, t.epoch, to_timestamp(t.last_ended_at / 1000.0),
           coalesce(d.held, 0), coalesce(d.cancelled, 0), coalesce(d.filtered, 0), coalesce(d.failed, 0),
           coalesce(d.sent, 0), coalesce(d.message_accepted, 0), coalesce(d.message_sent, 0),
           coalesce(d.message_unknown, 0), coalesce(d.message_expired, 0), coalesce(d.message_rejected, 0),
           coalesce(d.message_undelivered, 0), coalesce(d.message_bounced, 0), coalesce(d.message_delivered, 0),
           coalesce(d.message_read, 0), coalesce(d.opened, 0), coalesce(d.clicked, 0), coalesce(d.replied, 0),
           coalesce(d.complained, 0), coalesce(d.unsubscribed, 0), coalesce(d.segments, 0), coalesce(d.cost_micros, 0)
    FROM unnest($15::uuid[], $16::uuid[], $17::uuid[], $18::text[], $19::integer[], $20::bigint[])
         AS t (execution_id, trigger_id, workspace_id, channel, epoch, last_ended_at)
    LEFT JOIN deltas d USING (execution_id)
    ORDER BY t.execution_id
    ON CONFLICT (execution_id) DO UPDATE SET
        channel = greatest(e.channel, excluded.channel),
        epoch = greatest(e.epoch, excluded.epoch),
        last_ended_at = greatest(e.last_ended_at, excluded.last_ended_at),
        held = e.held + excluded.held,
        cancelled = e.cancelled + excluded.cancelled,
        filtered = e.filtered + excluded.filtered,
        failed = e.failed + excluded.failed,
        sent = e.sent + excluded.sent,
        message_accepted = e.message_accepted + excluded.message_accepted,
        message_sent = e.message_sent + excluded.message_sent,
        message_unknown = e.message_unknown + excluded.message_unknown,
        message_expired = e.message_expired + excluded.message_expired,
        message_rejected = e.message_rejected + excluded.message_rejected,
        message_undelivered = e.message_undelivered + excluded.message_undelivered,
        message_bounced = e.message_bounced + excluded.message_bounced,
        message_delivered = e.message_delivered + excluded.message_delivered,
        message_read = e.message_read + excluded.message_read,
        opened = e.opened + excluded.opened,
        clicked = e.clicked + excluded.clicked,
        replied = e.replied + excluded.replied,
        complained = e.complained + excluded.complained,
        unsubscribed = e.unsubscribed + excluded.unsubscribed,
        segments = e.segments + excluded.segments,
        cost_micros = e.cost_micros + excluded.cost_micros
    RETURNING e.execution_id, e.trigger_id, e.workspace_id, old IS DISTINCT FROM new AS changed
),
exits AS (
    SELECT execution_id, seq, was AS state, was_entry AS entry, -1 AS n
    FROM moved WHERE was_entry IS NOT NULL
    UNION ALL
    SELECT execution_id, seq, is_now, entry, 1
    FROM moved WHERE entry IS NOT NULL
),
reasoned AS (
    SELECT execution_id, seq, state, n,
           coalesce(entry ->> 1, 'unknown') AS code,
           CASE WHEN state = 6 THEN '' ELSE coalesce(entry ->> 2, '') END AS sentence
    FROM exits
),
reason_moves AS (
    SELECT execution_id, seq, state, code, sentence,
           hashtextextended(code || chr(31) || sentence, 0) AS reason, sum(n) AS n
    FROM reasoned
    GROUP BY execution_id, seq, state, code, sentence
    HAVING sum(n) <> 0
),
listed AS (
    INSERT INTO unsent AS u (execution_id, state, reason, seq, present)
    SELECT execution_id, state, reason, seq, bool_or(n > 0)
    FROM reason_moves
    GROUP BY execution_id, state, seq, reason
    ORDER BY execution_id, state, seq, reason
    ON CONFLICT (execution_id, state, seq, reason) DO UPDATE SET present = excluded.present
),
tallied AS (
    INSERT INTO reasons AS r (execution_id, state, reason, code, sentence, n)
    SELECT execution_id, state, reason, min(code), min(sentence), sum(n)
    FROM reason_moves
    GROUP BY execution_id, state, reason
    ORDER BY execution_id, state, reason
    ON CONFLICT (execution_id, state, reason) DO UPDATE SET n = r.n + excluded.n
),
awaited AS (
    INSERT INTO receipt_deadlines AS r (execution_id, page, due_at)
    SELECT execution_id, seq / 200, min(sent_at) + $21::bigint
    FROM moved
    WHERE is_now = 7 AND was <> 7 AND message <= 2
    GROUP BY execution_id, seq / 200
    ORDER BY execution_id, seq / 200
    ON CONFLICT (execution_id, page) DO UPDATE SET due_at = excluded.due_at WHERE excluded.due_at < r.due_at
)
INSERT INTO versions AS v (trigger_id, workspace_id)
SELECT DISTINCT ON (c.trigger_id) c.trigger_id, c.workspace_id
FROM counted c
LEFT JOIN deltas d USING (execution_id)
WHERE c.changed OR d.execution_id IS NOT NULL
ORDER BY c.trigger_id
ON CONFLICT (trigger_id) DO UPDATE SET version = v.version + 1
RETURNING v.trigger_id

-- name: fold_executions
-- $1 is a JSON array of execution facts, each execution once. Returns the triggers that changed.
WITH folded AS (
    INSERT INTO executions AS e (
        execution_id, trigger_id, workspace_id, channel, step_id, step_order, step_name, delay_minutes, scheduled_for,
        started_at, expected, commanded_at, commanded_total, never_commanded)
    SELECT execution_id, trigger_id, workspace_id, channel, step_id, step_order, step_name, delay_minutes,
           scheduled_for, started_at, expected, commanded_at, commanded_total, never_commanded
    FROM jsonb_populate_recordset(NULL::executions, $1::jsonb)
    ORDER BY execution_id
    ON CONFLICT (execution_id) DO UPDATE SET
        channel = greatest(e.channel, excluded.channel),
        step_id = greatest(e.step_id, excluded.step_id),
        step_order = greatest(e.step_order, excluded.step_order),
        step_name = greatest(e.step_name, excluded.step_name),
        delay_minutes = greatest(e.delay_minutes, excluded.delay_minutes),
        scheduled_for = least(e.scheduled_for, excluded.scheduled_for),
        started_at = least(e.started_at, excluded.started_at),
        expected = greatest(e.expected, excluded.expected),
        commanded_at = least(e.commanded_at, excluded.commanded_at),
        commanded_total = greatest(e.commanded_total, excluded.commanded_total),
        never_commanded = greatest(e.never_commanded, excluded.never_commanded)
    RETURNING e.trigger_id, e.workspace_id, old IS DISTINCT FROM new AS changed
)
SELECT DISTINCT trigger_id, workspace_id FROM folded WHERE changed

-- name: fold_triggers
-- $1 is a JSON array of trigger facts, each trigger once. Returns the triggers that changed.
WITH folded AS (
    INSERT INTO triggers AS t (
        trigger_id, workspace_id, accepted_at, lane, category, flow_type, channel, trigger_source, campaign_name,
        metadata, stream_id, scheduled_at, dry_run, requested_contacts, planned_at, starts_at, workflow_type, workflow_id,
        workflow_name, workflow_execution_id, template_group_id, estimated_contacts, counted_contacts, cancelled_at,
        paused_at, resumed_at, failed_at, failure_code, failure_detail)
    SELECT trigger_id, workspace_id, accepted_at, lane, category, flow_type, channel, trigger_source, campaign_name,
           metadata, stream_id, scheduled_at, dry_run, requested_contacts, planned_at, starts_at, workflow_type, workflow_id,
           workflow_name, workflow_execution_id, template_group_id, estimated_contacts, counted_contacts, cancelled_at,
           paused_at, resumed_at, failed_at, failure_code, failure_detail
    FROM jsonb_populate_recordset(NULL::triggers, $1::jsonb)
    ORDER BY trigger_id
    ON CONFLICT (trigger_id) DO UPDATE SET
        accepted_at = least(t.accepted_at, excluded.accepted_at),
        lane = greatest(t.lane, excluded.lane),
        category = greatest(t.category, excluded.category),
        flow_type = greatest(t.flow_type, excluded.flow_type),
        channel = greatest(t.channel, excluded.channel),
        trigger_source = greatest(t.trigger_source, excluded.trigger_source),
        campaign_name = greatest(t.campaign_name, excluded.campaign_name),
        metadata = greatest(t.metadata, excluded.metadata),
        stream_id = greatest(t.stream_id, excluded.stream_id),
        scheduled_at = greatest(t.scheduled_at, excluded.scheduled_at),
        dry_run = greatest(t.dry_run, excluded.dry_run),
        requested_contacts = greatest(t.requested_contacts, excluded.requested_contacts),
        planned_at = least(t.planned_at, excluded.planned_at),
        starts_at = least(t.starts_at, excluded.starts_at),
        workflow_type = greatest(t.workflow_type, excluded.workflow_type),
        workflow_id = greatest(t.workflow_id, excluded.workflow_id),
        workflow_name = greatest(t.workflow_name, excluded.workflow_name),
        workflow_execution_id = greatest(t.workflow_execution_id, excluded.workflow_execution_id),
        template_group_id = greatest(t.template_group_id, excluded.template_group_id),
        estimated_contacts = greatest(t.estimated_contacts, excluded.estimated_contacts),
        counted_contacts = greatest(t.counted_contacts, excluded.counted_contacts),
        cancelled_at = least(t.cancelled_at, excluded.cancelled_at),
        paused_at = greatest(t.paused_at, excluded.paused_at),
        resumed_at = greatest(t.resumed_at, excluded.resumed_at),
        failed_at = least(t.failed_at, excluded.failed_at),
        failure_code = greatest(t.failure_code, excluded.failure_code),
        failure_detail = greatest(t.failure_detail, excluded.failure_detail)
    RETURNING t.trigger_id, t.workspace_id, old IS DISTINCT FROM new AS changed
)
SELECT trigger_id, workspace_id FROM folded WHERE changed

-- name: bump_versions
-- The triggers $1, each once, of the workspaces $2 have changed.
INSERT INTO versions AS v (trigger_id, workspace_id)
SELECT trigger_id, workspace_id FROM unnest($1::uuid[], $2::uuid[]) AS t (trigger_id, workspace_id)
ORDER BY trigger_id
ON CONFLICT (trigger_id) DO UPDATE SET version = v.version + 1

-- name: elect_sweeper
-- Whether this transaction is the one that sweeps.
SELECT pg_try_advisory_xact_lock(hashtext('status.receipt_deadlines'))

-- name: due_pages
-- Up to $2 pages whose deadline is at or before $1 (Unix milliseconds).
SELECT d.execution_id, d.page, e.trigger_id, e.workspace_id, e.channel
FROM receipt_deadlines d
JOIN executions e USING (execution_id)
WHERE d.due_at <= $1
ORDER BY d.due_at
LIMIT $2

-- name: overdue_jobs
-- The jobs of positions $2 up to $3 that were sent at or before $4 and that nobody has answered for.
SELECT seq, progress, sent_at
FROM jobs
WHERE execution_id = $1 AND seq >= $2 AND seq < $3
  AND state_in(progress) = 7 AND message <= 2 AND sent_at <= $4
ORDER BY seq

-- name: lock_executions
-- Nothing else counts for these executions until the transaction ends.
SELECT 1 FROM executions WHERE execution_id = ANY($1::uuid[]) ORDER BY execution_id FOR UPDATE

-- name: first_awaiting
-- When the first of positions $2 up to $3 that nobody has answered for was sent, NULL if there is none.
SELECT min(sent_at) FROM jobs
WHERE execution_id = $1 AND seq >= $2 AND seq < $3 AND state_in(progress) = 7 AND message <= 2

-- name: postpone_deadline
UPDATE receipt_deadlines SET due_at = $3 WHERE execution_id = $1 AND page = $2

-- name: lift_deadline
DELETE FROM receipt_deadlines WHERE execution_id = $1 AND page = $2

-- name: oldest_unfinished
-- When the oldest execution that is not at its end was started; one that is open because people wait for an event is not
-- late.
SELECT min(started_at) FROM executions
WHERE started_at IS NOT NULL
  AND (commanded_total IS NULL OR commanded_total > sent + failed + filtered + cancelled + coalesce(never_commanded, 0))
  AND (commanded_total IS NOT NULL OR NOT EXISTS (
      SELECT FROM wait_steps w WHERE w.trigger_id = executions.trigger_id
      HAVING sum(w.waiting) > 0
         AND sum(w.waiting) + executions.sent + executions.failed + executions.filtered + executions.cancelled
             >= executions.expected))
