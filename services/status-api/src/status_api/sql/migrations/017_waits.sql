-- Steps of triggers in which people wait for an event: as planned (null until that is known), and how many wait or have.
CREATE TABLE wait_steps (
    trigger_id      uuid NOT NULL,
    step_order      integer NOT NULL,
    workspace_id    uuid NOT NULL,
    step_id         text,
    step_name       text,
    event           text,
    timeout_minutes integer,
    delay_minutes   integer,
    scheduled_for   timestamptz,
    waiting         integer NOT NULL DEFAULT 0,
    received        integer NOT NULL DEFAULT 0,
    timed_out       integer NOT NULL DEFAULT 0,
    PRIMARY KEY (trigger_id, step_order)
);

-- One contact's wait: it lasts while it has no outcome. Times are Unix milliseconds.
CREATE TABLE waits (
    trigger_id  uuid NOT NULL,
    step_order  integer NOT NULL,
    seq         integer NOT NULL,
    external_id text,
    since       bigint NOT NULL,
    until       bigint NOT NULL,
    outcome     text,
    ended_at    bigint,
    event_id    uuid,
    PRIMARY KEY (trigger_id, step_order, seq)
) WITH (fillfactor = 80);
CREATE INDEX waits_of_person ON waits (trigger_id, external_id) WHERE external_id IS NOT NULL;
