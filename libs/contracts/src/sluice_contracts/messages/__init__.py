"""The messages, one module a topic."""
