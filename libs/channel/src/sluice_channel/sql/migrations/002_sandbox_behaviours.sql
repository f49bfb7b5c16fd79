-- What the address asks the sandbox to do; NULL for all those that ask for nothing.
ALTER TABLE sandbox_messages ADD COLUMN behaviour text;
