-- Steps in which contacts wait for an event. Rows of `wait_stages` and `releases` are open work and go when it is done;
-- `waits` stay as the record of who waited and what came, until their trigger is forgotten.

-- The first wait of a series on its way through the cohort: every contact is let into it.
CREATE TABLE wait_stages (
    trigger_id    uuid NOT NULL,
    step_order    integer NOT NULL,
    workspace_id  uuid NOT NULL,
    walks         boolean NOT NULL,      -- takes the people from the audience
    scheduled_for timestamptz NOT NULL,
    due_at        timestamptz NOT NULL,  -- infinity while the trigger is paused
    next_page     integer NOT NULL DEFAULT 0,
    cursor        uuid,
    PRIMARY KEY (trigger_id, step_order)
);
CREATE INDEX wait_stages_due ON wait_stages (due_at);

-- One contact's wait. `key` is what the event that ends it says of itself, null where none can.
CREATE TABLE waits (
    trigger_id   uuid NOT NULL,
    step_order   integer NOT NULL,
    seq          integer NOT NULL,
    workspace_id uuid NOT NULL,
    event        text NOT NULL,
    correlation  text NOT NULL,
    key          text,
    since        timestamptz NOT NULL,   -- when the trigger was accepted: no event before that counts
    cause        uuid,                   -- the event that made the trigger, which does not count either
    until        timestamptz NOT NULL,
    due_at       timestamptz NOT NULL,   -- `until`, or infinity while the trigger is paused
    outcome      text CHECK (outcome IN ('received', 'timed_out')),
    event_id     uuid,
    data         jsonb,
    PRIMARY KEY (trigger_id, step_order, seq)
) WITH (fillfactor = 80);
CREATE INDEX waits_by_key ON waits (workspace_id, event, correlation, key) WHERE outcome IS NULL AND key IS NOT NULL;
CREATE INDEX waits_due ON waits (due_at) WHERE outcome IS NULL;

-- People of one page whose wait is over, on their way to a step behind it. No people: those are all there will be.
CREATE TABLE releases (
    release_id    uuid PRIMARY KEY,
    trigger_id    uuid NOT NULL,
    step_order    integer NOT NULL,
    page          integer NOT NULL,
    seqs          integer[] NOT NULL,
    scheduled_for timestamptz NOT NULL,
    due_at        timestamptz NOT NULL
);
CREATE INDEX releases_due ON releases (due_at);
CREATE INDEX releases_of_trigger ON releases (trigger_id);

-- Events that some workflow waits for, under each key by which it may: a wait may begin after its event.
CREATE TABLE awaited_events (
    workspace_id uuid NOT NULL,
    event        text NOT NULL,
    correlation  text NOT NULL,
    key          text NOT NULL,
    event_id     uuid NOT NULL,
    accepted_at  timestamptz NOT NULL,
    data         jsonb NOT NULL,
    PRIMARY KEY (workspace_id, event, correlation, key, event_id)
);
CREATE INDEX awaited_events_by_age ON awaited_events (accepted_at);
