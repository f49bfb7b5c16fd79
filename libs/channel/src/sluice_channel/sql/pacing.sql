-- The bucket runs on the database's clock: all copies share its slots.

-- name: open_bucket
INSERT INTO pace (account_id, next_at, horizon) VALUES ($1, '-infinity', '-infinity') ON CONFLICT DO NOTHING

-- name: reserve
-- Take up to $2 slots at $3 a second, none later than $4 seconds from now; put the rest at the end of the queue.
-- With $5, take none while others queue: those who were told to come back go first.
WITH bucket AS MATERIALIZED (
    SELECT next_at, horizon, clock_timestamp() AS at FROM pace WHERE account_id = $1 FOR UPDATE
), free AS (
    SELECT at, horizon, greatest(next_at, at) AS start,
        CASE
            WHEN $5::boolean AND horizon > at + make_interval(secs => $4) THEN 0
            ELSE least(
                $2::integer,
                greatest(0, 1 + floor($3::float8 * (
                    $4::float8 - least(1e6, extract(epoch FROM greatest(next_at, at) - at)::float8)
                ))::integer)
            )
        END AS granted
    FROM bucket
), queue AS (
    SELECT at, start, granted, start + make_interval(secs => granted / $3::float8) AS next_at,
        greatest(horizon, start + make_interval(secs => granted / $3::float8)) AS tail, horizon
    FROM free
)
UPDATE pace
SET next_at = queue.next_at,
    horizon = CASE
        WHEN queue.granted < $2 THEN queue.tail + make_interval(secs => ($2 - queue.granted) / $3::float8)
        ELSE pace.horizon
    END
FROM queue
WHERE pace.account_id = $1
RETURNING queue.granted, extract(epoch FROM queue.start - queue.at)::float8 AS wait,
    extract(epoch FROM queue.tail - queue.at)::float8 AS tail

-- name: pause
-- Let nobody have a slot for $2 seconds.
UPDATE pace SET next_at = greatest(next_at, clock_timestamp() + make_interval(secs => $2)) WHERE account_id = $1
