-- Times of the schema orchestrator and of receipts run on the services' clock, $1; leases on the database's own.

-- name: present_moment
SELECT clock_timestamp()

-- name: unanswered_commands
-- Sent more than once: nobody answered by the deadline.
SELECT c.trigger_id, e.channel, count(*) AS commands, sum(cardinality(c.seqs)) AS jobs, min(c.opened_at) AS opened_at,
       max(c.sends) AS sends
FROM orchestrator.commands AS c
LEFT JOIN status.executions AS e USING (execution_id)
WHERE c.sends > 1 AND c.due_at < 'infinity'
GROUP BY c.trigger_id, e.channel
ORDER BY min(c.opened_at)
LIMIT 11

-- name: overdue_commands
SELECT count(*) AS commands, min(due_at) AS due_at FROM orchestrator.commands WHERE due_at < $1

-- name: overdue_stages
-- Nothing of theirs is under way, and nobody has taken them up since they could have had their turn.
SELECT count(*) AS stages, min(greatest(due_at, served_at, rest_until, lease_until)) AS due_at,
       (array_agg(trigger_id ORDER BY due_at))[1] AS trigger_id
FROM orchestrator.stages
WHERE greatest(due_at, served_at, rest_until, lease_until) < $1 AND (open = 0 OR ended)

-- name: overdue_waits
-- Waits that nobody has begun or ended, and people whom nobody has let go on, though it was time.
SELECT count(*) AS waits, min(due_at) AS due_at, (array_agg(trigger_id ORDER BY due_at))[1] AS trigger_id
FROM (
    SELECT trigger_id, due_at FROM orchestrator.wait_stages WHERE due_at < $1
    UNION ALL
    SELECT trigger_id, due_at FROM orchestrator.waits WHERE outcome IS NULL AND due_at < $1
    UNION ALL
    SELECT trigger_id, due_at FROM orchestrator.releases WHERE due_at < $1
) AS overdue

-- name: cut_off_waves
-- In a channel's schema: claimed, not recorded, and nobody's any more.
SELECT count(*) AS waves, min(lease) AS lease, (array_agg(trigger_id ORDER BY lease))[1] AS trigger_id
FROM waves WHERE recorded_at IS NULL AND lease < clock_timestamp() - make_interval(secs => $1)

-- name: parked_receipts
SELECT count(*) AS receipts, min(parked_at) AS parked_at FROM parked_receipts WHERE parked_at < $1

-- name: overdue_receipts
SELECT count(*) AS pages, min(due_at) AS due_at FROM status.receipt_deadlines WHERE due_at < $1
