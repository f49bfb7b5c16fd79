-- What operators did with records that are dead letters. The letters stay in their topics; a row is made when one is
-- edited or redriven. A row is about the record, by the place that it died at, because each group that gives a record up
-- leaves a letter. `fingerprint` (SHA-256 of the value) tells it from another record at the same place of a topic that
-- was made anew.
CREATE TABLE dead_letters (
    topic         text NOT NULL,
    partition     integer NOT NULL,
    record_offset bigint NOT NULL,
    fingerprint   bytea NOT NULL,
    edited_value  bytea,
    edited_at     timestamptz,
    redriven_at   timestamptz,
    redrives      integer NOT NULL DEFAULT 0,
    PRIMARY KEY (topic, partition, record_offset, fingerprint)
);
