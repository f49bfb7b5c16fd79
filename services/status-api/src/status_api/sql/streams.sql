-- name: sending
-- The streams of a workspace of which something is on its way.
SELECT DISTINCT t.stream_id
FROM executions e
JOIN triggers t USING (trigger_id)
WHERE e.workspace_id = $1 AND e.started_at IS NOT NULL
  AND (e.commanded_total IS NULL
       OR e.commanded_total > e.sent + e.failed + e.filtered + e.cancelled + coalesce(e.never_commanded, 0))
  AND t.stream_id IS NOT NULL AND t.failed_at IS NULL
UNION
SELECT stream_id FROM triggers
WHERE workspace_id = $1 AND stream_id IS NOT NULL AND planned_at IS NULL AND failed_at IS NULL
  AND accepted_at IS NOT NULL AND cancelled_at IS NULL

-- name: messages_of_stream
-- What the events of stream $2 that were accepted from $3 up to but not at $4 came to; tests are not counted.
SELECT count(DISTINCT t.trigger_id) AS triggers,
       coalesce(sum(greatest(coalesce(e.commanded_total, e.expected, 0),
                             e.sent + e.failed + e.filtered + e.cancelled + coalesce(e.never_commanded, 0))), 0)::bigint
           AS total,
       coalesce(sum(e.sent), 0)::bigint AS sent,
       coalesce(sum(e.failed), 0)::bigint AS failed,
       coalesce(sum(e.filtered), 0)::bigint AS filtered,
       coalesce(sum(e.cancelled + coalesce(e.never_commanded, 0)), 0)::bigint AS cancelled,
       coalesce(sum(e.message_delivered + e.message_read), 0)::bigint AS delivered,
       coalesce(sum(e.message_read), 0)::bigint AS read,
       coalesce(sum(e.message_expired + e.message_rejected + e.message_undelivered + e.message_bounced), 0)::bigint
           AS undelivered,
       coalesce(sum(e.message_accepted + e.message_sent + e.message_unknown), 0)::bigint AS awaiting_receipt,
       coalesce(sum(e.clicked), 0)::bigint AS clicked,
       coalesce(sum(e.replied), 0)::bigint AS replied,
       coalesce(sum(e.segments), 0)::bigint AS segments,
       coalesce(sum(e.cost_micros), 0)::bigint AS cost_micros
FROM triggers t
LEFT JOIN executions e ON e.trigger_id = t.trigger_id AND e.channel IS NOT NULL
WHERE t.workspace_id = $1 AND t.stream_id = $2 AND t.accepted_at >= $3 AND t.accepted_at < $4
  AND t.trigger_source <> 'stream_test'
