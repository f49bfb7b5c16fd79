"""Deterministic simulation: the real services in one thread, on simulated time, every misfortune drawn from a seed.

Real: every line of Python of the orchestrator, the channel workers (SMS and email) and the status projection between
a topic and a statement; the consumers, their error policy and watermarks; rendering, gates, pacing, receipts; rules,
waits for events, and who asks again about what was missed. A process is killed as by the power switch (nothing of it
runs any more, not even a `finally`) before a request leaves it or when the request has been carried out and the answer
is on its way: at any statement, publish, provider call and commit of offsets. Processes freeze for longer than leases
and sessions, and come back; consumers are dropped, commits forgotten, records stored twice, logs lost before status has
read them, statements and publishes lost before or after they took effect; partitions are read in any order.

Simulated: time; PostgreSQL, by functions that `test_twins.py` holds against the real one statement by statement; Kafka,
by the in-memory adapter; the provider, which is the truth about who was messaged; the catalog, by plain dictionaries.

Left out: ingest, HTTP, the catalog's SQL, contacts that change, frequency caps and budgets, replies, the sandbox,
purging and forgetting, the size of connection pools, statements that see a snapshot older than the lock they waited
for, a database or broker that loses what it has confirmed to all, clocks that differ between copies, and a provider
call that is handed over by a process that froze between looking at its lease and sending.
"""
