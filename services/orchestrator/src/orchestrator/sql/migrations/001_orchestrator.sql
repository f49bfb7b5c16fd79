-- What the orchestrator remembers. `triggers`, `cohort_pages` and `executions` are the record of a trigger and are
-- removed together long after it is over (foreign keys would cost a look-up a row on the hot path). `stages` and `commands` hold open work alone: a row goes when its work is
-- done, so they stay small however much has been sent, and everything that is due is found through `due_at`.

CREATE TABLE triggers (
    trigger_id       uuid PRIMARY KEY,
    workspace_id     uuid NOT NULL,
    accepted         bytea,        -- the message as it was accepted; null while only a request about it has come
    plan             bytea,        -- null also where nothing can be planned
    planned_at       timestamptz NOT NULL,
    mode             text NOT NULL DEFAULT 'running' CHECK (mode IN ('running', 'paused', 'cancelled', 'failed')),
    mode_at          timestamptz,  -- when the last obeyed request was made; null when there was none
    cohort_total     integer,      -- null until the audience has been walked to its end
    asks_for_outcomes boolean NOT NULL DEFAULT false,
    failure_code     text,
    failure_detail   text
) WITH (fillfactor = 85);
CREATE INDEX triggers_by_age ON triggers (planned_at);

-- The people of a trigger, 200 positions a row, fixed for ever: a repeat and a later step speak of the same.
CREATE TABLE cohort_pages (
    trigger_id  uuid NOT NULL,
    page        integer NOT NULL,
    contact_ids uuid[] NOT NULL,   -- null where nobody has the external id, and for a bare address
    labels      text[],            -- how the caller named each; null for an audience
    PRIMARY KEY (trigger_id, page)
);

-- An execution from its start on.
CREATE TABLE executions (
    execution_id    uuid PRIMARY KEY,
    trigger_id      uuid NOT NULL,
    step_order      integer NOT NULL,
    content         bytea NOT NULL, -- as it was resolved at the start
    started_at      timestamptz NOT NULL,
    expected        integer NOT NULL,
    commanded       integer NOT NULL DEFAULT 0,
    never_commanded integer NOT NULL DEFAULT 0,
    finished_at     timestamptz
) WITH (fillfactor = 70);
CREATE INDEX executions_of_trigger ON executions (trigger_id);

-- Steps that have not been fed to their end. `due_at` never changes but by pause and resume (infinity while paused), so
-- that the frequent updates stay in the page.
CREATE TABLE stages (
    trigger_id    uuid NOT NULL,
    step_order    integer NOT NULL,
    workspace_id  uuid NOT NULL,
    lane          text NOT NULL,
    walks         boolean NOT NULL,              -- takes the people from the audience, for all other stages too
    scheduled_for timestamptz NOT NULL,
    due_at        timestamptz NOT NULL,
    rest_until    timestamptz NOT NULL DEFAULT '-infinity',
    next_page     integer NOT NULL DEFAULT 0,
    emitted_pages integer NOT NULL DEFAULT -1,   -- pages certainly published; -1: not even the start
    cursor        uuid,
    open          integer NOT NULL DEFAULT 0,    -- commands with credit that nobody has answered
    ended         boolean NOT NULL DEFAULT false,
    owner         uuid,
    lease_until   timestamptz NOT NULL DEFAULT '-infinity',
    served_at     timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (trigger_id, step_order)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX stages_due ON stages (due_at);

-- When a workspace last had its turn.
CREATE TABLE turns (
    workspace_id uuid PRIMARY KEY,
    served_at    timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Commands that nobody has answered. `due_at`: when it is to be published (again); infinity: when somebody resumes.
CREATE TABLE commands (
    execution_id uuid NOT NULL,
    page         integer NOT NULL,
    round        integer NOT NULL,
    epoch        integer NOT NULL,
    trigger_id   uuid NOT NULL,
    step_order   integer NOT NULL,
    seqs         integer[] NOT NULL,
    attempts     integer[] NOT NULL,
    credit       boolean NOT NULL,
    sends        integer NOT NULL,
    opened_at    timestamptz NOT NULL,
    due_at       timestamptz NOT NULL,
    PRIMARY KEY (execution_id, page, round)
) WITH (autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX commands_due ON commands (due_at);

-- How many rounds and retries a page has had, from its second round on.
CREATE TABLE page_rounds (
    execution_id uuid NOT NULL,
    page         integer NOT NULL,
    last_round   integer NOT NULL,
    last_epoch   integer NOT NULL,
    PRIMARY KEY (execution_id, page)
) WITH (fillfactor = 70);

-- How jobs stand, for workflows with conditions on earlier steps: one entry a position of the page.
CREATE TABLE outcomes (
    execution_id uuid NOT NULL,
    page         integer NOT NULL,
    standings    integer[] NOT NULL,
    messages     smallint[] NOT NULL,
    engagements  smallint[] NOT NULL,
    PRIMARY KEY (execution_id, page)
);
