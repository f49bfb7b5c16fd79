"""How any channel worker works: gates, render, pace, claim, send, record, emit."""
