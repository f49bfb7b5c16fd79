-- name: elect
-- Whether this transaction is the one that looks.
SELECT pg_try_advisory_xact_lock(hashtext('status.standstill'))

-- name: standing_still
-- Executions that were started before $1 and are not at their end, and of which nothing has ended since $1, the oldest
-- first; those of $2 are left out, and those of which whoever is open waits for an event. That somebody waits is
-- believed as long as the step behind the wait is not due and somebody is open: the word that a wait is over may have
-- been missed. $3 at most.
SELECT execution_id, trigger_id, workspace_id, channel,
       commanded_total - sent - failed - filtered - cancelled - coalesce(never_commanded, 0) AS open
FROM executions
WHERE started_at IS NOT NULL
  AND (commanded_total IS NULL OR commanded_total > sent + failed + filtered + cancelled + coalesce(never_commanded, 0))
  AND (commanded_total IS NOT NULL OR coalesce(scheduled_for, '-infinity') < $1
       OR sent + failed + filtered + cancelled >= expected OR NOT EXISTS (
      SELECT FROM wait_steps w WHERE w.trigger_id = executions.trigger_id
      HAVING sum(w.waiting) > 0
         AND sum(w.waiting) + executions.sent + executions.failed + executions.filtered + executions.cancelled
             >= executions.expected))
  AND started_at < $1 AND coalesce(last_ended_at, started_at) < $1
  AND NOT execution_id = ANY ($2::uuid[])
ORDER BY started_at
LIMIT $3

-- name: never_started
-- Executions that were due before $1 and of which nobody has said that they have started. Those of a paused trigger are
-- asked about as well: that it was resumed may be what was missed.
SELECT execution_id, trigger_id, e.workspace_id, e.channel, NULL::bigint AS open
FROM executions e
JOIN triggers t USING (trigger_id)
WHERE e.started_at IS NULL AND (e.scheduled_for IS NULL OR e.scheduled_for < $1)
  AND t.accepted_at < $1 AND t.cancelled_at IS NULL AND t.failed_at IS NULL
  AND NOT execution_id = ANY ($2::uuid[])
LIMIT $3

-- name: started_unheard
-- Executions of which jobs have ended, none of them since $1, and of which nobody has said that they have started:
-- behind a wait they may start long before they are due.
SELECT execution_id, trigger_id, workspace_id, channel, NULL::bigint AS open
FROM executions
WHERE started_at IS NULL AND commanded_total IS NULL AND sent + failed + filtered + cancelled > 0
  AND coalesce(last_ended_at, '-infinity') < $1
  AND NOT execution_id = ANY ($2::uuid[])
LIMIT $3

-- name: never_planned
-- Triggers that were accepted before $1 and of which nobody has said what becomes of them.
SELECT NULL::uuid AS execution_id, trigger_id, workspace_id, NULL::text AS channel, NULL::bigint AS open
FROM triggers
WHERE planned_at IS NULL AND failed_at IS NULL AND accepted_at < $1 AND NOT trigger_id = ANY ($2::uuid[])
ORDER BY accepted_at
LIMIT $3

-- name: nameless
-- Executions with jobs that a receipt has spoken of and whose answer has not come: nobody knows who they are about.
SELECT execution_id, trigger_id, workspace_id, channel, NULL::bigint AS open
FROM executions
WHERE execution_id IN (
    SELECT execution_id FROM jobs WHERE address IS NULL AND external_id IS NULL AND state_in(progress) = 7
)
  AND coalesce(last_ended_at, started_at, '-infinity') < $1
  AND NOT execution_id = ANY ($2::uuid[])
LIMIT $3

-- name: lanes
SELECT trigger_id, lane FROM triggers WHERE trigger_id = ANY ($1::uuid[]) AND lane IS NOT NULL

-- name: pages
-- How many jobs of each page of execution $1 are known to be over, and how many wait for a moment after $2 (Unix
-- milliseconds).
SELECT seq / $3::integer AS page,
       count(*) FILTER (
           WHERE state_in(progress) BETWEEN 4 AND 6
              OR state_in(progress) = 7 AND (address IS NOT NULL OR external_id IS NOT NULL)
       ) AS ended,
       count(*) FILTER (WHERE state_in(progress) < 4 AND until > $2) AS waiting
FROM jobs
WHERE execution_id = $1
GROUP BY 1
ORDER BY 1
