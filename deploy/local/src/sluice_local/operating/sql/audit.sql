-- Each statement returns what is wrong, for the trigger $1 or, where that is null, for all.

-- name: triggers
SELECT count(*) FROM status.triggers WHERE accepted_at IS NOT NULL AND ($1::uuid IS NULL OR trigger_id = $1)

-- name: executions
SELECT count(*) FROM status.executions WHERE $1::uuid IS NULL OR trigger_id = $1

-- name: differing_counters
-- Every counter of an execution against its jobs, counted anew.
WITH counted AS (
    SELECT execution_id,
           count(*) FILTER (WHERE state = 1) AS held,
           count(*) FILTER (WHERE state = 4) AS cancelled,
           count(*) FILTER (WHERE state = 5) AS filtered,
           count(*) FILTER (WHERE state = 6) AS failed,
           count(*) FILTER (WHERE state = 7) AS sent,
           count(*) FILTER (WHERE message = 1) AS message_accepted,
           count(*) FILTER (WHERE message = 2) AS message_sent,
           count(*) FILTER (WHERE message = 3) AS message_unknown,
           count(*) FILTER (WHERE message = 4) AS message_expired,
           count(*) FILTER (WHERE message = 5) AS message_rejected,
           count(*) FILTER (WHERE message = 6) AS message_undelivered,
           count(*) FILTER (WHERE message = 7) AS message_bounced,
           count(*) FILTER (WHERE message = 8) AS message_delivered,
           count(*) FILTER (WHERE message = 9) AS message_read,
           count(*) FILTER (WHERE engagements & 1 <> 0) AS opened,
           count(*) FILTER (WHERE engagements & 2 <> 0) AS clicked,
           count(*) FILTER (WHERE engagements & 4 <> 0) AS replied,
           count(*) FILTER (WHERE engagements & 8 <> 0) AS complained,
           count(*) FILTER (WHERE engagements & 16 <> 0) AS unsubscribed,
           coalesce(sum(segments) FILTER (WHERE state = 7), 0) AS segments,
           coalesce(sum(cost_micros) FILTER (WHERE state = 7), 0) AS cost_micros
    FROM (
        SELECT j.execution_id, status.state_in(j.progress) AS state, j.message, j.engagements, j.segments, j.cost_micros
        FROM status.jobs AS j
        WHERE $1::uuid IS NULL OR j.execution_id IN (SELECT execution_id FROM status.executions WHERE trigger_id = $1)
    ) AS job
    GROUP BY execution_id
)
SELECT e.execution_id, e.trigger_id, e.channel, counter.name, counter.stored, coalesce(counter.recounted, 0) AS recounted
FROM status.executions AS e
LEFT JOIN counted AS c USING (execution_id)
CROSS JOIN LATERAL (VALUES
    ('held', e.held, c.held),
    ('cancelled', e.cancelled, c.cancelled),
    ('filtered', e.filtered, c.filtered),
    ('failed', e.failed, c.failed),
    ('sent', e.sent, c.sent),
    ('message_accepted', e.message_accepted, c.message_accepted),
    ('message_sent', e.message_sent, c.message_sent),
    ('message_unknown', e.message_unknown, c.message_unknown),
    ('message_expired', e.message_expired, c.message_expired),
    ('message_rejected', e.message_rejected, c.message_rejected),
    ('message_undelivered', e.message_undelivered, c.message_undelivered),
    ('message_bounced', e.message_bounced, c.message_bounced),
    ('message_delivered', e.message_delivered, c.message_delivered),
    ('message_read', e.message_read, c.message_read),
    ('opened', e.opened, c.opened),
    ('clicked', e.clicked, c.clicked),
    ('replied', e.replied, c.replied),
    ('complained', e.complained, c.complained),
    ('unsubscribed', e.unsubscribed, c.unsubscribed),
    ('segments', e.segments, c.segments),
    ('cost_micros', e.cost_micros, c.cost_micros)
) AS counter (name, stored, recounted)
WHERE ($1::uuid IS NULL OR e.trigger_id = $1) AND counter.stored <> coalesce(counter.recounted, 0)
ORDER BY e.trigger_id, e.execution_id, counter.name

-- name: broken_sums
-- total = sent + failed + filtered + cancelled + open, where open is never negative; a job is sent exactly when a
-- provider has a message; and the reasons of unsent jobs add up to their number.
SELECT e.execution_id, e.trigger_id, e.channel, identity.name, identity.one, identity.other
FROM status.executions AS e
LEFT JOIN LATERAL (
    SELECT coalesce(sum(n) FILTER (WHERE state = 4), 0) AS cancelled,
           coalesce(sum(n) FILTER (WHERE state = 5), 0) AS filtered,
           coalesce(sum(n) FILTER (WHERE state = 6), 0) AS failed
    FROM status.reasons WHERE reasons.execution_id = e.execution_id
) AS r ON true
LEFT JOIN LATERAL (
    SELECT count(*) FILTER (WHERE state = 4) AS cancelled,
           count(*) FILTER (WHERE state = 5) AS filtered,
           count(*) FILTER (WHERE state = 6) AS failed
    FROM status.unsent WHERE unsent.execution_id = e.execution_id AND present
) AS u ON true
CROSS JOIN LATERAL (VALUES
    ('jobs that are over, and all jobs', true,
     e.sent + e.failed + e.filtered + e.cancelled + coalesce(e.never_commanded, 0), e.commanded_total),
    ('messages in any state, and jobs sent', false,
     e.message_accepted + e.message_sent + e.message_unknown + e.message_expired + e.message_rejected
     + e.message_undelivered + e.message_bounced + e.message_delivered + e.message_read, e.sent),
    ('reasons of cancelled jobs, and such jobs', false, r.cancelled, e.cancelled),
    ('reasons of filtered jobs, and such jobs', false, r.filtered, e.filtered),
    ('reasons of failed jobs, and such jobs', false, r.failed, e.failed),
    ('cancelled jobs in the list by reason, and such jobs', false, u.cancelled, e.cancelled),
    ('filtered jobs in the list by reason, and such jobs', false, u.filtered, e.filtered),
    ('failed jobs in the list by reason, and such jobs', false, u.failed, e.failed)
) AS identity (name, may_be_less, one, other)
WHERE ($1::uuid IS NULL OR e.trigger_id = $1)
  AND CASE WHEN identity.may_be_less THEN identity.one > identity.other ELSE identity.one <> identity.other END
ORDER BY e.trigger_id, e.execution_id, identity.name

-- name: outsiders
-- Jobs whose position lies outside the trigger's cohort, where the orchestrator still knows how many people that is.
SELECT e.execution_id, e.trigger_id, e.channel, count(*) AS jobs, min(j.seq) AS first, cohort.people
FROM status.executions AS e
JOIN LATERAL (
    SELECT coalesce(o.cohort_total, (
        SELECT (p.page * 200 + cardinality(p.contact_ids)) FROM orchestrator.cohort_pages AS p
        WHERE p.trigger_id = o.trigger_id ORDER BY p.page DESC LIMIT 1
    )) AS people
    FROM orchestrator.triggers AS o
    WHERE o.trigger_id = e.trigger_id AND o.accepted IS NOT NULL
) AS cohort ON cohort.people IS NOT NULL
JOIN status.jobs AS j ON j.execution_id = e.execution_id AND (j.seq >= cohort.people OR j.seq < 0)
WHERE $1::uuid IS NULL OR e.trigger_id = $1
GROUP BY e.execution_id, e.trigger_id, e.channel, cohort.people
ORDER BY e.trigger_id, e.execution_id

-- name: unplanned
-- Executions that reports speak of and that no plan names.
SELECT e.execution_id, e.trigger_id, e.channel,
       (SELECT count(*) FROM status.jobs AS j WHERE j.execution_id = e.execution_id) AS jobs,
       EXISTS (SELECT FROM status.triggers AS t WHERE t.trigger_id = e.trigger_id AND t.accepted_at IS NOT NULL) AS known
FROM status.executions AS e
WHERE e.step_order IS NULL AND ($1::uuid IS NULL OR e.trigger_id = $1)
ORDER BY e.trigger_id, e.execution_id
