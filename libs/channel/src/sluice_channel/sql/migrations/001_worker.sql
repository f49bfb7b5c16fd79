-- What every channel worker keeps. Applied once in each channel's own schema.

-- The ledger. A wave is a fixed slice of fifty positions of one command; its row is inserted before the first of them
-- is handed over and updated after the last. `reports` holds the jobs' reports as columns (see ledger.py): at the claim
-- the plan, where `sending` marks what is about to be handed over; once `recorded_at` is set, the outcomes.
-- `facts` holds what a later receipt needs and does not carry: addresses and external ids.
-- `doubtful` are positions handed over without a clear answer; `proven` those that a receipt proved to have arrived.
CREATE TABLE waves (
    execution_id uuid NOT NULL,
    page integer NOT NULL,
    round integer NOT NULL,
    wave smallint NOT NULL,
    first_seq integer NOT NULL,
    last_seq integer NOT NULL,
    workspace_id uuid NOT NULL,
    trigger_id uuid NOT NULL,
    account_id uuid,
    category text NOT NULL,
    epoch integer NOT NULL,
    owner uuid NOT NULL,
    lease timestamptz NOT NULL,
    claimed_at timestamptz NOT NULL,
    recorded_at timestamptz,
    doubtful integer[],
    proven integer[],
    facts bytea NOT NULL,
    reports bytea NOT NULL,
    PRIMARY KEY (execution_id, page, round, wave)
) WITH (fillfactor = 50, toast_tuple_target = 8160);

ALTER TABLE waves ALTER COLUMN facts SET STORAGE MAIN;
ALTER TABLE waves ALTER COLUMN reports SET STORAGE MAIN;

CREATE INDEX waves_by_age ON waves (claimed_at);

-- Slots of rate-limited provider accounts. `next_at` is the first free slot; `horizon` is until when those who were
-- told to come back fill the slots after it.
CREATE TABLE pace (
    account_id uuid PRIMARY KEY,
    next_at timestamptz NOT NULL,
    horizon timestamptz NOT NULL
) WITH (fillfactor = 50);

-- One row a message that counts towards a frequency cap or a budget; made only where one is configured.
CREATE TABLE allowances (
    execution_id uuid NOT NULL,
    seq integer NOT NULL,
    workspace_id uuid NOT NULL,
    recipient text NOT NULL,
    at timestamptz NOT NULL,
    cost_micros bigint NOT NULL,
    PRIMARY KEY (execution_id, seq)
);

CREATE INDEX allowances_by_recipient ON allowances (workspace_id, recipient, at);
CREATE INDEX allowances_by_age ON allowances (at);

-- What a workspace has spent on this channel by day, UTC.
CREATE TABLE spending (
    workspace_id uuid NOT NULL,
    day date NOT NULL,
    cost_micros bigint NOT NULL,
    PRIMARY KEY (workspace_id, day)
) WITH (fillfactor = 50);

-- The newest message to an address, for providers whose replies name nothing but the address.
CREATE TABLE conversations (
    account_id uuid NOT NULL,
    address text NOT NULL,
    execution_id uuid NOT NULL,
    seq integer NOT NULL,
    round integer NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (account_id, address)
) WITH (fillfactor = 70);

-- Receipts whose job is not known (yet).
CREATE TABLE parked_receipts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    receipt bytea NOT NULL,
    parked_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    tries integer NOT NULL DEFAULT 0
);

CREATE INDEX parked_receipts_due ON parked_receipts (due_at);

-- The sandbox: one row a hand-over, written before the worker learns the outcome. `accepted` says whether the recipient
-- would see it. `call_id` is one call of send. `transaction_id` lets a reader go through the table in an order that no late commit can break.
CREATE TABLE sandbox_messages (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
    call_id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    account_id uuid NOT NULL,
    trigger_id uuid NOT NULL,
    job_id text NOT NULL,
    reference text NOT NULL,
    attempt integer NOT NULL,
    accepted boolean NOT NULL,
    address text NOT NULL,
    sender text,
    subject text,
    text text,
    html text,
    headers jsonb,
    at timestamptz NOT NULL
);

CREATE INDEX sandbox_messages_by_trigger ON sandbox_messages (workspace_id, trigger_id, id);
CREATE INDEX sandbox_messages_by_address ON sandbox_messages (workspace_id, address, id);
CREATE INDEX sandbox_messages_in_order ON sandbox_messages (transaction_id, id);

-- How often the sandbox has refused a job on purpose.
CREATE TABLE sandbox_refusals (
    job_id text PRIMARY KEY,
    refusals integer NOT NULL,
    at timestamptz NOT NULL
);

-- Up to where receipts have been played back, and which copy is playing.
CREATE TABLE sandbox_playback (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    transaction_id xid8 NOT NULL DEFAULT '0',
    message_id bigint NOT NULL DEFAULT 0,
    owner uuid,
    lease timestamptz NOT NULL DEFAULT '-infinity'
);

INSERT INTO sandbox_playback DEFAULT VALUES;
