"""Commands for a person at a terminal, all of them through the public HTTP API."""
