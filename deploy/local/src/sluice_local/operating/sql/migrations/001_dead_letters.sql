-- What operators did with dead letters. The letters themselves stay in their topics; a row is made when one is edited
-- or redriven. `written_at` is the record's own time: a topic that was made anew begins again at offset 0, and a row
-- about the old one must not speak of the new.
CREATE TABLE dead_letters (
    topic         text NOT NULL,
    partition     integer NOT NULL,
    record_offset bigint NOT NULL,
    written_at    timestamptz NOT NULL,
    edited_value  bytea,
    edited_at     timestamptz,
    redriven_at   timestamptz,
    redrives      integer NOT NULL DEFAULT 0,
    PRIMARY KEY (topic, partition, record_offset)
);
