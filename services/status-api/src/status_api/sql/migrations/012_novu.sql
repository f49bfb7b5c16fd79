-- Messages that a caller of Novu's door has deleted: they are not listed any more. Counts stay as they are. Position -1
-- is every job of the execution.
CREATE TABLE hidden_messages (
    execution_id uuid NOT NULL,
    seq integer NOT NULL,
    PRIMARY KEY (execution_id, seq)
);
