-- Executions that are not shown any more and whose rows are being removed, a few at a time.
CREATE TABLE expired_executions (
    execution_id uuid PRIMARY KEY
);
