-- Times are parameters: tests and whole stacks may move the clock.

-- name: record_triggers
-- A row that is there already stays as it is, unless it only held a request that came before the trigger itself. What
-- was there and is spent is never new again.
INSERT INTO triggers AS known (trigger_id, workspace_id, accepted, plan, planned_at, mode, cohort_total,
                               asks_for_outcomes, failure_code, failure_detail)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::bytea[], $5::timestamptz[], $6::text[], $7::integer[],
                     $8::boolean[], $9::text[], $10::text[]) AS given (trigger_id)
WHERE NOT EXISTS (SELECT FROM spent_triggers WHERE spent_triggers.trigger_id = given.trigger_id)
ORDER BY 1
ON CONFLICT (trigger_id) DO UPDATE SET
    workspace_id = excluded.workspace_id,
    accepted = excluded.accepted,
    plan = excluded.plan,
    planned_at = excluded.planned_at,
    cohort_total = excluded.cohort_total,
    asks_for_outcomes = excluded.asks_for_outcomes,
    failure_code = excluded.failure_code,
    failure_detail = excluded.failure_detail,
    mode = CASE WHEN known.workspace_id = excluded.workspace_id AND excluded.mode <> 'failed'
                THEN known.mode ELSE excluded.mode END,
    mode_at = CASE WHEN known.workspace_id = excluded.workspace_id THEN known.mode_at END
WHERE known.accepted IS NULL
RETURNING trigger_id, mode, mode_at

-- name: taken_up
SELECT trigger_id FROM triggers WHERE trigger_id = ANY($1::uuid[]) AND accepted IS NOT NULL

-- name: add_cohort_page
INSERT INTO cohort_pages (trigger_id, page, contact_ids, labels) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING

-- name: start_execution
INSERT INTO executions (execution_id, trigger_id, step_order, content, started_at, expected, commanded, finished_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING

-- name: open_command
INSERT INTO commands (execution_id, page, round, epoch, trigger_id, step_order, seqs, attempts, credit, sends,
                      opened_at, due_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, coalesce($12::timestamptz, 'infinity')) ON CONFLICT DO NOTHING

-- name: add_stage
INSERT INTO stages (trigger_id, step_order, workspace_id, lane, walks, scheduled_for, due_at)
VALUES ($1, $2, $3, $4, $5, $6, coalesce($7::timestamptz, 'infinity')) ON CONFLICT DO NOTHING

-- name: triggers_by_id
-- What never changes is left out for those in $2: the caller has it.
SELECT trigger_id, workspace_id, planned_at, mode, mode_at, cohort_total, failure_code, failure_detail,
       CASE WHEN trigger_id <> ALL($2::uuid[]) THEN accepted END AS accepted,
       CASE WHEN trigger_id <> ALL($2::uuid[]) THEN plan END AS plan
FROM triggers WHERE trigger_id = ANY($1::uuid[]) AND accepted IS NOT NULL

-- name: executions_of
SELECT trigger_id, execution_id, content, started_at, expected, commanded, never_commanded, finished_at
FROM executions WHERE trigger_id = ANY($1::uuid[]) ORDER BY trigger_id, step_order

-- name: cohort_pages
SELECT trigger_id, page, contact_ids, labels
FROM cohort_pages JOIN unnest($1::uuid[], $2::integer[]) AS wanted (trigger_id, page) USING (trigger_id, page)

-- name: outcome_pages
SELECT execution_id, page, standings, messages, engagements
FROM outcomes JOIN unnest($1::uuid[], $2::integer[]) AS wanted (execution_id, page) USING (execution_id, page)

-- name: commands_without_stage
-- Those that were published by whoever took the trigger up: nobody else would publish them again before their deadline.
SELECT execution_id, page, round, epoch, trigger_id, step_order, seqs, attempts, credit, sends, opened_at, due_at
FROM commands WHERE execution_id = ANY($1::uuid[]) AND round = 0 AND NOT credit AND sends > 0 ORDER BY execution_id, page

-- name: unpublished_pages
-- First rounds of the pages that a stage had commanded and not certainly published when its last owner left it.
SELECT execution_id, page, round, epoch, trigger_id, step_order, seqs, attempts, credit, sends, opened_at, due_at
FROM commands WHERE execution_id = ANY($1::uuid[]) AND page >= $2 AND page < $3 AND round = 0
ORDER BY execution_id, page

-- name: lease_stages
-- A stage without credit rests, unless it has an end to announce or its last owner left it without a word.
-- Workspaces take turns, and within a workspace its stages do. The horizon bounds the work of one look at a long queue.
WITH candidates AS (
    SELECT trigger_id, step_order, workspace_id,
           row_number() OVER (PARTITION BY workspace_id ORDER BY served_at, due_at) AS place
    FROM (SELECT trigger_id, step_order, workspace_id, served_at, due_at
          FROM stages
          WHERE due_at <= $1 AND lane = $2 AND walks = $3 AND (open < $4 OR ended OR owner IS NOT NULL)
            AND rest_until <= $1 AND lease_until <= $1
          ORDER BY due_at
          LIMIT 2000) AS due
), chosen AS (
    SELECT stage.trigger_id, stage.step_order
    FROM candidates
    JOIN stages AS stage USING (trigger_id, step_order)
    LEFT JOIN turns ON turns.workspace_id = candidates.workspace_id
    WHERE stage.lease_until <= $1 AND stage.due_at <= $1
    ORDER BY candidates.place, turns.served_at NULLS FIRST, stage.due_at
    LIMIT $5
    FOR UPDATE OF stage SKIP LOCKED
), leased AS (
    UPDATE stages AS stage SET owner = $6, lease_until = $7, served_at = $1
    FROM chosen
    WHERE stage.trigger_id = chosen.trigger_id AND stage.step_order = chosen.step_order
    RETURNING stage.trigger_id, stage.step_order, stage.workspace_id, stage.walks, stage.next_page,
              stage.emitted_pages, stage.cursor, stage.open, stage.ended, stage.due_at
), served AS (
    INSERT INTO turns (workspace_id, served_at)
    SELECT DISTINCT workspace_id, $1::timestamptz FROM leased ORDER BY workspace_id
    ON CONFLICT (workspace_id) DO UPDATE SET served_at = excluded.served_at
)
SELECT * FROM leased ORDER BY due_at, trigger_id, step_order

-- name: hold_leases
-- The fence: a lease that was lost, or whose trigger was cancelled, has no row, and its work is not written.
SELECT trigger_id, step_order
FROM stages JOIN unnest($1::uuid[], $2::integer[]) AS wanted (trigger_id, step_order) USING (trigger_id, step_order)
WHERE owner = $3
ORDER BY trigger_id, step_order FOR UPDATE OF stages

-- name: advance_stage
UPDATE stages SET next_page = $3, cursor = $4, open = open + $5, ended = $6 WHERE trigger_id = $1 AND step_order = $2

-- name: advance_execution
UPDATE executions SET commanded = commanded + $2, finished_at = $3 WHERE execution_id = $1

-- name: count_cohort
-- Before the lease is held, because triggers are locked before stages everywhere; and only while there is a lease.
UPDATE triggers SET cohort_total = $2
WHERE trigger_id = $1 AND EXISTS (SELECT FROM stages WHERE stages.trigger_id = $1 AND stages.owner = $3)

-- name: release_stage
UPDATE stages SET owner = NULL, lease_until = '-infinity', emitted_pages = next_page, rest_until = coalesce($4, rest_until)
WHERE trigger_id = $1 AND step_order = $2 AND owner = $3

-- name: abandon_stage
-- The owner stays, as after a crash: whoever leases the stage next publishes again what may not have been.
UPDATE stages SET lease_until = '-infinity', rest_until = $4 WHERE trigger_id = $1 AND step_order = $2 AND owner = $3

-- name: close_stage
DELETE FROM stages WHERE trigger_id = $1 AND step_order = $2 AND owner = $3

-- name: modes_held_still
-- Nobody may cancel, pause or resume these until the transaction ends, so that what it writes fits their mode.
SELECT trigger_id, mode FROM triggers WHERE trigger_id = ANY($1::uuid[]) ORDER BY trigger_id FOR SHARE

-- name: answer_commands
-- What is not there any more was answered before.
WITH answered AS (
    SELECT execution_id, page, round
    FROM commands JOIN unnest($1::uuid[], $2::integer[], $3::integer[]) AS wanted (execution_id, page, round)
         USING (execution_id, page, round)
    ORDER BY execution_id, page, round
    FOR UPDATE OF commands
)
DELETE FROM commands USING answered
WHERE commands.execution_id = answered.execution_id AND commands.page = answered.page
  AND commands.round = answered.round
RETURNING commands.execution_id, commands.page, commands.round, commands.epoch, commands.trigger_id,
          commands.step_order, commands.credit

-- name: allot_rounds
INSERT INTO page_rounds AS known (execution_id, page, last_round)
SELECT execution_id, page, rounds
FROM unnest($1::uuid[], $2::integer[], $3::integer[]) AS wanted (execution_id, page, rounds)
ORDER BY execution_id, page
ON CONFLICT (execution_id, page) DO UPDATE SET last_round = known.last_round + excluded.last_round
RETURNING execution_id, page, last_round

-- name: note_retries
-- Jobs that were tried again in this epoch or a later one get no row.
INSERT INTO retries AS known (execution_id, seq, epoch)
SELECT $1, seq, $3 FROM unnest($2::integer[]) AS seq ORDER BY seq
ON CONFLICT (execution_id, seq) DO UPDATE SET epoch = excluded.epoch WHERE known.epoch < excluded.epoch
RETURNING seq

-- name: give_credit_back
-- Whose stages can be fed again: a stage is fed once there is room for a whole turn, not once for every answer.
WITH given AS (
    SELECT trigger_id, step_order, credits
    FROM stages JOIN unnest($1::uuid[], $2::integer[], $3::integer[]) AS wanted (trigger_id, step_order, credits)
         USING (trigger_id, step_order)
    ORDER BY trigger_id, step_order FOR UPDATE OF stages
), returned AS (
    UPDATE stages SET open = stages.open - given.credits FROM given
    WHERE stages.trigger_id = given.trigger_id AND stages.step_order = given.step_order
    RETURNING stages.lane, stages.walks, stages.open, stages.ended
)
SELECT DISTINCT lane, walks FROM returned WHERE open < $4 AND NOT ended

-- name: due_commands
SELECT execution_id, page, round, epoch, trigger_id, step_order, seqs, attempts, credit, sends, opened_at, due_at
FROM commands WHERE due_at <= $1 ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED

-- name: commands_sent
UPDATE commands SET sends = sent.sends, due_at = sent.due_at
FROM (SELECT * FROM unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[], $5::timestamptz[])
        AS t (execution_id, page, round, sends, due_at)
      ORDER BY execution_id, page, round) AS sent
WHERE commands.execution_id = sent.execution_id AND commands.page = sent.page AND commands.round = sent.round

-- name: drop_commands
DELETE FROM commands USING unnest($1::uuid[], $2::integer[], $3::integer[]) AS gone (execution_id, page, round)
WHERE commands.execution_id = gone.execution_id AND commands.page = gone.page AND commands.round = gone.round

-- name: next_command_due
SELECT min(due_at) FROM commands WHERE due_at < 'infinity'

-- name: note_request
-- A request may come before its trigger: the lanes are different topics. It then waits in a row without a message.
-- A paused trigger can be resumed even with nothing open: a retry of what failed would rest for ever otherwise.
INSERT INTO triggers AS known (trigger_id, workspace_id, planned_at, mode, mode_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (trigger_id) DO UPDATE SET mode = excluded.mode, mode_at = excluded.mode_at
WHERE known.workspace_id = excluded.workspace_id AND known.mode NOT IN ('cancelled', 'failed')
  AND (known.mode_at IS NULL OR known.mode_at <= excluded.mode_at)
  AND (known.accepted IS NULL
       OR (known.mode = 'paused' AND excluded.mode = 'running')
       OR EXISTS (SELECT FROM stages WHERE stages.trigger_id = known.trigger_id)
       OR EXISTS (SELECT FROM wait_stages WHERE wait_stages.trigger_id = known.trigger_id)
       OR EXISTS (SELECT FROM waits WHERE waits.trigger_id = known.trigger_id AND waits.outcome IS NULL)
       OR EXISTS (SELECT FROM releases WHERE releases.trigger_id = known.trigger_id)
       OR EXISTS (SELECT FROM commands JOIN executions USING (execution_id)
                  WHERE executions.trigger_id = known.trigger_id))
RETURNING accepted IS NOT NULL AS planned

-- name: resting_commands_come_now
UPDATE commands SET due_at = $2
WHERE execution_id IN (SELECT execution_id FROM executions WHERE trigger_id = $1) AND sends = 0

-- name: unanswered_commands_come_now
WITH unanswered AS (
    SELECT execution_id, page, round FROM commands
    WHERE execution_id IN (SELECT execution_id FROM executions WHERE trigger_id = $1)
      AND sends > 0 AND opened_at < $2 AND due_at > $3
    ORDER BY execution_id, page, round
    FOR UPDATE
)
UPDATE commands SET due_at = $3 FROM unanswered
WHERE commands.execution_id = unanswered.execution_id AND commands.page = unanswered.page
  AND commands.round = unanswered.round

-- name: waiting_commands_rest
UPDATE commands SET due_at = 'infinity'
WHERE execution_id IN (SELECT execution_id FROM executions WHERE trigger_id = $1) AND sends = 0

-- name: stages_rest
UPDATE stages SET due_at = 'infinity' WHERE trigger_id = $1 AND NOT ended

-- name: stages_go_on
UPDATE stages SET due_at = scheduled_for WHERE trigger_id = $1

-- name: drop_stages
DELETE FROM stages WHERE trigger_id = $1 RETURNING step_order, next_page

-- name: stop_executions
-- What was not commanded by now ($4 positions were gone through) never will be.
UPDATE executions SET finished_at = $2,
       never_commanded = greatest(0, coalesce(triggers.cohort_total, executions.expected) - $4)
FROM triggers
WHERE executions.trigger_id = $1 AND executions.step_order = $3 AND executions.finished_at IS NULL
  AND triggers.trigger_id = executions.trigger_id

-- name: settle_cohort
UPDATE triggers SET cohort_total = (SELECT max(commanded + never_commanded) FROM executions WHERE trigger_id = $1)
WHERE trigger_id = $1 AND cohort_total IS NULL

-- name: lock_outcomes
SELECT execution_id, page, standings, messages, engagements
FROM outcomes JOIN unnest($1::uuid[], $2::integer[]) AS wanted (execution_id, page) USING (execution_id, page)
ORDER BY execution_id, page FOR UPDATE OF outcomes

-- name: reserve_outcomes
INSERT INTO outcomes (execution_id, page, standings, messages, engagements)
SELECT execution_id, page, $3, $4, $4 FROM unnest($1::uuid[], $2::integer[]) AS wanted (execution_id, page)
ORDER BY execution_id, page
ON CONFLICT DO NOTHING

-- name: write_outcomes
UPDATE outcomes SET standings = $3, messages = $4, engagements = $5 WHERE execution_id = $1 AND page = $2

-- name: triggers_with_outcomes
SELECT trigger_id, asks_for_outcomes FROM triggers WHERE trigger_id = ANY($1::uuid[]) AND accepted IS NOT NULL

-- name: oldest_work
-- A stage is late from the moment at which it could have had its next turn: one that waits for credit is not.
SELECT (SELECT min(opened_at) FROM commands WHERE due_at < 'infinity') AS opened_at,
       (SELECT min(greatest(due_at, served_at, rest_until)) FROM stages
        WHERE due_at <= $1 AND lease_until <= $1 AND (open < $2 OR ended)) AS stage_due_at,
       (SELECT min(due_at) FROM commands WHERE due_at < 'infinity') AS command_due_at

-- name: note_spent_triggers
-- Old triggers of which nothing is open and whose ids count for good.
INSERT INTO spent_triggers (trigger_id, noted_at)
SELECT trigger_id, $2 FROM triggers
WHERE planned_at < $1
  AND (convert_from(accepted, 'UTF8')::json ->> 'once_for_good')::boolean
  AND NOT EXISTS (SELECT FROM stages WHERE stages.trigger_id = triggers.trigger_id)
  AND NOT EXISTS (SELECT FROM commands JOIN executions USING (execution_id)
                  WHERE executions.trigger_id = triggers.trigger_id)
  AND NOT EXISTS (SELECT FROM spent_triggers WHERE spent_triggers.trigger_id = triggers.trigger_id)
ORDER BY planned_at LIMIT $3
ON CONFLICT DO NOTHING

-- name: forget_triggers
-- Old triggers of which nothing is open. Everything they left goes with them. One whose id counts for good goes only
-- where that was noted before $3: a repeat that is being recorded at this moment finds one of the two.
WITH old AS (
    SELECT trigger_id FROM triggers
    WHERE planned_at < $1
      AND NOT EXISTS (SELECT FROM stages WHERE stages.trigger_id = triggers.trigger_id)
      AND NOT EXISTS (SELECT FROM wait_stages WHERE wait_stages.trigger_id = triggers.trigger_id)
      AND NOT EXISTS (SELECT FROM waits WHERE waits.trigger_id = triggers.trigger_id AND waits.outcome IS NULL)
      AND NOT EXISTS (SELECT FROM releases WHERE releases.trigger_id = triggers.trigger_id)
      AND NOT EXISTS (SELECT FROM commands JOIN executions USING (execution_id)
                      WHERE executions.trigger_id = triggers.trigger_id)
      AND (accepted IS NULL
           OR (convert_from(accepted, 'UTF8')::json ->> 'once_for_good')::boolean IS NOT TRUE
           OR EXISTS (SELECT FROM spent_triggers
                      WHERE spent_triggers.trigger_id = triggers.trigger_id AND noted_at < $3))
    ORDER BY planned_at LIMIT $2
), pages AS (
    DELETE FROM cohort_pages USING old WHERE cohort_pages.trigger_id = old.trigger_id
), ended AS (
    DELETE FROM executions USING old WHERE executions.trigger_id = old.trigger_id RETURNING executions.execution_id
), rounds AS (
    DELETE FROM page_rounds USING ended WHERE page_rounds.execution_id = ended.execution_id
), tries AS (
    DELETE FROM retries USING ended WHERE retries.execution_id = ended.execution_id
), results AS (
    DELETE FROM outcomes USING ended WHERE outcomes.execution_id = ended.execution_id
), gone AS (
    DELETE FROM triggers USING old WHERE triggers.trigger_id = old.trigger_id RETURNING 1
)
SELECT count(*) FROM gone
