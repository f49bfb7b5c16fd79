-- Answers are kept for all services, in the schema `answers`. What was here lived for a day at most.
DROP TABLE answers;
