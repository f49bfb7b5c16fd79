-- In which epoch a job was last tried again because somebody asked for it: the same request twice makes it come once.
CREATE TABLE retries (
    execution_id uuid NOT NULL,
    seq          integer NOT NULL,
    epoch        integer NOT NULL,
    PRIMARY KEY (execution_id, seq)
);

-- A page remembered that for all of its jobs together. Only copies of before still do.
ALTER TABLE page_rounds ALTER COLUMN last_epoch SET DEFAULT 0;
