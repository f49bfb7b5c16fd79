-- name: enrolled
-- How many contacts the triggers of the workflows $2 have, by workflow.
SELECT workflow_id, sum(coalesce(counted_contacts, requested_contacts, 0))::bigint AS enrolled
FROM triggers
WHERE workspace_id = $1 AND workflow_id = ANY($2::uuid[]) AND accepted_at IS NOT NULL
GROUP BY workflow_id

-- name: step_counts
-- The counters of all executions of the workflows $2, by workflow, step and channel.
SELECT workflow_id, step_id, channel,
       coalesce(sum(over) FILTER (WHERE step_order = first_order), 0)::bigint AS first,
       coalesce(sum(over) FILTER (WHERE step_order = last_order), 0)::bigint AS last,
       sum(sent)::bigint AS sent,
       sum(message_delivered + message_read)::bigint AS delivered,
       sum(opened)::bigint AS opened,
       sum(clicked)::bigint AS clicked,
       sum(message_undelivered + message_expired)::bigint AS undelivered,
       sum(message_bounced + message_rejected)::bigint AS bounced
FROM (
    SELECT t.workflow_id, e.*, e.sent + e.failed + e.filtered + e.cancelled + coalesce(e.never_commanded, 0) AS over,
           min(e.step_order) OVER (PARTITION BY e.trigger_id) AS first_order,
           max(e.step_order) OVER (PARTITION BY e.trigger_id) AS last_order
    FROM triggers t
    JOIN executions e USING (trigger_id)
    WHERE t.workspace_id = $1 AND t.workflow_id = ANY($2::uuid[]) AND e.channel IS NOT NULL
) AS planned
GROUP BY workflow_id, step_id, channel
ORDER BY workflow_id, step_id, channel
