-- Leases run on the database's clock: the workers' own may differ from each other by more than a lease.

-- name: waves_of_command
-- What is known of a command: $1 execution, $2 page, $3 round.
SELECT wave, recorded_at IS NOT NULL AS is_recorded, lease < clock_timestamp() AS is_expired, proven, reports
FROM waves
WHERE execution_id = $1 AND page = $2 AND round = $3
ORDER BY wave

-- name: claim
-- Claim a wave, or, with $16, enter one that hands nothing over. No row back: somebody else has it.
INSERT INTO waves (
    execution_id, page, round, wave, owner, lease, first_seq, last_seq, workspace_id, trigger_id, account_id, category,
    epoch, facts, reports, claimed_at, recorded_at
)
VALUES (
    $1, $2, $3, $4, $5, clock_timestamp() + make_interval(secs => $6), $7, $8, $9, $10, $11, $12, $13, $14, $15, $17,
    CASE WHEN $16::boolean THEN $17::timestamptz END
)
ON CONFLICT DO NOTHING
RETURNING 1

-- name: record
-- Record a wave's outcomes: $4 wave, $5 owner, $6 reports, $7 doubtful, $8 now. No row back: the wave is not ours any more.
UPDATE waves
SET reports = $6, doubtful = $7, recorded_at = $8
WHERE execution_id = $1 AND page = $2 AND round = $3 AND wave = $4 AND owner = $5 AND recorded_at IS NULL
RETURNING coalesce(proven, '{}') AS proven

-- name: record_and_claim
-- Record wave $21 of command $18, $19, $20 that $22 owns ($23 reports, $24 doubtful), and claim as `claim` does: both or neither.
WITH recorded AS (
    UPDATE waves
    SET reports = $23, doubtful = $24, recorded_at = $17
    WHERE execution_id = $18 AND page = $19 AND round = $20 AND wave = $21 AND owner = $22 AND recorded_at IS NULL
    RETURNING coalesce(proven, '{}') AS proven
), claimed AS (
    INSERT INTO waves (
        execution_id, page, round, wave, owner, lease, first_seq, last_seq, workspace_id, trigger_id, account_id,
        category, epoch, facts, reports, claimed_at, recorded_at
    )
    SELECT
        $1, $2, $3, $4, $5, clock_timestamp() + make_interval(secs => $6), $7, $8, $9, $10, $11, $12, $13, $14, $15, $17,
        CASE WHEN $16::boolean THEN $17::timestamptz END
    FROM recorded
    ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT (SELECT proven FROM recorded) AS proven, (SELECT count(*) FROM claimed) AS claimed

-- name: own_claim
-- Whether wave $4 was claimed by $5 after all: a connection that breaks says nothing about its last statement.
UPDATE waves
SET lease = clock_timestamp() + make_interval(secs => $6)
WHERE execution_id = $1 AND page = $2 AND round = $3 AND wave = $4 AND owner = $5
RETURNING 1

-- name: own_record
-- Whether wave $4 was recorded by $5 after all.
SELECT coalesce(proven, '{}') AS proven
FROM waves
WHERE execution_id = $1 AND page = $2 AND round = $3 AND wave = $4 AND owner = $5 AND recorded_at IS NOT NULL

-- name: take_over
-- Take over a wave whose lease has run out: $4 wave, $5 new owner, $6 seconds. No row back: it has an owner, or is recorded.
UPDATE waves
SET owner = $5, lease = clock_timestamp() + make_interval(secs => $6)
WHERE execution_id = $1 AND page = $2 AND round = $3 AND wave = $4
    AND recorded_at IS NULL AND lease < clock_timestamp()
RETURNING coalesce(proven, '{}') AS proven, reports

-- name: revise
-- Write down what a new owner is about to do with a wave: $4 wave, $5 owner, $6 reports, $7 seconds of lease.
UPDATE waves
SET reports = $6, lease = clock_timestamp() + make_interval(secs => $7)
WHERE execution_id = $1 AND page = $2 AND round = $3 AND wave = $4 AND owner = $5 AND recorded_at IS NULL
RETURNING coalesce(proven, '{}') AS proven

-- name: renew
-- Keep a wave for longer: $4 wave, $5 owner, $6 seconds. No row back: it is not ours any more.
UPDATE waves
SET lease = clock_timestamp() + make_interval(secs => $6)
WHERE execution_id = $1 AND page = $2 AND round = $3 AND wave = $4 AND owner = $5 AND recorded_at IS NULL
RETURNING 1

-- name: prove_own
-- Note that positions $5 of wave $4 arrived at the provider, whoever owns the wave now.
UPDATE waves
SET proven = (
    SELECT array_agg(DISTINCT position ORDER BY position) FROM unnest(coalesce(proven, '{}') || $5::integer[]) AS position
)
WHERE execution_id = $1 AND page = $2 AND round = $3 AND wave = $4

-- name: proven_before
-- Positions of a page that receipts have proven in rounds before $3.
SELECT DISTINCT unnest(proven) AS seq
FROM waves
WHERE execution_id = $1 AND page = $2 AND round < $3 AND proven IS NOT NULL

-- name: waves_of_commands
-- The waves of some commands: $1 executions, $2 pages, $3 rounds, one entry a command.
SELECT
    wave.execution_id, wave.page, wave.round, wave.wave, wave.first_seq, wave.last_seq, wave.workspace_id,
    wave.trigger_id, wave.epoch, wave.recorded_at IS NULL AS is_open, wave.doubtful
FROM unnest($1::uuid[], $2::integer[], $3::integer[]) AS command (execution_id, page, round)
JOIN waves AS wave
    ON wave.execution_id = command.execution_id AND wave.page = command.page AND wave.round = command.round

-- name: facts_of_jobs
-- What the ledger knows of the people behind these jobs: $1 executions, $2 pages, $3 rounds, $4 positions, one entry a job.
SELECT job.ordinality - 1 AS place, wave.workspace_id, wave.category, wave.facts
FROM unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[])
    WITH ORDINALITY AS job (execution_id, page, round, seq, ordinality)
JOIN waves AS wave
    ON wave.execution_id = job.execution_id AND wave.page = job.page AND wave.round = job.round
    AND job.seq BETWEEN wave.first_seq AND wave.last_seq

-- name: pages_recorded
-- The first $4 pages of execution $1 from page $2 up to $3 that anything is recorded of.
SELECT DISTINCT page FROM waves
WHERE execution_id = $1 AND page >= $2 AND page < $3 AND recorded_at IS NOT NULL
ORDER BY page
LIMIT $4

-- name: waves_of_pages
-- What is recorded of pages $2 of execution $1, round by round.
SELECT page, round, workspace_id, trigger_id, epoch, coalesce(proven, '{}') AS proven, facts, reports
FROM waves
WHERE execution_id = $1 AND page = ANY ($2::integer[]) AND recorded_at IS NOT NULL
ORDER BY page, round, wave

-- name: purge_waves
-- Forget up to $2 waves claimed before $1.
DELETE FROM waves
WHERE ctid = ANY (ARRAY(SELECT ctid FROM waves WHERE claimed_at < $1 ORDER BY claimed_at LIMIT $2))
