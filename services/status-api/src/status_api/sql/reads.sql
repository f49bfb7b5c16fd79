-- Statements that read. Every one is bound to the caller's workspace.

-- name: versions
-- Of the triggers $2, each of the workspace at the same place in $1.
SELECT t.workspace_id, t.trigger_id, v.version
FROM unnest($1::uuid[], $2::uuid[]) AS asked (workspace_id, trigger_id)
JOIN triggers t ON t.trigger_id = asked.trigger_id AND t.workspace_id = asked.workspace_id
JOIN versions v ON v.trigger_id = t.trigger_id
WHERE t.accepted_at IS NOT NULL

-- name: version_of_execution
SELECT v.version, e.trigger_id, e.channel
FROM executions e
JOIN versions v USING (trigger_id)
JOIN triggers t USING (trigger_id)
WHERE e.execution_id = $1 AND t.workspace_id = $2 AND t.accepted_at IS NOT NULL

-- name: trigger
SELECT t.trigger_id, t.workspace_id, v.version, t.accepted_at, t.flow_type, t.category, t.channel, t.trigger_source,
       t.campaign_name, t.scheduled_at, t.requested_contacts, t.planned_at, t.workflow_type, t.workflow_id,
       t.workflow_name, t.workflow_execution_id, t.template_group_id, t.estimated_contacts, t.counted_contacts,
       t.cancelled_at, t.paused_at, t.resumed_at, t.failed_at, t.failure_code, t.failure_detail
FROM triggers t
JOIN versions v USING (trigger_id)
WHERE t.trigger_id = $1 AND t.workspace_id = $2 AND t.accepted_at IS NOT NULL

-- name: trigger_page
-- Triggers accepted before ($2, $3) and from $4 up to $5, the newest first, perhaps only one flow type ($6) or channel ($7).
SELECT t.trigger_id, t.workspace_id, v.version, t.accepted_at, t.flow_type, t.category, t.channel, t.trigger_source,
       t.campaign_name, t.scheduled_at, t.requested_contacts, t.planned_at, t.workflow_type, t.workflow_id,
       t.workflow_name, t.workflow_execution_id, t.template_group_id, t.estimated_contacts, t.counted_contacts,
       t.cancelled_at, t.paused_at, t.resumed_at, t.failed_at, t.failure_code, t.failure_detail
FROM triggers t
JOIN versions v USING (trigger_id)
WHERE t.workspace_id = $1 AND t.accepted_at IS NOT NULL
  AND (t.accepted_at, t.trigger_id) < ($2::timestamptz, $3::uuid)
  AND t.accepted_at >= $4 AND t.accepted_at < $5
  AND ($6::text IS NULL OR t.flow_type = $6)
  AND ($7::text IS NULL OR t.channel = $7
       OR EXISTS (SELECT FROM executions e WHERE e.trigger_id = t.trigger_id AND e.channel = $7))
ORDER BY t.accepted_at DESC, t.trigger_id DESC
LIMIT $8

-- name: executions
-- The executions of the triggers $1, but for those of which only the existence is known.
SELECT execution_id, trigger_id, channel, step_id, step_order, step_name, delay_minutes, scheduled_for, started_at,
       expected, commanded_at, commanded_total, never_commanded, last_ended_at, epoch, held, cancelled, filtered,
       failed, sent, message_accepted, message_sent, message_unknown, message_expired, message_rejected,
       message_undelivered, message_bounced, message_delivered, message_read, opened, clicked, replied, complained,
       unsubscribed, segments, cost_micros
FROM executions
WHERE trigger_id = ANY($1::uuid[]) AND workspace_id = $2 AND channel IS NOT NULL

-- name: reasons
-- Why jobs of the executions $1 ended unsent, the $2 commonest reasons of each, with the first $3 people concerned.
SELECT r.execution_id, r.state, r.code, r.sentence, r.n, people.contacts
FROM unnest($1::uuid[]) AS x (execution_id)
CROSS JOIN LATERAL (
    SELECT * FROM reasons WHERE reasons.execution_id = x.execution_id AND n > 0 AND state IN (5, 6)
    ORDER BY n DESC, code, sentence
    LIMIT $2
) AS r
CROSS JOIN LATERAL (
    SELECT array_agg(coalesce(j.address, j.external_id) ORDER BY j.seq) AS contacts
    FROM (
        SELECT seq FROM unsent u
        WHERE u.execution_id = r.execution_id AND u.state = r.state AND u.reason = r.reason AND u.present
        ORDER BY seq
        LIMIT $3
    ) AS first
    JOIN jobs j ON j.execution_id = r.execution_id AND j.seq = first.seq
) AS people

-- name: job_page
-- Jobs of execution $1 of workspace $2 behind position $3, in order, perhaps only those in the state of rank $5 or whose
-- message stands at rank $6; beside them what the execution's reader must know of it. One row with an array a column
-- (none where there is no job), for a driver reads fifty values faster than fifty rows.
SELECT v.version, e.channel, page.*
FROM executions e
JOIN versions v USING (trigger_id)
JOIN triggers t USING (trigger_id)
CROSS JOIN LATERAL (
    SELECT array_agg(seq), array_agg(progress), array_agg(message), array_agg(engagements), array_agg(segments),
           array_agg(sent_at), array_agg(until), array_agg(cost_micros), array_agg(external_id), array_agg(address),
           json_agg(timeline)
    FROM (
        SELECT * FROM jobs
        WHERE execution_id = $1 AND seq > $3
          AND ($5::integer IS NULL OR state_in(progress) = $5) AND ($6::integer IS NULL OR message = $6)
        ORDER BY seq
        LIMIT $4
    ) AS in_order
) AS page
WHERE e.execution_id = $1 AND t.workspace_id = $2 AND t.accepted_at IS NOT NULL

-- name: unsent_job_page
-- The same of the jobs that ended unsent in the state of rank $5, which are found at once among any number of others.
SELECT v.version, e.channel, page.*
FROM executions e
JOIN versions v USING (trigger_id)
JOIN triggers t USING (trigger_id)
CROSS JOIN LATERAL (
    SELECT array_agg(seq), array_agg(progress), array_agg(message), array_agg(engagements), array_agg(segments),
           array_agg(sent_at), array_agg(until), array_agg(cost_micros), array_agg(external_id), array_agg(address),
           json_agg(timeline)
    FROM (
        SELECT j.*
        FROM (
            SELECT seq FROM unsent
            WHERE execution_id = $1 AND state = $5 AND seq > $3 AND present
            ORDER BY seq
            LIMIT $4
        ) AS u
        JOIN jobs j ON j.execution_id = $1 AND j.seq = u.seq
        ORDER BY u.seq
    ) AS in_order
) AS page
WHERE e.execution_id = $1 AND t.workspace_id = $2 AND t.accepted_at IS NOT NULL

-- name: jobs_of_person
-- The jobs of one person in the executions $1.
SELECT execution_id, seq, progress, message, engagements, segments, sent_at, until, cost_micros, external_id, address,
       timeline
FROM jobs
WHERE execution_id = ANY($1::uuid[]) AND coalesce(external_id, address) = $2
ORDER BY execution_id, seq
LIMIT 200

-- name: failed_jobs
-- The positions and the progress of failed jobs of execution $1 behind $2, in order.
SELECT seq, progress FROM unsent JOIN jobs USING (execution_id, seq)
WHERE execution_id = $1 AND state = 6 AND present AND seq > $2
ORDER BY seq
LIMIT $3

-- name: sandbox_sms
SELECT m.call_id * 64 + m.place AS id, m.address, m.sender, m.subject, m.text, m.html, m.headers, c.trigger_id, m.job_id,
       c.at
FROM channel_sms.sandbox_messages m
JOIN channel_sms.sandbox_calls c ON c.id = m.call_id
WHERE c.workspace_id = $1 AND m.accepted AND (m.call_id, m.place) < ($2::bigint / 64, $2::bigint % 64)
  AND ($3::text IS NULL OR m.address = $3) AND ($4::uuid IS NULL OR c.trigger_id = $4)
ORDER BY m.call_id DESC, m.place DESC
LIMIT $5

-- name: sandbox_email
SELECT m.call_id * 64 + m.place AS id, m.address, m.sender, m.subject, m.text, m.html, m.headers, c.trigger_id, m.job_id,
       c.at
FROM channel_email.sandbox_messages m
JOIN channel_email.sandbox_calls c ON c.id = m.call_id
WHERE c.workspace_id = $1 AND m.accepted AND (m.call_id, m.place) < ($2::bigint / 64, $2::bigint % 64)
  AND ($3::text IS NULL OR m.address = $3) AND ($4::uuid IS NULL OR c.trigger_id = $4)
ORDER BY m.call_id DESC, m.place DESC
LIMIT $5

-- name: sandbox_whatsapp
SELECT m.call_id * 64 + m.place AS id, m.address, m.sender, m.subject, m.text, m.html, m.headers, c.trigger_id, m.job_id,
       c.at
FROM channel_whatsapp.sandbox_messages m
JOIN channel_whatsapp.sandbox_calls c ON c.id = m.call_id
WHERE c.workspace_id = $1 AND m.accepted AND (m.call_id, m.place) < ($2::bigint / 64, $2::bigint % 64)
  AND ($3::text IS NULL OR m.address = $3) AND ($4::uuid IS NULL OR c.trigger_id = $4)
ORDER BY m.call_id DESC, m.place DESC
LIMIT $5
